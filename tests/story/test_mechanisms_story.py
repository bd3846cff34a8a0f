"""Hours under each mechanism, with batteries and envelopes: what anyone checks of it, and what members read."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from page_check import Page
from tampering import Tampered
from wattpool.client import Chain
from wattpool.ledgers.block import Transaction
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.receipts import check, issue
from wattpool.receipts.embedded import evidence_on, published_roots
from wattpool.report.rendering import Edition, render_bill, render_report
from wattpool.simulation.battery import BatteryPlan
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC, read_profiles, select, to_periods
from wattpool.simulation.report import edition_of, settled_periods, summarise
from wattpool.simulation.scenario import Scenario
from wattpool.verify import ViolationKind, verify
from wattpool.verify.export import write_export
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.ledger import CHANNEL
from wattpool_chaincode.market.mechanisms import MECHANISMS, ON_MEASURED
from wattpool_chaincode.organisations import AGGREGATOR, DSO
from wattpool_chaincode.records import codec

HOUR_S = 3_600
HOURS = 6
START_UTC = BUNDLED_DAY_START_UTC - 14 * HOUR_S
LIMITED_UTC = START_UTC + 3 * HOUR_S
STRANGER = Path(__file__).parents[2] / "docs/examples/verify_export.py"
# From 17:00 UTC to 23:00.
BATTERY = BatteryPlan(
    capacity_wh=6_000, power_w=3_000, efficiency_ppm=900_000, buy_hours_utc=(17, 18), sell_hours_utc=(22, 23)
)


@dataclass(frozen=True, kw_only=True)
class Morning:
    """What a morning left: its ledger, its figures, what report and bills are about, the name of a battery's home."""

    mechanism: str
    directory: Path
    summary: dict[str, Any]
    edition: Edition
    battery: str


@pytest.fixture(scope="module", params=sorted(MECHANISMS))
def morning(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Morning:
    """Six hours around noon, in periods of an hour; in one the DSO lets feeder A export 100 Wh."""
    directory = tmp_path_factory.mktemp(request.param) / "ledger"
    profiles = to_periods(select(read_profiles(), start_utc=START_UTC, days=1), HOUR_S)
    profiles = replace(
        profiles,
        consumption_wh={name: values[:HOURS] for name, values in profiles.consumption_wh.items()},
        generation_wh={name: values[:HOURS] for name, values in profiles.generation_wh.items()},
    )
    plan = plan_for(None, profiles.households)
    name = next(name for name in plan.homes if any(profiles.generation_wh[name]))
    plan = replace(plan, homes={**plan.homes, name: replace(plan.homes[name], battery=BATTERY)})
    scenario = Scenario(profiles=profiles, plan=plan, mechanism=request.param, forecast="perfect", seed=1)
    clock = clock_for(scenario)
    with open_ledger(directory, scenario, clock) as ledger:
        simulation = Simulation(scenario, ledger, clock)
        for period in simulation.run():
            if period == scenario.first:
                limit = {"feeder": plan.feeders[0], "import_w": 100, "export_w": 100}
                simulation.ledger.submit("set_envelope", by=DSO, period=LIMITED_UTC, **limit)
        return Morning(
            mechanism=request.param,
            directory=directory,
            summary=summarise(simulation),
            edition=edition_of(simulation, settled_periods(simulation)),
            battery=name,
        )


@pytest.fixture
def tampered(morning: Morning, tmp_path: Path) -> Iterator[Tampered]:
    tampered = Tampered(morning.directory, tmp_path / "ledger")
    yield tampered
    tampered.close()


def test_it_holds_and_every_call_was_repeated(morning: Morning) -> None:
    report = verify(morning.directory)
    assert report.violation is None
    assert [checked.unrepeatable for checked in report.channels.values()] == [0, 0]
    assert 0 < morning.summary["traded_wh"] == morning.summary["agreed_wh"]


@pytest.mark.parametrize("has_openings", [True, False])
def test_a_stranger_finds_that_its_export_holds(
    morning: Morning,
    tmp_path: Path,
    has_openings: bool,  # noqa: FBT001 -- a case
) -> None:
    out = tmp_path / "ledger.jsonl"
    write_export(morning.directory, out, has_openings=has_openings)
    done = subprocess.run(  # noqa: S603 -- our own program, without our own packages
        [sys.executable, "-I", STRANGER, out], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_an_envelope_binds_what_is_agreed_before_delivery(morning: Morning) -> None:
    with EmbeddedLedger.read(morning.directory, chaincodes=CHAINCODES) as ledger:
        state = Chain(ledger, CHANNEL).evaluate("period", by=AGGREGATOR, period=LIMITED_UTC)
        assert state["gate"]["envelopes"] == {"A": [100, 100]}
    settled = next(one for one in morning.edition.periods if one.period.start_utc == LIMITED_UTC)
    plan = plan_for(None, list(morning.edition.names.values()))
    feeder = {slot: plan.homes[name].feeder for slot, name in morning.edition.names.items()}
    across_wh = [0, 0]
    for trade in settled.trades:
        if feeder[trade.buyer] != feeder[trade.seller]:
            across_wh[feeder[trade.seller] == "A"] += trade.agreed_wh
    assert (max(across_wh) <= 100) is (morning.mechanism not in ON_MEASURED)
    assert any(across_wh)


@pytest.mark.parametrize(("column", "what"), [(3, "quantity"), (4, "price"), (1, "buyer"), (2, "seller")])
def test_another_allocation_that_all_organisations_signed_is_named(tampered: Tampered, column: int, what: str) -> None:
    def is_cleared(transaction: Transaction) -> bool:
        return any(matches_of(transaction))

    def edit(transaction: Transaction) -> Transaction:
        name, page = next(pair for pair in pages_of(transaction) if pair[1]["matches"])
        page["matches"][0][column] += 1
        response = replace(transaction.response, writes={**transaction.response.writes, name: codec.encode(page)})
        return tampered.sign(transaction.proposal, response, by=AGGREGATOR)

    number, position = tampered.find(CHANNEL, is_cleared)
    tampered.edit(CHANNEL, number, edit, position=position)
    found = verify(tampered.directory).violation
    assert found is not None, what
    assert (found.what, found.block) == (ViolationKind.EXECUTION, number)
    assert "cleared/" in found.detail


def test_an_envelope_that_was_widened_at_the_gate_is_named(tampered: Tampered) -> None:
    def is_limited(transaction: Transaction) -> bool:
        return any(name == f"gate/{LIMITED_UTC:011}" for name in transaction.response.writes)

    def edit(transaction: Transaction) -> Transaction:
        name = f"gate/{LIMITED_UTC:011}"
        gate = codec.decode(transaction.response.writes[name] or b"")
        gate["envelopes"]["A"][1] += 1
        response = replace(transaction.response, writes={**transaction.response.writes, name: codec.encode(gate)})
        return tampered.sign(transaction.proposal, response, by=AGGREGATOR)

    number, position = tampered.find(CHANNEL, is_limited)
    tampered.edit(CHANNEL, number, edit, position=position)
    found = verify(tampered.directory).violation
    assert found is not None
    assert (found.what, found.block) == (ViolationKind.EXECUTION, number)


def test_every_home_can_prove_what_a_period_did_to_it(morning: Morning) -> None:
    with EmbeddedLedger.read(morning.directory, chaincodes=CHAINCODES) as ledger:
        chain, roots = Chain(ledger, CHANNEL), published_roots(ledger)
        statements = chain.evaluate("statements", by=AGGREGATOR, period=LIMITED_UTC, page=0)
        assert any(one["bought_wh"] for one in statements)
        for statement in statements:
            connection = statement["connection"]
            data = issue(
                chain,
                evidence_on(ledger, CHANNEL),
                period_start_utc=LIMITED_UTC,
                connection=connection,
                with_record=True,
            )
            assert check(data, roots).statement == statement


def test_bills_come_to_what_was_settled_and_the_pages_say_how(morning: Morning) -> None:
    bills = morning.edition.bills()
    assert sum(bill.bought_wh for bill in bills) == morning.summary["traded_wh"]
    assert sum(bill.fee_ut for bill in bills) == morning.summary["fees_ut"]
    assert sum(bill.saving_ut for bill in bills) == morning.summary["saving_ut"] > 0
    report = Page(render_report(morning.edition, bills)).text
    assert ("Nobody negotiated" in report) is (morning.mechanism != "pool")
    assert ("matched" in report) is (morning.mechanism != "pool")
    assert f"counts as used: {morning.battery}." in report


def test_the_bill_of_a_home_with_a_battery_tells_what_it_counts_as(morning: Morning) -> None:
    home = morning.summary["households_detail"][morning.battery]
    discharged_wh = home["discharged_own_wh"] + home["discharged_bought_wh"]
    assert min(home["charged_own_wh"], home["charged_bought_wh"], discharged_wh) > 0
    bills = morning.edition.bills()
    for bill in bills:
        has_battery = morning.edition.names[bill.slot] == morning.battery
        assert ("Your battery is part of this" in Page(render_bill(morning.edition, bill)).text) is has_battery
        if has_battery:
            assert bill.consumption_wh == home["consumed_wh"] + home["charged_bought_wh"]
            assert bill.generation_wh == home["generated_wh"] - home["charged_own_wh"] + discharged_wh


def pages_of(transaction: Transaction) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pages of matches that a transaction wrote."""
    for name, value in transaction.response.writes.items():
        if value is not None and name.startswith("cleared/"):
            yield name, codec.decode(value)


def matches_of(transaction: Transaction) -> Iterator[list[Any]]:
    for _, page in pages_of(transaction):
        yield from page["matches"]
