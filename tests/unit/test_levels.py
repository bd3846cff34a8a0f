from dataclasses import replace

import pytest

from wattpool_chaincode.market import pool, uniform
from wattpool_chaincode.market.levels import Level, Wish, clear, clear_level, residual
from wattpool_chaincode.market.order import Match, Mechanism, Outcome, Terms

TERMS = Terms(alpha_ut_per_kwh=1, beta_ut_per_kwh=2)
FEES = {Level.FEEDER: 20, Level.COMMUNITY: 50}


def wish(slot: int, balance_wh: int, limit: int, feeder: str = "A") -> Wish:
    return Wish(slot=slot, feeder=feeder, lot=bytes([slot]), balance_wh=balance_wh, limit_ut_per_kwh=limit)


def cleared(bid_slot: int, offer_slot: int, energy_wh: int, price: int) -> Match:
    return Match(
        bid_slot=bid_slot,
        offer_slot=offer_slot,
        energy_wh=energy_wh,
        price_ut_per_kwh=price,
        asked_ut_per_kwh=price,
        bid_ut_per_kwh=price,
        outcome=Outcome.CLEARED,
    )


def test_what_a_feeder_leaves_goes_up_to_the_community() -> None:
    wishes = [wish(3, 80, 120, "B"), wish(1, -100, 300, "A"), wish(2, 40, 100, "A"), wish(4, 10, 260, "B")]
    feeder_a, feeder_b, community = clear(uniform.clear, wishes, fees_ut_per_kwh=FEES, terms=TERMS)
    assert (feeder_a.level, feeder_a.feeder) == (Level.FEEDER, "A")
    assert feeder_a.matches == [cleared(1, 2, 40, (300 - 20 + 100) // 2)]
    assert (feeder_b.level, feeder_b.feeder, feeder_b.matches) == (Level.FEEDER, "B", [])
    assert (community.level, community.feeder) == (Level.COMMUNITY, None)
    assert community.matches == [cleared(1, 3, 60, (300 - 50 + 120) // 2)]


@pytest.mark.parametrize(
    ("limit", "matches"),
    [
        pytest.param(120, [cleared(1, 2, 5, 100)], id="all-in limit less fee equals the cost"),
        pytest.param(119, [], id="the fee eats the gain"),
        pytest.param(19, [], id="the limit does not cover the fee"),
    ],
)
def test_the_buyer_pays_the_fee_of_the_level(limit: int, matches: list[Match]) -> None:
    wishes = [wish(1, -5, limit), wish(2, 5, 100)]
    assert clear_level(uniform.clear, wishes, fee_ut_per_kwh=20, terms=TERMS) == matches


def test_a_limit_below_the_fee_takes_no_part_even_if_energy_is_given_away() -> None:
    wishes = [wish(1, -5, 19), wish(2, -5, 20), wish(3, 10, 0)]
    assert clear_level(uniform.clear, wishes, fee_ut_per_kwh=20, terms=TERMS) == [cleared(2, 3, 5, 0)]


def test_the_lot_of_a_wish_decides_between_equals() -> None:
    wishes = [wish(1, -1, 200), replace(wish(2, 5, 100), lot=b"later"), replace(wish(3, 5, 100), lot=b"earlier")]
    assert clear_level(uniform.clear, wishes, fee_ut_per_kwh=0, terms=TERMS) == [cleared(1, 3, 1, 150)]


def test_residual_keeps_order_and_drops_what_is_met() -> None:
    wishes = [wish(5, 30, 100), wish(1, -20, 300), wish(4, 7, 90), wish(2, -40, 300)]
    matches = [cleared(1, 5, 20, 200), cleared(2, 5, 6, 200)]
    assert residual(wishes, matches) == [wish(5, 4, 100), wish(4, 7, 90), wish(2, -34, 300)]


def test_a_rejected_pair_goes_up_whole() -> None:
    wishes = [wish(1, -10, 41), wish(2, 10, 20)]
    matches = clear_level(pool.clear, wishes, fee_ut_per_kwh=20, terms=TERMS)
    assert [match.outcome for match in matches] == [Outcome.REJECTED]
    assert residual(wishes, matches) == wishes


@pytest.mark.parametrize("mechanism", [pool.clear, uniform.clear])
def test_a_community_without_wishes_clears_to_nothing(mechanism: Mechanism) -> None:
    (community,) = clear(mechanism, [], fees_ut_per_kwh=FEES, terms=TERMS)
    assert (community.level, community.matches) == (Level.COMMUNITY, [])
