"""What a part of the suite found: figures that have to keep to a bar, and how cost grows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

# Where the ledgers of communities are: on a disk.
OUT = Path(__file__).resolve().parents[2] / "out"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A figure and the bound that it has to keep to.

    Attributes:
        what: was measured.
        measured: the figure.
        bound: what it may be at most, or has to be at least.
        is_floor: whether it has to be at least that.
    """

    what: str
    measured: float
    bound: float
    is_floor: bool = False

    @property
    def is_met(self) -> bool:
        return self.measured >= self.bound if self.is_floor else self.measured <= self.bound

    def __str__(self) -> str:
        sign = ">=" if self.is_floor else "<="
        return f"{'met   ' if self.is_met else 'MISSED'} {self.what}: {self.measured:.2f} {sign} {self.bound:g}"


@dataclass(frozen=True)
class Curve:
    """A cost per item, in microseconds, by the number of items."""

    name: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Panel:
    """Curves that are drawn together."""

    title: str
    items: str
    curves: Sequence[Curve]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one part found."""

    bars: Sequence[Bar] = ()
    panels: Sequence[Panel] = ()


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = perf_counter()
    run()
    return perf_counter() - started
