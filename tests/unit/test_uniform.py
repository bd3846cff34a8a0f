import pytest

from wattpool_chaincode.market import uniform
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.market.order import Match, Order, Outcome, Terms

TERMS = Terms(alpha_ut_per_kwh=1, beta_ut_per_kwh=2)


def order(slot: int, energy_wh: int, limit: int) -> Order:
    return Order(slot=slot, lot=bytes([slot]), energy_wh=energy_wh, limit_ut_per_kwh=limit)


def match(bid_slot: int, offer_slot: int, energy_wh: int, price: int) -> Match:
    return Match(
        bid_slot=bid_slot,
        offer_slot=offer_slot,
        energy_wh=energy_wh,
        price_ut_per_kwh=price,
        asked_ut_per_kwh=price,
        bid_ut_per_kwh=price,
        outcome=Outcome.CLEARED,
    )


@pytest.mark.parametrize(
    ("bids", "offers", "expected"),
    [
        pytest.param([], [], [], id="an empty market"),
        pytest.param([order(1, 5, 19)], [order(10, 5, 20)], [], id="nobody gains"),
        pytest.param([order(1, 5, 20)], [order(10, 5, 20)], [match(1, 10, 5, 20)], id="equal limits are the price"),
        pytest.param([order(1, 5, 51)], [order(10, 5, 20)], [match(1, 10, 5, 35)], id="half of 71, rounded down"),
        pytest.param(
            [order(1, 30, 50), order(2, 30, 70), order(3, 30, 25)],
            [order(10, 40, 20), order(11, 15, 30), order(12, 40, 60)],
            [match(2, 10, 30, 40), match(1, 10, 10, 40), match(1, 11, 15, 40)],
            id="the marginal pair, 50 with 30, makes one price for all",
        ),
    ],
)
def test_one_price_halfway_between_the_marginal_limits(
    bids: list[Order], offers: list[Order], expected: list[Match]
) -> None:
    assert uniform.clear(bids, offers, terms=TERMS) == expected


def test_rules_name_this_mechanism_uniform() -> None:
    assert MECHANISMS["uniform"] is uniform.clear
