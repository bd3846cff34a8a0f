"""Mid-market rate: what was measured is shared pro rata, each pair half way between what the grid would pay and charge.

Orders are measured energy, and their limits the first prices that beat the party's tariff, so this mechanism clears
after delivery and nobody states a wish. C. Long et al., "Peer-to-peer energy trading in a community microgrid" (IEEE
PES General Meeting, 2017), have one tariff for all and hence one price. Here tariffs may differ: the buyers whom the
grid charges most and the sellers whom it pays least come first, those of one tariff share pro rata, and no pair is
made that does not beat both its tariffs. Shares follow the meter, where nothing can be overstated.
"""

from collections.abc import Sequence

from wattpool_chaincode.market.order import Match, Order, Terms, cleared
from wattpool_chaincode.market.rationing import pair_by_merit
from wattpool_chaincode.records.units import share_pro_rata


def clear(
    bids: Sequence[Order],
    offers: Sequence[Order],
    *,
    terms: Terms,  # noqa: ARG001 (every mechanism takes the terms; here the tariffs alone make the prices)
) -> list[Match]:
    """Match at maximum welfare, each pair at the middle of its limits, rounded down."""
    return [
        cleared(bid, offer, energy_wh, price_ut_per_kwh=(bid.limit_ut_per_kwh + offer.limit_ut_per_kwh) // 2)
        for bid, offer, energy_wh in pair_by_merit(bids, offers, share=share_pro_rata)
    ]
