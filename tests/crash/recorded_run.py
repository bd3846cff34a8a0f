"""The run whose power is cut: a small community's half day, left in the middle, taken up again, exported.

As a program it runs under `recorder.c`, with the directory to work in as its argument. A line in `acknowledged` there
says that somebody was told of a commit: channel, block and transaction.
"""

import os
import sys
from collections.abc import Generator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from wattpool.ledgers.committer import Ordered
from wattpool.ledgers.port import Commit
from wattpool.ledgers.store import Store
from wattpool.report.files import write_bills, write_report
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC, Profiles, read_profiles, select, to_periods
from wattpool.simulation.report import edition_of, settled_periods, summarise
from wattpool.simulation.scenario import Scenario
from wattpool.verify.export import write_export

PERIODS, PERIODS_AT_FIRST = 10, 4
ACKNOWLEDGED, LEDGER, EXPORT = "acknowledged", "out/street/ledger", "out/street/ledger.jsonl"
EXPORTED = "exported"
# Of SQLite's 1000, so that a short run has some checkpoints.
PAGES_TO_CHECKPOINT = 200


def scenario() -> Scenario:
    """Return the bundled homes' best hours, so that there are trades in all of them."""
    day = to_periods(select(read_profiles(), start_utc=BUNDLED_DAY_START_UTC, days=1), 3_600)
    profiles = replace(
        day, consumption_wh=_first(day, day.consumption_wh), generation_wh=_first(day, day.generation_wh)
    )
    plan = plan_for(None, profiles.households)
    return Scenario(profiles=profiles, plan=plan, mechanism="pool", forecast="last", seed=1)


def run(directory: Path, periods: int = PERIODS) -> dict[str, Any]:
    """Take the run as far as so many periods more in a ledger's directory; return its figures if it is at its end."""
    chosen = scenario()
    clock = clock_for(chosen)
    with open_ledger(directory, chosen, clock) as ledger:
        simulation = Simulation(chosen, ledger, clock)
        trading = simulation.run()
        assert isinstance(trading, Generator)
        for _ in islice(trading, periods):
            pass
        trading.close()
        return summarise(simulation) if simulation.next_period() > chosen.last else {}


def main() -> None:
    """Run, report, export, and acknowledge what is done."""
    root = Path(sys.argv[1])
    acknowledged = os.open(root / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _acknowledge_commits(acknowledged)
    _checkpoint_often()
    for periods in (PERIODS_AT_FIRST, PERIODS):
        run(root / LEDGER, periods)
        write_export(root / LEDGER, root / EXPORT)
        os.write(acknowledged, f"{EXPORTED}\n".encode())
    _report(root)


def _acknowledge_commits(acknowledged: int) -> None:
    wait = Ordered.wait

    def wait_and_acknowledge(self: Ordered) -> Commit:
        commit = wait(self)
        os.write(acknowledged, f"{commit.channel} {commit.block} {commit.transaction_id}\n".encode())
        return commit

    Ordered.wait = wait_and_acknowledge  # type: ignore[method-assign]


def _checkpoint_often() -> None:
    begin_writing = Store.begin_writing

    def set_and_begin(self: Store) -> None:
        self._execute(f"PRAGMA wal_autocheckpoint = {PAGES_TO_CHECKPOINT}")
        begin_writing(self)

    Store.begin_writing = set_and_begin  # type: ignore[method-assign]


def _report(root: Path) -> None:
    chosen = scenario()
    clock = clock_for(chosen)
    with open_ledger(root / LEDGER, chosen, clock) as ledger:
        simulation = Simulation(chosen, ledger, clock)
        edition = edition_of(simulation, settled_periods(simulation))
    bills = edition.bills()
    write_report(edition, bills, root / "out" / "street" / "report.html")
    write_bills(edition, bills, root / "out" / "street" / "bills")


def _first(day: Profiles, values: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(values[name][:PERIODS]) for name in day.households}


if __name__ == "__main__":
    main()
