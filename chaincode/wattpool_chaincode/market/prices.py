"""The prices that seller and buyer start a negotiation with (paper A, eqs. (2) and (3)).

The paper's prose makes alpha "the number of customers" and beta the effect of "more sellers", while its equations
multiply alpha by C_buy and beta by S_sell. Both cannot hold. Here alpha and beta are price steps, set by the rules of
the community, and what they multiply are head counts: the price asked rises with each interested buyer, the price bid
falls with each seller in the pool, which is the behaviour that the paper describes.
"""


def asked_ut_per_kwh(generation_cost_ut_per_kwh: int, interested_buyers: int, alpha_ut_per_kwh: int) -> int:
    """Return the price a seller asks: generation cost + alpha · interested buyers (paper A, eq. (2))."""
    return generation_cost_ut_per_kwh + alpha_ut_per_kwh * interested_buyers


def bid_ut_per_kwh(consumer_price_ut_per_kwh: int, sellers: int, beta_ut_per_kwh: int) -> int:
    """Return the price a buyer bids: consumer price - beta · sellers (paper A, eq. (3)); it may be negative."""
    return consumer_price_ut_per_kwh - beta_ut_per_kwh * sellers
