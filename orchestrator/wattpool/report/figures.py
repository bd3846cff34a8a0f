"""The figures of report and bills: pure functions of what was read from the ledger.

Money is counted line by line as it was paid, and added up without rounding again: what the members' bills say comes
to what the period records and the offers by hand say, to the micro-token.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple

from wattpool.report.local_time import day_of
from wattpool.report.reading import FirmTrade, Negotiated, SettledPeriod, Terms, Trade, Version
from wattpool_chaincode.ledger.reports import MEASURED, Quality
from wattpool_chaincode.ledger.versions import FIRST_VERSION
from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.records.units import amount_ut

# What a home used of its own generation in a period, which happens behind its meter: only the home can tell.
OwnUse = Callable[[str, Period], int]


class Kind(StrEnum):
    """What a line of a bill is about."""

    OWN_USE = "own_use"
    BOUGHT = "bought"
    SOLD = "sold"
    FIRM_BOUGHT = "firm_bought"
    FIRM_SOLD = "firm_sold"
    COMPENSATION = "compensation"
    GRID_IMPORT = "grid_import"
    GRID_EXPORT = "grid_export"


PURCHASES = (Kind.BOUGHT, Kind.FIRM_BOUGHT)
SALES = (Kind.SOLD, Kind.FIRM_SOLD)
_SETTLED_ON = (*MEASURED, Quality.SUBSTITUTED)


class Line(NamedTuple):
    """One line of a bill; of a version that corrects a period, what changes against the version before.

    Attributes:
        period: when it was.
        kind: what it is about; firm is what was traded by hand, compensation what a promise that was not kept costs.
        partner: slot of the other side of a trade.
        level: of a trade.
        agreed_wh: what a trade was fixed at; for all else what flowed.
        energy_wh: what flowed, and is paid for.
        price_ut_per_kwh: of the energy alone; 0 for own use.
        amount_ut: what the member owes for the energy; negative if the member is paid.
        fee_ut: local network fee, which the buyer owes.
        version: of the period.
    """

    period: Period
    kind: Kind
    partner: int | None
    level: Level | None
    agreed_wh: int
    energy_wh: int
    price_ut_per_kwh: int
    amount_ut: int
    fee_ut: int
    version: int = FIRST_VERSION

    @property
    def shortfall_wh(self) -> int:
        """What was agreed and not traded, because it was not delivered, not taken, or too little to be worth it."""
        return self.agreed_wh - self.energy_wh


@dataclass(kw_only=True)
class Sum:
    """Lines added up.

    Attributes:
        agreed_wh: fixed at the gate.
        energy_wh: flowed.
        amount_ut: owed for it.
        fee_ut: owed on top.
        count: number of lines.
    """

    agreed_wh: int = 0
    energy_wh: int = 0
    amount_ut: int = 0
    fee_ut: int = 0
    count: int = 0

    def add(self, line: Line) -> None:
        self.agreed_wh += line.agreed_wh
        self.energy_wh += line.energy_wh
        self.amount_ut += line.amount_ut
        self.fee_ut += line.fee_ut
        self.count += 1

    @property
    def shortfall_wh(self) -> int:
        return self.agreed_wh - self.energy_wh

    @property
    def owed_ut(self) -> int:
        return self.amount_ut + self.fee_ut


class Correction(NamedTuple):
    """What a later version of a period changed for a member.

    Attributes:
        period: which one.
        version: of it.
        quality: of the reading that counts now.
        traded_ut: what the member owes more for its trades, or less; it moves between wallets.
        grid_ut: what it owes its supplier more, or less.
        due_ut: what its account still owes of this version's payments, or is owed if negative.
    """

    period: Period
    version: int
    quality: Quality
    traded_ut: int
    grid_ut: int
    due_ut: int


class Stay(NamedTuple):
    """Settled periods in a row in which a party has a connection."""

    first: Period
    last: Period
    periods: int


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a party owes for the periods in which it has a connection.

    Attributes:
        connection: which one.
        slot: of the connection.
        party: whose bill this is.
        stays: when the party has the connection; none if it never had it in a settled period and only promised by hand.
        is_final: whether another party follows the last stay.
        is_shared: whether the connection has a bill of another party, too.
        lines: by time; those of nothing are left out.
        sums: of the lines, by kind, all kinds.
        partners: sums of the trades, by kind of purchase and sale and the partner's slot, most energy first.
        alone_ut: what it would have owed without the market, at its tariff.
        unread: the periods without a reading to settle on, and why.
        corrections: what was settled again, by time.
    """

    connection: str
    slot: int
    party: str
    stays: Sequence[Stay]
    is_final: bool
    is_shared: bool
    lines: Sequence[Line]
    sums: Mapping[Kind, Sum]
    partners: Mapping[Kind, Sequence[tuple[int, Sum]]]
    alone_ut: int
    unread: Sequence[tuple[Period, Quality]]
    corrections: Sequence[Correction]

    @property
    def owed_ut(self) -> int:
        return sum(one.owed_ut for one in self.sums.values())

    @property
    def saving_ut(self) -> int:
        return self.alone_ut - self.owed_ut

    @property
    def bought_wh(self) -> int:
        return sum(self.sums[kind].energy_wh for kind in PURCHASES)

    @property
    def sold_wh(self) -> int:
        return sum(self.sums[kind].energy_wh for kind in SALES)

    @property
    def fee_ut(self) -> int:
        return sum(one.fee_ut for one in self.sums.values())

    @property
    def consumption_wh(self) -> int:
        return self.sums[Kind.OWN_USE].energy_wh + self.bought_wh + self.sums[Kind.GRID_IMPORT].energy_wh

    @property
    def generation_wh(self) -> int:
        return self.sums[Kind.OWN_USE].energy_wh + self.sold_wh + self.sums[Kind.GRID_EXPORT].energy_wh


class Rest(NamedTuple):
    """What a member exchanged with the grid in a period."""

    import_wh: int
    export_wh: int


class Flow(NamedTuple):
    """Energy of one member or of all, over a period or more, in Wh; what was bought locally was also sold."""

    own_use_wh: int
    bought_wh: int
    grid_import_wh: int
    sold_wh: int
    grid_export_wh: int


class BilledDay(NamedTuple):
    """What a bill says about one day."""

    flow: Flow
    owed_ut: int


class Matrix(NamedTuple):
    """Energy in Wh from each of `sellers` (rows) to each of `buyers`; None stands for all members not named."""

    sellers: Sequence[int | None]
    buyers: Sequence[int | None]
    traded_wh: Mapping[tuple[int | None, int | None], int]


class PriceRange(NamedTuple):
    """What a kilowatt-hour was traded at in a period: the mean weighted by energy, the least and the most."""

    mean: int
    low: int
    high: int


class Deviation(NamedTuple):
    """What was expected at the gate against what was measured, over all members of a period.

    `expected_wh` and `measured_wh` are net: positive for energy left over.
    """

    expected_wh: int
    measured_wh: int


class Foresight(NamedTuple):
    """How well one member's orders met what it measured, in Wh over all periods, and the mean error of a period.

    Both are without what was traded by hand.
    """

    offered_wh: int
    export_wh: int
    asked_wh: int
    import_wh: int
    mean_error_wh: int


class Negotiation(NamedTuple):
    """One pair of a period, and the trade that came of it."""

    pair: Negotiated
    trade: Trade | None


def grid_bill_ut(terms: Terms, *, import_wh: int, export_wh: int) -> int:
    """Return what a member owes for energy of one period at its tariff alone."""
    return amount_ut(import_wh, terms.retail_ut_per_kwh) - amount_ut(export_wh, terms.feed_in_ut_per_kwh)


def bills(periods: Iterable[SettledPeriod], own_use: OwnUse) -> list[Bill]:
    """Return the bill of every party at each of its connections: by slot, then in the order in which they moved in."""
    all_drafts = _Drafts()
    for settled in periods:
        firm_bought_wh, firm_sold_wh = firm_wh(settled.firm)
        first = settled.versions[0]
        drafts = all_drafts.enter(settled)
        for statement, last in zip(first.statements, settled.statements, strict=True):
            slot, terms = statement["slot"], settled.terms[statement["slot"]]
            draft = drafts[slot]
            rest = rest_of(statement, firm_bought_wh[slot], firm_sold_wh[slot])
            draft.take(settled.period, terms, statement, own_use(terms.connection, settled.period), rest)
            draft.read(settled.period, Quality(last["quality"]))
        for trade in first.trades:
            drafts[trade.buyer].add(_line_of(settled.period, Kind.BOUGHT, trade))
            drafts[trade.seller].add(_line_of(settled.period, Kind.SOLD, trade))
        for number, (before, after) in enumerate(pairwise(settled.versions), start=FIRST_VERSION + 1):
            _correct(drafts, settled, number, before, after)
        for firm in settled.firm:
            buyer = all_drafts.of(settled, firm.buyer, firm.buyer_party)
            seller = all_drafts.of(settled, firm.seller, firm.seller_party)
            if firm.agreed_wh:
                buyer.add(_line_of(settled.period, Kind.FIRM_BOUGHT, firm))
                seller.add(_line_of(settled.period, Kind.FIRM_SOLD, firm))
            if firm.to_seller_ut or firm.to_buyer_ut:
                buyer.add(_compensation(settled.period, firm.seller, firm.level, firm.owed_ut))
                seller.add(_compensation(settled.period, firm.buyer, firm.level, -firm.owed_ut))
    return all_drafts.to_bills()


def _correct(
    drafts: Mapping[int, "_Draft"], settled: SettledPeriod, number: int, before: Version, after: Version
) -> None:
    """Add what a version changed against the one before, line by line."""
    period = settled.period
    firm_bought_wh, firm_sold_wh = firm_wh(settled.firm)
    traded_ut: Counter[int] = Counter()
    grid_ut: Counter[int] = Counter()
    for old, new in zip(before.trades, after.trades, strict=True):
        if old == new:
            continue
        for slot, kind in ((new.buyer, Kind.BOUGHT), (new.seller, Kind.SOLD)):
            line = _difference(_line_of(period, kind, old), _line_of(period, kind, new), number)
            drafts[slot].add(line)
            traded_ut[slot] += line.amount_ut + line.fee_ut
    for earlier, later in zip(before.statements, after.statements, strict=True):
        slot = later["slot"]
        if earlier == later:
            continue
        bought_wh, sold_wh, terms = firm_bought_wh[slot], firm_sold_wh[slot], settled.terms[slot]
        lines = zip(
            _grid_lines(period, terms, rest_of(earlier, bought_wh, sold_wh)),
            _grid_lines(period, terms, rest_of(later, bought_wh, sold_wh)),
            strict=True,
        )
        for one, other in lines:
            line = _difference(one, other, number)
            if line.energy_wh:
                drafts[slot].add(line)
                grid_ut[slot] += line.amount_ut
        drafts[slot].correct(
            Correction(
                period=period,
                version=number,
                quality=Quality(later["quality"]),
                traded_ut=traded_ut[slot],
                grid_ut=grid_ut[slot],
                due_ut=settled.due_ut[number].get(terms.party, 0),
            ),
            alone_ut=_alone_ut(terms, later) - _alone_ut(terms, earlier),
        )


def no_own_use(connection: str, period: Period) -> int:  # noqa: ARG001 -- one way to be an `OwnUse`
    """Tell nothing of what happens behind the meters, which a ledger does not know."""
    return 0


def firm_wh(trades: Iterable[FirmTrade]) -> tuple[Counter[int], Counter[int]]:
    """Return what each slot bought, and sold, by hand."""
    bought: Counter[int] = Counter()
    sold: Counter[int] = Counter()
    for one in trades:
        bought[one.buyer] += one.energy_wh
        sold[one.seller] += one.energy_wh
    return bought, sold


def rest_of(statement: Mapping[str, Any], firm_bought_wh: int, firm_sold_wh: int) -> Rest:
    """Return what of a statement is the grid's, given what was traded by hand and not undone."""
    return Rest(
        import_wh=statement["import_wh"] - statement["bought_wh"] - firm_bought_wh,
        export_wh=statement["export_wh"] - statement["sold_wh"] - firm_sold_wh,
    )


def flow(settled: SettledPeriod, own_use: OwnUse) -> Flow:
    """Return what flowed in a period, over all members."""
    firm = sum(one.energy_wh for one in settled.firm)
    bought = sum(one["bought_wh"] for one in settled.statements) + firm
    sold = sum(one["sold_wh"] for one in settled.statements) + firm
    return Flow(
        own_use_wh=sum(own_use(one["connection"], settled.period) for one in settled.statements),
        bought_wh=bought,
        grid_import_wh=sum(one["import_wh"] for one in settled.statements) - bought,
        sold_wh=sold,
        grid_export_wh=sum(one["export_wh"] for one in settled.statements) - sold,
    )


def total(flows: Iterable[Flow]) -> Flow:
    """Return the sum of one flow at least."""
    return Flow(*(sum(column) for column in zip(*flows, strict=True)))


def by_day(periods: Iterable[SettledPeriod], zone: tzinfo) -> dict[date, list[SettledPeriod]]:
    """Return the periods by the local day that they begin in."""
    days: dict[date, list[SettledPeriod]] = {}
    for settled in periods:
        days.setdefault(day_of(settled.period.start_utc, zone), []).append(settled)
    return days


def busiest_day(days: Mapping[date, Sequence[SettledPeriod]]) -> date:
    """Return the day on which most energy was traded, the first of equals."""
    return max(days, key=lambda day: sum(_traded_wh(one) for one in days[day]))


def liveliest(periods: Sequence[SettledPeriod]) -> SettledPeriod:
    """Return the period whose negotiation shows most: most kinds of outcome, then most pairs, the first of equals."""
    return max(periods, key=lambda one: (len({pair.outcome for pair in one.negotiated}), len(one.negotiated)))


def price_range(settled: SettledPeriod) -> PriceRange | None:
    """Return the prices of what was traded in a period, None if nothing was."""
    both: list[Trade | FirmTrade] = [*settled.trades, *settled.firm]
    traded = [trade for trade in both if trade.energy_wh]
    if not traded:
        return None
    prices = [trade.price_ut_per_kwh for trade in traded]
    weighted = sum(trade.energy_wh * trade.price_ut_per_kwh for trade in traded)
    return PriceRange(weighted // sum(trade.energy_wh for trade in traded), min(prices), max(prices))


def deviation(settled: SettledPeriod) -> Deviation:
    """Return what was expected of a period, and what it was."""
    return Deviation(
        expected_wh=sum(settled.expected_wh.values()),
        measured_wh=sum(one["export_wh"] - one["import_wh"] for one in settled.statements),
    )


def foresight(periods: Sequence[SettledPeriod]) -> dict[int, Foresight]:
    """Return how well each member's orders met what it measured, by slot; periods without a good reading are left out.

    A member without an order expected nothing, or expected something that its purse could not pay.
    """
    sums: dict[int, list[int]] = defaultdict(lambda: [0] * 6)
    for settled in periods:
        for one in settled.statements:
            if one["quality"] not in MEASURED:
                continue
            expected_wh = settled.expected_wh.get(one["slot"], 0)
            # An order is about what trades by hand leave.
            export_wh, import_wh = one["export_wh"] - one["firm_sold_wh"], one["import_wh"] - one["firm_bought_wh"]
            error_wh = abs(expected_wh - export_wh + import_wh)
            new = (max(expected_wh, 0), export_wh, max(-expected_wh, 0), import_wh, error_wh, 1)
            sums[one["slot"]] = [old + more for old, more in zip(sums[one["slot"]], new, strict=True)]
    return {
        slot: Foresight(offered, exported, asked, imported, error // count)
        for slot, (offered, exported, asked, imported, error, count) in sorted(sums.items())
    }


def partners(of_all: Sequence[Bill], *, most: int) -> Matrix:
    """Return who sold to whom, with the `most` sellers and buyers of most energy, by slot, and all others as one."""
    sold_wh: Counter[int] = Counter()
    bought_wh: Counter[int] = Counter()
    for bill in of_all:
        sold_wh[bill.slot] += bill.sold_wh
        bought_wh[bill.slot] += bill.bought_wh
    sellers, buyers = _largest(sold_wh, most), _largest(bought_wh, most)
    pairs: Counter[tuple[int | None, int | None]] = Counter()
    for bill in of_all:
        seller = bill.slot
        for buyer, one in (pair for kind in SALES for pair in bill.partners[kind]):
            if one.energy_wh:
                pairs[seller if seller in sellers else None, buyer if buyer in buyers else None] += one.energy_wh
    others = [None]
    return Matrix(
        [*sellers, *(others if any(seller is None for seller, _ in pairs) else ())],
        [*buyers, *(others if any(buyer is None for _, buyer in pairs) else ())],
        pairs,
    )


def daily(bill: Bill, zone: tzinfo) -> dict[date, BilledDay]:
    """Return what a bill comes to on each local day with a line."""
    days: dict[date, Counter[str]] = {}
    day_of_period: dict[Period, date] = {}
    for line in bill.lines:
        day = day_of_period.get(line.period)
        if day is None:
            day = day_of_period[line.period] = day_of(line.period.start_utc, zone)
        sums = days.setdefault(day, Counter())
        sums[line.kind] += line.energy_wh
        sums["owed_ut"] += line.amount_ut + line.fee_ut
    return {
        day: BilledDay(
            Flow(
                own_use_wh=sums[Kind.OWN_USE],
                bought_wh=sum(sums[kind] for kind in PURCHASES),
                grid_import_wh=sums[Kind.GRID_IMPORT],
                sold_wh=sum(sums[kind] for kind in SALES),
                grid_export_wh=sums[Kind.GRID_EXPORT],
            ),
            sums["owed_ut"],
        )
        for day, sums in sorted(days.items())
    }


def negotiations(settled: SettledPeriod) -> Iterator[Negotiation]:
    """Yield all pairs of a period with what came of them."""
    trades: dict[tuple[Level, int, int], deque[Trade]] = defaultdict(deque)
    for trade in settled.trades:
        trades[trade.level, trade.buyer, trade.seller].append(trade)
    for pair in settled.negotiated:
        agreed = trades[pair.level, pair.buyer, pair.seller] if pair.energy_wh else None
        yield Negotiation(pair, agreed.popleft() if agreed else None)


def _traded_wh(settled: SettledPeriod) -> int:
    return int(settled.record["traded_wh"]) + sum(one.energy_wh for one in settled.firm)


def _largest(traded_wh: Mapping[int, int], most: int) -> list[int]:
    traded = [(-energy_wh, slot) for slot, energy_wh in traded_wh.items() if energy_wh]
    return sorted(slot for _, slot in sorted(traded)[:most])


class _Drafts:
    """The bills in the making of all parties, and who has which connection."""

    def __init__(self) -> None:
        self._drafts: dict[tuple[int, str], _Draft] = {}
        self._parties: dict[int, str] = {}

    def enter(self, settled: SettledPeriod) -> dict[int, "_Draft"]:
        """Return the bills of those who have the connections in the next period, by slot."""
        drafts: dict[int, _Draft] = {}
        for slot, terms in enumerate(settled.terms):
            drafts[slot] = self.of(settled, slot, terms.party)
            drafts[slot].stay(settled.period, goes_on=self._parties.get(slot) == terms.party)
            self._parties[slot] = terms.party
        return drafts

    def of(self, settled: SettledPeriod, slot: int, party: str) -> "_Draft":
        """Return the bill of a party, which need not have the connection in the period."""
        if (slot, party) not in self._drafts:
            self._drafts[slot, party] = _Draft(settled.terms[slot].connection)
        return self._drafts[slot, party]

    def to_bills(self) -> list[Bill]:
        counts = Counter(slot for slot, _ in self._drafts)
        return [
            draft.to_bill(slot, party, is_final=self._parties[slot] != party, is_shared=counts[slot] > 1)
            for (slot, party), draft in sorted(self._drafts.items(), key=lambda item: item[0][0])
        ]


class _Draft:
    """A bill in the making."""

    def __init__(self, connection: str) -> None:
        self._connection = connection
        self._stays: list[Stay] = []
        self._lines: list[Line] = []
        self._sums = {kind: Sum() for kind in Kind}
        self._partners: dict[Kind, dict[int, Sum]] = {kind: {} for kind in (*PURCHASES, *SALES)}
        self._alone_ut = 0
        self._unread: list[tuple[Period, Quality]] = []
        self._corrections: list[Correction] = []

    def stay(self, period: Period, *, goes_on: bool) -> None:
        """Count a period in which the party has the connection, as it had in the one before if that `goes_on`."""
        if goes_on:
            first, _, periods = self._stays.pop()
            self._stays.append(Stay(first, period, periods + 1))
        else:
            self._stays.append(Stay(period, period, 1))

    def take(self, period: Period, terms: Terms, statement: Mapping[str, Any], own_use_wh: int, rest: Rest) -> None:
        """Take in a period's statement: own use and grid; the trades are added one by one."""
        self._alone_ut += _alone_ut(terms, statement)
        own_use = Line(period, Kind.OWN_USE, None, None, own_use_wh, own_use_wh, 0, 0, 0)
        for line in (own_use, *_grid_lines(period, terms, rest)):
            if line.energy_wh:
                self.add(line)

    def read(self, period: Period, quality: Quality) -> None:
        """Note what a period's reading is worth after all corrections."""
        if quality not in _SETTLED_ON:
            self._unread.append((period, quality))

    def correct(self, correction: Correction, *, alone_ut: int) -> None:
        """Note a correction whose lines were added, and how it changes the bill without the market."""
        self._corrections.append(correction)
        self._alone_ut += alone_ut

    def add(self, line: Line) -> None:
        self._lines.append(line)
        self._sums[line.kind].add(line)
        if line.partner is not None and line.kind in self._partners:
            self._partners[line.kind].setdefault(line.partner, Sum()).add(line)

    def to_bill(self, slot: int, party: str, *, is_final: bool, is_shared: bool) -> Bill:
        partners = {
            kind: sorted(sums.items(), key=lambda item: (-item[1].energy_wh, item[0]))
            for kind, sums in self._partners.items()
        }
        return Bill(
            connection=self._connection,
            slot=slot,
            party=party,
            stays=self._stays,
            is_final=is_final,
            is_shared=is_shared,
            lines=self._lines,
            sums=self._sums,
            partners=partners,
            alone_ut=self._alone_ut,
            unread=self._unread,
            corrections=self._corrections,
        )


def _alone_ut(terms: Terms, statement: Mapping[str, Any]) -> int:
    return grid_bill_ut(terms, import_wh=statement["import_wh"], export_wh=statement["export_wh"])


def _grid_lines(period: Period, terms: Terms, rest: Rest) -> tuple[Line, Line]:
    """Return what came from the grid and what went there, be it nothing."""
    retail, feed_in = terms.retail_ut_per_kwh, terms.feed_in_ut_per_kwh
    from_wh, to_wh = rest
    paid_ut, earned_ut = amount_ut(from_wh, retail), amount_ut(to_wh, feed_in)
    return (
        Line(period, Kind.GRID_IMPORT, None, None, from_wh, from_wh, retail, paid_ut, 0),
        Line(period, Kind.GRID_EXPORT, None, None, to_wh, to_wh, feed_in, -earned_ut, 0),
    )


def _difference(before: Line, after: Line, version: int) -> Line:
    """Return what a version changes of a line."""
    return after._replace(
        agreed_wh=after.agreed_wh - before.agreed_wh,
        energy_wh=after.energy_wh - before.energy_wh,
        amount_ut=after.amount_ut - before.amount_ut,
        fee_ut=after.fee_ut - before.fee_ut,
        version=version,
    )


def _compensation(period: Period, partner: int, level: Level, owed_ut: int) -> Line:
    return Line(period, Kind.COMPENSATION, partner, level, 0, 0, 0, owed_ut, 0)


def _line_of(period: Period, kind: Kind, trade: Trade | FirmTrade) -> Line:
    """Return a trade as the bill of its buyer or of its seller has it."""
    buys = kind in PURCHASES
    return Line(
        period,
        kind,
        trade.seller if buys else trade.buyer,
        trade.level,
        trade.agreed_wh,
        trade.energy_wh,
        trade.price_ut_per_kwh,
        trade.paid_ut if buys else -trade.paid_ut,
        trade.fee_ut if buys else 0,
    )
