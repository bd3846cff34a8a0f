"""Numbers and pseudonyms as people read them; numbers are exact unless the name says otherwise."""

from wattpool_chaincode.records.units import UT_PER_TOKEN, WH_PER_KWH, divide_half_even

_UT_PER_HUNDREDTH = UT_PER_TOKEN // 100
_PSEUDONYM_DIGITS = 8
MINUS = "\u2212"


def kwh(energy_wh: int) -> str:
    """Return watt-hours as kilowatt-hours: `1,234.567`."""
    return _fixed(energy_wh, WH_PER_KWH, 3)


def tokens(amount_ut: int) -> str:
    """Return micro-tokens as tokens, to the micro-token: `1.234567`."""
    return _fixed(amount_ut, UT_PER_TOKEN, 6)


def rounded(amount_ut: int) -> str:
    """Return micro-tokens as tokens, rounded half to even to the hundredth: `1.23`."""
    return _fixed(divide_half_even(amount_ut, _UT_PER_HUNDREDTH), 100, 2)


def price(price_ut_per_kwh: int) -> str:
    """Return a price as tokens per kilowatt-hour, with three decimals and as many more as it has: `0.169999`."""
    digits = tokens(price_ut_per_kwh)
    kept = len(digits) - 3
    return digits[:kept] + digits[kept:].rstrip("0")


def pseudonym(identity: str) -> str:
    """Return how a pseudonym begins, which tells those of one community apart: `54e3c4f7`."""
    return identity[:_PSEUDONYM_DIGITS]


def _fixed(value: int, unit: int, decimals: int) -> str:
    whole, rest = divmod(abs(value), unit)
    return f"{MINUS if value < 0 else ''}{whole:,}.{rest:0{decimals}}"
