"""Integer arithmetic of energy and money.

Energy is in watt-hours (`_wh`), money in micro-tokens (`_ut`, 1 token = 1,000,000), prices in micro-tokens per
kilowatt-hour (`_ut_per_kwh`). Rounding direction, and who gets the remainder, are decided here and nowhere else.
"""

from collections.abc import Sequence

UT_PER_TOKEN = 1_000_000
WH_PER_KWH = 1_000
PPM = 1_000_000


def amount_ut(energy_wh: int, price_ut_per_kwh: int) -> int:
    """Return what `energy_wh` costs, rounded half to even; computed once, for both sides of a trade."""
    return divide_half_even(energy_wh * price_ut_per_kwh, WH_PER_KWH)


def divide_half_even(numerator: int, denominator: int) -> int:
    """Return `numerator` / `denominator` rounded to the nearest integer, a half to the even neighbour.

    Args:
        numerator: any integer.
        denominator: a positive integer.
    """
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2):
        return quotient + 1
    return quotient


def share_pro_rata(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights`, to the last unit, by largest remainder.

    Units left over go to the largest remainders; among equal remainders to the earlier weight, so the caller
    puts the weights in an order that nobody can choose to his advantage.

    Args:
        total: what is shared, not negative and at most the sum of the weights.
        weights: not negative.

    Returns:
        One share per weight: none above its weight, together `total`.

    Raises:
        ValueError: if `total` is negative or more than the sum of the weights.
    """
    whole = sum(weights)
    if total > whole or total < 0:
        raise ValueError(f"cannot share {total} over weights that sum to {whole}")
    if total == whole:
        return list(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(total * weights[index] % whole), index))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares
