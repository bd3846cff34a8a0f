"""Where a story takes place: on an embedded ledger, or with --ledger=fabric on a network founded for it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fabric.founded import free_port_base, installed_fabric
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool.simulation.clock import SimulatedClock
from wattpool.simulation.engine import open_ledger
from wattpool.simulation.scenario import Scenario
from wattpool_network.commands import Binaries
from wattpool_network.community import community
from wattpool_network.network import Network

AnyLedger = EmbeddedLedger | FabricLedger
# Opens the ledger of one community, as often as wanted.
Open = Callable[[Scenario, SimulatedClock], AbstractContextManager[AnyLedger]]


@pytest.fixture
def open_any(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """The ledger of the option --ledger, with nothing on it at first."""
    if request.config.getoption("--ledger") == "fabric":
        file: Path = request.getfixturevalue("connection_file")
        return lambda _, __: FabricLedger(read_connection(file))
    return lambda scenario, clock: open_ledger(tmp_path / "any", scenario, clock)


@pytest.fixture
def connection_file(fabric: Binaries, tmp_path: Path) -> Iterator[Path]:  # noqa: ARG001 -- skips
    topology = community(port_base=free_port_base(), fabric=installed_fabric())
    network = Network(tmp_path / "state", topology)
    try:
        network.up()
        yield network.layout.connection
    finally:
        Network.open(network.layout.root).down(wipe=True)
