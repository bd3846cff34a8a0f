"""Pay as bid: merit order, and every buyer pays his own limit.

The two-sided pay-as-bid market of Grid Singularity's GSy-e (wiki/docs/two-sided-pay-as-bid.md) matches continuously;
this one clears once, at the gate, so that coming early is worth nothing.
"""

from collections.abc import Sequence

from wattpool_chaincode.market.order import Match, Order, Outcome, Terms
from wattpool_chaincode.market.rationing import pair_by_merit


def clear(
    bids: Sequence[Order],
    offers: Sequence[Order],
    *,
    terms: Terms,  # noqa: ARG001 (every mechanism takes the terms; here the limits alone make the prices)
) -> list[Match]:
    """Match at maximum welfare, each pair at the buyer's limit."""
    return [
        Match(
            bid_slot=bid.slot,
            offer_slot=offer.slot,
            energy_wh=energy_wh,
            price_ut_per_kwh=bid.limit_ut_per_kwh,
            asked_ut_per_kwh=offer.limit_ut_per_kwh,
            bid_ut_per_kwh=bid.limit_ut_per_kwh,
            outcome=Outcome.CLEARED,
        )
        for bid, offer, energy_wh in pair_by_merit(bids, offers)
    ]
