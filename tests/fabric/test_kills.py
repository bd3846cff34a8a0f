"""Nodes and clients killed in mid-load: what was acknowledged is on the ledger once, and nothing is there twice."""

import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from fabric import load, on_ledger
from fabric.founded import kill
from fabric.load import FileOutbox
from wattpool_network import readiness
from wattpool_network.network import Network

DEADLINE_S = 60.0
FINISHING_DEADLINE_S = 300.0
ORGANISATIONS = ("AggregatorMSP", "DsoMSP", "MembersMSP")
IN_FLIGHT = 60
SOME = 150
SOME_ON_THEIR_WAY = 5
ROUNDS = [pytest.param(1, id="short"), pytest.param(6, id="long", marks=pytest.mark.long)]

log = logging.getLogger(__name__)


def leading_orderer(network: Network) -> str:
    """Return the name of the orderer that leads the channel."""
    for orderer in network.topology.orderers:
        metric = readiness.metric(orderer.operations_port, "consensus_etcdraft_is_leader")
        if metric.get(load.CHANNEL):
            return orderer.name
    raise AssertionError("no orderer leads")


def is_in_mid_load(outbox: Path, acknowledged: int) -> bool:
    """Tell whether so many were acknowledged, and some are on their way."""
    told = outbox.read_text() if outbox.exists() else ""
    done = told.count('"acknowledged"')
    return done >= acknowledged and told.count('"endorsed"') >= done + SOME_ON_THEIR_WAY


def is_killed_in_mid_load(client: subprocess.Popen[bytes], outbox: Path, acknowledged: int) -> bool:
    """Kill a client if so many were acknowledged and some are on their way; tell whether it was done."""
    if not is_in_mid_load(outbox, acknowledged):
        return False
    # What was on its way may have arrived meanwhile: look again while nothing moves.
    client.send_signal(signal.SIGSTOP)
    os.waitpid(client.pid, os.WUNTRACED)
    is_there = is_in_mid_load(outbox, acknowledged)
    client.send_signal(signal.SIGKILL if is_there else signal.SIGCONT)
    return is_there


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("victim", ["ledger-1.dso", "peer0.dso", "the leading orderer"])
def test_a_node_killed_in_mid_load_loses_and_doubles_nothing(network: Network, victim: str, rounds: int) -> None:
    ends = on_ledger.log_ends(network)
    with load.running(network.layout.connection, *ORGANISATIONS, in_flight=IN_FLIGHT) as running:
        for _ in range(rounds):
            running.await_progress(SOME)
            name = leading_orderer(network) if victim == "the leading orderer" else victim
            kill(network, name)
            # The others go on without it.
            running.await_progress(SOME)
            network.up()
            running.await_progress(SOME)
    log.info("%s killed %d times: %s", victim, rounds, running.load.figures)
    on_ledger.assert_exactly_once(network, running.acknowledged, prefix=running.prefix)
    # So the logs would tell if a connection broke where none should.
    assert on_ledger.resets(ends)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_all_nodes_killed_at_once_in_mid_load_lose_and_double_nothing(network: Network, rounds: int) -> None:
    names = [node.name for node in network.topology.nodes]
    with load.running(network.layout.connection, *ORGANISATIONS, in_flight=IN_FLIGHT) as running:
        for _ in range(rounds):
            running.await_progress(SOME)
            kill(network, *names)
            network.up()
            running.await_progress(SOME)
    log.info("all killed %d times: %s", rounds, running.load.figures)
    on_ledger.assert_exactly_once(network, running.acknowledged, prefix=running.prefix)


@pytest.mark.parametrize(
    ("rounds", "intentions"),
    [pytest.param(2, 600, id="short"), pytest.param(12, 6000, id="long", marks=pytest.mark.long)],
)
def test_a_client_killed_in_mid_load_and_started_again_does_each_of_its_intentions_once(
    network: Network, tmp_path: Path, rounds: int, intentions: int
) -> None:
    outbox = tmp_path / f"client{time.time_ns()}.jsonl"
    words = [load.__file__, str(network.layout.connection), "MembersMSP", str(outbox), str(intentions)]
    acknowledged = 0
    for _ in range(rounds):
        with subprocess.Popen([sys.executable, *words]) as client:  # noqa: S603 -- our own program
            wanted = acknowledged + intentions // (2 * rounds)
            assert readiness.until(partial(is_killed_in_mid_load, client, outbox, wanted), deadline_s=DEADLINE_S)
        before = FileOutbox(outbox)
        acknowledged = len(before.acknowledged)
        log.info("killed with %d acknowledged, %d on their way", acknowledged, len(before.endorsed))
        assert before.endorsed
    subprocess.run([sys.executable, *words], check=True, timeout=FINISHING_DEADLINE_S)  # noqa: S603 -- again
    finished = FileOutbox(outbox)
    assert len(finished.acknowledged) == intentions
    on_ledger.assert_exactly_once(network, finished.acknowledged, prefix=outbox.stem)
