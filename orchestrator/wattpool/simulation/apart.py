"""The meters in a process of their own: in life they are other machines, so a second core may sign for them."""

import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Self, cast

from wattpool.simulation.homes import AtGate, Homes, build_homes
from wattpool.simulation.scenario import Scenario
from wattpool_chaincode.records.payload import Signed
from wattpool_chaincode.records.period import Period


class HomesApart:
    """The homes of a scenario, one period ahead of who asks: while a block becomes durable, the next is signed."""

    def __init__(self, scenario: Scenario) -> None:
        self._last = scenario.last
        # A fresh interpreter: forking would copy the ledger's open files and locks.
        self._pool = ProcessPoolExecutor(
            max_workers=1, mp_context=get_context("spawn"), initializer=_start, initargs=(scenario,)
        )
        self._ahead: dict[tuple[str, Period], Future[Any]] = {}
        self._gate: tuple[Period, AtGate] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def states(self, period: Period) -> Sequence[Signed]:
        return self._at_gate(period).states

    def requests(self, period: Period) -> Sequence[Signed]:
        return self._at_gate(period).requests

    def records(self, period: Period) -> Sequence[str]:
        return cast("Sequence[str]", self._ask("records", period))

    def _at_gate(self, period: Period) -> AtGate:
        if self._gate is None or self._gate[0] != period:
            self._gate = (period, self._ask("at_gate", period))
        return self._gate[1]

    def _ask(self, what: str, period: Period) -> Any:
        wanted = self._ahead.pop((what, period), None) or self._pool.submit(_answer, what, period)
        if period < self._last:
            self._ahead[what, period.next] = self._pool.submit(_answer, what, period.next)
        return wanted.result()


_homes: Homes


def _start(scenario: Scenario) -> None:
    global _homes  # noqa: PLW0603 -- what a worker process is there for
    # Ctrl-C reaches all processes of a terminal; this one ends when its work is done with.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _homes = Homes(build_homes(scenario))


def _answer(what: str, period: Period) -> Any:
    return getattr(_homes, what)(period)
