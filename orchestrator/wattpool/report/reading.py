"""Reading settled periods from a ledger, by its queries alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from wattpool_chaincode.ledger.period import Phase
from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.market.order import Outcome
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records.period import Period

_SETTLED = (Phase.FINAL, Phase.SEALED)


class Queries(Protocol):
    """One channel's contract, as far as it only tells."""

    def evaluate(self, function: str, *, by: str, **argument: Any) -> Any:
        """Return what a query says about the committed state."""


class Negotiated(NamedTuple):
    """How one pair negotiated before the gate; `energy_wh` is 0 if it came to nothing."""

    level: Level
    buyer: int
    seller: int
    energy_wh: int
    price_ut_per_kwh: int
    asked_ut_per_kwh: int
    bid_ut_per_kwh: int
    outcome: Outcome


class Trade(NamedTuple):
    """A trade as it was delivered and paid; `energy_wh` is 0 if nothing was, or too little to beat both tariffs."""

    level: Level
    buyer: int
    seller: int
    agreed_wh: int
    energy_wh: int
    paid_ut: int
    fee_ut: int
    price_ut_per_kwh: int


class Terms(NamedTuple):
    """What a member pays and gets without the market."""

    connection: str
    retail_ut_per_kwh: int
    feed_in_ut_per_kwh: int


@dataclass(frozen=True, kw_only=True)
class SettledPeriod:
    """What the ledger knows of a period that is final.

    Attributes:
        period: which one.
        terms: of every member, by slot.
        expected_wh: what a slot's order offered (positive) or asked for (negative) at the gate; slots without are left
            out.
        negotiated: all pairs, in the order in which they were cleared; none if the market was given up.
        trades: those in force.
        statements: of every slot: what it imported, exported, traded and paid.
        record: the period record, totals over all slots.
        aborted: why the market was given up, None if it was not.
    """

    period: Period
    terms: Sequence[Terms]
    expected_wh: Mapping[int, int]
    negotiated: Sequence[Negotiated]
    trades: Sequence[Trade]
    statements: Sequence[Mapping[str, Any]]
    record: Mapping[str, Any]
    aborted: str | None


@dataclass(frozen=True, kw_only=True)
class Community:
    """What the contract chain says about a community now."""

    name: str
    period_s: int


class LedgerReader:
    """Reads the two chains of one community."""

    def __init__(self, contract: Queries, ledger: Queries) -> None:
        self._contract = contract
        self._ledger = ledger
        self._rosters: dict[int, _Roster] = {}

    def community(self) -> Community:
        """Return the community as of the latest roster.

        Raises:
            EndorseError: roster_unknown, if it was never founded.
        """
        version = self._ledger.evaluate("roster", by=AGGREGATOR)["version"]
        rules = self._contract.evaluate("roster", by=AGGREGATOR, version=version)["rules"][-1]["rules"]
        return Community(name=rules["community"], period_s=rules["period_s"])

    def settled_periods(self) -> list[SettledPeriod]:
        """Return all periods that are final, in their order."""
        last: int | None = self._ledger.evaluate("last_period", by=AGGREGATOR)["period"]
        if last is None:
            return []
        return list(self._backwards(Period(last, self.community().period_s)))[::-1]

    def _backwards(self, period: Period) -> Iterator[SettledPeriod]:
        """Yield the settled periods up to one; periods follow each other without a gap."""
        while (state := self._evaluate("period", period))["phase"] is not None:
            if state["phase"] in _SETTLED:
                yield self._settled(period, state)
            period = period.previous

    def _settled(self, period: Period, state: Mapping[str, Any]) -> SettledPeriod:
        book = self._evaluate("orders", period)
        roster = self._roster(book["roster"])
        negotiated = [
            Negotiated(*row)._replace(level=Level(row[0]), outcome=Outcome(row[-1]))
            for page in range(state["deal"]["pages"])
            for row in self._evaluate("cleared_page", period, page=page)
        ]
        settled = [self._evaluate("settled_page", period, page=page) for page in range(roster.pages)]
        statements = [self._evaluate("statements", period, page=page) for page in range(roster.pages)]
        return SettledPeriod(
            period=period,
            terms=roster.terms,
            expected_wh={slot: balance_wh for slot, _, balance_wh, _ in book["orders"]},
            negotiated=negotiated,
            trades=[Trade(Level(level), *numbers) for page in settled for level, *numbers in page["trades"]],
            statements=[statement for page in statements for statement in page],
            record=state["result"],
            aborted=state["deal"].get("aborted"),
        )

    def _roster(self, version: int) -> "_Roster":
        """Return a version of the roster, which never changes; most periods trade by the same."""
        if version not in self._rosters:
            pages = self._contract.evaluate("roster", by=AGGREGATOR, version=version)["pages"]
            entries = [
                Terms(entry["connection"], entry["retail_ut_per_kwh"], entry["feed_in_ut_per_kwh"])
                for page in pages
                for entry in self._contract.evaluate("roster_page", by=AGGREGATOR, page=page)
            ]
            self._rosters[version] = _Roster(len(pages), entries)
        return self._rosters[version]

    def _evaluate(self, query: str, period: Period, **argument: int) -> Any:
        return self._ledger.evaluate(query, by=AGGREGATOR, period=period.start_utc, **argument)


class _Roster(NamedTuple):
    pages: int
    terms: Sequence[Terms]
