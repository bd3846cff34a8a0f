import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from wattpool_network import configuration, package
from wattpool_network.community import community
from wattpool_network.layout import Layout
from wattpool_network.topology import Consensus, Fabric

COMMUNITY = community(command=("serve",), port_base=9000)
LAYOUT = Layout(Path("/state"))


def test_a_channel_needs_all_three_for_chaincode_and_orderers_alone_sign_blocks() -> None:
    profile = configuration.channel(COMMUNITY, LAYOUT)["Profiles"][configuration.PROFILE]
    policies = profile["Application"]["Policies"]
    assert policies["LifecycleEndorsement"] == {"Type": "ImplicitMeta", "Rule": "ALL Endorsement"}
    writers = [one["Policies"]["Writers"]["Rule"] for one in profile["Orderer"]["Organizations"]]
    assert writers == ["OR('AggregatorMSP.orderer')", "OR('DsoMSP.orderer')", "OR('MembersMSP.orderer')"]


def test_blocks_are_cut_as_the_topology_says() -> None:
    topology = dataclasses.replace(COMMUNITY, batch=dataclasses.replace(COMMUNITY.batch, max_messages=7, timeout_ms=90))
    orderer = configuration.channel(topology, LAYOUT)["Profiles"][configuration.PROFILE]["Orderer"]
    assert orderer["BatchSize"]["MaxMessageCount"] == 7
    assert orderer["BatchTimeout"] == "90ms"


def test_all_orderers_are_consenters_and_those_of_bft_are_known_by_their_certificates_too() -> None:
    raft = configuration.channel(COMMUNITY, LAYOUT)["Profiles"][configuration.PROFILE]["Orderer"]
    assert [one["Port"] for one in raft["EtcdRaft"]["Consenters"]] == [9010, 9110, 9210]
    topology = community(command=("serve",), orderers=4, consensus=Consensus.BFT, port_base=9000)
    bft = configuration.channel(topology, LAYOUT)["Profiles"][configuration.PROFILE]["Orderer"]
    assert [(one["ID"], one["MSPID"], one["Port"]) for one in bft["ConsenterMapping"]] == [
        (1, "AggregatorMSP", 9010),
        (2, "AggregatorMSP", 9013),
        (3, "DsoMSP", 9110),
        (4, "MembersMSP", 9210),
    ]
    assert bft["ConsenterMapping"][0]["Identity"].endswith("orderer0.aggregator/msp/signcerts/cert.pem")


def test_a_peer_checks_expiry_and_the_time_window_and_does_without_docker() -> None:
    topology = dataclasses.replace(COMMUNITY, time_window_s=60, gateway_concurrency=77)
    core = configuration.peer(topology, topology.peers[0], LAYOUT, builder="/builder")
    filters = [one["name"] for one in core["peer"]["handlers"]["authFilters"]]
    assert filters == ["DefaultAuth", "ExpirationCheck", "TimeWindowCheck"]
    assert core["peer"]["authentication"]["timewindow"] == "60s"
    assert core["peer"]["limits"]["concurrency"]["gatewayService"] == 77
    assert core["vm"]["endpoint"] == ""
    builders = core["chaincode"]["externalBuilders"]
    assert [(one["name"], one["path"]) for one in builders] == [("ccaas", "/builder")]


def test_nodes_of_fabric_2_5_are_asked_for_nothing_that_they_lack() -> None:
    topology = dataclasses.replace(COMMUNITY, fabric=Fabric.V2_5)
    core = configuration.peer(topology, topology.peers[0], LAYOUT, builder="/builder")
    assert [one["name"] for one in core["peer"]["handlers"]["authFilters"]] == ["DefaultAuth", "ExpirationCheck"]
    profile = configuration.channel(topology, LAYOUT)["Profiles"][configuration.PROFILE]
    assert profile["Capabilities"] == {"V2_0": True}


def test_orderers_are_administered_with_certificates_of_the_tls_authority_alone() -> None:
    admin = configuration.orderer(COMMUNITY, COMMUNITY.orderers[0], LAYOUT)["Admin"]
    assert admin["TLS"]["ClientAuthRequired"] is True
    assert admin["TLS"]["ClientRootCAs"] == ["/state/organisations/aggregator/msp/tlscacerts/tlsca.pem"]


def test_private_data_is_for_all_three_and_reaches_one_more_peer_before_it_is_endorsed() -> None:
    chaincode = COMMUNITY.channels[1].chaincodes[0]
    assert configuration.collections(COMMUNITY, chaincode) == [
        {
            "name": "meter_data",
            "policy": "OR('AggregatorMSP.member', 'DsoMSP.member', 'MembersMSP.member')",
            "requiredPeerCount": 1,
            "maxPeerCount": 2,
            "blockToLive": 0,
            "memberOnlyRead": True,
            "memberOnlyWrite": True,
        }
    ]


def test_a_package_names_the_service_and_is_the_same_each_time() -> None:
    server = COMMUNITY.chaincode_servers[3]
    built = package.of(server)
    assert built == package.of(server)
    outer = _files(built)
    assert json.loads(outer["metadata.json"]) == {"type": "ccaas", "label": "ledger_1"}
    assert json.loads(_files(outer["code.tar.gz"])["connection.json"])["address"] == f"127.0.0.1:{server.port}"
    assert package.id_of(server) == f"ledger_1:{hashlib.sha256(built).hexdigest()}"


def test_a_package_asks_for_mutual_tls_and_holds_no_key() -> None:
    inner = _files(_files(package.of(COMMUNITY.chaincode_servers[0]))["code.tar.gz"])
    connection = json.loads(inner["connection.json"])
    assert connection["tls_required"] is True
    assert connection["client_auth_required"] is True
    assert [connection[name] for name in ("root_cert", "client_key", "client_cert")] == [
        "{{.root_cert}}",
        "{{.client_key}}",
        "{{.client_cert}}",
    ]


def test_chaincode_can_be_served_in_clear_text() -> None:
    server = community(command=("serve",), chaincode_tls=False).chaincode_servers[0]
    inner = _files(_files(package.of(server))["code.tar.gz"])
    assert json.loads(inner["connection.json"]) == {
        "address": server.address,
        "dial_timeout": "10s",
        "tls_required": False,
    }
    assert package.environment(server, LAYOUT)["CHAINCODE_TLS_DISABLED"] == "true"


def test_each_process_has_a_package_of_its_own() -> None:
    ids = [package.id_of(server) for server in COMMUNITY.chaincode_servers]
    assert len(set(ids)) == len(ids) == 6


def _files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]  # files alone
