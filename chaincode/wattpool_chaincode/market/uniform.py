"""Uniform-price clearing: merit order, one price for all, all of the welfare there is."""

from collections.abc import Sequence

from wattpool_chaincode.market.order import Match, Order, Outcome, Terms
from wattpool_chaincode.market.rationing import pair_by_merit


def clear(
    bids: Sequence[Order],
    offers: Sequence[Order],
    *,
    terms: Terms,  # noqa: ARG001 (every mechanism takes the terms; here the limits alone make the price)
) -> list[Match]:
    """Match at maximum welfare, at one price halfway between the limits of the marginal pair, rounded down."""
    pairs = pair_by_merit(bids, offers)
    if not pairs:
        return []
    marginal_bid, marginal_offer, _ = pairs[-1]
    price = (marginal_bid.limit_ut_per_kwh + marginal_offer.limit_ut_per_kwh) // 2
    cleared = Outcome.CLEARED
    return [
        Match(
            bid_slot=bid.slot,
            offer_slot=offer.slot,
            energy_wh=energy_wh,
            price_ut_per_kwh=price,
            asked_ut_per_kwh=price,
            bid_ut_per_kwh=price,
            outcome=cleared,
        )
        for bid, offer, energy_wh in pairs
    ]
