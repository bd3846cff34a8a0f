"""Verification of what a real network committed: valid and invalid, a changed configuration, flipped bytes."""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import pytest

from fabric.founded import free_port_base, installed_fabric
from fabric_gateway import Identity, PrivateKeySigner, Tls, blocking
from fabric_gateway.blocking import Contract, Gateway
from ledger.toy import CHAINCODES, call, submit
from wattpool.ledgers import fabric_blocks as blocks
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool.ledgers.port import LedgerError
from wattpool.verify import Report, ViolationKind
from wattpool.verify.fabric import Peers, verify
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_network.commands import Binaries
from wattpool_network.community import community
from wattpool_network.connection import Connection
from wattpool_network.network import Network
from wattpool_network.revocation import push_crl

TOY = (sys.executable, str(Path(__file__).with_name("toy_chaincode.py")))
# More than a peer sends a chaincode at once, and so many that it keeps a summary instead of the keys.
MANY = 130
Captured = Mapping[str, list[bytes]]


class Memory:
    """A `BlockSource` of blocks that were captured."""

    def __init__(self, captured: Captured) -> None:
        self._captured = captured

    def height(self, channel: str) -> int:
        return len(self._captured[channel])

    def blocks(self, channel: str) -> Iterator[bytes]:
        return iter(self._captured[channel])

    def others(self, channel: str, number: int) -> Iterator[tuple[str, bytes]]:  # noqa: ARG002
        return iter(())


@pytest.fixture(scope="module")
def network(fabric: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:  # noqa: ARG001 -- skips
    topology = community(command=TOY, port_base=free_port_base(), fabric=installed_fabric())
    network = Network(tmp_path_factory.mktemp("verified") / "state", topology)
    try:
        network.up()
        write_one_of_everything(network)
        yield network
    finally:
        Network.open(network.layout.root).down(wipe=True)


@pytest.fixture(scope="module")
def connection(network: Network) -> Connection:
    return read_connection(network.layout.connection)


@pytest.fixture(scope="module")
def captured(connection: Connection) -> Captured:
    with Peers(connection) as peers:
        return {channel: list(peers.blocks(channel)) for channel in CHAINCODES}


def write_one_of_everything(network: Network) -> None:
    connection = read_connection(network.layout.connection)
    with FabricLedger(connection) as ledger:
        submit(ledger, ["put", "fixed", "1"], channel="contract")
        submit(ledger, *[["put", f"k{number:03}", "x"] for number in range(MANY)])
        submit(ledger, ["put", "a", "1"], ["put", "own", "1"], ["set_policy", "own", "members"], ["emit", "one", "two"])
        submit(ledger, ["get", "a"], ["get", "nothing"], ["put", "a", "2"], ["range", "a", "b"], ["who"])
        submit(ledger, ["put", "own", "2"], by=MEMBERS)
        submit(ledger, ["range", "k", "l"], ["first", "k", "l", 3], ["range", "x", "y"], ["put", "counted", "130"])
        submit(ledger, ["delete", "a"], ["query", "contract", [["get", "fixed"]]], by=AGGREGATOR)
        submit(ledger, ["put_private", "p"], ["put_private", "q"], transient={"p": "secret", "q": "kept"})
        submit(ledger, ["get_private", "p"], ["private_hash", "q"], ["put", "seen", "1"])
        submit(ledger, ["purge_private", "p"])
        submit(ledger, ["put_private", "p"], transient={"p": "again"})
        submit(ledger, ["history", "k001"])
        push_crl(network, network.organisation("dso"))
        submit(ledger, ["put", "a", "3"], ["set_policy", "k000", None])
    with Raw(connection) as raw:
        raw.write_what_is_invalid()


class Raw:
    """The Gateway's own steps, so that a transaction can be endorsed and held back."""

    def __init__(self, connection: Connection) -> None:
        access = connection.organisations[AGGREGATOR]
        self._peer = blocking.Connection(access.peers[0], tls=Tls(root_pem=access.tls_root.read_bytes()))
        files = access.identities["client"]
        identity = Identity(msp_id=AGGREGATOR, certificate_pem=files.certificate.read_bytes())
        gateway = Gateway(self._peer, identity, PrivateKeySigner.load(files.key.read_bytes()))
        self._contract: Contract = gateway.network("ledger").contract("ledger")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._peer.close()

    def endorse(self, *steps: list[object], by: tuple[str, ...] = ()) -> blocking.Transaction:
        return self._contract.endorse("run", call(*steps).argument, endorsing_organisations=by)

    def write_what_is_invalid(self) -> None:
        two = [self.endorse(["get", "a"], ["put", "a", value]) for value in ("4", "5")]
        changing = self.endorse(["put", "late", "1"], ["set_policy", "late", "members"])
        changed = self.endorse(["put", "late", "2"])
        small = self.endorse(["range", "own", "p"], ["put", "summed", "1"])
        large = self.endorse(["range", "k", "l"], ["put", "summed", "1"])
        alone = self.endorse(["put", "b", "1"], by=(AGGREGATOR,))
        without = self.endorse(["put", "own", "3"], by=(AGGREGATOR, DSO))
        sent = [one.submit() for one in (*two, changing, changed, alone, without)]
        # The same envelope again: an orderer takes it, and it is in a block twice.
        two[0].submit()
        for one in sent:
            one.status()
        self.endorse(["put", "ownly", "1"], ["put", "k0011", "1"]).submit().status()
        for late in (small, large):
            late.submit().status()


def check(captured: Captured) -> Report:
    return verify(Memory(captured), chaincodes=CHAINCODES)


def test_what_a_network_committed_holds_with_all_peers_asked(connection: Connection) -> None:
    with Peers(connection) as peers:
        report = verify(peers, chaincodes=CHAINCODES)
        assert report.violation is None
        assert {channel: one.blocks for channel, one in report.channels.items()} == {
            channel: peers.height(channel) for channel in CHAINCODES
        }
    # The history, and what wrote and what read the private value that was purged since.
    assert report.channels["ledger"].unrepeatable == 3
    # Three approvals and a definition, the genesis and the list of revocations.
    assert [one.system for one in report.channels.values()] == [6, 6]


def test_the_blocks_hold_every_kind_of_verdict(captured: Captured) -> None:
    codes = Counter(code for data in captured["ledger"] for code in blocks.decode_block(data).codes)
    names = {blocks.code_name(code): count for code, count in codes.items()}
    assert names.keys() == {
        "VALID",
        "DUPLICATE_TXID",
        "ENDORSEMENT_POLICY_FAILURE",
        "MVCC_READ_CONFLICT",
        "PHANTOM_READ_CONFLICT",
    }
    assert names["PHANTOM_READ_CONFLICT"] == 2


def test_a_genesis_that_is_pinned_is_looked_at(captured: Captured) -> None:
    genesis = check(captured).channels["ledger"].genesis_hash
    assert genesis is not None
    assert verify(Memory(captured), chaincodes=CHAINCODES, genesis={"ledger": genesis}).violation is None
    refused = verify(Memory(captured), chaincodes=CHAINCODES, genesis={"ledger": genesis[::-1]}).violation
    assert refused is not None
    assert (refused.what, refused.channel) == (ViolationKind.GENESIS, "ledger")


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_byte_is_found_wherever_it_is(captured: Captured, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- nothing secret
    for _ in range(20):
        channel = chance.choice(sorted(captured))
        number = chance.randrange(len(captured[channel]))
        block = bytearray(captured[channel][number])
        # Headers and transactions are hashed; most that could go wrong is in what follows them.
        behind = chance.choice([len(block), 400])
        place = max(0, len(block) - 1 - chance.randrange(behind))
        block[place] ^= chance.randrange(1, 256)
        flipped = dict(captured) | {channel: [*captured[channel][:number], bytes(block)]}
        if number + 1 < len(captured[channel]):
            flipped[channel].append(captured[channel][number + 1])
        violation = check(flipped).violation
        assert violation is not None, (channel, number, place, block[place])
        assert violation.channel == channel


def drop_last(captured: dict[str, list[bytes]]) -> None:
    class Short(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            return iter(self[:-1])

    captured["ledger"] = Short(captured["ledger"])


def drop_one(captured: dict[str, list[bytes]]) -> None:
    del captured["ledger"][5]


def swap(captured: dict[str, list[bytes]]) -> None:
    captured["ledger"][4:6] = captured["ledger"][5:3:-1]


def take_from_the_other_channel(captured: dict[str, list[bytes]]) -> None:
    captured["ledger"] = captured["contract"]


def cut_off_contract(captured: dict[str, list[bytes]]) -> None:
    """Of the contract's chain what the ledger's queried is not there yet."""
    del captured["contract"][3:]


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (drop_last, ViolationKind.NUMBER),
        (drop_one, ViolationKind.NUMBER),
        (swap, ViolationKind.NUMBER),
        (take_from_the_other_channel, ViolationKind.GENESIS),
        (cut_off_contract, ViolationKind.EXECUTION),
    ],
)
def test_what_is_missing_or_moved_is_named(
    captured: Captured, tamper: Callable[[dict[str, list[bytes]]], None], what: ViolationKind
) -> None:
    tampered = {channel: list(data) for channel, data in captured.items()}
    tamper(tampered)
    violation = check(tampered).violation
    assert violation is not None
    assert violation.what is what


def test_a_peer_that_is_down_is_not_missed_and_none_at_all_is_an_error(
    network: Network, connection: Connection
) -> None:
    # The first organisation's is the one that would be asked.
    network.node_process("peer0.aggregator").stop()
    with Peers(connection) as peers:
        report = verify(peers, chaincodes=CHAINCODES)
    assert report.violation is None
    assert all(one.blocks for one in report.channels.values())
    network.down()
    with Peers(connection) as peers, pytest.raises(LedgerError, match="no peer answers"):
        verify(peers, chaincodes=CHAINCODES)
