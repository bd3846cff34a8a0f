"""Bills of a connection that changes hands: Bob's is Gil's from the second period on."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from community import FIRST, Community, identity_of
from page_check import Page
from report_cases import HOMES, MEASURED_WH, WISHES_WH, by_hand, edition, reader_of
from wattpool.report import figures
from wattpool.report.figures import Bill, Kind, Stay
from wattpool.report.files import write_bills
from wattpool.report.reading import SettledPeriod
from wattpool.report.rendering import render_bill, render_bill_csv, render_report
from wattpool_chaincode.records.period import Period

SECOND, THIRD = FIRST.next, FIRST.next.next
BOB, GIL = identity_of("bob's owner"), identity_of("gil's owner")


def had_by(*parties: str) -> list[SettledPeriod]:
    """Return the period worked out by hand once for each of the parties that have Bob's connection one by one."""
    (settled,) = by_hand()
    ann, bob, cy = settled.terms
    periods = [FIRST, SECOND, THIRD]
    return [
        replace(settled, period=period, terms=[ann, bob._replace(party=party), cy])
        for period, party in zip(periods, parties, strict=False)
    ]


def of_bobs_home(bills: Sequence[Bill]) -> dict[str, Bill]:
    return {bill.party: bill for bill in bills if bill.slot == 1}


def move(community: Community) -> None:
    community.move_in(HOMES[1], "gil's owner")
    community.publish()


def test_each_party_gets_a_bill_of_its_own_periods() -> None:
    bills = figures.bills(had_by(BOB, GIL, GIL), figures.no_own_use)
    assert [(bill.slot, bill.is_shared, bill.is_final) for bill in bills] == [
        (0, False, False),
        (1, True, True),
        (1, True, False),
        (2, False, False),
    ]
    bob, gil = of_bobs_home(bills).values()
    assert (bob.party, bob.stays) == (BOB, [Stay(FIRST, FIRST, 1)])
    assert (gil.party, gil.stays) == (GIL, [Stay(SECOND, THIRD, 2)])
    assert (bob.owed_ut, gil.owed_ut, gil.alone_ut) == (73_950, 2 * 73_950, 2 * 105_000)
    assert {line.period for line in gil.lines} == {SECOND, THIRD}
    assert bob.connection == gil.connection == HOMES[1].connection


def test_who_comes_back_gets_one_bill_without_what_was_between() -> None:
    bob, gil = of_bobs_home(figures.bills(had_by(BOB, GIL, BOB), figures.no_own_use)).values()
    assert bob.stays == [Stay(FIRST, FIRST, 1), Stay(THIRD, THIRD, 1)]
    assert ({line.period for line in bob.lines}, bob.is_final) == ({FIRST, THIRD}, False)
    assert ({line.period for line in gil.lines}, gil.is_final) == ({SECOND}, True)


def test_own_use_is_theirs_who_lived_there() -> None:
    used_wh = {FIRST: 100, SECOND: 20, THIRD: 3}

    def own_use(connection: str, period: Period) -> int:
        return used_wh[period] if connection == HOMES[1].connection else 0

    bob, gil = of_bobs_home(figures.bills(had_by(BOB, GIL, GIL), own_use)).values()
    assert [bill.sums[Kind.OWN_USE].energy_wh for bill in (bob, gil)] == [100, 23]
    # 350 Wh of each period came through the meter.
    assert [bill.consumption_wh for bill in (bob, gil)] == [450, 723]


def test_a_correction_and_what_it_leaves_due_are_theirs_who_had_the_connection_then() -> None:
    community = Community(HOMES)
    community.run_period(WISHES_WH, {name: wh for name, wh in MEASURED_WH.items() if name != "bob"})
    move(community)
    # Bob's first record after the outage spans it, so that the second period is nobody's to trade in.
    community.run_period({}, {"ann": (0, 0), "bob": (40, 0), "cy": (0, 0)}, period=SECOND)
    community.run_period({}, {"ann": (0, 0), "bob": (90, 0), "cy": (0, 0)}, period=THIRD)
    # Of what his purse held, Bob leaves 30,000 ut in his wallet.
    left_ut = community.ledger("wallet", party=BOB)["balance_ut"] - 30_000
    community.ledger("redeem", order=community.order("bob's owner", "redeem", amount_ut=left_ut))
    community.correct([[1, 300, 0]])
    bob, gil = of_bobs_home(figures.bills(reader_of(community).settled_periods(), figures.no_own_use)).values()
    (correction,) = bob.corrections
    # As in `corrected`: 270 Wh and fees, 30 Wh from the grid, of which his wallet pays 30,000.
    assert (correction.traded_ut, correction.grid_ut, correction.due_ut) == (49_950, 9_000, 19_950)
    assert (bob.party, bob.owed_ut, bob.alone_ut, bob.unread) == (BOB, 58_950, 90_000, [])
    assert (gil.party, gil.owed_ut, gil.corrections) == (GIL, 27_000, [])
    assert [period for period, _ in gil.unread] == [SECOND]


def test_a_promise_by_hand_stays_theirs_who_gave_it() -> None:
    community = Community(HOMES)
    for name in ("ann", "bob"):
        community.fill_wallet(name, 1_000_000)
    community.run_period({}, {home.name: (0, 0) for home in HOMES})
    community.pick_offer("bob", community.add_offer("ann", until_utc=THIRD.end_utc))
    community.run_period({}, {"ann": (0, 501), "bob": (503, 0), "cy": (0, 0)}, period=SECOND)
    move(community)
    community.run_period({}, {"ann": (0, 400), "bob": (300, 0), "cy": (0, 0)}, period=THIRD)
    bills = figures.bills(reader_of(community).settled_periods(), figures.no_own_use)
    bob, gil = of_bobs_home(bills).values()
    bought = bob.sums[Kind.FIRM_BOUGHT]
    # Half is due in the first period; with Bob gone the rest is excused.
    assert (bought.energy_wh, bought.amount_ut, bought.fee_ut, bought.shortfall_wh) == (500, 75_000, 5_000, 500)
    assert gil.sums[Kind.FIRM_BOUGHT].count == bob.sums[Kind.COMPENSATION].count == 0
    assert (bob.sums[Kind.GRID_IMPORT].energy_wh, gil.sums[Kind.GRID_IMPORT].energy_wh) == (3, 300)
    assert bills[0].sums[Kind.FIRM_SOLD].energy_wh == 500
    assert figures.partners(bills, most=9).traded_wh == {(0, 1): 500}


@pytest.fixture
def shown(tmp_path: Path) -> dict[str, str]:
    """What Bob's and Gil's bills show, by file."""
    about = edition(had_by(BOB, GIL, GIL), knows_own_use=False)
    write_bills(about, about.bills(), tmp_path)
    return {file.name: " ".join(Page(file.read_text()).text.split()) for file in tmp_path.glob("bob*.html")}


def test_files_do_not_collide_and_a_final_bill_is_named_as_such(shown: dict[str, str]) -> None:
    assert set(shown) == {f"bob-{BOB[:8]}.html", f"bob-{GIL[:8]}.html"}
    of_bob, of_gil = shown[f"bob-{BOB[:8]}.html"], shown[f"bob-{GIL[:8]}.html"]
    assert "Final bill: you moved out on 2017-03-20 00:15 +0000." in of_bob
    assert "2017-03-20 00:00 +0000 to 2017-03-20 00:15 +0000, 1 market periods" in of_bob
    assert "Final bill" not in of_gil
    assert "2017-03-20 00:15 +0000 to 2017-03-20 00:45 +0000, 2 market periods" in of_gil


def test_a_report_counts_homes_and_lists_parties() -> None:
    about = edition(had_by(BOB, GIL, GIL), knows_own_use=False)
    bills = about.bills()
    report = " ".join(Page(render_report(about, bills)).text.split())
    assert "homes 3" in report
    for party in (BOB, GIL):
        assert f"bob-{party[:8]} " in report
    # Who traded with whom is told by home.
    assert figures.partners(bills, most=9).traded_wh == {(0, 1): 3 * 270, (0, 2): 3 * 180}
    for bill in bills:
        rows = list(csv.DictReader(io.StringIO(render_bill_csv(about, bill))))
        assert sum(int(row["amount_ut"]) + int(row["fee_ut"]) for row in rows) == bill.owed_ut
    assert all("Final bill" not in render_bill(about, bills[slot]) for slot in (0, 3))
