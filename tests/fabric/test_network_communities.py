"""Two communities on one network: each has its own pair of channels, and its own periods."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest

from fabric.founded import free_port_base, installed_fabric
from wattpool.bad_input import BadInput
from wattpool.checkpoints import vote
from wattpool.ledgers.fabric import FabricLedger, channels_of, read_connection
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC, read_profiles, select, to_periods
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool.verify.fabric import Peers, chaincodes_of, verify
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.organisations import AGGREGATOR, DSO
from wattpool_network import communities, periods
from wattpool_network.commands import Binaries
from wattpool_network.community import WATTPOOL, community
from wattpool_network.connection import Connection
from wattpool_network.errors import InvalidTopology, NetworkError
from wattpool_network.network import Network
from wattpool_network.upgrade import upgrade

FOUR_HOURS_S = 14_400
START_UTC = BUNDLED_DAY_START_UTC - 86_400 + 3_600


@pytest.fixture(scope="module")
def shared(fabric: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:  # noqa: ARG001 -- skips
    topology = community(port_base=free_port_base(), fabric=installed_fabric())
    network = Network(tmp_path_factory.mktemp("communities") / "state", topology)
    try:
        network.up()
        yield communities.add(network, "elm")
    finally:
        Network.open(network.layout.root).down(wipe=True)


def scenario(seed: int) -> Scenario:
    profiles = to_periods(select(read_profiles(), start_utc=START_UTC, days=1), FOUR_HOURS_S)
    plan = plan_for(None, profiles.households)
    return Scenario(profiles=profiles, plan=plan, mechanism="pool", forecast="last", seed=seed)


def figures_and_states(simulation: Simulation, ledger: Any) -> tuple[Any, Any]:
    return summarise(simulation), {channel: dict(ledger.state(channel)) for channel in CHAINCODES}


def sequence(network: Network, channel: str) -> int:
    """Return which definition of the chaincode `ledger` counts on a channel."""
    return network.commands().committed(network.topology.peers[0], network.channel(channel))["ledger"]


def test_two_communities_trade_side_by_side_and_change_over_to_a_new_version_each_at_its_own_period(
    shared: Network, tmp_path: Path
) -> None:
    days = {None: scenario(1), "elm": scenario(2)}
    change_utc = days[None].first.start_utc + 4 * FOUR_HOURS_S
    with ExitStack() as opened, ThreadPoolExecutor() as pool:
        reach = read_connection(shared.layout.connection)
        ledgers = {name: opened.enter_context(FabricLedger(reach, name)) for name in days}
        simulations = {name: Simulation(day, ledgers[name], clock_for(day)) for name, day in days.items()}
        runs = {name: simulation.run() for name, simulation in simulations.items()}
        list(pool.map(next, runs.values()))
        told: SimpleQueue[str] = SimpleQueue()
        upgrading = Thread(
            target=upgrade,
            args=(shared, "ledger"),
            kwargs={
                "command": (*WATTPOOL, "ledger"),
                "version": "2",
                "period_start_utc": change_utc,
                "report": told.put,
            },
            daemon=True,
        )
        upgrading.start()
        await_report(told, "ledger and elm-ledger: waiting")
        while (periods.last_opened(shared, "") or 0) < change_utc - FOUR_HOURS_S:
            assert sequence(shared, "ledger") == 1
            next(runs[None])
        await_report(told, "ledger has ledger 2; the last period open is")
        assert (sequence(shared, "ledger"), sequence(shared, "elm-ledger")) == (2, 1)
        assert shared.node_process("ledger-1.dso").pid is not None
        with pytest.raises(NetworkError, match=r"ledger 2 is planned from .*; complete that first"):
            upgrade(Network.open(shared.layout.root), "contract", command=(*WATTPOOL, "contract"), version="3")
        list(pool.map(list, runs.values()))
        upgrading.join(timeout=60)
        assert sequence(shared, "elm-ledger") == 2
        assert shared.node_process("ledger-1.dso").pid is None
        traded = {name: figures_and_states(simulations[name], ledgers[name]) for name in days}
    for name, day in days.items():
        with open_ledger(tmp_path / f"ledger-{day.seed}", day, clock_for(day)) as embedded:
            simulation = Simulation(day, embedded, clock_for(day))
            assert len(list(simulation.run())) == 6
            assert traded[name] == figures_and_states(simulation, embedded)
    assert traded[None] != traded["elm"]
    for name in days:
        require_checkpoint_and_blocks_hold(reach, name)


def require_checkpoint_and_blocks_hold(reach: Connection, name: str | None) -> None:
    with FabricLedger(reach, name) as ledger:
        vote(ledger, by=DSO)
        assert vote(ledger, by=AGGREGATOR)["ledger"]["blocks"] == ledger.height("ledger")
    channels = channels_of(reach, name)
    with Peers(reach) as peers:
        report = verify(peers, chaincodes=chaincodes_of(channels))
    assert report.violation is None
    assert report.channels.keys() == set(channels.values())


def await_report(told: "SimpleQueue[str]", start: str) -> None:
    while not told.get(timeout=60).startswith(start):
        pass


def test_a_further_community_has_no_processes_of_its_own_and_is_there_after_a_restart(shared: Network) -> None:
    again = Network.open(shared.layout.root)
    assert len(again.topology.nodes) == len(community().nodes)
    again.down()
    again.up()
    peers = [one for one in again.nodes.status() if one.heights]
    assert [set(one.heights) for one in peers] == [{"contract", "ledger", "elm-contract", "elm-ledger"}] * 3
    assert communities.add(again, "elm").topology == again.topology


def test_a_community_that_is_not_there_is_refused_by_name(shared: Network) -> None:
    with pytest.raises(BadInput, match="there is no community 'oak' on this network, but elm"):
        FabricLedger(read_connection(shared.layout.connection), "oak")
    with pytest.raises(InvalidTopology, match="is no name"):
        communities.add(Network.open(shared.layout.root), "Elm!")
