"""A day that is interrupted again and again, on the ledger of the option --ledger."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from story.bundled_day import scenario
from story.conftest import AnyLedger, Open
from wattpool.ledgers.port import Call, Pending
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool_chaincode.chaincodes import CHAINCODES

TWO_HOURS_S = 7_200
# The first even hour of the day before the bundled week's best one.
START_UTC = BUNDLED_DAY_START_UTC - 86_400 + 3_600
# After how many transactions of its own each run is interrupted: in the founding, and in most stages of a period.
INTERRUPTIONS = (1, 6, 25, 30, 1, 2, 4)


class Interrupted(BaseException):
    """Stands for Ctrl-C in the middle of anything."""


def day() -> Scenario:
    return scenario(start_utc=START_UTC, period_s=TWO_HOURS_S)


def interrupt_after(calls: int, ledger: AnyLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `ledger` take `calls` transactions, and be interrupted at the next."""
    remaining = iter(range(calls))
    submit_async = ledger.submit_async

    def submit(call: Call, *, by: str) -> Pending:
        if next(remaining, None) is None:
            raise Interrupted
        return submit_async(call, by=by)

    def submit_together(several: Sequence[Call], *, by: str) -> Sequence[Pending]:
        return [submit(call, by=by) for call in several]

    monkeypatch.setattr(ledger, "submit_async", submit)
    monkeypatch.setattr(ledger, "submit_together", submit_together)


def run(open_any: Open, monkeypatch: pytest.MonkeyPatch | None = None, calls: int = 0) -> dict[str, Any]:
    chosen = day()
    clock = clock_for(chosen)
    with open_any(chosen, clock) as ledger:
        if monkeypatch is not None:
            interrupt_after(calls, ledger, monkeypatch)
        simulation = Simulation(chosen, ledger, clock)
        for _ in simulation.run():
            pass
        return summarise(simulation)


def world_state(open_any: Open) -> Mapping[str, dict[str, bytes]]:
    chosen = day()
    with open_any(chosen, clock_for(chosen)) as ledger:
        return {channel: dict(ledger.state(channel)) for channel in CHAINCODES}


def height(open_any: Open) -> int:
    chosen = day()
    with open_any(chosen, clock_for(chosen)) as ledger:
        return ledger.height("ledger")


def test_a_day_interrupted_again_and_again_ends_as_one_that_was_not(
    open_any: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for calls in INTERRUPTIONS:
        with pytest.raises(Interrupted), monkeypatch.context() as patch:
            run(open_any, patch, calls)
    figures = run(open_any)

    def undisturbed(scenario: Scenario, clock: Any) -> Any:
        return open_ledger(tmp_path / "undisturbed", scenario, clock)

    assert run(undisturbed) == figures
    assert world_state(undisturbed) == world_state(open_any)
    # All is done, so that the same command adds nothing.
    blocks = height(open_any)
    assert run(open_any) == figures
    assert height(open_any) == blocks
