from wattpool_chaincode.market import pay_as_bid
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.market.order import Match, Order, Outcome, Terms

TERMS = Terms(alpha_ut_per_kwh=1, beta_ut_per_kwh=2)


def order(slot: int, energy_wh: int, limit: int) -> Order:
    return Order(slot=slot, lot=bytes([slot]), energy_wh=energy_wh, limit_ut_per_kwh=limit)


def match(bid_slot: int, offer_slot: int, energy_wh: int, *, bid: int, asked: int) -> Match:
    return Match(
        bid_slot=bid_slot,
        offer_slot=offer_slot,
        energy_wh=energy_wh,
        price_ut_per_kwh=bid,
        asked_ut_per_kwh=asked,
        bid_ut_per_kwh=bid,
        outcome=Outcome.CLEARED,
    )


def test_by_merit_every_buyer_pays_his_limit() -> None:
    bids = [order(1, 30, 50), order(2, 30, 70), order(3, 30, 25)]
    offers = [order(10, 40, 20), order(11, 15, 30), order(12, 40, 60)]
    assert pay_as_bid.clear(bids, offers, terms=TERMS) == [
        match(2, 10, 30, bid=70, asked=20),
        match(1, 10, 10, bid=50, asked=20),
        match(1, 11, 15, bid=50, asked=30),
    ]


def test_an_empty_market_has_no_matches() -> None:
    assert pay_as_bid.clear([], [order(10, 5, 20)], terms=TERMS) == []


def test_rules_name_this_mechanism_pay_as_bid() -> None:
    assert MECHANISMS["pay_as_bid"] is pay_as_bid.clear
