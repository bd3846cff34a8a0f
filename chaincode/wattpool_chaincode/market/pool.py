"""Pools and negotiation (paper A, section IV and Table 2).

An offer's limit is its generation cost; a bid's limit is its consumer price, net of fees and below retail.
Where Table 2 is silent, or contradicts itself or the text, this is what is done, line by line:

| lines | here |
|---|---|
| 1 | N_br(i), the neighbourhood, is the group of orders that is cleared together; buyers come by merit. |
| 1, t_Lim | The text forms pools "over the time period t_Lim". Time is cut into stretches of t_Lim. Who agreed in the period before, within the same stretch, are partners still and meet first, as far as their new orders allow, the buyers in the order in which they had formed; what they leave goes into new coalitions. A partner is a home, whoever moves in. With t_Lim of one period all are new. |
| 2-4 | The table asks one seller to cover the demand, the text a pool of households. The pool is added up: a coalition is a buyer with the sellers, by merit, whose added energy covers what rationing awards him. |
| 5 | What the pool cannot cover goes to the higher level, not the whole demand: nothing offered nearby stays unused. |
| 6-8, 21 | Ends of blocks, and the loop over coalitions. C_i of eq. (2) is the number of coalitions that the seller is in, S of eq. (3) the number of sellers in the buyer's coalition. |
| 9-10 | The price bid covers the price asked: accepted at the price asked. |
| 11-13 | `>=` and `<` leave no third case for the `else`. A buyer who bids less than is asked rejects that *price* and offers a counter price. |
| 14-15 | The counter price is what he bids by eq. (3): below the price asked, at most his limit, hence below retail. |
| 16-17 | The seller rejects a counter price below his generation cost. By merit order nobody cheaper is left to turn to, so the buyer's search goes on at the higher level. |
| 18-20 | Any other counter price is accepted. |

Each seller who joins a coalition lowers eq. (3) for all of it; one too many, and sellers reject who would have agreed
in a smaller coalition. So sellers join one by one while the price covers the newest one's cost; who would have to
reject opens the buyer's next coalition instead. With a coalition of one, eq. (3) is the most a buyer ever bids: only
energy that this price covers is rationed, so every coalition agrees, awards stay equal, and no round of second
attempts is needed. The pairs that are rejected are those whose limits cross by less than beta.
"""  # noqa: E501 (a row of a table is one line)

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from wattpool_chaincode.market.order import Match, Order, Outcome, Terms
from wattpool_chaincode.market.prices import asked_ut_per_kwh, bid_ut_per_kwh
from wattpool_chaincode.market.rationing import Pair, pair_by_merit


def clear(bids: Sequence[Order], offers: Sequence[Order], *, terms: Terms) -> list[Match]:
    """Form coalitions and negotiate pair by pair; see the table above.

    Returns:
        One match per pair: first those that agreed, at a price between cost and limit, then those that did not.
    """
    alpha, beta = terms.alpha_ut_per_kwh, terms.beta_ut_per_kwh
    consumer_prices = {bid.slot: bid.limit_ut_per_kwh for bid in bids}
    best_bids = [replace(bid, limit_ut_per_kwh=bid_ut_per_kwh(bid.limit_ut_per_kwh, 1, beta)) for bid in bids]
    kept = _meet_again(best_bids, offers, terms.partners)
    agreeing = [*kept, *pair_by_merit(*_left(best_bids, offers, kept))]
    interested = Counter(offer.slot for _, offer, _ in agreeing)
    matches = []
    for coalition in _coalitions(agreeing, consumer_prices, beta):
        buyer = coalition[0][0].slot
        bid_price = bid_ut_per_kwh(consumer_prices[buyer], len(coalition), beta)
        for pair in coalition:
            seller = pair[1]
            asked = asked_ut_per_kwh(seller.limit_ut_per_kwh, interested[seller.slot], alpha)
            matches.append(_negotiate(pair, asked=asked, bid=bid_price))
    for pair in pair_by_merit(*_left(bids, offers, agreeing)):
        bid, seller, _ = pair
        asked = asked_ut_per_kwh(seller.limit_ut_per_kwh, interested[seller.slot] + 1, alpha)
        matches.append(_negotiate(pair, asked=asked, bid=bid_ut_per_kwh(bid.limit_ut_per_kwh, 1, beta)))
    return matches


def _meet_again(bids: Sequence[Order], offers: Sequence[Order], partners: Iterable[tuple[int, int]]) -> list[Pair]:
    """Pair the orders of partners, buyer by buyer; each turns to his cheapest partner first."""
    sellers_of: dict[int, list[int]] = {}
    for bid_slot, offer_slot in partners:
        sellers_of.setdefault(bid_slot, []).append(offer_slot)
    bids_by_slot = {bid.slot: bid for bid in bids}
    left = {offer.slot: offer for offer in offers}
    pairs: list[Pair] = []
    for bid_slot, sellers in sellers_of.items():
        if bid_slot not in bids_by_slot:
            continue
        for pair in pair_by_merit([bids_by_slot[bid_slot]], [left[slot] for slot in sellers if slot in left]):
            _, offer, energy_wh = pair
            pairs.append(pair)
            del left[offer.slot]
            if energy_wh < offer.energy_wh:
                left[offer.slot] = replace(offer, energy_wh=offer.energy_wh - energy_wh)
    return pairs


def _coalitions(
    pairs: Iterable[Pair], consumer_prices: Mapping[int, int], beta_ut_per_kwh: int
) -> Iterator[list[Pair]]:
    """Cut pairs, which come by buyer and rising cost, into coalitions whose eq. (3) covers every member's cost."""
    coalition: list[Pair] = []
    for pair in pairs:
        bid, offer, _ = pair
        bid_price = bid_ut_per_kwh(consumer_prices[bid.slot], len(coalition) + 1, beta_ut_per_kwh)
        if coalition and (coalition[0][0] is not bid or bid_price < offer.limit_ut_per_kwh):
            yield coalition
            coalition = []
        coalition.append(pair)
    if coalition:
        yield coalition


def _negotiate(pair: Pair, *, asked: int, bid: int) -> Match:
    """Settle on a price, or on none: Table 2, lines 9 to 20."""
    buyer, seller, energy_wh = pair
    if bid >= asked:
        outcome, price = Outcome.ACCEPTED, asked
    elif bid >= seller.limit_ut_per_kwh:
        outcome, price = Outcome.COUNTERED, bid
    else:
        outcome, price, energy_wh = Outcome.REJECTED, bid, 0
    return Match(
        bid_slot=buyer.slot,
        offer_slot=seller.slot,
        energy_wh=energy_wh,
        price_ut_per_kwh=price,
        asked_ut_per_kwh=asked,
        bid_ut_per_kwh=bid,
        outcome=outcome,
    )


def _left(bids: Sequence[Order], offers: Sequence[Order], pairs: Sequence[Pair]) -> tuple[list[Order], list[Order]]:
    """Return what is left of the orders when what was agreed by each slot is taken off."""
    return (
        _without(bids, ((bid.slot, energy_wh) for bid, _, energy_wh in pairs)),
        _without(offers, ((offer.slot, energy_wh) for _, offer, energy_wh in pairs)),
    )


def _without(orders: Iterable[Order], agreed_wh: Iterable[tuple[int, int]]) -> list[Order]:
    taken_wh: Counter[int] = Counter()
    for slot, energy_wh in agreed_wh:
        taken_wh[slot] += energy_wh
    left = []
    for order in orders:
        left_wh = order.energy_wh - taken_wh[order.slot]
        if left_wh:
            left.append(order if left_wh == order.energy_wh else replace(order, energy_wh=left_wh))
    return left
