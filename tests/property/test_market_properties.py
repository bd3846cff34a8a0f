from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattpool_chaincode.market.levels import Level, Wish, clear, residual, within_envelopes
from wattpool_chaincode.market.mechanisms import MECHANISMS, ON_MEASURED
from wattpool_chaincode.market.order import Match, Order, Outcome, Terms
from wattpool_chaincode.market.rationing import Pair, pair_by_merit, share_by_uniform_rule

each_mechanism = pytest.mark.parametrize("name", sorted(MECHANISMS))

terms = st.builds(Terms, alpha_ut_per_kwh=st.integers(0, 5), beta_ut_per_kwh=st.integers(0, 5))
# Few limits, lots and energies, so that ties of every kind are common.
wishes = st.lists(st.tuples(st.binary(max_size=1), st.integers(1, 40), st.integers(0, 30)), max_size=9)
books = st.tuples(wishes, wishes).map(lambda both: (orders(0, both[0]), orders(100, both[1])))
Book = tuple[list[Order], list[Order]]


def orders(first_slot: int, wishes: Sequence[tuple[bytes, int, int]]) -> list[Order]:
    return [
        Order(slot=first_slot + index, lot=lot, energy_wh=energy_wh, limit_ut_per_kwh=limit)
        for index, (lot, energy_wh, limit) in enumerate(wishes)
    ]


def awards(pairs: Sequence[Pair]) -> Counter[int]:
    awarded: Counter[int] = Counter()
    for bid, offer, energy_wh in pairs:
        awarded[bid.slot] += energy_wh
        awarded[offer.slot] += energy_wh
    return awarded


def agreed(matches: Sequence[Match]) -> Counter[int]:
    energies_wh: Counter[int] = Counter()
    for match in matches:
        energies_wh[match.bid_slot] += match.energy_wh
        energies_wh[match.offer_slot] += match.energy_wh
    return energies_wh


def single_watt_hours(book: Book) -> list[tuple[int, int]]:
    """An independent model: each watt-hour is sold alone, the dearest wish with the cheapest offer."""
    bids, offers = book
    demand = sorted((bid.limit_ut_per_kwh for bid in bids for _ in range(bid.energy_wh)), reverse=True)
    supply = sorted(offer.limit_ut_per_kwh for offer in offers for _ in range(offer.energy_wh))
    return [(bid, offer) for bid, offer in zip(demand, supply, strict=False) if bid >= offer]


@each_mechanism
@given(book=books, terms=terms)
def test_no_order_is_overfilled_and_no_price_passes_a_limit(name: str, book: Book, terms: Terms) -> None:
    bids, offers = book
    matches = MECHANISMS[name](bids, offers, terms=terms)
    filled_wh = agreed(matches)
    assert all(filled_wh[order.slot] <= order.energy_wh for order in bids + offers)
    limits = {order.slot: order.limit_ut_per_kwh for order in bids + offers}
    for match in matches:
        if match.outcome is Outcome.REJECTED:
            assert match.energy_wh == 0
            assert match.price_ut_per_kwh < limits[match.offer_slot]
        else:
            assert match.energy_wh > 0
            assert limits[match.offer_slot] <= match.price_ut_per_kwh <= limits[match.bid_slot]


@each_mechanism
@given(book=books, terms=terms)
def test_a_pair_has_one_row_and_rows_are_bounded(name: str, book: Book, terms: Terms) -> None:
    matches = MECHANISMS[name](*book, terms=terms)
    assert len({(match.bid_slot, match.offer_slot) for match in matches}) == len(matches)
    assert len(matches) <= 2 * max(0, len(book[0]) + len(book[1]) - 1)


@each_mechanism
@given(book=books, terms=terms, data=st.data())
def test_the_order_of_arrival_is_worth_nothing(name: str, book: Book, terms: Terms, data: st.DataObject) -> None:
    bids, offers = book
    shuffled = data.draw(st.permutations(bids)), data.draw(st.permutations(offers))
    assert MECHANISMS[name](*shuffled, terms=terms) == MECHANISMS[name](bids, offers, terms=terms)


@pytest.mark.parametrize("name", sorted(MECHANISMS.keys() - {"pool"}))
@given(book=books, terms=terms)
def test_all_but_the_pool_reach_the_welfare_and_the_energy_of_single_watt_hours(
    name: str, book: Book, terms: Terms
) -> None:
    limits = {order.slot: order.limit_ut_per_kwh for order in book[0] + book[1]}
    matches = MECHANISMS[name](*book, terms=terms)
    best = single_watt_hours(book)
    welfare = sum((limits[match.bid_slot] - limits[match.offer_slot]) * match.energy_wh for match in matches)
    assert welfare == sum(bid - offer for bid, offer in best)
    assert sum(match.energy_wh for match in matches) == len(best)


@given(book=books, terms=terms)
def test_the_marginal_watt_hour_makes_the_uniform_price(book: Book, terms: Terms) -> None:
    best = single_watt_hours(book)
    prices = {match.price_ut_per_kwh for match in MECHANISMS["uniform"](*book, terms=terms)}
    assert prices == ({sum(best[-1]) // 2} if best else set())


@given(book=books, terms=terms)
def test_pay_as_bid_takes_every_buyer_at_his_word(book: Book, terms: Terms) -> None:
    limits = {order.slot: order.limit_ut_per_kwh for order in book[0]}
    for match in MECHANISMS["pay_as_bid"](*book, terms=terms):
        assert match.price_ut_per_kwh == match.bid_ut_per_kwh == limits[match.bid_slot]


@given(energies=st.tuples(*[st.lists(st.integers(1, 500), min_size=1, max_size=8)] * 2), terms=terms)
def test_mid_rate_shares_pro_rata_within_one_tariff(energies: tuple[list[int], list[int]], terms: Terms) -> None:
    wanted_wh, offered_wh = map(sum, energies)
    bids = orders(0, [(b"", energy_wh, 30) for energy_wh in energies[0]])
    offers = orders(100, [(b"", energy_wh, 8) for energy_wh in energies[1]])
    matches = MECHANISMS["mid_rate"](bids, offers, terms=terms)
    assert {match.price_ut_per_kwh for match in matches} == {19}
    shares_wh, traded_wh = agreed(matches), min(wanted_wh, offered_wh)
    for side, whole_wh in ((bids, wanted_wh), (offers, offered_wh)):
        assert all(abs(shares_wh[order.slot] * whole_wh - order.energy_wh * traded_wh) < whole_wh for order in side)


@given(book=books, terms=terms)
def test_pool_misses_only_watt_hours_that_gain_less_than_beta(book: Book, terms: Terms) -> None:
    bids, offers = book
    matches = MECHANISMS["pool"](bids, offers, terms=terms)
    beta = terms.beta_ut_per_kwh
    lowered = [replace(bid, limit_ut_per_kwh=bid.limit_ut_per_kwh - beta) for bid in bids]
    limits = {order.slot: order.limit_ut_per_kwh for order in bids + offers}
    welfare = sum((limits[match.bid_slot] - limits[match.offer_slot]) * match.energy_wh for match in matches)
    assert welfare == sum(bid + beta - offer for bid, offer in single_watt_hours((lowered, offers)))
    filled_wh = agreed(matches)
    assert not any(
        bid.limit_ut_per_kwh >= offer.limit_ut_per_kwh
        for bid in lowered
        for offer in offers
        if filled_wh[bid.slot] < bid.energy_wh and filled_wh[offer.slot] < offer.energy_wh
    )


@given(book=books, terms=terms, data=st.data())
def test_the_pool_keeps_its_promises_with_partners_too(book: Book, terms: Terms, data: st.DataObject) -> None:
    bids, offers = book
    slots = st.tuples(st.integers(0, 9), st.integers(100, 109))
    together = replace(terms, partners=tuple(data.draw(st.lists(slots, max_size=9, unique=True))))
    matches = MECHANISMS["pool"](bids, offers, terms=together)
    limits = {order.slot: order.limit_ut_per_kwh for order in bids + offers}
    filled_wh = agreed(matches)
    assert all(filled_wh[order.slot] <= order.energy_wh for order in bids + offers)
    assert len({(match.bid_slot, match.offer_slot) for match in matches}) == len(matches)
    for match in matches:
        assert not match.energy_wh or (limits[match.offer_slot] <= match.price_ut_per_kwh <= limits[match.bid_slot])
    left = [order for order in bids + offers if filled_wh[order.slot] < order.energy_wh]
    assert not any(
        bid.limit_ut_per_kwh - terms.beta_ut_per_kwh >= offer.limit_ut_per_kwh
        for bid in left
        for offer in left
        if bid.slot < 100 <= offer.slot
    )


@given(book=books, terms=terms)
def test_pool_prices_follow_the_negotiation(book: Book, terms: Terms) -> None:
    matches = MECHANISMS["pool"](*book, terms=terms)
    costs = {offer.slot: offer.limit_ut_per_kwh for offer in book[1]}
    for match in matches:
        asked, bid = match.asked_ut_per_kwh, match.bid_ut_per_kwh
        assert match.price_ut_per_kwh == min(asked, bid)
        assert (match.outcome is Outcome.ACCEPTED) == (bid >= asked)
        assert (match.outcome is Outcome.REJECTED) == (bid < costs[match.offer_slot])


@pytest.mark.parametrize("name", sorted(MECHANISMS.keys() - ON_MEASURED))
@given(book=books, terms=terms)
def test_nobody_envies_an_equal_by_more_than_one_watt_hour(name: str, book: Book, terms: Terms) -> None:
    awarded = agreed(MECHANISMS[name](*book, terms=terms))
    for side in book:
        for order in side:
            if awarded[order.slot] == order.energy_wh:
                continue
            equals = [other for other in side if other.limit_ut_per_kwh == order.limit_ut_per_kwh]
            assert all(awarded[other.slot] <= awarded[order.slot] + 1 for other in equals)


@given(book=books.filter(any), stated_wh=st.integers(1, 80), data=st.data())
def test_stating_another_energy_never_wins_energy_that_is_wanted(
    book: Book, stated_wh: int, data: st.DataObject
) -> None:
    one = data.draw(st.sampled_from(book[0] + book[1]))
    bids, offers = ([replace(order, energy_wh=stated_wh) if order is one else order for order in side] for side in book)
    honest_wh = awards(pair_by_merit(*book))[one.slot]
    stated_award_wh = awards(pair_by_merit(bids, offers))[one.slot]
    assert min(stated_award_wh, one.energy_wh) <= honest_wh


@given(wishes_wh=st.lists(st.integers(1, 1_000), min_size=1, max_size=20), data=st.data())
def test_the_uniform_rule_shares_everything_at_one_level(wishes_wh: list[int], data: st.DataObject) -> None:
    total_wh = data.draw(st.integers(0, sum(wishes_wh)))
    shares_wh = share_by_uniform_rule(total_wh, wishes_wh)
    assert sum(shares_wh) == total_wh
    level_wh = max(shares_wh)
    assert all(share == wish or level_wh - 1 <= share < wish for share, wish in zip(shares_wh, wishes_wh, strict=True))


@st.composite
def communities(draw: st.DrawFn) -> list[Wish]:
    drawn = draw(
        st.lists(st.tuples(st.sampled_from("ABC"), st.integers(-40, 40).filter(bool), st.integers(0, 30)), max_size=15)
    )
    return [
        Wish(slot=slot, feeder=feeder, lot=bytes([slot]), balance_wh=balance_wh, limit_ut_per_kwh=limit)
        for slot, (feeder, balance_wh, limit) in enumerate(drawn)
    ]


@each_mechanism
@settings(max_examples=60)
@given(wishes=communities(), terms=terms, fees=st.tuples(st.integers(0, 10), st.integers(0, 20)), data=st.data())
def test_levels_conserve_energy_and_respect_all_in_limits(
    name: str, wishes: list[Wish], terms: Terms, fees: tuple[int, int], data: st.DataObject
) -> None:
    fees_ut_per_kwh = {Level.FEEDER: fees[0], Level.COMMUNITY: fees[1]}
    cleared = clear(MECHANISMS[name], wishes, fees_ut_per_kwh=fees_ut_per_kwh, terms=terms)
    by_slot = {wish.slot: wish for wish in wishes}
    left_wh = {wish.slot: wish.balance_wh for wish in wishes}
    for group in cleared:
        for match in group.matches:
            left_wh[match.bid_slot] += match.energy_wh
            left_wh[match.offer_slot] -= match.energy_wh
            if match.energy_wh:
                buyer, seller = by_slot[match.bid_slot], by_slot[match.offer_slot]
                assert match.price_ut_per_kwh + fees_ut_per_kwh[group.level] <= buyer.limit_ut_per_kwh
                assert match.price_ut_per_kwh >= seller.limit_ut_per_kwh
                assert group.feeder is None or buyer.feeder == seller.feeder == group.feeder
    # Nobody sold more than he had or bought more than he lacked; the rest, wish by wish, is the grid's.
    assert all(0 <= left_wh[wish.slot] * wish.balance_wh <= wish.balance_wh**2 for wish in wishes)
    every_match = [match for group in cleared for match in group.matches]
    to_the_grid = {wish.slot: wish.balance_wh for wish in residual(wishes, every_match)}
    assert to_the_grid == {slot: balance_wh for slot, balance_wh in left_wh.items() if balance_wh}

    shuffled = data.draw(st.permutations(wishes))
    assert clear(MECHANISMS[name], shuffled, fees_ut_per_kwh=fees_ut_per_kwh, terms=terms) == cleared


@given(wishes=communities(), import_wh=st.integers(0, 60), export_wh=st.integers(0, 60), data=st.data())
def test_an_envelope_takes_no_more_than_it_must_and_overstating_wins_nothing(
    wishes: list[Wish], import_wh: int, export_wh: int, data: st.DataObject
) -> None:
    envelopes = {"A": (import_wh, export_wh)}
    left_wh = {wish.slot: wish.balance_wh for wish in within_envelopes(wishes, envelopes)}
    inside = [wish for wish in wishes if wish.feeder == "A"]
    for sign, limit_wh in ((-1, import_wh), (1, export_wh)):
        side = [wish for wish in inside if wish.balance_wh * sign > 0]
        stated_wh = sum(abs(wish.balance_wh) for wish in side)
        assert sum(abs(left_wh.get(wish.slot, 0)) for wish in side) == min(stated_wh, limit_wh)
    assert all(left_wh[wish.slot] == wish.balance_wh for wish in wishes if wish.feeder != "A")
    if inside:
        one = data.draw(st.sampled_from(inside))
        stated = replace(one, balance_wh=one.balance_wh * data.draw(st.integers(2, 9)))
        lying = within_envelopes([stated if wish is one else wish for wish in wishes], envelopes)
        lied_wh = {wish.slot: wish.balance_wh for wish in lying}.get(one.slot, 0)
        assert min(abs(lied_wh), abs(one.balance_wh)) <= abs(left_wh.get(one.slot, 0))
