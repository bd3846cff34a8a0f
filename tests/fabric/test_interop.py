"""Fabric's official Node client and `peer` drive our chaincode, and our client drives an official Node chaincode."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from community import RULES
from fabric import peer_cli
from fabric.founded import EXAMPLE, free_port_base, installed_fabric
from fabric.official_node import Client, NodeMissing, OfficialNode
from fabric_gateway import EndorseError, GatewayError, Identity, PrivateKeySigner, Tls, blocking
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records import codec
from wattpool_network import connection
from wattpool_network.commands import Binaries
from wattpool_network.connection import Connection
from wattpool_network.network import Network
from wattpool_network.topology import Chaincode, Channel, Collection, Organisation, Topology

# Channel and chaincode have the same name.
EXAMPLE_NAME, OFFICIAL_NAME, CONTRACT_NAME = "example", "official", "contract"
WATTPOOL = (sys.executable, "-m", "wattpool_chaincode.fabric", CONTRACT_NAME)
SECRETS = Collection(name="secrets", members=(AGGREGATOR,), required_peers=0)


@pytest.fixture(scope="module")
def node(fabric: Binaries, tmp_path_factory: pytest.TempPathFactory) -> OfficialNode:  # noqa: ARG001 -- skips
    try:
        return OfficialNode.install(tmp_path_factory.mktemp("node"))
    except NodeMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def interop(node: OfficialNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One organisation that runs the example, the rules of a community, and an official Node chaincode."""
    topology = Topology(
        # The official chaincode is served as its own example is: in clear text.
        chaincode_tls=False,
        organisations=(Organisation(name="aggregator", msp_id=AGGREGATOR, slot=0),),
        channels=(
            channel(EXAMPLE_NAME, EXAMPLE),
            channel(CONTRACT_NAME, WATTPOOL),
            channel(OFFICIAL_NAME, node.chaincode, SECRETS),
        ),
        port_base=free_port_base(),
        fabric=installed_fabric(),
    )
    network = Network(tmp_path_factory.mktemp("interop") / "state", topology)
    try:
        network.up()
        yield network
    finally:
        network.down(wipe=True)


def channel(name: str, command: tuple[str, ...], *collections: Collection) -> Channel:
    chaincode = Chaincode(
        name=name, command=command, endorsement=f"OutOf(1, '{AGGREGATOR}.peer')", collections=collections
    )
    return Channel(name=name, chaincodes=(chaincode,))


@pytest.fixture(scope="module")
def access(interop: Network) -> Connection:
    return connection.read(interop.layout.connection)


@pytest.fixture(scope="module")
def official_client(node: OfficialNode, access: Connection) -> Iterator[Client]:
    with Client(node.client, access, AGGREGATOR) as client:
        yield client


@pytest.fixture(scope="module")
def gateway(access: Connection) -> Iterator[blocking.Gateway]:
    """Our client."""
    organisation = access.organisations[AGGREGATOR]
    files = organisation.identities["client"]
    identity = Identity(msp_id=AGGREGATOR, certificate_pem=files.certificate.read_bytes())
    signer = PrivateKeySigner.load(files.key.read_bytes())
    tls = Tls(root_pem=organisation.tls_root.read_bytes())
    with blocking.Connection(organisation.peers[0], tls=tls) as opened:
        yield blocking.Gateway(opened, identity, signer)


@pytest.fixture(scope="module")
def official_chaincode(gateway: blocking.Gateway) -> blocking.Contract:
    return gateway.network(OFFICIAL_NAME).contract(OFFICIAL_NAME)


def call(client: Client, verb: str, chaincode: str, *words: str) -> Any:
    """Have the official client make one call; the result, or what its error says."""
    answer = client.do(verb, channel=chaincode, chaincode=chaincode, calls=[words], in_flight=1)
    return answer["results"][0] if "results" in answer else answer


def test_the_official_client_writes_and_reads_on_our_chaincode(official_client: Client) -> None:
    assert call(official_client, "submit", EXAMPLE_NAME, "create", "lamp", "5") == ""
    assert json.loads(call(official_client, "evaluate", EXAMPLE_NAME, "read", "lamp"))["value"] == 5
    assert "lamp" in json.loads(call(official_client, "evaluate", EXAMPLE_NAME, "inventory"))


@pytest.mark.parametrize(
    ("verb", "error"),
    [("evaluate", "GatewayError"), ("submit", "EndorseError")],
)
def test_the_official_client_reads_why_our_chaincode_refuses(official_client: Client, verb: str, error: str) -> None:
    answer = call(official_client, verb, EXAMPLE_NAME, "transfer", "unicorn", "nobody")
    assert answer["error"] == error
    assert "asset unicorn does not exist" in answer["message"]


def test_the_official_client_is_told_our_events(official_client: Client) -> None:
    for asset in ("vase", "sofa"):
        call(official_client, "submit", EXAMPLE_NAME, "create", asset, "5")
        call(official_client, "submit", EXAMPLE_NAME, "transfer", asset, "somebody")
    told = official_client.do("events", channel=EXAMPLE_NAME, chaincode=EXAMPLE_NAME, start_block=0, count=2)
    assert [(event["name"], event["payload"]) for event in told["events"]] == [
        ("transferred", "vase"),
        ("transferred", "sofa"),
    ]


def test_a_community_is_founded_and_its_rules_are_read_without_a_program_of_ours(
    official_client: Client, interop: Network
) -> None:
    rules = codec.encode(RULES).decode()
    assert json.loads(call(official_client, "submit", CONTRACT_NAME, "found", rules)) == {"version": 1}
    # What is done already is done again without harm, by any client.
    peer_cli.invoke(interop, CONTRACT_NAME, "found", rules, endorsers=(0,))
    expected = {"version": 1, "from_utc": 0, "rules": json.loads(rules)}
    assert json.loads(call(official_client, "evaluate", CONTRACT_NAME, "rules", '{"version":1}')) == expected
    assert peer_cli.query(interop, CONTRACT_NAME, "rules", '{"version":1}') == expected
    refused = call(official_client, "submit", CONTRACT_NAME, "found", "{}")
    assert "argument_malformed" in refused["message"]


def test_the_peer_program_writes_and_reads_on_our_chaincode(interop: Network) -> None:
    peer_cli.invoke(interop, EXAMPLE_NAME, "create", "clock", "7", endorsers=(0,))
    assert peer_cli.query(interop, EXAMPLE_NAME, "read", "clock")["value"] == 7
    with pytest.raises(AssertionError, match="asset clock exists"):
        peer_cli.invoke(interop, EXAMPLE_NAME, "create", "clock", "8", endorsers=(0,))


def test_our_client_writes_and_reads_on_an_official_chaincode(official_chaincode: blocking.Contract) -> None:
    official_chaincode.submit("create", "lamp", "5")
    assert json.loads(official_chaincode.evaluate("read", "lamp"))["value"] == 5
    assert "lamp" in json.loads(official_chaincode.evaluate("inventory"))


def test_our_client_reads_why_an_official_chaincode_refuses(official_chaincode: blocking.Contract) -> None:
    with pytest.raises(GatewayError) as evaluated:
        official_chaincode.evaluate("read", "unicorn")
    with pytest.raises(EndorseError) as submitted:
        official_chaincode.submit("transfer", "unicorn", "nobody")
    for error in (evaluated.value, submitted.value):
        assert error.refusal is not None
        assert error.refusal.message == "asset unicorn does not exist"


def test_our_client_is_told_an_official_chaincodes_events(
    gateway: blocking.Gateway, official_chaincode: blocking.Contract
) -> None:
    official_chaincode.submit("create", "vase", "5")
    committed = official_chaincode.submit("transfer", "vase", "somebody")
    network = gateway.network(OFFICIAL_NAME)
    with network.chaincode_events(OFFICIAL_NAME, start_block=committed.block_number) as events:
        event = next(events)
    assert (event.name, event.payload, event.transaction_id) == ("transferred", b"vase", committed.transaction_id)


def test_our_client_hands_an_official_chaincode_private_data(official_chaincode: blocking.Contract) -> None:
    official_chaincode.submit("keep", "lamp", transient={"secret": b"\x00 made of glass"})
    assert official_chaincode.evaluate("reveal", "lamp") == b"\x00 made of glass"


def test_without_node_the_comparison_says_so(fabric: Binaries, tmp_path: Path) -> None:
    compare = Path(__file__).resolve().parents[2] / "scripts" / "bench_fabric" / "compare.py"
    settings = {"FABRIC_BIN": str(Path(fabric.peer).parent), "PYTHONPATH": os.pathsep.join(sys.path), "PATH": ""}
    said = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, compare], env=settings, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "not measured: node is not on the PATH\n"
