"""A day of real homes, from the profile to the figures, on a real ledger."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from story.bundled_day import HOUR_S, scenario
from wattpool.bad_input import BadInput
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Call, ForeignLedger, LedgerLocked, Pending
from wattpool.simulation.battery import BatteryPlan
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import (
    BUNDLED,
    BUNDLED_DAY_START_UTC,
    read_profiles,
    select,
    to_periods,
)
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records.period import parse_utc
from wattpool_chaincode.records.units import amount_ut

SHARED = Path(__file__).parents[3] / "shared" / "data" / "households.csv"


def run(chosen: Scenario, directory: Path) -> dict[str, Any]:
    clock = clock_for(chosen)
    with open_ledger(directory, chosen, clock) as ledger:
        simulation = Simulation(chosen, ledger, clock)
        for _ in simulation.run():
            pass
        return summarise(simulation)


def world_state(directory: Path) -> dict[str, dict[str, bytes]]:
    with EmbeddedLedger.read(directory) as ledger:
        return {channel: dict(ledger.state(channel)) for channel in CHAINCODES}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The bundled day, run once in quarter-hours."""
    directory = tmp_path_factory.mktemp("day") / "ledger"
    return directory, run(scenario(period_s=900), directory)


def test_the_bundled_day_equals_its_profile_to_the_watt_hour(day: tuple[Path, dict[str, Any]]) -> None:
    _, summary = day
    end_utc = BUNDLED_DAY_START_UTC + 86_400
    with BUNDLED.open() as file:
        rows = [row for row in csv.DictReader(file) if BUNDLED_DAY_START_UTC <= _utc(row) < end_utc]
    panels = set(sorted({row["household"] for row in rows})[::2])
    for name, figures in summary["households_detail"].items():
        own = [row for row in rows if row["household"] == name]
        assert figures["consumed_wh"] == sum(int(row["consumption_wh"]) for row in own)
        generated = sum(int(row["generation_wh"]) for row in own) if name in panels else 0
        assert figures["generated_wh"] == generated
    assert summary["consumed_wh"] == sum(int(row["consumption_wh"]) for row in rows)


def test_energy_and_tokens_add_up_per_home_and_in_all(day: tuple[Path, dict[str, Any]]) -> None:
    _, summary = day
    homes = summary["households_detail"].values()
    for one in homes:
        assert one["consumed_wh"] == one["own_use_wh"] + one["bought_wh"] + one["grid_import_wh"]
        assert one["generated_wh"] == one["own_use_wh"] + one["sold_wh"] + one["grid_export_wh"]
    assert summary["traded_wh"] == sum(one["bought_wh"] for one in homes) == sum(one["sold_wh"] for one in homes)
    issued = summary["tokens_bought_ut"] - summary["tokens_redeemed_ut"]
    assert issued == summary["balances_ut"] + summary["escrow_ut"]
    assert 0 < summary["traded_wh"] <= summary["agreed_wh"]
    assert summary["periods"] == 96


def test_something_is_traded_in_most_sunny_periods_and_beats_both_tariffs(day: tuple[Path, dict[str, Any]]) -> None:
    directory, _ = day
    chosen = scenario(period_s=900)
    tariff = chosen.plan.tariffs["standard"]
    clock = clock_for(chosen)
    sunny = traded = 0
    with open_ledger(directory, chosen, clock) as ledger:
        simulation = Simulation(chosen, ledger, clock)
        period = chosen.first
        while period <= chosen.last:
            flows = [home.source.flows(period) for home in simulation.homes]
            page = simulation.ledger.evaluate("settled_page", by=AGGREGATOR, period=period.start_utc, page=0)
            settled = [row for row in page["trades"] if row[4]]
            for _, _, _, agreed_wh, energy_wh, paid_ut, fee_ut, price in settled:
                assert energy_wh <= agreed_wh
                assert paid_ut == amount_ut(energy_wh, price)
                assert paid_ut + fee_ut < amount_ut(energy_wh, tariff.retail_ut_per_kwh)
                assert paid_ut > amount_ut(energy_wh, tariff.feed_in_ut_per_kwh)
            if any(one.export_wh for one in flows) and any(one.import_wh for one in flows):
                sunny += 1
                traded += bool(settled)
            period = period.next
    assert sunny > 40
    assert traded > 0.9 * sunny


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
@pytest.mark.parametrize("forecast", ["last", "perfect"])
def test_the_same_seed_gives_the_same_figures_and_world_state(tmp_path: Path, mechanism: str, forecast: str) -> None:
    chosen = scenario(mechanism=mechanism, forecast=forecast)
    first, second = run(chosen, tmp_path / "first"), run(chosen, tmp_path / "second")
    assert first == second
    assert world_state(tmp_path / "first") == world_state(tmp_path / "second")
    other = run(replace(chosen, seed=2), tmp_path / "other")
    assert first["traded_wh"] > 0
    # Other keys change who gets a lot's odd watt-hour, and nothing else that matters.
    assert (other["consumed_wh"], other["generated_wh"]) == (first["consumed_wh"], first["generated_wh"])
    assert world_state(tmp_path / "other") != world_state(tmp_path / "first")


def test_the_time_zone_of_a_report_is_no_part_of_a_run() -> None:
    chosen = scenario()
    assert replace(chosen, plan=replace(chosen.plan, zone="Europe/Berlin")).community == chosen.community
    assert replace(chosen, plan=replace(chosen.plan, purse_target_ut=1)).community != chosen.community


def test_with_perfect_forecasts_all_that_was_agreed_is_delivered(tmp_path: Path) -> None:
    summary = run(scenario(forecast="perfect"), tmp_path / "ledger")
    assert summary["traded_wh"] == summary["agreed_wh"] > 0
    assert summary["declined"] == 0


def test_batteries_keep_more_at_home_and_every_watt_hour_is_accounted_for(tmp_path: Path) -> None:
    chosen = scenario(forecast="perfect")
    battery = BatteryPlan(
        capacity_wh=6_000, power_w=3_000, efficiency_ppm=900_000, buy_hours_utc=(9, 11), sell_hours_utc=(11, 12)
    )
    first, second, *others = chosen.plan.homes
    plain = replace(battery, buy_hours_utc=None, sell_hours_utc=None)
    homes = {name: replace(home, battery=plain) for name, home in chosen.plan.homes.items() if name not in others}
    homes |= {second: replace(homes[second], battery=battery)}
    with_batteries = replace(chosen, plan=replace(chosen.plan, homes={**chosen.plan.homes, **homes}))
    without, summary = run(chosen, tmp_path / "without"), run(with_batteries, tmp_path / "with")
    assert summary["consumed_wh"] == without["consumed_wh"]
    lost_wh = summary["charged_wh"] - summary["discharged_wh"] - summary["stored_wh"]
    assert 0 < lost_wh == summary["battery_lost_wh"]
    grid = [figures["grid_import_wh"] - figures["grid_export_wh"] for figures in (summary, without)]
    assert grid[0] - grid[1] == lost_wh + summary["stored_wh"]
    details = summary["households_detail"]
    assert details[first]["charged_own_wh"] > 0 == details[first]["charged_bought_wh"]
    assert details[first]["own_use_wh"] > without["households_detail"][first]["own_use_wh"]
    assert 0 < details[second]["discharged_bought_wh"] <= details[second]["charged_bought_wh"]
    assert details[second]["sold_wh"] > 0
    # What the battery releases is part of what is asked for and agreed.
    assert (summary["declined"], summary["agreed_wh"]) == (0, summary["traded_wh"])


def test_coalitions_last_for_whole_periods(tmp_path: Path) -> None:
    chosen = scenario()
    with pytest.raises(BadInput, match="3600 s does not divide the community's pool_time_limit_s, 5400"):
        replace(chosen, plan=replace(chosen.plan, pool_time_limit_s=5_400))
    summary = run(replace(chosen, plan=replace(chosen.plan, pool_time_limit_s=6 * HOUR_S)), tmp_path / "ledger")
    assert summary["traded_wh"] > 0


class Interrupted(BaseException):
    """Stands for Ctrl-C in the middle of anything."""


def interrupt_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `EmbeddedLedger` take `calls` transactions, and be interrupted at the next."""
    remaining = iter(range(calls))
    submit_async = EmbeddedLedger.submit_async

    def submit(self: EmbeddedLedger, call: Call, *, by: str) -> Pending:
        if next(remaining, None) is None:
            raise Interrupted
        return submit_async(self, call, by=by)

    monkeypatch.setattr(EmbeddedLedger, "submit_async", submit)


# In the middle of the founding, of the tokens, and of every stage of a period that trades.
@pytest.mark.parametrize("calls", [1, 4, 8, 12, 13, *range(88, 98)])
def test_an_interrupted_run_goes_on_to_the_same_world_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_run: dict[str, dict[str, bytes]], calls: int
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(calls, patch)
        with pytest.raises(Interrupted):
            run(scenario(), tmp_path / "ledger")
    run(scenario(), tmp_path / "ledger")
    assert world_state(tmp_path / "ledger") == whole_run


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    directory = tmp_path_factory.mktemp("whole") / "ledger"
    run(scenario(), directory)
    return world_state(directory)


def test_a_finished_run_repeated_adds_nothing(tmp_path: Path) -> None:
    first = run(scenario(), tmp_path / "ledger")
    with EmbeddedLedger.read(tmp_path / "ledger") as ledger:
        height = ledger.height("ledger")
    assert run(scenario(), tmp_path / "ledger") == first
    with EmbeddedLedger.read(tmp_path / "ledger") as ledger:
        assert ledger.height("ledger") == height


def test_another_runs_ledger_and_a_ledger_in_use_are_refused(tmp_path: Path) -> None:
    chosen = scenario()
    with (
        open_ledger(tmp_path / "ledger", chosen, clock_for(chosen)),
        pytest.raises(LedgerLocked),
        open_ledger(tmp_path / "ledger", chosen, clock_for(chosen)),
    ):
        pass
    other = scenario(seed=2)
    with pytest.raises(ForeignLedger, match="ledger of"), open_ledger(tmp_path / "ledger", other, clock_for(other)):
        pass


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/households.csv, which is not here")
def test_two_days_of_all_homes_equal_the_file(tmp_path: Path) -> None:
    profiles = to_periods(select(read_profiles(SHARED), days=2), HOUR_S)
    plan = plan_for(None, profiles.households)
    summary = run(
        Scenario(profiles=profiles, plan=plan, mechanism="uniform", forecast="last", seed=1), tmp_path / "ledger"
    )
    with SHARED.open() as file:
        rows = [row for row in csv.DictReader(file) if _utc(row) < profiles.end_utc]
    assert summary["households"] == 17
    assert summary["consumed_wh"] == sum(int(row["consumption_wh"]) for row in rows)


def _utc(row: dict[str, str]) -> int:
    return parse_utc(row["timestamp_utc"])
