"""Bills of a trade by hand: Ann sells Bob 1 kWh for 150,000 ut/kWh (fee 10,000) over two periods."""

import csv
import io
from collections.abc import Mapping

import pytest

from community import FIRST, Community
from page_check import Page
from report_cases import HOMES, NAMES, edition, reader_of
from wattpool.report import figures
from wattpool.report.figures import Bill, Flow, Kind
from wattpool.report.reading import SettledPeriod
from wattpool.report.rendering import render_bill, render_bill_csv, render_report

WINDOW = (FIRST.next, FIRST.next.next)
OFFER_WH = 1_000


def told(*measured_wh: Mapping[str, tuple[int, int]]) -> list[SettledPeriod]:
    """Return the periods in which Ann and Bob measured this; they had traded by hand before."""
    community = Community(HOMES)
    for name in ("ann", "bob"):
        community.fill_wallet(name, 1_000_000)
    community.run_period({}, {home.name: (0, 0) for home in HOMES})
    offer = community.add_offer("ann", until_utc=WINDOW[1].end_utc)
    community.pick_offer("bob", offer)
    for period, of_two_wh in zip(WINDOW, measured_wh, strict=False):
        community.run_period({}, {**of_two_wh, "cy": (100, 0)}, period=period)
    return reader_of(community).settled_periods()


def bills_of(periods: list[SettledPeriod]) -> dict[str, Bill]:
    return {NAMES[bill.slot]: bill for bill in figures.bills(periods, figures.no_own_use)}


def sums_of(bill: Bill) -> dict[Kind, tuple[int, int, int]]:
    return {kind: (one.energy_wh, one.amount_ut, one.fee_ut) for kind, one in bill.sums.items() if one.count}


def test_what_was_traded_by_hand_is_not_the_grids() -> None:
    periods = told({"ann": (0, 501), "bob": (503, 0)}, {"ann": (0, 700), "bob": (800, 0)})
    bills = bills_of(periods)
    assert sums_of(bills["ann"]) == {Kind.FIRM_SOLD: (1_000, -150_000, 0), Kind.GRID_EXPORT: (201, -10_050, 0)}
    assert sums_of(bills["bob"]) == {Kind.FIRM_BOUGHT: (1_000, 150_000, 10_000), Kind.GRID_IMPORT: (303, 90_900, 0)}
    assert bills["bob"].partners[Kind.FIRM_BOUGHT][0][0] == 0
    assert bills["bob"].sums[Kind.FIRM_BOUGHT].shortfall_wh == 0
    # 1,303 Wh at 300,000 without the market.
    assert bills["bob"].saving_ut == 390_900 - 250_900
    assert figures.total(figures.flow(one, figures.no_own_use) for one in periods) == Flow(0, 1_000, 503, 1_000, 201)
    assert figures.partners(list(bills.values()), most=9).traded_wh == {(0, 1): 1_000}


def test_a_forecast_is_about_what_trades_by_hand_leave() -> None:
    found = figures.foresight(told({"ann": (0, 501), "bob": (503, 0)}, {"ann": (0, 700), "bob": (800, 0)}))
    assert (found[0].export_wh, found[1].import_wh) == (201, 303)


def test_a_shortfall_is_named_and_compensated_once() -> None:
    periods = told({"ann": (0, 500), "bob": (500, 0)}, {"ann": (0, 200), "bob": (500, 0)})
    bills = bills_of(periods)
    # 300 Wh short, of which 100 are tolerated; Bob lost 140,000 by each kWh, and gets 80,000.
    assert sums_of(bills["ann"]) == {Kind.FIRM_SOLD: (700, -105_000, 0), Kind.COMPENSATION: (0, 16_000, 0)}
    assert sums_of(bills["bob"]) == {
        Kind.FIRM_BOUGHT: (700, 105_000, 7_000),
        Kind.COMPENSATION: (0, -16_000, 0),
        Kind.GRID_IMPORT: (300, 90_000, 0),
    }
    assert [
        bills[name].sums[kind].shortfall_wh for name, kind in (("ann", Kind.FIRM_SOLD), ("bob", Kind.FIRM_BOUGHT))
    ] == [
        300,
        300,
    ]
    about = edition(periods, knows_own_use=False)
    text = " ".join(Page(render_bill(about, about.bills()[1])).text.split())
    for sentence in (
        "bought by hand 0.700 0.150 0.105000 network fees on it 0.007000",
        "compensation for promises not kept \u22120.016000",
        "you bought by hand from ann 0.700 0.150 0.105000 0.007000 0.300",
        "By hand you had agreed to buy 0.300 kWh more than came about",
        "You drew 1.000 kWh: 0.700 from neighbours, 0.300 from the grid.",
    ):
        assert sentence in text
    assert "0.700" in Page(render_report(about, about.bills())).text
    for bill in about.bills():
        rows = list(csv.DictReader(io.StringIO(render_bill_csv(about, bill))))
        assert sum(int(row["amount_ut"]) + int(row["fee_ut"]) for row in rows) == bill.owed_ut


def test_a_declined_trade_is_the_grids_in_all_its_periods() -> None:
    periods = told({"ann": (0, 400), "bob": (500, 0)}, {"ann": (0, 0), "bob": (500, 0)})
    bills = bills_of(periods)
    assert [one.energy_wh for settled in periods for one in settled.firm] == [0, 0]
    assert bills["bob"].sums[Kind.FIRM_BOUGHT].shortfall_wh == OFFER_WH
    assert sums_of(bills["ann"])[Kind.GRID_EXPORT] == (400, -20_000, 0)
    assert sums_of(bills["bob"])[Kind.GRID_IMPORT] == (1_000, 300_000, 0)
    compensation = [bills[name].sums[Kind.COMPENSATION].amount_ut for name in ("ann", "bob")]
    # All is short but for the tolerated 100 Wh: 900 Wh at 80,000.
    assert compensation == [72_000, -72_000]


@pytest.mark.parametrize("delivered_wh", [0, 333, 500])
def test_until_the_window_ends_a_trade_counts_as_agreed(delivered_wh: int) -> None:
    bills = bills_of(told({"ann": (0, delivered_wh), "bob": (500, 0)}))
    assert bills["bob"].sums[Kind.FIRM_BOUGHT].energy_wh == delivered_wh
    assert bills["bob"].sums[Kind.FIRM_BOUGHT].amount_ut == 150 * delivered_wh
    assert bills["bob"].sums[Kind.FIRM_BOUGHT].fee_ut == 10 * delivered_wh
    assert bills["bob"].sums[Kind.FIRM_BOUGHT].shortfall_wh == 0
    assert bills["bob"].sums[Kind.GRID_IMPORT].energy_wh == 500 - delivered_wh
