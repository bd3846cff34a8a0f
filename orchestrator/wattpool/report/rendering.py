"""Report and bills as pages: one file each, without a script, and without anything from a network."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from wattpool.report import charts, figures
from wattpool.report.charts import Series
from wattpool.report.figures import Bill, Deviation, Flow, Negotiation, OwnUse, PriceRange, Stay
from wattpool.report.formats import pseudonym
from wattpool.report.local_time import clock, day_of, stamp
from wattpool.report.reading import SettledPeriod
from wattpool.report.texts import TEXTS
from wattpool_chaincode.market.order import Outcome
from wattpool_chaincode.records.period import Period, format_utc

MOST_PARTNERS = 24
MOST_PAIRS = 200
BAR_WIDTH = 200
_HOURS_PER_MARK = 3
CSV_COLUMNS = (
    "period_start_utc",
    "start",
    "kind",
    "partner",
    "level",
    "agreed_wh",
    "energy_wh",
    "price_ut_per_kwh",
    "amount_ut",
    "fee_ut",
    "version",
)


@dataclass(frozen=True, kw_only=True)
class Edition:
    """What report and bills are about, and for whom.

    Attributes:
        community: its name.
        periods: settled, in their order, one at least.
        names: what to call a member, by slot.
        own_use: what homes used of their own generation and of what their batteries gave; None if nobody tells.
        zone: of all times.
        zone_name: how that is called.
        batteries: slots of the homes that tell of one.
    """

    community: str
    periods: Sequence[SettledPeriod]
    names: Mapping[int, str]
    own_use: OwnUse | None
    zone: tzinfo
    zone_name: str
    batteries: frozenset[int] = frozenset()

    @property
    def span(self) -> str:
        return self.span_of(Stay(self.periods[0].period, self.periods[-1].period, len(self.periods)))

    def span_of(self, stay: Stay) -> str:
        """Return in words from when until when some periods are."""
        return TEXTS["span"].format(
            start=stamp(stay.first.start_utc, self.zone),
            end=stamp(stay.last.end_utc, self.zone),
            count=stay.periods,
            minutes=stay.first.length_s // 60,
            zone=self.zone_name,
        )

    def bills(self) -> list[Bill]:
        """Return the bill of each party at each of its connections."""
        return figures.bills(self.periods, self.own_use or figures.no_own_use)

    def name_of(self, bill: Bill) -> str:
        """Return what to call a bill: after its member, and by the party if the connection has had several."""
        name = self.names[bill.slot]
        return f"{name}-{pseudonym(bill.party)}" if bill.is_shared else name


class Row(NamedTuple):
    """One period of the day that is drawn."""

    clock: str
    flow: Flow
    prices: PriceRange | None
    deviation: Deviation


def render_report(edition: Edition, bills: Sequence[Bill], *, chosen: SettledPeriod | None = None) -> str:
    """Return the report as HTML.

    Args:
        edition: what it is about.
        bills: of all parties.
        chosen: the one of the periods whose negotiation, and whose day, is shown; by default a lively one of the
            busiest day.
    """
    own_use = edition.own_use or figures.no_own_use
    days = figures.by_day(edition.periods, edition.zone)
    flows = {day: [figures.flow(one, own_use) for one in of_day] for day, of_day in days.items()}
    if chosen is None:
        day = figures.busiest_day(days)
        chosen = figures.liveliest(days[day])
    else:
        day = day_of(chosen.period.start_utc, edition.zone)
    rows = [
        Row(clock(one.period.start_utc, edition.zone), flow, figures.price_range(one), figures.deviation(one))
        for one, flow in zip(days[day], flows[day], strict=True)
    ]
    by_day = [(each, figures.total(of_day)) for each, of_day in flows.items()]
    return _render(
        "report.html.j2",
        community=edition.community,
        span=edition.span,
        knows_own_use=edition.own_use is not None,
        names=edition.names,
        batteries=[name for slot, name in sorted(edition.names.items()) if slot in edition.batteries],
        homes=_homes(edition, bills),
        home_count=len({bill.slot for bill in bills}),
        whole=figures.total(flow for _, flow in by_day),
        fees_ut=sum(bill.fee_ut for bill in bills),
        alone_ut=sum(bill.alone_ut for bill in bills),
        owed_ut=sum(bill.owed_ut for bill in bills),
        saving_ut=sum(bill.saving_ut for bill in bills),
        day=day,
        days=by_day,
        rows=rows,
        clocks=[row.clock for row in rows],
        matrix=_matrix(edition, bills),
        chosen=_negotiation(edition, chosen),
        foresight=figures.foresight(edition.periods),
        **_charts(edition, days[day], rows),
    )


def render_bill(edition: Edition, bill: Bill) -> str:
    """Return a party's bill as HTML."""
    days = [(day, one) for day, one in figures.daily(bill, edition.zone).items()]
    partners = [
        (kind, edition.names[partner], one)
        for kind in (*figures.PURCHASES, *figures.SALES)
        for partner, one in bill.partners[kind]
    ]
    unread = None
    if bill.unread:
        period, quality = bill.unread[0]
        start = stamp(period.start_utc, edition.zone)
        unread = {"count": len(bill.unread), "start": start, "quality": quality}
    corrections = [{"start": stamp(one.period.start_utc, edition.zone), "one": one} for one in bill.corrections]
    name = edition.name_of(bill)
    moved_out_utc = bill.stays[-1].last.end_utc if bill.is_final and bill.stays else None
    return _render(
        "bill.html.j2",
        community=edition.community,
        spans=[edition.span_of(stay) for stay in bill.stays],
        moved_out=None if moved_out_utc is None else stamp(moved_out_utc, edition.zone),
        knows_own_use=edition.own_use is not None,
        name=name,
        has_battery=bill.slot in edition.batteries,
        bill=bill,
        sums=bill.sums,
        partners=partners,
        unread=unread,
        corrections=corrections,
        days=days,
        csv_name=f"{name}.csv",
    )


def render_bill_csv(edition: Edition, bill: Bill) -> str:
    """Return all lines of a party's bill as CSV, in integers; amounts and fees add up to what the party owes."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    starts: dict[Period, tuple[str, str]] = {}
    for line in bill.lines:
        start = starts.get(line.period)
        if start is None:
            start_utc = line.period.start_utc
            start = starts[line.period] = (format_utc(start_utc), stamp(start_utc, edition.zone))
        partner = "" if line.partner is None else edition.names[line.partner]
        _, kind, _, level, *numbers = line
        writer.writerow([*start, kind.value, partner, "" if level is None else level.value, *numbers])
    return file.getvalue()


def _homes(edition: Edition, bills: Sequence[Bill]) -> list[dict[str, Any]]:
    most_ut = max(1, *(bill.saving_ut for bill in bills))
    return [
        {"name": edition.name_of(bill), "bill": bill, "bar": BAR_WIDTH * max(0, bill.saving_ut) // most_ut}
        for bill in bills
    ]


def _matrix(edition: Edition, bills: Sequence[Bill]) -> dict[str, Any]:
    sellers, buyers, traded_wh = figures.partners(bills, most=MOST_PARTNERS)
    most_wh = max(traded_wh.values(), default=1)

    def name(slot: int | None) -> str:
        return TEXTS["others"] if slot is None else edition.names[slot]

    def row(seller: int | None) -> dict[str, Any]:
        cells_wh = [traded_wh[seller, buyer] for buyer in buyers]
        cells = [{"energy_wh": one_wh, "share_percent": 70 * one_wh // most_wh} for one_wh in cells_wh]
        return {"seller": name(seller), "cells": cells, "energy_wh": sum(cells_wh)}

    return {
        "buyers": [name(buyer) for buyer in buyers],
        "rows": [row(seller) for seller in sellers],
        "bought_wh": [sum(traded_wh[seller, buyer] for seller in sellers) for buyer in buyers],
    }


def _negotiation(edition: Edition, settled: SettledPeriod) -> dict[str, Any]:
    found: list[Negotiation] = list(figures.negotiations(settled))
    return {
        "start": stamp(settled.period.start_utc, edition.zone),
        "aborted": settled.aborted,
        "is_negotiated": not found or any(one.pair.outcome is not Outcome.CLEARED for one in found),
        "negotiations": found[:MOST_PAIRS],
        "count": len(found),
    }


def _charts(edition: Edition, periods: Sequence[SettledPeriod], rows: Sequence[Row]) -> dict[str, charts.Chart]:
    marks = _marks(edition, periods)
    flows = {name: Series(name, [getattr(row.flow, f"{name}_wh") for row in rows]) for name in _FLOW_NAMES}
    up = [flows[name] for name in ("own_use", "bought", "grid_import") if edition.own_use or name != "own_use"]
    prices = [row.prices for row in rows]
    band = (
        Series("price_range", [one and one.low for one in prices]),
        Series("price_range", [one and one.high for one in prices]),
    )
    tariffs = {(terms.retail_ut_per_kwh, terms.feed_in_ut_per_kwh) for one in periods for terms in one.terms}
    retail = max(retail for retail, _ in tariffs)
    return {
        "energy_chart": charts.stacked(up, [flows["sold"], flows["grid_export"]], marks=marks),
        "price_chart": charts.lines(
            [
                Series("retail", [retail] * len(rows)),
                Series("feed_in", [min(feed_in for _, feed_in in tariffs)] * len(rows)),
                Series("price_mean", [one and one.mean for one in prices]),
            ],
            band=band,
            marks=marks,
        ),
        "forecast_chart": charts.lines(
            [
                Series("measured", [row.deviation.measured_wh for row in rows]),
                Series("expected", [row.deviation.expected_wh for row in rows]),
            ],
            marks=marks,
        ),
    }


_FLOW_NAMES = ("own_use", "bought", "grid_import", "sold", "grid_export")


def _marks(edition: Edition, periods: Sequence[SettledPeriod]) -> list[int]:
    """Return which periods are the first in every third hour of local time."""
    hours = [datetime.fromtimestamp(one.period.start_utc, edition.zone).hour for one in periods]
    before = [None, *hours]
    return [
        index
        for index, (hour, last) in enumerate(zip(hours, before, strict=False))
        if hour % _HOURS_PER_MARK == 0 and hour != last
    ]


def _render(template: str, **values: Any) -> str:
    from wattpool.report.templating import environment  # noqa: PLC0415 -- slow to import, and most commands need none

    return environment().get_template(template).render(values)
