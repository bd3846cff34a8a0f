"""Offers by hand: 1 kWh for 150,000 ut/kWh from Ann, whose tokens are locked as are those of who picks it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home, identity_of, key_of, signed, tariff
from wattpool.offers import Owner, Terms, offer_id
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger import offers
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.memory import MemoryContext
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import DAY_S, Period

SECOND = FIRST.next
THIRD = SECOND.next
WALLET_UT = 1_000_000
DEPOSIT_UT = 75_000
# Price and network fee of 1 kWh within a feeder, and between two.
NEAR_UT, FAR_UT = 160_000, 170_000
NAMES = ("ann", "bob", "cy")


@pytest.fixture
def community() -> Community:
    """Ann and Bob on one feeder, Cy on another; each owner holds a token, and the first period is sealed."""
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B")])
    for name in NAMES:
        community.fill_wallet(name, WALLET_UT)
    community.run_period({}, dict.fromkeys(NAMES, (0, 0)))
    return community


def wallets_ut(community: Community) -> tuple[int, ...]:
    return tuple(community.wallet_ut(name) - WALLET_UT for name in NAMES)


def state_of(community: Community, offer: str) -> tuple[str, int]:
    """Return the phase of an offer, and what it holds."""
    value = community.ledger("offer", offer=offer)
    return value["phase"], value["held_ut"]


def deliver(community: Community, measured_wh: Mapping[str, tuple[int, int]], *, period: Period = SECOND) -> Any:
    """Take a period through the market in which only firm trades are made."""
    return community.run_period({}, measured_wh, period=period)


def test_an_offer_is_listed_and_its_deposit_locked(community: Community) -> None:
    order = community.offer_order("ann")
    offer = codec.content_id(order[0].encode())
    assert community.ledger("add_offer", by=MEMBERS, order=order) == {"offer": offer, "phase": "offered"}
    listed = {
        "deposit_ut": DEPOSIT_UT,
        "energy_wh": 1_000,
        "from_utc": SECOND.start_utc,
        "held_ut": DEPOSIT_UT,
        "level": "community",
        "offer": offer,
        "offered_utc": FIRST.start_utc,
        "outcome": None,
        "phase": "offered",
        "pick": None,
        "price_ut_per_kwh": 150_000,
        "progress": None,
        "seller": identity_of("ann's owner"),
        "slot": 0,
        "until_utc": SECOND.end_utc,
    }
    assert community.ledger("list_offers", bookmark="") == {"bookmark": "", "offers": [listed]}
    assert wallets_ut(community) == (-DEPOSIT_UT, 0, 0)


def test_the_owners_side_signs_what_the_ledger_takes(community: Community) -> None:
    ann, bob = (Owner(community="demo", key=key_of(name)) for name in ("ann's owner", "bob's owner"))
    assert ann.party == identity_of("ann's owner")
    terms = Terms(slot=0, energy_wh=1_000, price_ut_per_kwh=150_000, first=SECOND, last=THIRD, level=Level.FEEDER)
    # The first order of each owner was the deposit into the purse.
    order = ann.offer(terms, offered=FIRST, counter=2)
    assert community.ledger("add_offer", order=order.to_json())["offer"] == offer_id(order)
    pick = bob.pick(offer_id(order), slot=1, counter=2)
    assert community.ledger("pick_offer", order=pick.to_json())["phase"] == "picked"
    other = ann.offer(terms, offered=FIRST, counter=3)
    community.ledger("add_offer", order=other.to_json())
    cancelled = community.ledger("cancel_offer", order=ann.cancel(offer_id(other), counter=4).to_json())
    assert cancelled == {"offer": offer_id(other), "phase": "cancelled"}


def test_the_list_ends_with_what_can_still_be_picked_and_comes_in_pages(
    community: Community, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = community.add_offer("ann", from_utc=THIRD.start_utc, until_utc=THIRD.end_utc)
    early = [community.add_offer(name) for name in ("bob", "cy")]
    picked = community.add_offer("bob", energy_wh=1)
    community.pick_offer("ann", picked)
    monkeypatch.setattr(offers, "LIST_SIZE", 2)
    first = community.ledger("list_offers", bookmark="")
    assert [one["offer"] for one in first["offers"]] == sorted(early)
    second = community.ledger("list_offers", bookmark=first["bookmark"])
    assert [one["offer"] for one in second["offers"]] == [late]
    assert second["bookmark"] == ""
    community.open(SECOND)
    assert [one["offer"] for one in community.ledger("list_offers", bookmark="")["offers"]] == sorted(early)
    community.fix(SECOND)
    assert [one["offer"] for one in community.ledger("list_offers", bookmark="")["offers"]] == [late]


def test_offers_tell_in_pages_what_they_hold(community: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    offered, confirmed, cancelled = (community.add_offer("ann", energy_wh=energy_wh) for energy_wh in (100, 200, 300))
    community.pick_offer("bob", confirmed)
    community.ledger("cancel_offer", order=community.order("ann's owner", "cancel", offer=cancelled))
    monkeypatch.setattr(offers, "LIST_SIZE", 1)
    pages, bookmark = [], ""
    for _ in range(3):
        page = community.ledger("offers_held", bookmark=bookmark)
        pages.append(page["held_ut"])
        bookmark = page["bookmark"]
    assert bookmark == ""
    # Half the price is put aside; the buyer adds price and fee, 150,000 and 10,000 for a kilowatt-hour.
    assert sorted(pages) == [0, 7_500, 15_000 + 32_000]
    held_ut = [community.ledger("offer", offer=one)["held_ut"] for one in (offered, confirmed, cancelled)]
    assert held_ut == [7_500, 47_000, 0]


@pytest.mark.parametrize(("buyer", "escrow_ut", "level"), [("bob", NEAR_UT, "feeder"), ("cy", FAR_UT, "community")])
def test_a_pick_locks_price_and_network_fee(community: Community, buyer: str, escrow_ut: int, level: str) -> None:
    offer = community.add_offer("ann")
    answer = community.ledger("pick_offer", by=DSO, order=community.pick_order(buyer, offer))
    assert answer == {"offer": offer, "phase": "picked"}
    assert community.wallet_ut(buyer) == WALLET_UT - escrow_ut
    assert state_of(community, offer) == ("picked", DEPOSIT_UT + escrow_ut)
    assert community.ledger("offer", offer=offer)["pick"] == {
        "buyer": identity_of(f"{buyer}'s owner"),
        "escrow_ut": escrow_ut,
        "level": level,
        "roster": 1,
        "slot": NAMES.index(buyer),
    }
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_a_confirmed_offer_tells_both_meters_what_to_begin_and_when(community: Community) -> None:
    offer = community.add_offer("ann", energy_wh=1_001, until_utc=THIRD.end_utc)
    community.ledger("pick_offer", order=community.pick_order("bob", offer))
    assert community.ledger("to_begin", period=SECOND.start_utc, slot=0) == []
    community.ledger("confirm_p2l", by=MEMBERS, offer=offer)
    for period, energy_wh in ((SECOND, 500), (THIRD, 501)):
        for slot, side in ((0, "export"), (1, "import")):
            expected = [{"energy_wh": energy_wh, "offer": offer, "side": side}]
            assert community.ledger("to_begin", period=period.start_utc, slot=slot) == expected
        assert community.ledger("to_begin", period=period.start_utc, slot=2) == []
    assert community.ledger("to_begin", period=THIRD.next.start_utc, slot=0) == []


def test_each_step_is_told_to_whoever_listens(community: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(MemoryContext, "emit", lambda _, name, payload: told.append((name, codec.decode(payload))))
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    begin = {"energy_wh": 1_000, "from_utc": SECOND.start_utc, "offer": offer, "slot": 0, "until_utc": SECOND.end_utc}
    assert told[0] == ("offer", {"offer": offer, "phase": "offered"})
    assert told[1] == ("offer", {"offer": offer, "phase": "picked"})
    # One transaction has one event: the last one.
    assert told[-1] == ("begin", begin)


@pytest.mark.parametrize(
    ("measured_wh", "phase", "gains_ut", "fees_ut"),
    [
        ((1_000, 1_000), "paid", (150_000, -160_000, 0), 10_000),
        ((1_200, 1_500), "paid", (150_000, -160_000, 0), 10_000),
        ((900, 1_000), "paid", (135_000, -144_000, 0), 9_000),
        # 200 Wh short, of which 100 Wh are tolerated.
        ((800, 1_000), "paid", (112_000, -120_000, 0), 8_000),
        ((1_000, 800), "paid", (128_000, -136_000, 0), 8_000),
        # The buyer lacked no more than 50 Wh himself.
        ((800, 850), "paid", (120_000, -128_000, 0), 8_000),
        ((499, 1_000), "declined", (-72_000, 72_000, 0), 0),
        ((1_000, 499), "declined", (72_000, -72_000, 0), 0),
        ((0, 0), "declined", (0, 0, 0), 0),
    ],
)
def test_what_was_delivered_is_paid_and_what_was_not_is_answered_for(
    community: Community, measured_wh: tuple[int, int], phase: str, gains_ut: tuple[int, ...], fees_ut: int
) -> None:
    export_wh, import_wh = measured_wh
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    result = deliver(community, {"ann": (0, export_wh), "bob": (import_wh, 0), "cy": (700, 0)})
    delivered_wh = min(1_000, export_wh, import_wh)
    assert [(row[0], row[1]) for row in result["firm"]] == [(offer, delivered_wh)]
    assert state_of(community, offer)[0] == "proved"
    assert community.tokens().together_ut == community.tokens().issued_ut
    answer = community.ledger("confirm_l2p", by=MEMBERS, offer=offer)
    assert answer == {"offer": offer, "phase": phase}
    assert state_of(community, offer) == (phase, 0)
    assert wallets_ut(community) == gains_ut
    assert community.ledger("supply")["fees_ut"] == fees_ut
    assert community.tokens().together_ut == community.tokens().issued_ut
    ann, bob = (community.statement(name, SECOND) for name in ("ann", "bob"))
    assert (ann["firm_sold_wh"], bob["firm_bought_wh"]) == (delivered_wh, delivered_wh)
    assert (ann["sold_wh"], bob["bought_wh"], result["traded_wh"]) == (0, 0, 0)


def test_every_step_repeated_answers_the_same_and_changes_nothing(community: Community) -> None:
    offer = community.add_offer("ann")
    community.ledger("pick_offer", order=community.pick_order("bob", offer))

    def require_repeatable(function: str) -> None:
        answer = community.ledger(function, offer=offer)
        before = community.snapshot()
        assert community.ledger(function, by=DSO, offer=offer) == answer
        assert community.snapshot() == before

    require_repeatable("confirm_p2l")
    deliver(community, {"ann": (0, 1_000), "bob": (1_000, 0)})
    require_repeatable("confirm_l2p")
    assert community.ledger("confirm_p2l", offer=offer)["phase"] == "paid"
    other = community.add_offer("ann", from_utc=THIRD.start_utc, until_utc=THIRD.end_utc)
    deliver(community, {}, period=THIRD)
    offer = other
    require_repeatable("expire_offer")


def test_firm_trades_come_before_the_pool_and_the_pool_before_the_grid(community: Community) -> None:
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    community.open(SECOND)
    wishes_wh = {"ann": 1_500, "bob": -900, "cy": -700}
    community.ingest([community.request(name, wish, period=SECOND) for name, wish in wishes_wh.items()], period=SECOND)
    # Ann has 500 Wh for the pool, Bob wants nothing of it, Cy takes them all.
    assert community.fix(SECOND)["agreed_wh"] == 500
    measured_wh = {"ann": (0, 1_300), "bob": (1_000, 0), "cy": (400, 0)}
    records = [
        community.record(name, import_wh=import_wh, export_wh=export_wh, period=SECOND)
        for name, (import_wh, export_wh) in measured_wh.items()
    ]
    community.report(records, period=SECOND)
    result = community.settle(SECOND)
    assert [trade[1:5] for trade in community.trades(SECOND)] == [[2, 0, 500, 300]]
    assert result["firm"] == [[offer, 1_000, 0, 0, 0]]
    ann = community.statement("ann", SECOND)
    assert (ann["export_wh"], ann["firm_sold_wh"], ann["sold_wh"]) == (1_300, 1_000, 300)


def test_requests_at_the_gate_keep_what_firm_trades_leave(community: Community) -> None:
    community.pick_offer("bob", community.add_offer("ann", energy_wh=300))
    community.pick_offer("cy", community.add_offer("ann", energy_wh=200))
    community.open(SECOND)
    wishes_wh = {"ann": 400, "bob": -500, "cy": 600}
    community.ingest([community.request(name, wish, period=SECOND) for name, wish in wishes_wh.items()], period=SECOND)
    community.ledger("close", period=SECOND.start_utc)
    book = codec.decode(community.network.states["ledger"].private["meter_data", f"book/{SECOND.start_utc:011}"])
    # Ann promised more than she has; what Cy promised to take is no part of what he sells.
    assert [(slot, balance_wh) for slot, _, balance_wh, _ in book["orders"]] == [(0, 0), (1, -200), (2, 600)]


def test_a_window_of_several_periods_is_delivered_evenly_and_what_is_late_is_caught_up(community: Community) -> None:
    offer = community.add_offer("ann", until_utc=THIRD.next.end_utc)
    community.pick_offer("bob", offer)
    expected = [
        # 333 Wh are due; what is ahead of that is not the trade's.
        ((0, 600), (900, 0), [333, 0, 0, 0]),
        # 666 Wh are due in all; Bob draws 233 of the 313 Wh that he needs from the grid for want of them.
        ((0, 100), (413, 0), [433, 0, 233, 0]),
        # 567 Wh are due; Ann has them all.
        ((0, 567), (600, 0), [1_000, 0, 233, 0]),
    ]
    period = SECOND
    for ann, bob, progress in expected:
        assert deliver(community, {"ann": ann, "bob": bob}, period=period)["firm"] == [[offer, *progress]]
        period = period.next
    proof = community.ledger("proof_of_delivery", offer=offer)
    assert [one["delivered_wh"] for one in proof] == [333, 433, 1_000]
    assert [one["period"] for one in proof] == [SECOND.start_utc, THIRD.start_utc, THIRD.next.start_utc]
    assert proof[-1]["seal"] == community.ledger("period", period=THIRD.next.start_utc)["seal"]["seal"]
    community.ledger("confirm_l2p", offer=offer)
    assert wallets_ut(community) == (150_000, -NEAR_UT, 0)


def test_the_proof_of_a_final_period_has_no_seal_yet(community: Community) -> None:
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    assert community.ledger("proof_of_delivery", offer=offer) == []
    community.open(SECOND)
    community.fix(SECOND)
    community.settle(SECOND)
    excused = {"delivered_wh": 0, "drawn_wh": 0, "excused_wh": 1_000, "spilled_wh": 0}
    proof = {"period": SECOND.start_utc, "seal": None, **excused}
    assert community.ledger("proof_of_delivery", offer=offer) == [proof]


def no_record_of_the_seller(community: Community) -> None:
    deliver(community, {"bob": (1_000, 0)})


def no_record_of_the_buyer(community: Community) -> None:
    deliver(community, {"ann": (0, 1_000)})


def curtailed(community: Community) -> None:
    community.ledger("curtail", by=DSO, period=SECOND.start_utc, feeder="A", reason="fault")
    deliver(community, {"ann": (0, 100), "bob": (1_000, 0)})


def curtailed_after_delivery(community: Community) -> None:
    community.open(SECOND)
    community.fix(SECOND)
    community.report([community.record("bob", import_wh=1_000, period=SECOND)], period=SECOND)
    for _ in range(2):
        community.ledger("curtail", by=DSO, period=SECOND.start_utc, feeder="A", reason="fault")
    community.settle(SECOND)


def given_up(community: Community) -> None:
    community.open(SECOND)
    community.abort(SECOND)
    records = [community.record("ann", period=SECOND), community.record("bob", import_wh=1_000, period=SECOND)]
    community.report(records, period=SECOND)
    community.settle(SECOND)


@pytest.mark.parametrize(
    "happens",
    [no_record_of_the_seller, no_record_of_the_buyer, curtailed, curtailed_after_delivery, given_up],
)
def test_what_nobody_is_at_fault_for_returns_everything(
    community: Community, happens: Callable[[Community], None]
) -> None:
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    happens(community)
    assert community.ledger("confirm_l2p", offer=offer)["phase"] == "declined"
    assert wallets_ut(community) == (0, 0, 0)
    assert community.ledger("supply")["fees_ut"] == 0


def test_another_feeders_curtailment_excuses_nothing(community: Community) -> None:
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    community.ledger("curtail", by=DSO, period=SECOND.start_utc, feeder="B", reason="fault")
    assert deliver(community, {"ann": (0, 100), "bob": (1_000, 0)})["firm"] == [[offer, 100, 0, 900, 0]]


def test_a_cancelled_offer_returns_the_deposit_and_leaves_the_list(community: Community) -> None:
    offer = community.add_offer("ann")
    order = community.order("ann's owner", "cancel", offer=offer)
    assert community.ledger("cancel_offer", by=DSO, order=order)["phase"] == "cancelled"
    assert wallets_ut(community) == (0, 0, 0)
    assert community.ledger("list_offers", bookmark="")["offers"] == []


@pytest.mark.parametrize("is_picked", [False, True])
def test_an_offer_that_is_not_confirmed_in_time_returns_everything(community: Community, *, is_picked: bool) -> None:
    offer = community.add_offer("ann")
    if is_picked:
        community.ledger("pick_offer", order=community.pick_order("bob", offer))
    community.open(SECOND)
    assert community.refusal("ledger", "expire_offer", offer=offer) is LedgerRefusal.TOO_EARLY
    community.ledger("close", period=SECOND.start_utc)
    assert community.refusal("ledger", "confirm_p2l", offer=offer) is (
        LedgerRefusal.OFFER_EXPIRED if is_picked else LedgerRefusal.OFFER_NOT_PICKED
    )
    assert community.ledger("expire_offer", by=MEMBERS, offer=offer)["phase"] == "expired"
    assert wallets_ut(community) == (0, 0, 0)
    assert state_of(community, offer) == ("expired", 0)


def test_an_offer_can_be_made_and_picked_until_the_gate_closes(community: Community) -> None:
    community.open(SECOND)
    community.pick_offer("bob", community.add_offer("ann", offered=SECOND))
    community.ledger("close", period=SECOND.start_utc)
    order = community.offer_order("ann", offered=SECOND)
    assert community.refusal("ledger", "add_offer", order=order) is LedgerRefusal.WINDOW_PAST


def test_a_trade_is_settled_by_the_rules_and_tariffs_under_which_it_was_picked(community: Community) -> None:
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    community.contract("set_tariff", **tariff("standard", energy_ut_per_kwh=0, network_ut_per_kwh=51_000))
    community.publish()
    other = community.add_offer("ann", price_ut_per_kwh=99_000)
    order = community.pick_order("bob", other)
    # 109,000 ut/kWh all in do not beat the new tariff of 101,000, and the old trade still pays.
    assert community.refusal("ledger", "pick_offer", order=order) is LedgerRefusal.OUTSIDE_TARIFFS
    deliver(community, {"ann": (0, 1_000), "bob": (1_000, 0)})
    assert community.ledger("confirm_l2p", offer=offer)["phase"] == "paid"


def test_who_is_suspended_neither_offers_nor_picks(community: Community) -> None:
    offer = community.add_offer("bob")
    tamper = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}
    community.contract("update_meters", states=[signed("state", "ann", tamper)])
    community.publish()
    order = community.offer_order("ann")
    assert community.refusal("ledger", "add_offer", order=order) is LedgerRefusal.NOT_ADMITTED
    order = community.pick_order("ann", offer)
    assert community.refusal("ledger", "pick_offer", order=order) is LedgerRefusal.NOT_ADMITTED


def test_nothing_is_offered_before_the_market_opens() -> None:
    community = Community([Home(name="ann")])
    order = community.offer_order("ann")
    assert community.refusal("ledger", "add_offer", order=order) is LedgerRefusal.PERIOD_UNKNOWN


def test_what_comes_between_is_refused_by_the_next_period_that_opens(community: Community) -> None:
    """A window is closed once its first period lies behind the last one opened, whether or not it was ever opened."""
    order = community.offer_order("ann", from_utc=FIRST.previous.start_utc, until_utc=THIRD.end_utc)
    assert community.refusal("ledger", "add_offer", order=order) is LedgerRefusal.WINDOW_PAST


# What is refused of orders that owners sign: kind, home, what differs from an order that is taken, reason.
ORDERS_REFUSED: list[tuple[str, str, dict[str, Any], StrEnum]] = [
    ("offer", "ann", {"slot": "0"}, PayloadRefusal.MALFORMED),
    ("offer", "ann", {"energy_wh": 0}, PayloadRefusal.MALFORMED),
    ("offer", "ann", {"level": "grid"}, PayloadRefusal.MALFORMED),
    ("offer", "ann", {"by": "stranger"}, PayloadRefusal.SIGNER_UNKNOWN),
    ("offer", "ann", {"by": "bob's owner"}, LedgerRefusal.SLOT_NOT_OWNED),
    ("offer", "ann", {"slot": 3}, LedgerRefusal.SLOT_NOT_OWNED),
    ("offer", "ann", {"counter": 1}, PayloadRefusal.REPLAYED),
    ("offer", "ann", {"offered": SECOND}, PayloadRefusal.EARLY),
    ("offer", "ann", {"from_utc": SECOND.start_utc + 1}, LedgerRefusal.NOT_A_PERIOD),
    ("offer", "ann", {"until_utc": SECOND.end_utc + 1}, LedgerRefusal.NOT_A_PERIOD),
    ("offer", "ann", {"until_utc": SECOND.start_utc}, LedgerRefusal.NOT_A_PERIOD),
    ("offer", "ann", {"from_utc": FIRST.start_utc}, LedgerRefusal.WINDOW_PAST),
    (
        "offer",
        "ann",
        {"from_utc": FIRST.end_utc + 7 * DAY_S, "until_utc": SECOND.end_utc + 7 * DAY_S},
        LedgerRefusal.WINDOW_TOO_FAR,
    ),
    ("offer", "ann", {"until_utc": SECOND.end_utc + DAY_S}, LedgerRefusal.WINDOW_TOO_LONG),
    # 10 kW carry 2,500 Wh in a quarter of an hour.
    ("offer", "ann", {"energy_wh": 2_501}, LedgerRefusal.OVER_LINE_LIMIT),
    ("offer", "ann", {"price_ut_per_kwh": 50_000}, LedgerRefusal.OUTSIDE_TARIFFS),
    # A deposit of a half of 2,500 Wh at 800,001 ut/kWh is beyond a token.
    ("offer", "ann", {"energy_wh": 2_500, "price_ut_per_kwh": 800_001}, LedgerRefusal.BALANCE_TOO_LOW),
    ("pick", "bob", {"offer": "0" * 63}, PayloadRefusal.MALFORMED),
    ("pick", "bob", {"offer": "0" * 64}, LedgerRefusal.OFFER_UNKNOWN),
    ("pick", "bob", {"by": "stranger"}, PayloadRefusal.SIGNER_UNKNOWN),
    ("pick", "bob", {"by": "cy's owner"}, LedgerRefusal.SLOT_NOT_OWNED),
    ("pick", "bob", {"counter": 1}, PayloadRefusal.REPLAYED),
    ("pick", "ann", {}, LedgerRefusal.OWN_OFFER),
]


@pytest.mark.parametrize(("kind", "name", "changes", "reason"), ORDERS_REFUSED)
def test_an_order_that_breaks_a_rule_is_refused_by_name(
    community: Community, kind: str, name: str, changes: dict[str, Any], reason: StrEnum
) -> None:
    if kind == "offer":
        order = community.offer_order(name, **changes)
        assert community.refusal("ledger", "add_offer", order=order) is reason
    else:
        offer = community.add_offer("ann")
        arguments: dict[str, Any] = {"offer": offer, **changes}
        order = community.pick_order(name, arguments.pop("offer"), **arguments)
        assert community.refusal("ledger", "pick_offer", order=order) is reason


def test_an_offer_may_fill_the_line_and_end_a_day_after_it_began(community: Community) -> None:
    day: dict[str, Any] = {"price_ut_per_kwh": 50_001, "until_utc": SECOND.start_utc + DAY_S}
    community.fill_wallet("ann", 10 * WALLET_UT)
    community.add_offer("ann", energy_wh=96 * 2_500, **day)
    assert (
        community.refusal("ledger", "add_offer", order=community.offer_order("ann", energy_wh=96 * 2_500 + 1, **day))
        is LedgerRefusal.OVER_LINE_LIMIT
    )
    week = FIRST.start_utc + 7 * DAY_S
    community.add_offer("ann", from_utc=week, until_utc=week + 900)


def test_a_forged_or_foreign_order_is_refused(community: Community) -> None:
    offer = community.add_offer("ann")
    text, _ = community.pick_order("bob", offer)
    _, signature = community.pick_order("bob", offer, by="cy's owner")
    assert community.refusal("ledger", "pick_offer", order=[text, signature]) is PayloadRefusal.WRONGLY_SIGNED
    foreign = signed("pick", "bob's owner", {"offer": offer, "slot": 1}, community="other", counter=9)
    assert community.refusal("ledger", "pick_offer", order=foreign) is PayloadRefusal.FOREIGN_COMMUNITY
    cancel = community.order("bob's owner", "cancel", offer=offer)
    assert community.refusal("ledger", "cancel_offer", order=cancel) is LedgerRefusal.NOT_AUTHORISED
    order = community.pick_order("bob", offer)
    community.ledger("pick_offer", order=order)
    assert community.refusal("ledger", "pick_offer", order=order) is PayloadRefusal.REPLAYED


@pytest.mark.parametrize(
    ("buyer", "terms", "reason"),
    [
        ("cy", {"level": "feeder"}, LedgerRefusal.OUT_OF_REACH),
        ("bob", {"price_ut_per_kwh": 290_000}, LedgerRefusal.OUTSIDE_TARIFFS),
        ("cy", {"price_ut_per_kwh": 280_000}, LedgerRefusal.OUTSIDE_TARIFFS),
        ("dee", {}, LedgerRefusal.OVER_LINE_LIMIT),
        ("eve", {}, LedgerRefusal.BALANCE_TOO_LOW),
    ],
)
def test_a_pick_beyond_ones_means_is_refused(buyer: str, terms: dict[str, Any], reason: StrEnum) -> None:
    weak = Home(name="dee", line_limit_w=3_999)
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B"), weak, Home(name="eve")])
    for name in ("ann", "bob", "cy", "dee"):
        community.fill_wallet(name, WALLET_UT)
    community.fill_wallet("eve", NEAR_UT - 1)
    community.open()
    offer = community.add_offer("ann", **terms)
    assert community.refusal("ledger", "pick_offer", order=community.pick_order(buyer, offer)) is reason


@pytest.mark.parametrize("price_ut_per_kwh", [50_001, 289_999])
def test_a_price_between_the_tariffs_is_taken(community: Community, price_ut_per_kwh: int) -> None:
    community.pick_offer("bob", community.add_offer("ann", price_ut_per_kwh=price_ut_per_kwh, level="feeder"))


# What is refused of an offer on its way: how far it has come, the function, its argument or None for the offer's id
# (for an order: who signs), reason.
REFUSED: list[tuple[str, str, Any, StrEnum]] = [
    ("offered", "add_offer", {}, CallRefusal.ARGUMENT_MALFORMED),
    ("offered", "confirm_p2l", {"offer": 1}, CallRefusal.ARGUMENT_MALFORMED),
    ("offered", "confirm_p2l", {"offer": "0" * 64}, LedgerRefusal.OFFER_UNKNOWN),
    ("offered", "confirm_l2p", {"offer": "0" * 64}, LedgerRefusal.OFFER_UNKNOWN),
    ("offered", "expire_offer", {"offer": "0" * 64}, LedgerRefusal.OFFER_UNKNOWN),
    ("offered", "offer", {"offer": "0" * 64}, LedgerRefusal.OFFER_UNKNOWN),
    ("offered", "list_offers", {"bookmark": "wallet/"}, CallRefusal.ARGUMENT_MALFORMED),
    ("offered", "offers_held", {"bookmark": "offer-open/"}, CallRefusal.ARGUMENT_MALFORMED),
    ("offered", "to_begin", {"slot": 0}, CallRefusal.ARGUMENT_MALFORMED),
    ("offered", "confirm_p2l", None, LedgerRefusal.OFFER_NOT_PICKED),
    ("offered", "confirm_l2p", None, LedgerRefusal.OFFER_NOT_PICKED),
    ("offered", "proof_of_delivery", None, LedgerRefusal.OFFER_NOT_PICKED),
    ("offered", "expire_offer", None, LedgerRefusal.TOO_EARLY),
    ("picked", "pick_offer", "cy", LedgerRefusal.OFFER_TAKEN),
    ("picked", "pick_offer", "bob", LedgerRefusal.OFFER_TAKEN),
    ("picked", "cancel_offer", "ann", LedgerRefusal.OFFER_TAKEN),
    ("picked", "confirm_l2p", None, LedgerRefusal.TOO_EARLY),
    ("picked", "expire_offer", None, LedgerRefusal.TOO_EARLY),
    ("confirmed", "pick_offer", "cy", LedgerRefusal.OFFER_TAKEN),
    ("confirmed", "cancel_offer", "ann", LedgerRefusal.OFFER_TAKEN),
    ("confirmed", "confirm_l2p", None, LedgerRefusal.TOO_EARLY),
    ("confirmed", "expire_offer", None, LedgerRefusal.OFFER_TAKEN),
    ("proved", "pick_offer", "cy", LedgerRefusal.OFFER_TAKEN),
    ("proved", "cancel_offer", "ann", LedgerRefusal.OFFER_TAKEN),
    ("proved", "expire_offer", None, LedgerRefusal.OFFER_TAKEN),
    ("paid", "pick_offer", "cy", LedgerRefusal.OFFER_TAKEN),
    ("paid", "cancel_offer", "ann", LedgerRefusal.OFFER_TAKEN),
    ("cancelled", "pick_offer", "bob", LedgerRefusal.OFFER_CANCELLED),
    ("cancelled", "cancel_offer", "ann", LedgerRefusal.OFFER_CANCELLED),
    ("cancelled", "confirm_p2l", None, LedgerRefusal.OFFER_CANCELLED),
    ("cancelled", "confirm_l2p", None, LedgerRefusal.OFFER_CANCELLED),
    ("cancelled", "expire_offer", None, LedgerRefusal.OFFER_CANCELLED),
    ("late", "pick_offer", "bob", LedgerRefusal.OFFER_EXPIRED),
    ("late", "cancel_offer", "ann", LedgerRefusal.OFFER_EXPIRED),
    ("expired", "pick_offer", "bob", LedgerRefusal.OFFER_EXPIRED),
    ("expired", "cancel_offer", "ann", LedgerRefusal.OFFER_EXPIRED),
    ("expired", "confirm_p2l", None, LedgerRefusal.OFFER_EXPIRED),
    ("expired", "confirm_l2p", None, LedgerRefusal.OFFER_EXPIRED),
    ("paid", "curtail", {"period": SECOND.start_utc, "feeder": "A", "reason": ""}, LedgerRefusal.LATE),
    ("offered", "curtail", {"period": SECOND.start_utc + 1, "feeder": "A", "reason": ""}, LedgerRefusal.NOT_A_PERIOD),
    ("offered", "curtail", {"period": SECOND.start_utc, "feeder": "", "reason": ""}, CallRefusal.ARGUMENT_MALFORMED),
    # Reasons of orders whose tables are by test.
    ("out of reach", "pick_offer", "cy", LedgerRefusal.OUT_OF_REACH),
    ("suspended", "pick_offer", "bob", LedgerRefusal.NOT_ADMITTED),
]


def bring(community: Community, stage: str) -> str:
    """Bring an offer of Ann's, which Bob picks, so far; return its id."""
    if stage == "out of reach":
        return community.add_offer("ann", level="feeder")
    offer = community.add_offer("ann")
    if stage in ("picked", "confirmed", "proved", "paid"):
        community.ledger("pick_offer", order=community.pick_order("bob", offer))
    if stage in ("confirmed", "proved", "paid"):
        community.ledger("confirm_p2l", offer=offer)
    if stage in ("proved", "paid", "late", "expired"):
        deliver(community, {"ann": (0, 1_000), "bob": (1_000, 0)})
    if stage == "paid":
        community.ledger("confirm_l2p", offer=offer)
    if stage == "expired":
        community.ledger("expire_offer", offer=offer)
    if stage == "cancelled":
        community.ledger("cancel_offer", order=community.order("ann's owner", "cancel", offer=offer))
    if stage == "suspended":
        tamper = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}
        community.contract("update_meters", states=[signed("state", "bob", tamper)])
        community.publish()
    return offer


@pytest.mark.parametrize(("stage", "function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, stage: str, function: str, argument: Any, reason: StrEnum
) -> None:
    offer = bring(community, stage)
    if function == "pick_offer":
        argument = {"order": community.pick_order(argument, offer)}
    elif function == "cancel_offer":
        argument = {"order": community.order(f"{argument}'s owner", "cancel", offer=offer)}
    elif argument is None:
        argument = {"offer": offer}
    by = DSO if function == "curtail" else AGGREGATOR
    assert community.refusal("ledger", function, by=by, **argument) is reason


@pytest.mark.parametrize("by", [AGGREGATOR, MEMBERS])
def test_only_the_dso_curtails(community: Community, by: str) -> None:
    argument: dict[str, Any] = {"period": SECOND.start_utc, "feeder": "A", "reason": ""}
    assert community.refusal("ledger", "curtail", by=by, **argument) is LedgerRefusal.NOT_AUTHORISED


def test_what_anyone_may_take_further_is_listed_while_it_is_due(community: Community) -> None:
    def due() -> dict[str, list[str]]:
        listed: dict[str, list[str]] = community.ledger("offers_due")
        return {function: ids for function, ids in listed.items() if ids}

    offered, taken, forgotten = (community.add_offer("ann", energy_wh=wh) for wh in (1, 2, 3))
    for name, offer in (("bob", taken), ("cy", forgotten)):
        community.ledger("pick_offer", order=community.pick_order(name, offer))
    assert due() == {"confirm_p2l": sorted([taken, forgotten])}
    community.open(SECOND)
    community.ledger("confirm_p2l", offer=taken)
    assert due() == {"confirm_p2l": [forgotten]}
    community.fix(SECOND)
    assert due() == {"expire_offer": [offered, forgotten]}
    for offer in (offered, forgotten):
        community.ledger("expire_offer", offer=offer)
    assert due() == {}
    measured = {"ann": {"export_wh": 2}, "bob": {"import_wh": 2}, "cy": {}}
    community.report(
        [community.record(name, period=SECOND, **energy) for name, energy in measured.items()], period=SECOND
    )
    community.settle(SECOND)
    assert due() == {"confirm_l2p": [taken]}
    community.ledger("confirm_l2p", offer=taken)
    assert due() == {}
