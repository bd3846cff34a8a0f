"""Market periods: half-open intervals of UTC, named by their start."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DEFAULT_LENGTH_S = 900
DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Period:
    """A market period: `start_utc` in seconds since 1970 and its length; it ends before `end_utc`."""

    start_utc: int
    length_s: int = DEFAULT_LENGTH_S

    def __post_init__(self) -> None:
        if self.length_s <= 0 or DAY_S % self.length_s:
            raise ValueError(f"a market period of {self.length_s} s does not divide a day")
        if self.start_utc < 0 or self.start_utc % self.length_s:
            raise ValueError(f"{self.start_utc} is not the start of a market period of {self.length_s} s")

    @property
    def end_utc(self) -> int:
        return self.start_utc + self.length_s

    @property
    def next(self) -> "Period":
        return Period(self.end_utc, self.length_s)

    @property
    def previous(self) -> "Period":
        return Period(self.start_utc - self.length_s, self.length_s)

    def energy_wh_at(self, power_w: int) -> int:
        """Return the energy that a constant `power_w` moves in this period, rounded down in magnitude."""
        energy_wh = abs(power_w) * self.length_s // 3600
        return energy_wh if power_w >= 0 else -energy_wh

    def __str__(self) -> str:
        return format_utc(self.start_utc)


def period_of(time_utc: int, length_s: int = DEFAULT_LENGTH_S) -> Period:
    """Return the market period that contains `time_utc`."""
    return Period(time_utc - time_utc % length_s, length_s)


def format_utc(time_utc: int) -> str:
    """Return seconds since 1970 as ISO 8601 with a Z: `2017-03-20T07:00:00Z`."""
    return datetime.fromtimestamp(time_utc, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_utc(text: str) -> int:
    """Return an ISO 8601 time in UTC (`2017-03-20T07:00:00Z`, or `+00:00`) as seconds since 1970.

    Raises:
        ValueError: if it is anything else, or has a fraction of a second.
    """
    time = datetime.fromisoformat(text)
    if time.utcoffset() != timedelta(0) or time.microsecond:
        raise ValueError(f"{text!r} is not a whole second in UTC")
    time_utc = (time - _EPOCH) // timedelta(seconds=1)
    if time_utc < 0:
        raise ValueError(f"{text!r} is before 1970")
    return time_utc
