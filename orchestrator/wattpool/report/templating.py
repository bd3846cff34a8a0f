"""The templates' environment: the functions and texts that they know."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from wattpool.report import charts, formats
from wattpool.report.texts import TEXTS
from wattpool_chaincode.records.units import WH_PER_KWH, divide_half_even


@cache
def environment() -> Environment:
    """Return what renders the templates."""
    environment = Environment(
        loader=PackageLoader("wattpool.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        t=TEXTS,
        kwh=formats.kwh,
        tokens=formats.tokens,
        rounded=formats.rounded,
        price=formats.price,
        mean=_mean_price,
        width=charts.WIDTH,
        height=charts.HEIGHT,
        left=charts.LEFT,
        right=charts.RIGHT,
        bottom=charts.BOTTOM,
    )
    return environment


def _mean_price(amount_ut: int, energy_wh: int) -> int:
    return divide_half_even(abs(amount_ut) * WH_PER_KWH, energy_wh)
