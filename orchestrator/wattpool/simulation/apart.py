"""The meters in a process of their own: in life they are other machines, so a second core may sign for them."""

import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self, cast

from wattpool.simulation.homes import AtGate, Homes, build_homes
from wattpool.simulation.scenario import Scenario
from wattpool_chaincode.records.payload import Signed
from wattpool_chaincode.records.period import Period

Question = tuple[str, Period]


class HomesApart:
    """The homes of a scenario, one period ahead of who asks: while a block becomes durable, the next is signed.

    Questions and answers go through one pipe, in order. A pool of processes would do the same with threads, which
    cost more than the signing itself.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._last = scenario.last
        # A fresh interpreter: forking would copy the ledger's open files and locks.
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, scenario), daemon=True)
        self._process.start()
        theirs.close()
        self._asked: list[Question] = []
        self._answers: dict[Question, Any] = {}
        self._gate: tuple[Period, AtGate] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join()

    def states(self, period: Period) -> Sequence[Signed]:
        return self._at_gate(period).states

    def requests(self, period: Period) -> Sequence[Signed]:
        return self._at_gate(period).requests

    def records(self, period: Period) -> Sequence[str]:
        return cast("Sequence[str]", self._answer("records", period))

    def _at_gate(self, period: Period) -> AtGate:
        if self._gate is None or self._gate[0] != period:
            self._gate = (period, self._answer("at_gate", period))
        return self._gate[1]

    def _answer(self, what: str, period: Period) -> Any:
        """Return an answer, and have the one for the next period prepared meanwhile.

        Raises:
            RuntimeError: if the meters' process failed; it has said why.
        """
        self._ask((what, period))
        if period < self._last:
            self._ask((what, period.next))
        while (what, period) not in self._answers:
            try:
                self._answers[self._asked[0]] = self._pipe.recv()
            except EOFError as error:
                raise RuntimeError("the meters' process ended") from error
            del self._asked[0]
        return self._answers.pop((what, period))

    def _ask(self, question: Question) -> None:
        if question not in self._asked and question not in self._answers:
            self._asked.append(question)
            self._pipe.send(question)


def _serve(pipe: "Connection[Any, Question]", scenario: Scenario) -> None:
    # Ctrl-C reaches all processes of a terminal; this one ends when nobody asks any more.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    homes = Homes(build_homes(scenario))
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            what, period = pipe.recv()
            pipe.send(getattr(homes, what)(period))
