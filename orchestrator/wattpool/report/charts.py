"""Charts over the periods of a day, as SVG paths; the template draws them, and a table beside says the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

WIDTH, HEIGHT = 960, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 952, 10, 234
_Y_TICKS = 5


class Series(NamedTuple):
    """Values per period under the name that style and legend know; None leaves a gap in a line."""

    name: str
    values: Sequence[int | None]


class Shape(NamedTuple):
    """A path to draw: `style` is `area` or `line`."""

    name: str
    style: str
    path: str


class Tick(NamedTuple):
    """Where a value, or a period by its index, stands on its axis."""

    position: int
    value: int


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing of `WIDTH` by `HEIGHT`: `shapes` from back to front, and the ticks of both axes."""

    shapes: Sequence[Shape]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]


@dataclass(frozen=True)
class _Plot:
    """Where values go: `count` periods side by side, `low` to `high` from the bottom up."""

    count: int
    low: int
    high: int

    def x(self, index: int) -> int:
        return LEFT + (RIGHT - LEFT) * index // self.count

    def y(self, value: int) -> int:
        return BOTTOM - (BOTTOM - TOP) * (value - self.low) // (self.high - self.low)

    def chart(self, shapes: Sequence[Shape], step: int, marks: Sequence[int]) -> Chart:
        first = -(-self.low // step) * step
        return Chart(
            shapes=shapes,
            x_ticks=[Tick(self.x(index), index) for index in marks],
            y_ticks=[Tick(self.y(value), value) for value in range(first, self.high + 1, step)],
        )


def stacked(up: Sequence[Series], down: Sequence[Series], *, marks: Sequence[int]) -> Chart:
    """Return areas on top of each other, `up` from the axis and `down` below it; no value is negative or None.

    `marks` are the indices of the periods at whose start the time axis has a tick.
    """
    layers = [*_pile(up, 1), *_pile(down, -1)]
    plot, step = _plot([value for _, base, top in layers for value in (*base, *top)], len(up[0].values))
    return plot.chart([Shape(name, "area", _area(plot, base, top)) for name, base, top in layers], step, marks)


def lines(drawn: Sequence[Series], *, marks: Sequence[int], band: tuple[Series, Series] | None = None) -> Chart:
    """Return lines in steps, in front of the area between the two series of `band`, which have their gaps alike."""
    series = [*(band or ()), *drawn]
    plot, step = _plot([value for one in series for value in one.values if value is not None], len(series[0].values))
    shapes = [Shape(one.name, "line", _line(plot, one.values)) for one in drawn]
    if band is not None:
        low, high = band
        parts = [
            _area(plot, [bottom], [top], index)
            for index, (bottom, top) in enumerate(zip(low.values, high.values, strict=True))
            if bottom is not None and top is not None
        ]
        shapes.insert(0, Shape(low.name, "area", "".join(parts)))
    return plot.chart(shapes, step, marks)


def _pile(series: Sequence[Series], sign: int) -> Iterator[tuple[str, list[int], list[int]]]:
    base = [0] * len(series[0].values)
    for one in series:
        top = [below + sign * (value or 0) for below, value in zip(base, one.values, strict=True)]
        yield one.name, base, top
        base = top


def _plot(values: Sequence[int], count: int) -> tuple[_Plot, int]:
    """Return a plot that shows zero and all values, and a step of its value axis: 1, 2 or 5 times a power of ten."""
    low, high = min((0, *values)), max((1, *values))
    rough = max(1, (high - low) // _Y_TICKS)
    power = 10 ** (len(str(rough)) - 1)
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return _Plot(count, low, high), step


def _area(plot: _Plot, base: Sequence[int], top: Sequence[int], first: int = 0) -> str:
    there = list(_corners(plot, top, first))
    back = list(_corners(plot, base, first))[::-1]
    return _path([*there, *back]) + "Z"


def _line(plot: _Plot, values: Sequence[int | None]) -> str:
    """Return a path in steps, interrupted by gaps."""
    parts: list[str] = []
    run: list[int] = []
    for index, value in enumerate([*values, None]):
        if value is not None:
            run.append(value)
        elif run:
            parts.append(_path(list(_corners(plot, run, index - len(run)))))
            run = []
    return "".join(parts)


def _corners(plot: _Plot, values: Sequence[int], first: int) -> Iterator[tuple[int, int]]:
    """Yield the corners of steps that begin at the period of index `first`; those on a straight line are left out."""
    for index, value in enumerate(values):
        if index == 0 or value != values[index - 1]:
            yield plot.x(first + index), plot.y(value)
        if index == len(values) - 1 or value != values[index + 1]:
            yield plot.x(first + index + 1), plot.y(value)


def _path(points: Sequence[tuple[int, int]]) -> str:
    (x, y), *rest = points
    steps = [f"M{x} {y}"]
    for (old_x, old_y), (new_x, new_y) in pairwise([(x, y), *rest]):
        if old_y == new_y:
            steps.append(f"H{new_x}")
        elif old_x == new_x:
            steps.append(f"V{new_y}")
        else:
            steps.append(f"L{new_x} {new_y}")
    return "".join(steps)
