"""The bundled day, of real homes: what most stories begin with."""

from pathlib import Path

from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC, read_profiles, select, to_periods
from wattpool.simulation.scenario import Scenario
from wattpool_chaincode.records.period import Period

HOUR_S = 3_600


def scenario(
    *,
    start_utc: int = BUNDLED_DAY_START_UTC,
    period_s: int = HOUR_S,
    mechanism: str = "pool",
    forecast: str = "last",
    seed: int = 1,
) -> Scenario:
    """Return a day of the bundled homes; with periods of an hour it takes under a second."""
    profiles = to_periods(select(read_profiles(), start_utc=start_utc, days=1), period_s)
    plan = plan_for(None, profiles.households)
    return Scenario(profiles=profiles, plan=plan, mechanism=mechanism, forecast=forecast, seed=seed)


def run(chosen: Scenario, directory: Path, *, last_utc: int | None = None) -> list[Period]:
    """Run a scenario on a ledger, at most until the period at `last_utc` is sealed; return the sealed periods."""
    clock = clock_for(chosen)
    sealed = []
    with open_ledger(directory, chosen, clock) as ledger:
        for period in Simulation(chosen, ledger, clock).run():
            sealed.append(period)
            if period.start_utc == last_utc:
                break
    return sealed
