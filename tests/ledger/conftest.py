"""Ledgers that hold nothing but the toy chaincode: the embedded one, and with --ledger=fabric a Fabric network."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from fabric_gateway import Backoff
from ledger.blocks import Blocks, EmbeddedBlocks, FabricBlocks
from ledger.on_fabric import SpacedLedger, toy_topology
from ledger.toy import CHAINCODES, Clock
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool.ledgers.port import Ledger
from wattpool_network.commands import Binaries
from wattpool_network.network import Network

# A policy that nobody can meet is tried again, too, and would take half a minute.
_BRIEFLY = Backoff(first_s=0.2, longest_s=0.2, retries=2)
_SPACES = count()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "street"


@pytest.fixture
def embedded(directory: Path, clock: Clock) -> Iterator[EmbeddedLedger]:
    with EmbeddedLedger.create(directory, community="street", chaincodes=CHAINCODES, clock=clock) as ledger:
        yield ledger


@pytest.fixture
def reopen(directory: Path, clock: Clock) -> Callable[[], EmbeddedLedger]:
    return lambda: EmbeddedLedger.open(directory, chaincodes=CHAINCODES, clock=clock)


@pytest.fixture(scope="session")
def toy_on_fabric(fabric: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricLedger]:  # noqa: ARG001 -- skips
    network = Network(tmp_path_factory.mktemp("toy") / "state", toy_topology())
    try:
        network.up()
        with FabricLedger(read_connection(network.layout.connection), passing=_BRIEFLY) as ledger:
            yield ledger
    finally:
        Network.open(network.layout.root).down(wipe=True)


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """The ledger of the option --ledger, with nothing on it that this test could see."""
    if request.config.getoption("--ledger") == "fabric":
        return SpacedLedger(request.getfixturevalue("toy_on_fabric"), f"{next(_SPACES):06}")
    embedded: EmbeddedLedger = request.getfixturevalue("embedded")
    return embedded


@pytest.fixture
def blocks(ledger: Ledger) -> Blocks:
    """The blocks of `ledger`."""
    if isinstance(ledger, SpacedLedger):
        return FabricBlocks(ledger)
    assert isinstance(ledger, EmbeddedLedger)
    return EmbeddedBlocks(ledger)
