"""Reading settled periods from a ledger, by its queries alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from wattpool_chaincode.ledger.delivery import FirmRow
from wattpool_chaincode.ledger.firm import Outcome as FirmOutcome
from wattpool_chaincode.ledger.period import Phase
from wattpool_chaincode.ledger.versions import FIRST_VERSION
from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.market.order import Outcome
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.records.units import amount_ut

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


class FirmTrade(NamedTuple):
    """A trade by hand in one period of its delivery window.

    What it pays is known when the window has ended; until then it counts as if all will be delivered. A trade that
    is then declined counts as never delivered, in none of its periods. Over the window, energy and money come to what
    the ledger paid out, and `agreed_wh` to what was promised: all that is short stands in the last period. It stays
    the parties' that agreed, should another have a connection by then.
    """

    level: Level
    buyer: int
    seller: int
    agreed_wh: int
    energy_wh: int
    paid_ut: int
    fee_ut: int
    price_ut_per_kwh: int
    to_buyer_ut: int
    to_seller_ut: int
    buyer_party: str
    seller_party: str

    @property
    def owed_ut(self) -> int:
        """What the buyer owes the seller for promises not kept; negative if the seller owes him."""
        return self.to_seller_ut - self.to_buyer_ut


class Terms(NamedTuple):
    """Whose account a connection is, and what it pays and gets without the market."""

    connection: str
    retail_ut_per_kwh: int
    feed_in_ut_per_kwh: int
    party: str


class Version(NamedTuple):
    """What a version of a period says of all slots."""

    trades: Sequence[Trade]
    statements: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class SettledPeriod:
    """What the ledger knows of a period that is final, as the latest correction has it.

    Attributes:
        period: which one.
        terms: of every member, by slot.
        expected_wh: what a slot's order offered (positive) or asked for (negative) at the gate; slots without are left
            out.
        negotiated: all pairs, in the order in which they were cleared; none if the market was given up.
        trades: those in force.
        firm: trades by hand, before the pool.
        statements: of every slot: what it imported, exported, traded and paid.
        record: the period record, totals over all slots.
        agreed_wh: by all trades in force, before they were delivered.
        aborted: why the market was given up, None if it was not.
        corrected: the versions before the latest, oldest first.
        due_ut: what a version's payments leave due, by version and party; negative for who is to get it.
    """

    period: Period
    terms: Sequence[Terms]
    expected_wh: Mapping[int, int]
    negotiated: Sequence[Negotiated]
    trades: Sequence[Trade]
    firm: Sequence[FirmTrade]
    statements: Sequence[Mapping[str, Any]]
    record: Mapping[str, Any]
    agreed_wh: int
    aborted: str | None
    corrected: Sequence[Version] = ()
    due_ut: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    @property
    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        return [*self.corrected, Version(self.trades, self.statements)]


@dataclass(frozen=True, kw_only=True)
class Community:
    """What the contract chain says about a community now."""

    name: str
    period_s: int


class FirmReader:
    """Reads what trades by hand came to, each offer once."""

    def __init__(self, ledger: Queries) -> None:
        self._ledger = ledger
        self._offers: dict[str, Mapping[str, Any]] = {}

    def trades(self, settled_pages: Iterable[Mapping[str, Any]]) -> list[FirmTrade]:
        """Return the trades by hand of a period, given all its settled pages."""
        return [self._trade(FirmRow.from_row(row)) for page in settled_pages for row in page["firm"]]

    def _trade(self, row: FirmRow) -> FirmTrade:
        offer = self._offers.get(row.offer)
        if offer is None:
            offer = self._offers[row.offer] = self._ledger.evaluate("offer", by=AGGREGATOR, offer=row.offer)
        price, pick, outcome = offer["price_ut_per_kwh"], offer["pick"], _outcome_of(offer)
        # Nothing of a declined trade counts.
        after_wh = min(row.progress.delivered_wh, outcome.energy_wh)
        before_wh = min(row.progress.delivered_wh - row.delivered_wh, outcome.energy_wh)

        def part(whole_ut: int) -> int:
            """Return the period's part of an amount, so that the parts of all periods come to it."""
            if not outcome.energy_wh:
                return 0
            return whole_ut * after_wh // outcome.energy_wh - whole_ut * before_wh // outcome.energy_wh

        energy_wh = after_wh - before_wh
        return FirmTrade(
            level=Level(pick["level"]),
            buyer=row.bid_slot,
            seller=row.offer_slot,
            agreed_wh=energy_wh + (offer["energy_wh"] - after_wh if row.ends else 0),
            energy_wh=energy_wh,
            paid_ut=part(outcome.paid_ut),
            fee_ut=part(outcome.fee_ut),
            price_ut_per_kwh=price,
            to_buyer_ut=outcome.to_buyer_ut if row.ends else 0,
            to_seller_ut=outcome.to_seller_ut if row.ends else 0,
            buyer_party=pick["buyer"],
            seller_party=offer["seller"],
        )


def _outcome_of(offer: Mapping[str, Any]) -> FirmOutcome:
    """Return what a picked offer came to, or would if all were delivered."""
    if offer["outcome"] is not None:
        return FirmOutcome(**offer["outcome"])
    paid_ut = amount_ut(offer["energy_wh"], offer["price_ut_per_kwh"])
    fee_ut = offer["pick"]["escrow_ut"] - paid_ut
    return FirmOutcome(energy_wh=offer["energy_wh"], paid_ut=paid_ut, fee_ut=fee_ut, to_buyer_ut=0, to_seller_ut=0)


class LedgerReader:
    """Reads the two chains of one community."""

    def __init__(self, contract: Queries, ledger: Queries) -> None:
        self._contract = contract
        self._ledger = ledger
        self._firm = FirmReader(ledger)
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
        latest = self._evaluate("correction", period, version=0)
        numbers = range(FIRST_VERSION, latest["version"] + 1)
        settled = [self._pages("corrected_page", period, roster, number) for number in numbers]
        *corrected, last = (
            Version(
                [Trade(Level(level), *rest) for page in pages for level, *rest in page["trades"]],
                [one for page in self._pages("corrected_statements", period, roster, number) for one in page],
            )
            for number, pages in zip(numbers, settled, strict=True)
        )
        return SettledPeriod(
            period=period,
            terms=roster.terms,
            expected_wh={slot: balance_wh for slot, _, balance_wh, _ in book["orders"]},
            negotiated=negotiated,
            trades=last.trades,
            firm=self._firm.trades(settled[0]),
            statements=last.statements,
            record=latest["result"],
            agreed_wh=state["deal"]["agreed_wh"],
            aborted=state["deal"].get("aborted"),
            corrected=corrected,
            due_ut={number: self._due_ut(period, number) for number in numbers[1:]},
        )

    def _pages(self, query: str, period: Period, roster: "_Roster", version: int) -> list[Any]:
        return [self._evaluate(query, period, page=page, version=version) for page in range(roster.pages)]

    def _due_ut(self, period: Period, number: int) -> dict[str, int]:
        due = self._evaluate("correction", period, version=number)["due"]
        return {party: -amount_ut for party, amount_ut in due}

    def _roster(self, version: int) -> "_Roster":
        """Return a version of the roster, which never changes; most periods trade by the same."""
        if version not in self._rosters:
            pages = self._contract.evaluate("roster", by=AGGREGATOR, version=version)["pages"]
            entries = [
                Terms(entry["connection"], entry["retail_ut_per_kwh"], entry["feed_in_ut_per_kwh"], entry["party"])
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
