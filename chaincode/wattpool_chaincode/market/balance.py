"""What a connection has over or lacks in a market period (paper A, eq. (1))."""

from wattpool_chaincode.records.period import Period

_SECONDS_PER_HOUR = 3600


def balance_wh(*, generation_w: int, consumption_w: int, battery_wh: int, period: Period) -> int:
    """Return D = P_gen·T - P_c·T + S_B, rounded once and toward zero (paper A, eq. (1)).

    Args:
        generation_w: mean generated power in the period.
        consumption_w: mean consumed power in the period.
        battery_wh: what the battery releases in the period; negative when it charges.
        period: gives T.

    Returns:
        Energy to sell if positive, to buy if negative.
    """
    watt_seconds = (generation_w - consumption_w) * period.length_s + battery_wh * _SECONDS_PER_HOUR
    magnitude_wh = abs(watt_seconds) // _SECONDS_PER_HOUR
    return magnitude_wh if watt_seconds >= 0 else -magnitude_wh


def is_within_line_limit(balance_wh: int, line_limit_w: int, period: Period) -> bool:
    """Return whether |D| ≤ P_Lmax·T: the line carries no more, in either direction.

    The paper compares an energy with a power and only limits what is sold; both sides are in watt-hours here.
    """
    return abs(balance_wh) <= period.energy_wh_at(line_limit_w)
