"""Uniform-price clearing: merit order, one price for all, all of the welfare there is."""

from collections.abc import Sequence

from wattpool_chaincode.market.order import Match, Order, Terms, cleared
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
    return [cleared(*pair, price_ut_per_kwh=price) for pair in pairs]
