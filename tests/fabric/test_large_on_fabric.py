"""A community whose stages take several chunks and pages, on real Fabric."""

from pathlib import Path

import pytest

from fabric.founded import free_port_base, installed_fabric
from large import two_periods
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool.simulation.large import scenario_of
from wattpool_network.community import community
from wattpool_network.network import Network


@pytest.mark.long
@pytest.mark.usefixtures("fabric")
def test_a_community_of_several_pages_trades_all_it_can(tmp_path: Path) -> None:
    network = Network(tmp_path / "network", community(port_base=free_port_base(), fabric=installed_fabric()))
    try:
        network.up()
        with FabricLedger(read_connection(network.layout.connection)) as ledger:
            two_periods(scenario_of(1_100), ledger)
    finally:
        Network.open(network.layout.root).down(wipe=True)
