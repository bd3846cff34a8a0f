"""Which energy trades, and between whom: the step that all mechanisms share.

Merit order decides first: the dearest bids and the cheapest offers, as much as makes the sum of (bid limit - offer
limit) x energy, the welfare, the greatest. A bid and an offer of one limit gain nothing and still match: local energy
is used where it costs nobody anything.

At the margin several orders of one limit may share what is left. They do so by the uniform rule: each gets the same
level, or its own energy if that is less. It is the one fair rule under which stating one's true energy is always
best (Y. Sprumont, "The Division Problem with Single-Peaked Preferences", Econometrica 59(2), 1991): asking for more,
being early or being large wins nothing. Only one side can be rationed: if both had energy left at their marginal
limits, that energy would match. There is one order per connection, so nobody can split himself in two.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from wattpool_chaincode.market.order import Order

# A bid, an offer, and the energy that may pass between them.
Pair = tuple[Order, Order, int]
# Splits a total over wishes that come by lot: no share above its wish, together the total.
Share = Callable[[int, Sequence[int]], list[int]]


def share_by_uniform_rule(total_wh: int, wishes_wh: Sequence[int]) -> list[int]:
    """Split `total_wh` so that each gets the same level, or its wish if that is less (Sprumont 1991).

    Watt-hours that the level leaves over go one by one to the earliest wishes above it, so the caller orders the
    wishes by lot.

    Args:
        total_wh: what is shared, not negative and at most the sum of the wishes.
        wishes_wh: positive.
    """
    left_wh, sharers = total_wh, len(wishes_wh)
    for wish_wh in sorted(wishes_wh):
        if wish_wh * sharers > left_wh:
            break
        left_wh -= wish_wh
        sharers -= 1
    if not sharers:
        return list(wishes_wh)
    level_wh, odd_wh = divmod(left_wh, sharers)
    shares_wh = []
    for wish_wh in wishes_wh:
        extra_wh = 1 if odd_wh and wish_wh > level_wh else 0
        shares_wh.append(min(wish_wh, level_wh) + extra_wh)
        odd_wh -= extra_wh
    return shares_wh


def pair_by_merit(
    bids: Sequence[Order], offers: Sequence[Order], *, share: Share = share_by_uniform_rule
) -> list[Pair]:
    """Return who trades with whom, at maximum welfare: at most bids + offers - 1 pairs.

    The dearest bid meets the cheapest offer and so on, orders of one limit by lot; a bid's pairs stand together, its
    cheapest offer first. The result does not depend on the order in which bids and offers are given.

    Args:
        bids: one per slot.
        offers: one per slot.
        share: how orders at the margin share what is left; the uniform rule wherever energies are only stated.
    """
    demand = sorted(bids, key=lambda bid: (-bid.limit_ut_per_kwh, bid.lot, bid.slot))
    supply = sorted(offers, key=lambda offer: (offer.limit_ut_per_kwh, offer.lot, offer.slot))
    wanted_wh = list(accumulate(bid.energy_wh for bid in demand))
    offered_wh = list(accumulate(offer.energy_wh for offer in supply))
    traded_wh = _traded_wh(demand, wanted_wh, supply, offered_wh)
    if not traded_wh:
        return []
    demand_wh = _awards_wh(demand, wanted_wh, traded_wh, share)
    supply_wh = _awards_wh(supply, offered_wh, traded_wh, share)
    return _sweep(demand, demand_wh, supply, supply_wh)


def _traded_wh(
    demand: Sequence[Order], wanted_wh: Sequence[int], supply: Sequence[Order], offered_wh: Sequence[int]
) -> int:
    """Return where the falling demand curve crosses the rising supply curve, given their running totals."""
    supply_limits = [offer.limit_ut_per_kwh for offer in supply]

    def affordable_wh(index: int) -> int:
        affordable = bisect_right(supply_limits, demand[index].limit_ut_per_kwh)
        return offered_wh[affordable - 1] if affordable else 0

    # Down the merit order bids want more together and each can afford less: bisect for the first that runs short.
    short = bisect_left(range(len(demand)), x=1, key=lambda index: wanted_wh[index] >= affordable_wh(index))
    dearer_wh = wanted_wh[short - 1] if short else 0
    return dearer_wh if short == len(demand) else max(dearer_wh, affordable_wh(short))


def _awards_wh(orders: Sequence[Order], totals_wh: Sequence[int], traded_wh: int, share: Share) -> list[int]:
    """Return what each order gets of `traded_wh`, in merit order; the list ends after the marginal limit."""
    first = end = bisect_left(totals_wh, traded_wh)
    marginal_limit = orders[first].limit_ut_per_kwh
    while first and orders[first - 1].limit_ut_per_kwh == marginal_limit:
        first -= 1
    while end < len(orders) and orders[end].limit_ut_per_kwh == marginal_limit:
        end += 1
    energies_wh = [order.energy_wh for order in orders[:end]]
    full_wh = totals_wh[first - 1] if first else 0
    energies_wh[first:] = share(traded_wh - full_wh, energies_wh[first:])
    return energies_wh


def _sweep(
    demand: Sequence[Order], demand_wh: Sequence[int], supply: Sequence[Order], supply_wh: Sequence[int]
) -> list[Pair]:
    """Walk both merit orders once, side by side, until all awarded energy has its partner."""
    pairs: list[Pair] = []
    offers = zip(supply, supply_wh, strict=False)
    left_wh = 0
    for bid, award_wh in zip(demand, demand_wh, strict=False):
        missing_wh = award_wh
        while missing_wh:
            if not left_wh:
                offer, left_wh = next(offers)
                continue
            energy_wh = min(missing_wh, left_wh)
            pairs.append((bid, offer, energy_wh))
            missing_wh -= energy_wh
            left_wh -= energy_wh
    return pairs
