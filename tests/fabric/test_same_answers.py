"""The same day on Fabric and on the embedded ledger: the same figures, the same world state."""

import random
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fabric.founded import free_port_base, installed_fabric
from wattpool.checkpoints import vote
from wattpool.cli import main
from wattpool.client import Chain
from wattpool.ledgers.fabric import FabricLedger, channels_of, read_connection
from wattpool.ledgers.port import Call, Checkpoint, EndorseError, Ledger
from wattpool.receipts import ReceiptRefused, check, read_roots
from wattpool.receipts.envelope import MAGIC, unpack
from wattpool.simulation.battery import BatteryPlan
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC, read_profiles, select, to_periods
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool.verify import ViolationKind
from wattpool.verify.fabric import Peers, chaincodes_of, verify
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import format_utc
from wattpool_network.commands import Binaries
from wattpool_network.community import community
from wattpool_network.connection import Connection
from wattpool_network.network import Network

TWO_HOURS_S = 7_200
MAX_RECEIPT_BYTES = 4_000
MUTATIONS = 1_000
# The first even hour of the day before the bundled week's best one.
START_UTC = BUNDLED_DAY_START_UTC - 86_400 + 3_600
NOON_UTC = START_UTC + 6 * TWO_HOURS_S
BATTERY = BatteryPlan(capacity_wh=6_000, power_w=3_000, efficiency_ppm=900_000)
ENVELOPE = {"feeder": "A", "import_w": 150, "export_w": 150}


@pytest.fixture(scope="module", params=["pool", "mid_rate"])
def mechanism(request: pytest.FixtureRequest) -> str:
    """What clears the day at the gate, and what clears it when it is settled."""
    return str(request.param)


@pytest.fixture(scope="module")
def state(
    mechanism: str,  # noqa: ARG001 -- each day has a network of its own
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    return tmp_path_factory.mktemp("community") / "state"


@pytest.fixture(scope="module")
def network(fabric: Binaries, state: Path) -> Iterator[Connection]:  # noqa: ARG001 -- skips
    network = Network(state, community(port_base=free_port_base(), fabric=installed_fabric()))
    try:
        network.up()
        yield read_connection(network.layout.connection)
    finally:
        Network.open(network.layout.root).down(wipe=True)


@pytest.fixture(scope="module")
def on_fabric(network: Connection) -> Iterator[FabricLedger]:
    with FabricLedger(network) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def day(mechanism: str) -> Scenario:
    """A day with coalitions of four hours and a battery."""
    profiles = to_periods(select(read_profiles(), start_utc=START_UTC, days=1), TWO_HOURS_S)
    plan = plan_for(None, profiles.households)
    first = next(iter(plan.homes))
    homes = {**plan.homes, first: replace(plan.homes[first], battery=BATTERY)}
    plan = replace(plan, pool_time_limit_s=2 * TWO_HOURS_S, homes=homes)
    return Scenario(profiles=profiles, plan=plan, mechanism=mechanism, forecast="last", seed=1)


def run(day: Scenario, ledger: Ledger) -> dict[str, Any]:
    """Run a day, in two hours of which the DSO lets one feeder export no more than 300 Wh."""
    simulation = Simulation(day, ledger, clock_for(day))
    for period in simulation.run():
        if period == day.first:
            simulation.ledger.submit("set_envelope", by=DSO, period=NOON_UTC, **ENVELOPE)
    return summarise(simulation)


@pytest.fixture(scope="module")
def figures(day: Scenario, on_fabric: FabricLedger) -> dict[str, Any]:
    """The day, run on Fabric."""
    return run(day, on_fabric)


def test_a_day_leaves_the_same_figures_and_world_state_on_both_ledgers(
    day: Scenario, on_fabric: FabricLedger, figures: dict[str, Any], tmp_path: Path
) -> None:
    with open_ledger(tmp_path / "ledger", day, clock_for(day)) as embedded:
        assert run(day, embedded) == figures
        assert figures["traded_wh"] > 0 < figures["charged_wh"]
        assert b'"envelopes":{"A":[300,300]}' in dict(embedded.state("ledger"))[f"gate/{NOON_UTC:011}"]
        for channel in CHAINCODES:
            assert on_fabric.state(channel) == dict(embedded.state(channel))


def test_both_ledgers_tell_the_same_events_from_any_checkpoint(
    day: Scenario, on_fabric: FabricLedger, figures: dict[str, Any], tmp_path: Path
) -> None:
    with open_ledger(tmp_path / "ledger", day, clock_for(day)) as embedded:
        assert run(day, embedded) == figures
        told = [(event.name, event.payload) for event in embedded.events("ledger")]
    events = list(on_fabric.events("ledger"))
    assert sorted((event.name, event.payload) for event in events) == sorted(told)
    seen = events[len(events) // 2]
    after = Checkpoint(block=seen.block, transaction_id=seen.transaction_id)
    assert list(on_fabric.events("ledger", after=after)) == events[len(events) // 2 + 1 :]
    assert on_fabric.tip("ledger").blocks == on_fabric.height("ledger")


@pytest.mark.usefixtures("figures")
def test_the_blocks_of_the_day_hold_and_all_peers_have_the_same(on_fabric: FabricLedger, network: Connection) -> None:
    with Peers(network) as peers:
        report = verify(peers, chaincodes=chaincodes_of(channels_of(network, None)))
    assert report.violation is None
    assert {channel: (one.blocks, one.tip_hash, one.unrepeatable) for channel, one in report.channels.items()} == {
        channel: (on_fabric.height(channel), on_fabric.tip(channel).tip_hash, 0) for channel in CHAINCODES
    }


@pytest.mark.usefixtures("figures")
def test_checkpoints_are_held_against_the_blocks(on_fabric: FabricLedger, network: Connection) -> None:
    class Shortened(Peers):
        """Peers that lost the last block of the ledger chain."""

        def height(self, channel: str) -> int:
            return super().height(channel) - (channel == "ledger")

    vote(on_fabric, by=DSO)
    assert vote(on_fabric, by=MEMBERS)["ledger"]["blocks"] == on_fabric.height("ledger")
    chaincodes = chaincodes_of(channels_of(network, None))
    with Peers(network) as peers:
        assert verify(peers, chaincodes=chaincodes).violation is None
    with Shortened(network) as peers:
        found = verify(peers, chaincodes=chaincodes).violation
    assert found is not None
    assert (found.what, found.channel) == (ViolationKind.CHECKPOINT, "contract")


@pytest.mark.usefixtures("figures")
def test_a_receipt_of_the_day_holds_without_the_network(
    on_fabric: FabricLedger,
    state: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["wattpool", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    noon_utc = START_UTC + 5 * TWO_HOURS_S
    ledger = Chain(on_fabric, "ledger")
    statements = ledger.evaluate("statements", by=AGGREGATOR, period=noon_utc, page=0)
    seller = max(statements, key=lambda one: one["sold_wh"])
    place = f"fabric:{state / 'connection.yaml'}"
    file, roots = tmp_path / "one.receipt", tmp_path / "roots.json"
    assert run("roots", place, "--out", str(roots)) == 0
    chosen = ("--period", format_utc(noon_utc), "--connection", seller["connection"])
    assert run("receipt", place, *chosen, "--out", str(file)) == 0
    assert run("check", str(file), "--roots", str(roots)) == 0
    assert "the meter's own record is in it and holds\neverything holds" in capsys.readouterr().out

    receipt, trusted = file.read_bytes(), read_roots(roots)
    assert len(receipt) <= MAX_RECEIPT_BYTES
    checked = check(receipt, trusted)
    assert checked.statement == seller
    assert len(checked.endorsers) == 2
    chosen_places = random.Random(1)  # noqa: S311 -- repeatable
    inside = codec.encode(unpack(receipt))
    for data, pack in ((receipt, bytes), (inside, repacked)):
        for _ in range(MUTATIONS):
            mutated = bytearray(data)
            mutated[chosen_places.randrange(len(data))] ^= 1 << chosen_places.randrange(8)
            with pytest.raises(ReceiptRefused):
                check(pack(mutated), trusted)


def repacked(inside: bytearray) -> bytes:
    body = zlib.compress(inside)
    return MAGIC + sha256(body).digest() + body


@pytest.mark.parametrize(
    ("by", "function", "argument", "reason"),
    [
        (AGGREGATOR, "nonsense", b"{}", "function_unknown"),
        (AGGREGATOR, "close", b"{ }", "argument_malformed"),
        (AGGREGATOR, "close", b'{"period":900}', "period_unknown"),
        (MEMBERS, "buy", b'{"amount_ut":1,"party":"' + b"a" * 40 + b'","reference":"r"}', "not_authorised"),
        # Refused by the contract chain, which the ledger chain asks.
        (AGGREGATOR, "buy", b'{"amount_ut":1,"party":"' + b"a" * 40 + b'","reference":"r"}', "party_unknown"),
    ],
)
@pytest.mark.usefixtures("figures")
def test_a_refusal_is_named_and_nothing_is_on_the_ledger(
    on_fabric: FabricLedger, by: str, function: str, argument: bytes, reason: str
) -> None:
    before = on_fabric.height("ledger")
    with pytest.raises(EndorseError) as refused:
        on_fabric.submit(Call(channel="ledger", function=function, argument=argument), by=by)
    assert refused.value.reason == reason
    assert on_fabric.height("ledger") == before
