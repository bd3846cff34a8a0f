import pytest

from community import FIRST, Community, Home, identity_of, small_pages
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.market import mid_rate
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.market.order import Order, Terms
from wattpool_chaincode.organisations import DSO, MEMBERS

START = FIRST.start_utc
TERMS = Terms(alpha_ut_per_kwh=1, beta_ut_per_kwh=2)
RULES = {"mechanism": "mid_rate"}


def order(slot: int, energy_wh: int, limit: int) -> Order:
    return Order(slot=slot, lot=bytes([slot]), energy_wh=energy_wh, limit_ut_per_kwh=limit)


@pytest.mark.parametrize(
    ("bids", "offers", "expected"),
    [
        pytest.param([], [], [], id="nothing flowed"),
        pytest.param([order(1, 5, 19)], [order(10, 5, 20)], [], id="the tariffs leave no gain"),
        pytest.param([order(1, 5, 51)], [order(10, 9, 20)], [(1, 10, 5, 35)], id="half of 71, rounded down"),
        pytest.param(
            [order(1, 30, 50), order(2, 10, 50)],
            [order(10, 11, 20), order(11, 11, 20)],
            # 22 of 40 Wh: 16.5 and 5.5, the odd one by lot.
            [(1, 10, 11, 35), (1, 11, 6, 35), (2, 11, 5, 35)],
            id="pro rata by largest remainder",
        ),
        pytest.param(
            [order(1, 30, 50), order(2, 30, 70)],
            [order(10, 40, 20), order(11, 10, 60)],
            [(2, 10, 30, 45), (1, 10, 10, 35)],
            id="each pair at the middle of its own tariffs, none that does not beat both",
        ),
    ],
)
def test_pairs_share_pro_rata_at_the_middle_of_their_tariffs(
    bids: list[Order], offers: list[Order], expected: list[tuple[int, int, int, int]]
) -> None:
    matches = mid_rate.clear(bids, offers, terms=TERMS)
    found = [(match.bid_slot, match.offer_slot, match.energy_wh, match.price_ut_per_kwh) for match in matches]
    assert found == expected


def test_rules_name_this_mechanism_mid_rate() -> None:
    assert MECHANISMS["mid_rate"] is mid_rate.clear


def measured(community: Community, flows_wh: dict[str, tuple[int, int]]) -> None:
    """Run a period up to its settlement, without a request."""
    community.open()
    community.fix()
    community.report(
        [
            community.record(name, import_wh=import_wh, export_wh=export_wh)
            for name, (import_wh, export_wh) in flows_wh.items()
        ]
    )


def test_what_was_measured_is_shared_without_a_request_or_escrow() -> None:
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B")], rules=RULES)
    community.open()
    community.ingest([community.request("ann", 999), community.request("bob", -999)])
    assert community.fix() == {"agreed_wh": 0, "escrow_ut": 0, "pages": 1, "trades": 0}
    records = {"ann": (20, 520), "bob": (300, 0), "cy": (400, 0)}
    community.report([community.record(name, import_wh=i, export_wh=e) for name, (i, e) in records.items()])
    result = community.settle()
    # Ann has 520 - 20 Wh over. (300,000 + 50,000 - 10,000) / 2 within a feeder, (300,000 + 50,000 - 20,000) / 2 beyond.
    assert community.trades() == [
        ["feeder", 1, 0, 300, 300, 51_000, 3_000, 170_000],
        ["community", 2, 0, 200, 200, 33_000, 4_000, 165_000],
    ]
    assert (result["traded_wh"], result["paid_ut"], result["fees_ut"]) == (500, 84_000, 7_000)
    assert community.purse_ut("ann") == 10_000_000 + 84_000
    assert community.purse_ut("bob") == 10_000_000 - 54_000
    assert community.ledger("period", period=START)["deal"] == {
        "agreed_wh": 500,
        "escrow_ut": 91_000,
        "pages": 2,
        "trades": 2,
    }
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_a_buyer_gets_what_his_purse_covers_and_the_others_the_rest() -> None:
    community = Community(
        [Home(name="ann"), Home(name="bob", purse_ut=30_200), Home(name="cy")],
        rules={**RULES, "fee_feeder_ut_per_kwh": 0},
    )
    measured(community, {"ann": (0, 500), "bob": (300, 0), "cy": (450, 0)})
    community.settle()
    # At most at 300,000 + 2,000 ut/kWh: Bob is good for 100 Wh; of 550 Wh wanted 500 are shared, 90.9 and 409.1.
    assert [(row[1], row[4]) for row in sorted(community.trades())] == [(1, 91), (2, 409)]


def test_a_home_without_good_data_and_a_market_given_up_trade_nothing() -> None:
    community = Community([Home(name="ann"), Home(name="bob")], rules=RULES)
    measured(community, {"ann": (0, 500)})
    assert community.settle()["trades"] == 0
    community = Community([Home(name="ann"), Home(name="bob")], rules=RULES)
    measured(community, {"ann": (0, 500), "bob": (300, 0)})
    community.abort()
    assert community.settle()["trades"] == 0
    assert community.purse_ut("ann") == community.purse_ut("bob") == 10_000_000


def test_the_first_page_takes_into_escrow_what_the_others_pay_out() -> None:
    with small_pages(2):
        community = Community([Home(name=name) for name in ("ann", "bob", "cy", "dee")], rules=RULES, page_size=2)
        measured(community, {"ann": (0, 500), "bob": (0, 100), "cy": (300, 0), "dee": (300, 0)})
        assert community.refusal("ledger", "settle", period=START, page=1) is LedgerRefusal.TOO_EARLY
        community.ledger("settle", period=START, page=0)
        assert community.tokens().escrow_ut > 0
        assert community.tokens().together_ut == community.tokens().issued_ut
        assert community.purse_ut("cy") < 10_000_000 < community.purse_ut("ann")
        community.ledger("settle", period=START, page=1)
        assert community.ledger("finalise", period=START)["traded_wh"] == 600
        assert community.tokens().together_ut == community.tokens().issued_ut


def test_who_moved_out_meanwhile_is_paid_and_buys_nothing() -> None:
    ann, bob, cy = Home(name="ann"), Home(name="bob"), Home(name="cy")
    community = Community([ann, bob, cy], rules=RULES)
    community.open()
    community.fix()
    community.move_in(ann, "dee's owner")
    community.move_in(bob, "dee's owner", counter=2)
    community.publish()
    community.fill_purse("bob", 1_000_000)
    community.open(FIRST.next)
    flows_wh = {"ann": (0, 500), "bob": (300, 0), "cy": (200, 0)}
    community.report([community.record(name, import_wh=i, export_wh=e) for name, (i, e) in flows_wh.items()])
    result = community.settle()
    # Bob's old purse is closed, and the new party's does not pay for what it has not used.
    assert community.trades() == [["feeder", 2, 0, 200, 200, 34_000, 2_000, 170_000]]
    assert (community.purse_ut("bob"), community.purse_ut("cy")) == (1_000_000, 10_000_000 - 36_000)
    wallets_ut = [community.ledger("wallet", party=identity_of(home.owner))["balance_ut"] for home in (ann, bob)]
    assert wallets_ut == [10_000_000 + result["paid_ut"], 10_000_000]
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_a_suspended_home_shares_in_nothing() -> None:
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy")], rules=RULES)
    community.open()
    community.fix()
    for organisation in (DSO, MEMBERS):
        community.ledger("suspend", by=organisation, slot=1, reason="meter opened")
    flows_wh = {"ann": (0, 500), "bob": (300, 0), "cy": (100, 0)}
    community.report([community.record(name, import_wh=i, export_wh=e) for name, (i, e) in flows_wh.items()])
    assert community.settle()["traded_wh"] == 100


def test_a_gap_that_is_filled_later_takes_nothing_from_what_was_shared() -> None:
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy")], rules=RULES)
    measured(community, {"ann": (0, 500), "bob": (300, 0)})
    community.settle()
    community.seal()
    before = community.trades()
    result = community.correct([[2, 400, 0]])
    assert (result["traded_wh"], community.version()["delta"]) == (300, [])
    assert community.ledger("corrected_page", period=START, version=2, page=0)["trades"] == before
    corrected = community.corrected("cy")
    assert (corrected["quality"], corrected["import_wh"], corrected["bought_wh"]) == ("substituted", 400, 0)


def test_repeated_settling_answers_the_same_and_changes_nothing() -> None:
    community = Community([Home(name="ann"), Home(name="bob")], rules=RULES)
    measured(community, {"ann": (0, 500), "bob": (300, 0)})
    first = community.ledger("settle", period=START, page=0)
    before = community.snapshot()
    assert community.ledger("settle", period=START, page=0) == first
    assert community.ledger("activate", period=START)["trades"] == 1
    assert community.snapshot() == before


def test_what_by_hand_was_sold_is_not_shared_again() -> None:
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy")], rules=RULES)
    for name in ("ann", "bob"):
        community.fill_wallet(name, 1_000_000)
    second = FIRST.next
    community.open()
    community.pick_offer("bob", community.add_offer("ann", energy_wh=200))
    community.fix()
    community.report([community.record(name) for name in ("ann", "bob", "cy")])
    community.settle()
    community.open(second)
    community.fix(second)
    flows_wh = {"ann": (0, 500), "bob": (300, 0), "cy": (900, 0)}
    records = [community.record(name, import_wh=i, export_wh=e, period=second) for name, (i, e) in flows_wh.items()]
    community.report(records, period=second)
    assert community.settle(second)["traded_wh"] == 300
    assert community.statement("ann", period=second)["firm_sold_wh"] == 200
    # Of 300 Wh left, Bob lacks 100 and Cy 900.
    page = community.ledger("settled_page", period=second.start_utc, page=0)
    assert sorted((row[1], row[4]) for row in page["trades"]) == [(1, 30), (2, 270)]


def test_the_mechanism_may_change_while_periods_are_under_way() -> None:
    community = Community([Home(name="ann"), Home(name="bob")], rules=RULES)
    second = FIRST.next
    changed = {**community.contract("rules", version=1)["rules"], "mechanism": "pool", "pool_time_limit_s": 1_800}
    for organisation in (DSO, MEMBERS):
        community.contract("vote_rules", by=organisation, from_utc=second.start_utc, rules=changed)
    community.publish()
    measured(community, {"ann": (0, 500), "bob": (300, 0)})
    community.open(second)
    community.ingest(
        [community.request("ann", 500, period=second), community.request("bob", -300, period=second)], period=second
    )
    assert community.fix(second)["agreed_wh"] == 300
    assert community.settle()["traded_wh"] == 300
    records = [
        community.record("ann", export_wh=500, period=second),
        community.record("bob", import_wh=300, period=second),
    ]
    community.report(records, period=second)
    assert community.settle(second)["traded_wh"] == 300
    assert community.tokens().together_ut == community.tokens().issued_ut
