from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, SALT, Community, Home, small_pages
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import DSO, MEMBERS
from wattpool_chaincode.records import codec, merkle

START = FIRST.start_utc
SECOND = FIRST.next


@pytest.fixture
def community() -> Community:
    """Ann sells 300 Wh to Bob next door and 200 Wh to Cy; delivery is over."""
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B")])
    community.open()
    wishes_wh = {"ann": 500, "bob": -300, "cy": -400}
    community.ingest([community.request(name, wish) for name, wish in wishes_wh.items()])
    community.fix()
    return community


def test_each_party_pays_and_earns_what_was_measured(community: Community) -> None:
    # Ann exports 450 of 500 Wh: nine tenths for each. At 174,999 + 10,000 and 169,999 + 20,000 ut/kWh:
    # 270 Wh cost 47,249.73 and 2,700 ut; 180 Wh cost 30,599.82 and 3,600 ut.
    community.report(
        [
            community.record("ann", export_wh=450),
            community.record("bob", import_wh=300),
            community.record("cy", import_wh=400),
        ]
    )
    result = community.settle()
    assert community.trades() == [
        ["feeder", 1, 0, 300, 270, 47_250, 2_700, 174_999],
        ["community", 2, 0, 200, 180, 30_600, 3_600, 169_999],
    ]
    assert community.purse_ut("ann") == 10_000_000 + 47_250 + 30_600
    assert community.purse_ut("bob") == 10_000_000 - 47_250 - 2_700
    assert community.purse_ut("cy") == 10_000_000 - 30_600 - 3_600
    statements = community.ledger("statements", period=START, page=0)
    leaves = [bytes.fromhex(codec.content_id(codec.encode(statement))) for statement in statements]
    assert result == {
        "clock": "simulated",
        "declined": 0,
        "fees_ut": 6_300,
        "firm": [],
        "paid_ut": 77_850,
        "root": merkle.root(leaves).hex(),
        "slots": len(leaves),
        "traded_wh": 450,
        "trades": 2,
    }
    assert community.ledger("supply")["fees_ut"] == 6_300
    assert community.tokens().together_ut == community.tokens().issued_ut == 30_000_000


def test_a_meter_without_a_record_in_time_trades_nothing_and_is_at_no_fault(community: Community) -> None:
    community.report([community.record("ann", export_wh=500), community.record("cy", import_wh=400)])
    result = community.settle()
    assert (result["trades"], result["declined"]) == (1, 1)
    assert community.purse_ut("bob") == 10_000_000
    assert community.statement("bob")["quality"] == "missing"
    # Bob's share of Ann's export is not handed on: partners and most of each trade were fixed at the gate.
    assert community.trades()[1][4] == 200


def test_every_stage_repeated_answers_the_same_and_changes_nothing(community: Community) -> None:
    community.report([community.record("ann", export_wh=500), community.record("bob", import_wh=300)])
    stages: list[tuple[str, dict[str, Any]]] = [("settle", {"page": 0}), ("finalise", {})]
    for function, argument in (*stages, *stages):
        answer = community.ledger(function, period=START, **argument)
        before = community.snapshot()
        assert community.ledger(function, by=MEMBERS, period=START, **argument) == answer
        assert community.snapshot() == before
    community.seal()
    assert community.ledger("finalise", period=START) == answer


def test_a_statement_is_private_and_its_page_is_salted(community: Community) -> None:
    community.report([community.record("ann", export_wh=500)], salt=SALT)
    community.settle()
    state = community.network.states["ledger"]
    assert ("meter_data", f"statement/{START:011}/0000") in state.private
    assert not [name for name in state.public if name.startswith("statement/")]


REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("settle", {"period": START}, CallRefusal.ARGUMENT_MALFORMED),
    ("settle", {"period": SECOND.next.start_utc, "page": 9}, LedgerRefusal.PERIOD_UNKNOWN),
    ("settle", {"period": START, "page": 9}, LedgerRefusal.TOO_EARLY),
    ("settle", {"period": SECOND.start_utc, "page": 0}, LedgerRefusal.PREVIOUS_NOT_READY),
    ("finalise", {"period": START, "page": 0}, CallRefusal.ARGUMENT_MALFORMED),
    ("finalise", {"period": SECOND.next.start_utc}, LedgerRefusal.PERIOD_UNKNOWN),
    ("finalise", {"period": START}, LedgerRefusal.TOO_EARLY),
    ("statements", {"period": START, "page": "0"}, CallRefusal.ARGUMENT_MALFORMED),
    ("statements", {"period": START, "page": 0}, LedgerRefusal.PAGE_MISSING),
    ("settled_page", {"period": START, "page": None}, CallRefusal.ARGUMENT_MALFORMED),
    ("settled_page", {"period": START, "page": 0}, LedgerRefusal.PAGE_MISSING),
]


@pytest.mark.parametrize(("function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    community.open(SECOND)
    community.fix(SECOND)
    assert community.refusal("ledger", function, **argument) is reason


def test_pages_are_settled_once_and_all_before_the_period_is_final() -> None:
    with small_pages(2):
        community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy")], page_size=2)
        community.open()
        community.ingest([community.request("ann", 500), community.request("cy", -300)])
        community.fix()
        community.report([community.record("ann", export_wh=500), community.record("cy", import_wh=300)])
        community.ledger("settle", period=START, page=0)
        assert community.tokens().together_ut == community.tokens().issued_ut
        assert community.tokens().escrow_ut > 0
        assert community.refusal("ledger", "settle", period=START, page=2) is LedgerRefusal.PAGE_UNKNOWN
        assert community.refusal("ledger", "finalise", period=START) is LedgerRefusal.PAGE_MISSING
        community.ledger("settle", by=DSO, period=START, page=1)
        assert community.ledger("finalise", period=START)["traded_wh"] == 300
        assert community.tokens().escrow_ut == 0
        assert community.purse_ut("cy") < 10_000_000 < community.purse_ut("ann")
        assert community.refusal("ledger", "settle", period=START, page=2) is LedgerRefusal.LATE


@pytest.mark.parametrize(
    ("reporting", "time_utc", "settles"),
    [
        (["ann", "bob"], FIRST.end_utc, True),
        (["ann"], FIRST.end_utc, False),
        (["ann"], FIRST.end_utc + 3_599, False),
        (["ann"], FIRST.end_utc + 3_600, True),
        ([], FIRST.end_utc + 3_599, False),
    ],
)
def test_under_a_live_clock_missing_records_are_waited_for_until_they_are_due(
    reporting: list[str], time_utc: int, *, settles: bool
) -> None:
    community = Community([Home(name="ann"), Home(name="bob")], rules={"clock": "live", "report_due_s": 3_600})
    community.network.time_utc = START
    community.open()
    community.fix()
    community.network.time_utc = time_utc
    community.report([community.record(name) for name in reporting])
    if settles:
        assert community.ledger("settle", period=START, page=0) == {"out_ut": 0}
    else:
        assert community.refusal("ledger", "settle", period=START, page=0) is LedgerRefusal.TOO_EARLY


def test_a_record_of_an_earlier_period_does_not_end_the_wait() -> None:
    community = Community([Home(name="ann")], rules={"clock": "live"})
    community.network.time_utc = START
    community.open()
    community.fix()
    community.network.time_utc = FIRST.end_utc + 3_600
    community.settle()
    community.open(SECOND)
    community.fix(SECOND)
    community.network.time_utc = SECOND.end_utc + 1_800
    late = community.record("ann")
    community.report([late], period=SECOND)
    assert community.refusal("ledger", "settle", period=SECOND.start_utc, page=0) is LedgerRefusal.TOO_EARLY
    community.report([late, community.record("ann", period=SECOND)], period=SECOND)
    assert community.settle(SECOND)["trades"] == 0
    assert community.statement("ann", SECOND)["quality"] == "good"


def test_over_500_meters_are_taken_page_by_page() -> None:
    # 510 homes on 102 feeders: two roster pages, of which the second is said nothing of.
    town = Community([Home(name=f"home-{number}", feeder=f"F{number // 5:03}") for number in range(510)])
    names = list(town.meters)
    # An opening takes in 500 deposits, so that the last ten reach their purses with the second period.
    town.open()
    assert (town.purse_ut("home-499"), town.purse_ut("home-500")) == (10_000_000, 0)
    town.fix()
    first = [town.record(name) for name in names]
    town.report(first[:500])
    town.report(first[500:])
    assert town.settle()["traded_wh"] == 0

    # On each feeder one home sells 400 Wh and four want 150 Wh each: each gets 100 Wh from next door.
    town.open(SECOND)
    requests = [town.request(name, -150 if slot % 5 else 400, period=SECOND) for slot, name in enumerate(names)]
    for part in (requests[:500], requests[500:]):
        assert town.ingest(part, period=SECOND)["refused"] == []
    gate = town.ledger("close", period=SECOND.start_utc)
    assert (gate["orders"], [len(group) for group in gate["groups"]]) == (510, [102])
    deal = town.fix(SECOND)
    assert (deal["pages"], deal["trades"], deal["agreed_wh"]) == (1, 408, 102 * 400)

    # The first seller delivers half of it, and the one of the last feeder but one sends no record.
    records = [
        town.record(name, import_wh=150, period=SECOND)
        if slot % 5
        else town.record(name, export_wh=400 if slot else 200, period=SECOND)
        for slot, name in enumerate(names)
        if slot != 505
    ]
    for half in (records[:500], records[500:]):
        assert town.report(half, period=SECOND)["refused"] == []
    result = town.settle(SECOND)
    # 100 Wh cost 17,500 ut and a fee of 1,000 ut, 50 Wh half of that.
    assert (result["traded_wh"], result["trades"], result["declined"]) == (40_200, 404, 4)
    assert (result["paid_ut"], result["fees_ut"]) == (7_035_000, 402_000)
    assert town.tokens().together_ut == town.tokens().issued_ut == 510 * 10_000_000
    assert town.tokens().escrow_ut == 0
    assert town.purse_ut("home-505") == town.purse_ut("home-506") == 10_000_000
    assert town.purse_ut("home-501") == 10_000_000 - 18_500
    statements = [one for page in (0, 1) for one in town.ledger("statements", period=SECOND.start_utc, page=page)]
    assert [one["slot"] for one in statements] == list(range(510))
    assert sum(one["bought_wh"] for one in statements) == sum(one["sold_wh"] for one in statements) == 40_200
