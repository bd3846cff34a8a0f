"""How cost grows, as one SVG file: panels side by side, both axes logarithmic."""

from collections.abc import Sequence
from math import ceil, floor, log10
from pathlib import Path
from xml.sax.saxutils import escape

from bench_suite.results import Curve, Panel

WIDTH, HEIGHT = 400, 350
LEFT, RIGHT, TOP, BOTTOM = 64, 384, 48, 250
COLOURS = ("#1b6ca8", "#d1495b", "#3c8d5a", "#7d5ba6")
_STYLE = "text{font:12px sans-serif;fill:#333}.axis{stroke:#ddd}.curve{fill:none;stroke-width:2}"


def write(panels: Sequence[Panel], file: Path) -> None:
    """Draw the panels into a file."""
    body = "".join(f'<g transform="translate({WIDTH * place} 0)">{_panel(one)}</g>' for place, one in enumerate(panels))
    width = WIDTH * len(panels)
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}">'
        f"<title>What things cost as their number grows</title><style>{_STYLE}</style>"
        f'<rect width="100%" height="100%" fill="white"/>{body}</svg>\n',
        encoding="utf-8",
    )


def _panel(panel: Panel) -> str:
    points = [point for curve in panel.curves for point in curve.points]
    across = _Axis([count for count, _ in points], start=LEFT, end=RIGHT)
    up = _Axis([cost_us for _, cost_us in points], start=BOTTOM, end=TOP)
    middle = (LEFT + RIGHT) // 2
    return "".join(
        (
            f'<text x="{middle}" y="20" text-anchor="middle">{escape(panel.title)}</text>',
            f'<text x="{LEFT}" y="38" text-anchor="end">us</text>',
            f'<text x="{middle}" y="{BOTTOM + 34}" text-anchor="middle">{escape(panel.items)}</text>',
            *(
                f'<path class="axis" d="M{LEFT} {up.place(tick)}H{RIGHT}"/>'
                f'<text x="{LEFT - 6}" y="{up.place(tick) + 4}" text-anchor="end">{tick:,g}</text>'
                for tick in up.ticks
            ),
            *(
                f'<path class="axis" d="M{across.place(tick)} {TOP}V{BOTTOM}"/>'
                f'<text x="{across.place(tick)}" y="{BOTTOM + 17}" text-anchor="middle">{tick:,g}</text>'
                for tick in across.ticks
            ),
            *(_curve(curve, COLOURS[number], number, across, up) for number, curve in enumerate(panel.curves)),
        )
    )


def _curve(curve: Curve, colour: str, number: int, across: "_Axis", up: "_Axis") -> str:
    places = [f"{across.place(count)} {up.place(cost_us)}" for count, cost_us in curve.points]
    y = BOTTOM + 52 + 16 * number
    return (
        f'<path class="curve" stroke="{colour}" d="M{"L".join(places)}"/>'
        f'<path class="curve" stroke="{colour}" d="M{LEFT} {y}h14"/>'
        f'<text x="{LEFT + 18}" y="{y + 4}">{escape(curve.name)}</text>'
    )


class _Axis:
    """From `start` to `end` the powers of ten that hold all values."""

    def __init__(self, values: Sequence[float], *, start: int, end: int) -> None:
        self._low = floor(log10(min(values)))
        self._high = max(ceil(log10(max(values))), self._low + 1)
        self._start, self._end = start, end

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]

    def place(self, value: float) -> int:
        """Return where a value stands."""
        return round(self._start + (self._end - self._start) * (log10(value) - self._low) / (self._high - self._low))
