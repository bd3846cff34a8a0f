"""Who may not leave; that others may, test_network_operations.py shows on a real network."""

from pathlib import Path

import pytest

from wattpool_network import membership
from wattpool_network.community import community
from wattpool_network.errors import NetworkError
from wattpool_network.network import Network
from wattpool_network.topology import Consensus


@pytest.mark.parametrize(
    ("consensus", "orderers", "message"),
    [
        (Consensus.BFT, 4, "dso cannot leave: BFT needs at least 4 orderers"),
        (Consensus.BFT, 7, "dso runs BFT orderers, which cannot leave"),
        (Consensus.RAFT, 3, "without dso 0 of 2 orderers would be at work, which is no majority"),
    ],
)
def test_an_organisation_stays_without_whom_the_orderers_could_not_go_on(
    tmp_path: Path, consensus: Consensus, orderers: int, message: str
) -> None:
    network = Network(tmp_path / "state", community(consensus=consensus, orderers=orderers))
    with pytest.raises(NetworkError, match=message):
        membership.remove(network, network.organisation("dso"))
