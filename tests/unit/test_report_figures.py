from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from community import FIRST, Community, small_pages
from report_cases import HOMES, NAMES, by_hand, corrected, own_use, reader_of
from wattpool.report import figures
from wattpool.report.figures import BilledDay, Deviation, Flow, Foresight, Kind, PriceRange
from wattpool.report.local_time import zone_of
from wattpool.report.reading import SettledPeriod
from wattpool_chaincode.ledger.reports import Quality
from wattpool_chaincode.market.order import Outcome
from wattpool_chaincode.records.period import Period

GRID = (Kind.GRID_IMPORT, Kind.GRID_EXPORT)
BERLIN = zone_of("Europe/Berlin")


@pytest.fixture(scope="module")
def settled() -> SettledPeriod:
    (one,) = by_hand()
    return one


def bills(settled: SettledPeriod) -> dict[str, figures.Bill]:
    return {NAMES[bill.slot]: bill for bill in figures.bills([settled], own_use)}


@pytest.mark.parametrize(
    ("name", "owed_ut", "alone_ut", "sums"),
    [
        # 270 Wh at 174,999 are 47,249.73 ut, 180 Wh at 169,999 are 30,599.82 ut, each rounded once for both sides.
        (
            "ann",
            -77_850,
            -22_500,
            {Kind.OWN_USE: (120, 0, 0), Kind.SOLD: (450, -77_850, 0)},
        ),
        ("bob", 73_950, 105_000, {Kind.BOUGHT: (270, 47_250, 2_700), Kind.GRID_IMPORT: (80, 24_000, 0)}),
        ("cy", 100_200, 120_000, {Kind.BOUGHT: (180, 30_600, 3_600), Kind.GRID_IMPORT: (220, 66_000, 0)}),
    ],
)
def test_a_bill_worked_out_by_hand(
    settled: SettledPeriod, name: str, owed_ut: int, alone_ut: int, sums: dict[Kind, tuple[int, int, int]]
) -> None:
    bill = bills(settled)[name]
    found = {kind: (one.energy_wh, one.amount_ut, one.fee_ut) for kind, one in bill.sums.items() if one.count}
    assert found == sums
    assert (bill.owed_ut, bill.alone_ut, bill.saving_ut) == (owed_ut, alone_ut, alone_ut - owed_ut)
    assert bill.unread == []


def test_a_correction_adds_its_differences_and_says_what_is_due() -> None:
    (settled,) = corrected()
    (before,) = settled.corrected
    assert [one["import_wh"] for one in before.statements] == [0, 0, 400]
    bob, cy, ann = (bills(settled)[name] for name in ("bob", "cy", "ann"))
    (correction,) = bob.corrections
    assert (correction.version, correction.quality) == (2, Quality.SUBSTITUTED)
    # 270 Wh at 174,999 and 10,000 of fees; 30 Wh from the grid. His wallet pays 30,000 of it.
    assert (correction.traded_ut, correction.grid_ut, correction.due_ut) == (49_950, 9_000, 19_950)
    assert (bob.owed_ut, bob.alone_ut, bob.unread) == (58_950, 90_000, [])
    assert bob.sums[Kind.BOUGHT].shortfall_wh == 30
    # Ann had given the 270 Wh to the grid, at 50,000; she gets her share of the 30,000, 47,250 of 49,950.
    (paid,) = ann.corrections
    assert (paid.traded_ut, paid.grid_ut, paid.due_ut) == (-47_250, 13_500, -47_250 + 28_378)
    assert cy.corrections == []
    owed_ut = sum(bill.owed_ut - sum(bill.sums[kind].owed_ut for kind in GRID) for bill in (ann, bob, cy))
    assert owed_ut == settled.record["fees_ut"]


def test_a_bill_names_partners_and_what_they_did_not_deliver(settled: SettledPeriod) -> None:
    ann = bills(settled)["ann"]
    sold = [(NAMES[partner], one.energy_wh, one.shortfall_wh) for partner, one in ann.partners[Kind.SOLD]]
    assert sold == [("bob", 270, 30), ("cy", 180, 20)]
    assert ann.partners[Kind.BOUGHT] == []
    assert bills(settled)["bob"].sums[Kind.BOUGHT].shortfall_wh == 30
    assert (ann.consumption_wh, ann.generation_wh) == (120, 570)
    assert [line.shortfall_wh for line in ann.lines] == [0, 30, 20]


def test_the_bills_of_all_come_to_the_period_record(settled: SettledPeriod) -> None:
    all_bills = figures.bills([settled], own_use)
    bought = [bill.sums[Kind.BOUGHT] for bill in all_bills]
    sold = [bill.sums[Kind.SOLD] for bill in all_bills]
    record = settled.record
    assert sum(one.amount_ut for one in bought) == record["paid_ut"] == -sum(one.amount_ut for one in sold) == 77_850
    assert sum(one.fee_ut for one in bought) == record["fees_ut"] == 6_300
    assert sum(one.energy_wh for one in bought) == record["traded_wh"] == sum(one.energy_wh for one in sold) == 450


@pytest.mark.parametrize("mechanism", ["pool", "uniform"])
@pytest.mark.parametrize("page_size", [1, 2, 500])
def test_pages_of_any_size_give_the_same_bills(mechanism: str, page_size: int) -> None:
    def found(size: int) -> list[figures.Bill]:
        with small_pages(size):
            community = Community(HOMES, rules={"mechanism": mechanism}, page_size=size)
            community.run_period({"ann": 500, "bob": -300, "cy": -400}, {"ann": (0, 450), "bob": (350, 0)})
            second = {"period": FIRST.next}
            community.run_period({"bob": -100, "ann": 80}, {"ann": (3, 50), "bob": (9, 0), "cy": (7, 1)}, **second)
            return figures.bills(reader_of(community).settled_periods(), figures.no_own_use)

    assert found(page_size) == found(500)


def test_a_member_without_a_reading_is_told_so() -> None:
    (settled,) = by_hand(measured_wh={"ann": (0, 450), "bob": (350, 0)})
    bill = bills(settled)["cy"]
    assert bill.unread == [(FIRST, Quality.MISSING)]
    assert bill.owed_ut == bill.alone_ut == 0
    assert bill.sums[Kind.BOUGHT].shortfall_wh == 200


def test_a_market_given_up_leaves_all_to_the_grid() -> None:
    community = Community(HOMES)
    community.open()
    community.ingest([community.request("ann", 500), community.request("bob", -300)])
    community.fix()
    community.abort(reason="grid fault")
    community.report([community.record(home.name, import_wh=10) for home in HOMES])
    community.settle()
    (settled,) = reader_of(community).settled_periods()
    assert settled.aborted == "grid fault"
    assert (list(settled.negotiated), list(settled.trades)) == ([], [])
    assert settled.expected_wh == {0: 500, 1: -300}
    assert figures.price_range(settled) is None
    assert [bill.owed_ut for bill in figures.bills([settled], figures.no_own_use)] == [3_000] * 3


def test_only_what_is_settled_is_read_and_a_new_community_has_nothing() -> None:
    community = Community(HOMES)
    assert reader_of(community).settled_periods() == []
    community.run_period({}, {home.name: (1, 0) for home in HOMES})
    community.open(FIRST.next)
    reader = reader_of(community)
    assert [one.period for one in reader.settled_periods()] == [FIRST]
    assert (reader.community().name, reader.community().period_s) == ("demo", 900)


def test_the_figures_of_a_period_worked_out_by_hand(settled: SettledPeriod) -> None:
    assert figures.flow(settled, own_use) == Flow(
        own_use_wh=120, bought_wh=450, grid_import_wh=300, sold_wh=450, grid_export_wh=0
    )
    # 270 Wh at 174,999 and 180 Wh at 169,999 are on average at 172,999.
    assert figures.price_range(settled) == PriceRange(mean=172_999, low=169_999, high=174_999)
    assert figures.deviation(settled) == Deviation(expected_wh=-200, measured_wh=-300)
    assert figures.foresight([settled]) == {
        0: Foresight(offered_wh=500, export_wh=450, asked_wh=0, import_wh=0, mean_error_wh=50),
        1: Foresight(offered_wh=0, export_wh=0, asked_wh=300, import_wh=350, mean_error_wh=50),
        2: Foresight(offered_wh=0, export_wh=0, asked_wh=400, import_wh=400, mean_error_wh=0),
    }
    assert figures.total([Flow(1, 2, 3, 4, 5), Flow(10, 20, 30, 40, 50)]) == Flow(11, 22, 33, 44, 55)


def test_a_forecast_is_not_judged_without_a_reading() -> None:
    (settled,) = by_hand(measured_wh={"ann": (0, 450)})
    assert list(figures.foresight([settled])) == [0]


def test_who_traded_with_whom_names_the_largest_and_adds_up_the_others(settled: SettledPeriod) -> None:
    of_all = figures.bills([settled], own_use)
    everyone = figures.partners(of_all, most=9)
    assert (everyone.sellers, everyone.buyers) == ([0], [1, 2])
    assert everyone.traded_wh == {(0, 1): 270, (0, 2): 180}
    largest = figures.partners(of_all, most=1)
    assert (largest.sellers, largest.buyers) == ([0], [1, None])
    assert largest.traded_wh == {(0, 1): 270, (0, None): 180}
    nobody = figures.partners(of_all, most=0)
    assert (nobody.sellers, nobody.buyers) == ([None], [None])
    assert nobody.traded_wh == {(None, None): 450}


def test_a_negotiation_shows_each_pair_with_what_was_settled() -> None:
    community = Community(HOMES, rules={"mechanism": "pool", "alpha_ut_per_kwh": 30_000})
    community.open()
    # Ann asks 60,000 + 30,000 of each; Bob counters, and Cy cannot cover Ann's cost after fees.
    wishes = [("ann", 500, 60_000), ("bob", -300, 80_000), ("cy", -200, 80_500)]
    community.ingest([community.request(name, wish, limit=limit) for name, wish, limit in wishes])
    community.fix()
    measured = {"ann": 200, "bob": 0, "cy": 0}
    community.report([community.record(n, export_wh=w, import_wh=0 if w else 300) for n, w in measured.items()])
    community.settle()
    (settled,) = reader_of(community).settled_periods()
    found = [
        (one.pair.outcome, one.pair.asked_ut_per_kwh, one.pair.bid_ut_per_kwh, one.trade and one.trade.energy_wh)
        for one in figures.negotiations(settled)
    ]
    assert found == [(Outcome.COUNTERED, 90_000, 69_000, 200), (Outcome.REJECTED, 90_000, 59_500, None)]


def quarter_hours(settled: SettledPeriod, start_utc: int, hours: int) -> Sequence[SettledPeriod]:
    return [replace(settled, period=Period(start_utc + 900 * index)) for index in range(4 * hours)]


@pytest.mark.parametrize(
    ("start_utc", "day", "count"),
    [
        (1_490_482_800, date(2017, 3, 26), 92),  # 2017-03-25T23:00:00Z, midnight in Berlin before summer time begins
        (1_509_228_000, date(2017, 10, 29), 100),  # 2017-10-28T22:00:00Z, midnight before it ends
        (1_490_565_600, date(2017, 3, 27), 96),
    ],
)
def test_a_local_day_has_its_92_96_or_100_quarter_hours(
    settled: SettledPeriod, start_utc: int, day: date, count: int
) -> None:
    days = figures.by_day(quarter_hours(settled, start_utc, 48), BERLIN)
    assert next(iter(days)) == day
    assert len(days[day]) == count
    bill = figures.bills(days[day], figures.no_own_use)[1]
    # Cy's and Bob's lines of each quarter-hour: 270 Wh bought, 80 Wh from the grid.
    expected = Flow(own_use_wh=0, bought_wh=270 * count, grid_import_wh=80 * count, sold_wh=0, grid_export_wh=0)
    assert figures.daily(bill, BERLIN) == {day: BilledDay(expected, 73_950 * count)}


def test_the_busiest_day_and_the_liveliest_period_are_the_first_of_equals(settled: SettledPeriod) -> None:
    quiet = replace(settled, record={**settled.record, "traded_wh": 0}, negotiated=[])
    days = {date(2017, 3, day): [one] for day, one in ((1, quiet), (2, settled), (3, settled))}
    assert figures.busiest_day(days) == date(2017, 3, 2)
    mixed = [settled.negotiated[0], settled.negotiated[0]._replace(outcome=Outcome.REJECTED)]
    lively = replace(settled, negotiated=mixed)
    assert figures.liveliest([quiet, settled, lively, replace(lively)]) is lively
