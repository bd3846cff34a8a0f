import dataclasses

import pytest

from wattpool_chaincode.context import Policy
from wattpool_chaincode.organisations import METERING_FACTS, ORGANISATIONS
from wattpool_network.community import community, signature_policy
from wattpool_network.errors import InvalidTopology
from wattpool_network.topology import Channel, Consensus, Fabric, Organisation, Topology, from_json, to_json

COMMUNITY = community(command=("serve",))
CONTRACT = COMMUNITY.channels[0].chaincodes[0]


def test_a_community_has_its_three_organisations_two_channels_and_a_chaincode_on_each() -> None:
    assert {organisation.msp_id for organisation in COMMUNITY.organisations} == set(ORGANISATIONS)
    assert {one.name: [chaincode.name for chaincode in one.chaincodes] for one in COMMUNITY.channels} == {
        "contract": ["contract"],
        "ledger": ["ledger"],
    }
    assert [chaincode.command for one in COMMUNITY.channels for chaincode in one.chaincodes] == [
        ("serve", "contract"),
        ("serve", "ledger"),
    ]
    assert [collection.name for collection in COMMUNITY.channels[1].chaincodes[0].collections] == ["meter_data"]


def test_every_organisation_runs_each_kind_of_node() -> None:
    assert [node.name for node in COMMUNITY.nodes if node.organisation.name == "dso"] == [
        "ca.dso",
        "orderer0.dso",
        "peer0.dso",
        "contract-1.dso",
        "ledger-1.dso",
    ]


@pytest.mark.parametrize(("orderers", "shares"), [(1, [1, 0, 0]), (3, [1, 1, 1]), (4, [2, 1, 1]), (5, [2, 2, 1])])
def test_orderers_are_spread_over_the_organisations(orderers: int, shares: list[int]) -> None:
    topology = community(command=("serve",), orderers=orderers)
    assert [organisation.orderers for organisation in topology.organisations] == shares


def test_no_port_is_given_out_twice_and_all_are_in_the_block() -> None:
    topology = community(command=("serve",), orderers=30, port_base=9000)
    ports = [port for node in topology.nodes for port in node.ports]
    assert len(ports) == len(set(ports))
    assert min(ports) == 9000
    assert max(ports) < 9300


def test_ports_stay_when_another_organisation_goes() -> None:
    left = dataclasses.replace(COMMUNITY, organisations=COMMUNITY.organisations[1:])
    assert set(left.nodes) < set(COMMUNITY.nodes)


def test_a_new_version_of_a_chaincode_listens_beside_the_old_one() -> None:
    channel = COMMUNITY.channels[0]
    new = dataclasses.replace(
        channel, chaincodes=(dataclasses.replace(CONTRACT, version="2", sequence=2, generation=2),)
    )
    upgraded = dataclasses.replace(COMMUNITY, channels=(new, COMMUNITY.channels[1]))
    ports = [server.port for server in (*COMMUNITY.chaincode_servers, *upgraded.chaincode_servers)]
    kept = [server.port for server in COMMUNITY.chaincode_servers if server.chaincode.name == "ledger"]
    assert len(set(ports)) == len(ports) - len(kept)


def test_what_is_written_as_json_is_read_back() -> None:
    topology = community(command=("serve", "--here"), orderers=4, consensus=Consensus.BFT, fabric=Fabric.V3)
    assert from_json(to_json(topology)) == topology


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"organisations": 3}', to_json(COMMUNITY).replace("raft", "paxos")])
def test_text_that_is_no_topology_is_refused(text: str) -> None:
    with pytest.raises(InvalidTopology, match="not a topology"):
        from_json(text)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Policy(required=2, rules=("A", "B", "C")), "OutOf(2, 'A.peer', 'B.peer', 'C.peer')"),
        (METERING_FACTS, "OutOf(2, 'DsoMSP.peer', OutOf(1, 'AggregatorMSP.peer', 'MembersMSP.peer'))"),
    ],
)
def test_policies_are_told_in_fabrics_words(policy: Policy, text: str) -> None:
    assert signature_policy(policy) == text


ONE = Organisation(name="one", msp_id="OneMSP", slot=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"organisations": (ONE, ONE)}, "organisation one is there twice"),
        ({"organisations": (ONE, dataclasses.replace(ONE, name="two"))}, "MSP id OneMSP is there twice"),
        ({"organisations": (ONE, dataclasses.replace(ONE, name="two", msp_id="TwoMSP"))}, "slot 0 is there twice"),
        ({"organisations": (dataclasses.replace(ONE, slot=-1),)}, "slot -1 is less than 0"),
        ({"organisations": (dataclasses.replace(ONE, name="../x"),)}, "is no name"),
        ({"organisations": (dataclasses.replace(ONE, orderers=0),)}, "there is no orderer"),
        ({"organisations": (dataclasses.replace(ONE, peers=0),)}, "one needs 1 to 10 peers"),
        ({"channels": (Channel(name="c", chaincodes=(CONTRACT, CONTRACT)),)}, "chaincode contract is there twice"),
        (
            {"channels": (Channel(name="c", chaincodes=(dataclasses.replace(CONTRACT, command=()),)),)},
            "chaincode contract has no command",
        ),
        ({"consensus": Consensus.BFT}, "BFT needs at least 4 orderers"),
        ({"port_base": 65_400}, "ports 65400 to 65699"),
        ({"port_base": 0}, "ports 0 to 299"),
    ],
)
def test_a_topology_that_cannot_be_a_network_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidTopology, match=message):
        dataclasses.replace(COMMUNITY, **changes)  # type: ignore[arg-type]  # each case changes other fields


def test_bft_needs_the_capability_that_brought_it() -> None:
    with pytest.raises(InvalidTopology, match="BFT needs Fabric 3"):
        Topology(
            organisations=(dataclasses.replace(ONE, orderers=4),),
            channels=COMMUNITY.channels,
            consensus=Consensus.BFT,
            fabric=Fabric.V2_5,
        )
