"""The market cycle: takes a community's periods through the ledger, one after another, whatever interrupts it.

It is not trusted: it carries signed requests and records to the chain and calls its stages in order; every price,
match and payment is the chaincode's. Each step looks at the ledger first, so a cycle that was cut off anywhere goes
on where the ledger stands.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from wattpool.client import Chain, Step
from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.ledger.chunks import MAX_ITEMS, RECORDS, REQUESTS, Kind, encode_chunk
from wattpool_chaincode.ledger.clearing import count_clear_pages
from wattpool_chaincode.ledger.period import Phase, key, page_of
from wattpool_chaincode.ledger.sealing import seal_content
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records import payload, signing
from wattpool_chaincode.records.ocmf import NO_HASH
from wattpool_chaincode.records.payload import Payload, Signed
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.roster import page_count

_ORDER = [None, *Phase]
_NO_TRANSIENT: Mapping[str, bytes] = {}


class Meters(Protocol):
    """The community's meters, as the cycle hears them."""

    def requests(self, period: Period) -> Sequence[Signed]:
        """Return the signed requests for a period whose gate is about to close."""

    def records(self, period: Period) -> Sequence[str]:
        """Return the signed records of a period that has ended."""


class Clock(Protocol):
    """The community's time."""

    def wait_until(self, time_utc: int) -> None:
        """Return when it is `time_utc`, at once if that is past."""


@dataclass(frozen=True, kw_only=True)
class Community:
    """What a cycle has to know of the community it runs.

    Attributes:
        rules: in force.
        roster: version of the roster.
        slots: in that roster.
        seal_key: the aggregator's, which seals periods.
        salt: gives the 16 secret bytes that hide the chunk of this name.
    """

    rules: Rules
    roster: int
    slots: int
    seal_key: ec.EllipticCurvePrivateKey
    salt: Callable[[str], bytes]


# A period's way through some of its stages: yields the steps of one that do not build on each other, is sent what they
# returned.
Stages = Generator[Sequence[Step], list[Any], None]


class Cycle:
    """Drives one community's periods."""

    def __init__(self, chain: Chain, community: Community, meters: Meters, clock: Clock) -> None:
        self._chain = chain
        self._community = community
        self._meters = meters
        self._clock = clock
        # Only periods that an earlier cycle opened can be further than this one knows.
        self._inherited_utc: int = chain.evaluate("last_period", by=AGGREGATOR)["period"] or 0
        self._last_seal: tuple[Period, str] | None = None

    def run(self, first: Period, last: Period, *, before_gate: Callable[[Period], None]) -> Iterator[Period]:
        """Take the periods from `first` to `last` through the market, and yield each one that is sealed.

        A period's gate closes before it begins. When it has ended, it is settled and sealed side by side with the
        gate of the period after next: the stages of the two share their blocks.

        Args:
            first: the community's first period, or any later one that the ledger has reached.
            last: the last period.
            before_gate: called before a period opens, for what is due then.
        """
        delivered: Period | None = None
        delivering: Period | None = None
        period = first
        while period <= last:
            self._clock.wait_until(period.start_utc - self._community.rules.gate_lead_s)
            # Before the gate closes, so that an offer picked by now counts.
            self.carry_offers()
            if self._phase(period) is None:
                before_gate(period)
            yield from self._advance(delivered, self.fix(period))
            delivered, delivering, period = delivering, period, period.next
        for ended in (delivered, delivering):
            yield from self._advance(ended)
        self.carry_offers()

    def carry_offers(self) -> None:
        """Confirm offers that were picked, return the tokens of those that came to nothing, pay out proved ones.

        Anyone may do that at any time; of many, the first are carried, and the others next time.
        """
        due = self._chain.evaluate("offers_due", by=AGGREGATOR)
        steps = [_step(function, offer=offer) for function, offers in due.items() for offer in offers]
        if steps:
            self._chain.submit_together(steps, by=AGGREGATOR)

    def fix(self, period: Period) -> Stages:
        """Open a period, take in its requests, close its gate and put its trades in force."""
        start_utc = period.start_utc
        phase = self._phase(period)
        if _reached(phase, Phase.ACTIVE):
            return
        yield [_step("open", period=start_utc, roster=self._community.roster)]
        if not _reached(phase, Phase.CLOSED):
            requests = [request.to_json() for request in self._meters.requests(period)]
            yield from self._chunks("ingest", REQUESTS, period, requests)
        (gate,) = yield [_step("close", period=start_utc)]
        # The last page clears what all others leave.
        *others, last = (_step("clear", period=start_utc, page=page) for page in range(count_clear_pages(gate)))
        if others:
            yield others
        yield [last]
        yield [_step("activate", period=start_utc)]

    def book(self, period: Period) -> Stages:
        """Take in a period's records, settle, finalise and seal it."""
        start_utc = period.start_utc
        phase = self._phase(period)
        if not _reached(phase, Phase.SETTLING):
            yield from self._chunks("report", RECORDS, period, self._meters.records(period))
        if not _reached(phase, Phase.FINAL):
            # The first page freezes the records that count for all.
            first, *others = (
                _step("settle", period=start_utc, page=page) for page in range(page_count(self._community.slots))
            )
            yield [first]
            if others:
                yield others
        (result,) = yield [_step("finalise", period=start_utc)]
        (sealed,) = yield [_step("seal", period=start_utc, seal=self._seal(period, result).to_json())]
        self._last_seal = (period, sealed["seal"])

    def _advance(self, ended: Period | None, *others: Stages) -> Iterator[Period]:
        """Book a period that has ended, if there is one, side by side with other stages."""
        if ended is None:
            self._side_by_side(*others)
            return
        self._clock.wait_until(ended.end_utc)
        self._side_by_side(*others, self.book(ended))
        yield ended

    def _side_by_side(self, *pipelines: Stages) -> None:
        """Run the stages of several periods, the next one of each in the same blocks."""
        stages = [(pipeline, steps) for pipeline in pipelines if (steps := next(pipeline, None)) is not None]
        while stages:
            results = iter(self._chain.submit_together([step for _, steps in stages for step in steps], by=AGGREGATOR))
            stages = [
                (pipeline, following)
                for pipeline, steps in stages
                if (following := _go_on(pipeline, list(islice(results, len(steps))))) is not None
            ]

    def _chunks(self, function: str, kind: Kind, period: Period, items: Sequence[Any]) -> Stages:
        steps = []
        for first in range(0, len(items), MAX_ITEMS):
            salt = self._community.salt(key(kind.raw, period.start_utc, first))
            chunk, data = encode_chunk(list(items[first : first + MAX_ITEMS]), salt=salt)
            transient = {key(kind.raw, period.start_utc, chunk): data}
            pages = self._pages(first, len(items))
            steps.append(_step(function, transient, period=period.start_utc, chunk=chunk, pages=pages))
        if steps:
            yield steps

    def _pages(self, first: int, count: int) -> list[int]:
        """Return where in the roster the items of a chunk should stand, if each slot has about as many as any other."""
        last = min(first + MAX_ITEMS, count) - 1
        low, high = (index * self._community.slots // count for index in (first, last))
        return list(range(page_of(low)[0], page_of(high)[0] + 1))

    def _seal_of(self, period: Period) -> str:
        if self._last_seal is not None and self._last_seal[0] == period:
            return self._last_seal[1]
        state = self._chain.evaluate("period", by=AGGREGATOR, period=period.start_utc)
        return str(state["seal"]["seal"]) if "seal" in state else NO_HASH

    def _phase(self, period: Period) -> Phase | None:
        """Return how far an earlier cycle took a period, None if it did not open it."""
        if period.start_utc > self._inherited_utc:
            return None
        phase = self._chain.evaluate("period", by=AGGREGATOR, period=period.start_utc)["phase"]
        return None if phase is None else Phase(phase)

    def _seal(self, period: Period, result: dict[str, Any]) -> Signed:
        seal_key = self._community.seal_key
        statement = Payload(
            kind="seal",
            community=self._community.rules.community,
            signer=payload.signer_id(signing.public_bytes(seal_key)),
            period_start_utc=period.start_utc,
            counter=period.start_utc // period.length_s,
            content=seal_content(result, self._seal_of(period.previous)),
        )
        return payload.sign(statement, seal_key)


def _step(function: str, transient: Mapping[str, bytes] = _NO_TRANSIENT, **argument: Any) -> Step:
    return Step(function=function, argument=argument, transient=transient)


def _go_on(pipeline: Stages, results: list[Any]) -> Sequence[Step] | None:
    """Return a pipeline's next steps, None if it is through."""
    try:
        return pipeline.send(results)
    except StopIteration:
        return None


def _reached(phase: Phase | None, goal: Phase) -> bool:
    """Tell whether an earlier cycle took a period as far as `goal`."""
    return _ORDER.index(phase) >= _ORDER.index(goal)
