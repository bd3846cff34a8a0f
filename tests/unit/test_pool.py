from dataclasses import replace

import pytest

from wattpool_chaincode.market import pool
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.market.order import Match, Order, Outcome, Terms

TERMS = Terms(alpha_ut_per_kwh=1, beta_ut_per_kwh=2)
ACCEPTED, COUNTERED, REJECTED = Outcome.ACCEPTED, Outcome.COUNTERED, Outcome.REJECTED


def order(slot: int, energy_wh: int, limit: int) -> Order:
    return Order(slot=slot, lot=bytes([slot]), energy_wh=energy_wh, limit_ut_per_kwh=limit)


def match(pair: tuple[int, int], energy_wh: int, outcome: Outcome, *, asked: int, bid: int) -> Match:
    return Match(
        bid_slot=pair[0],
        offer_slot=pair[1],
        energy_wh=energy_wh,
        price_ut_per_kwh=asked if outcome is ACCEPTED else bid,
        asked_ut_per_kwh=asked,
        bid_ut_per_kwh=bid,
        outcome=outcome,
    )


@pytest.mark.parametrize(
    ("bids", "offers", "expected"),
    [
        pytest.param([order(1, 10, 30)], [], [], id="line 1: nobody in the neighbourhood sells"),
        pytest.param([order(1, 10, 19)], [order(10, 10, 20)], [], id="line 5: nobody the buyer could pay"),
        pytest.param(
            [order(1, 10, 30)],
            [order(10, 10, 20)],
            [match((1, 10), 10, ACCEPTED, asked=20 + 1, bid=30 - 2)],
            id="lines 9-10: accepted at the price asked",
        ),
        pytest.param(
            [order(1, 10, 23)],
            [order(10, 10, 20)],
            [match((1, 10), 10, ACCEPTED, asked=21, bid=21)],
            id="line 9: an equal price is accepted",
        ),
        pytest.param(
            [order(1, 10, 22)],
            [order(10, 10, 20)],
            [match((1, 10), 10, COUNTERED, asked=21, bid=20)],
            id="lines 13-15, 18-19: the counter price is accepted, down to generation cost",
        ),
        pytest.param(
            [order(1, 10, 21)],
            [order(10, 10, 20)],
            [match((1, 10), 0, REJECTED, asked=21, bid=19)],
            id="lines 16-17: a counter price below generation cost is rejected",
        ),
        pytest.param(
            [order(1, 10, 30)],
            [order(10, 5, 20), order(11, 9, 21)],
            [
                match((1, 10), 5, ACCEPTED, asked=21, bid=30 - 2 * 2),
                match((1, 11), 5, ACCEPTED, asked=22, bid=30 - 2 * 2),
            ],
            id="lines 2-4: two sellers cover together what neither covers alone, each lowers the price bid",
        ),
        pytest.param(
            [order(1, 30, 30)],
            [order(10, 10, 20)],
            [match((1, 10), 10, ACCEPTED, asked=21, bid=28)],
            id="line 5: only what is not covered goes up",
        ),
        pytest.param(
            [order(1, 5, 30), order(2, 5, 23)],
            [order(10, 10, 20)],
            [
                match((1, 10), 5, ACCEPTED, asked=20 + 2 * 1, bid=28),
                match((2, 10), 5, COUNTERED, asked=20 + 2 * 1, bid=21),
            ],
            id="line 8: each interested buyer raises the price asked, each pair negotiates for itself",
        ),
        pytest.param(
            [order(1, 15, 26)],
            [order(10, 5, 20), order(11, 5, 22), order(12, 5, 22)],
            [
                match((1, 10), 5, ACCEPTED, asked=21, bid=26 - 2 * 2),
                match((1, 11), 5, COUNTERED, asked=23, bid=26 - 2 * 2),
                match((1, 12), 5, ACCEPTED, asked=23, bid=26 - 2),
            ],
            id="a third seller would bring the price bid to 20, below his cost: he opens the next coalition",
        ),
        pytest.param(
            [order(1, 10, 30), order(2, 10, 23)],
            [order(10, 10, 20), order(11, 10, 22)],
            [
                match((1, 10), 10, ACCEPTED, asked=21, bid=28),
                match((2, 11), 0, REJECTED, asked=23, bid=21),
            ],
            id="line 17: the cheaper seller is taken by a dearer bid, the search goes on at the higher level",
        ),
        pytest.param(
            [order(1, 15, 30), order(2, 10, 23)],
            [order(10, 20, 20), order(11, 10, 22)],
            [
                match((1, 10), 15, ACCEPTED, asked=22, bid=28),
                match((2, 10), 5, COUNTERED, asked=22, bid=21),
                match((2, 11), 0, REJECTED, asked=23, bid=21),
            ],
            id="the rest of a demand is rejected by the next seller",
        ),
        pytest.param(
            [order(1, 10, 23)],
            [order(10, 7, 20), order(11, 5, 22), order(12, 5, 23)],
            [
                match((1, 10), 7, ACCEPTED, asked=21, bid=21),
                match((1, 11), 0, REJECTED, asked=23, bid=21),
            ],
            id="a seller whom only the whole demand would reach is not asked for its rest",
        ),
    ],
)
def test_table_2_line_by_line(bids: list[Order], offers: list[Order], expected: list[Match]) -> None:
    assert pool.clear(bids, offers, terms=TERMS) == expected


def test_a_large_buyer_needs_many_coalitions_and_leaves_nothing_offered_nearby() -> None:
    offers = [order(slot, 1, 20) for slot in range(10, 210)]
    matches = pool.clear([order(1, 200, 25)], offers, terms=TERMS)
    # 25 - 2 covers a cost of 20, 25 - 2 x 2 too, 25 - 3 x 2 does not: a hundred coalitions of two.
    assert matches == [match((1, offer.slot), 1, ACCEPTED, asked=21, bid=21) for offer in offers]


def test_without_steps_everybody_who_gains_agrees_at_cost() -> None:
    free = Terms(alpha_ut_per_kwh=0, beta_ut_per_kwh=0)
    matches = pool.clear([order(1, 5, 20), order(2, 5, 30)], [order(10, 10, 20)], terms=free)
    assert matches == [match((2, 10), 5, ACCEPTED, asked=20, bid=30), match((1, 10), 5, ACCEPTED, asked=20, bid=20)]


def test_rules_name_this_mechanism_pool() -> None:
    assert MECHANISMS["pool"] is pool.clear


TIED = [order(1, 10, 30), order(2, 10, 30)]


def pairs(matches: list[Match]) -> list[tuple[int, int, int]]:
    return [(one.bid_slot, one.offer_slot, one.energy_wh) for one in matches]


def test_partners_meet_first_and_leave_the_rest_to_new_coalitions() -> None:
    offers = [order(10, 10, 20), order(11, 12, 22)]
    assert pairs(pool.clear(TIED, offers, terms=TERMS)) == [(1, 10, 10), (2, 11, 10)]
    together = replace(TERMS, partners=((1, 11),))
    # Buyer 1 stays with seller 11, who has 2 Wh over; buyer 2 finds the cheaper seller free.
    assert pairs(pool.clear(TIED, offers, terms=together)) == [(1, 11, 10), (2, 10, 10)]


def test_partners_with_new_orders_agree_as_far_as_these_allow() -> None:
    offers = [order(10, 4, 20), order(11, 12, 29)]
    together = replace(TERMS, partners=((1, 10), (1, 11), (2, 12), (3, 10)))
    matches = pool.clear(TIED, offers, terms=together)
    # Seller 11 has become too dear for eq. (3), 12 and 3 ask for nothing; seller 10 is shared by nobody else.
    assert pairs(matches) == [(1, 10, 4), (1, 11, 0), (2, 11, 0)]
    assert [match.outcome for match in matches] == [ACCEPTED, REJECTED, REJECTED]


def test_a_seller_in_a_kept_and_a_new_coalition_asks_for_both() -> None:
    together = replace(TERMS, partners=((2, 10),))
    matches = pool.clear(TIED, [order(10, 15, 20)], terms=together)
    assert pairs(matches) == [(2, 10, 10), (1, 10, 5)]
    assert {match.asked_ut_per_kwh for match in matches} == {20 + 2 * 1}
