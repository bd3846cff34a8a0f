"""Load profiles: what each home used and generated in each interval, read from a CSV file.

The file has the columns `timestamp_utc` (start of the interval, ISO 8601 in UTC), `household`, `consumption_wh` and
`generation_wh`, in any order; its rows are sorted by time, and at each time it has one row for each home. Anything
else is refused with file and line, because a simulation of half a file would look like a result.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO

from wattpool.bad_input import BadInput, listed
from wattpool_chaincode import fields
from wattpool_chaincode.records.period import DAY_S, format_utc, parse_utc

COLUMNS = ("timestamp_utc", "household", "consumption_wh", "generation_wh")
MAX_LINE_BYTES = 1_000
# A gigawatt-hour in one interval is no home; the limit also keeps absurd digits away from int().
MAX_DIGITS = 9

BUNDLED = files("wattpool.data") / "households.csv"
# The day of the bundled week on which neighbours can sell each other most: Friday, 5 May 2017, from local midnight.
BUNDLED_NAME = "the bundled households.csv"
BUNDLED_DAY_START_UTC = 1_493_967_600


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """What every home used and generated, interval by interval without a gap.

    Attributes:
        source: the file, as the user named it.
        interval_s: length of an interval.
        measured_interval_s: length of an interval in the file; if longer, values were split evenly.
        start_utc: start of the first interval.
        households: the homes, by name.
        consumption_wh: by home; one value per interval.
        generation_wh: by home; one value per interval.
    """

    source: str
    interval_s: int
    measured_interval_s: int
    start_utc: int
    households: tuple[str, ...]
    consumption_wh: Mapping[str, Sequence[int]]
    generation_wh: Mapping[str, Sequence[int]]

    @property
    def intervals(self) -> int:
        return len(self.consumption_wh[self.households[0]])

    @property
    def end_utc(self) -> int:
        return self.start_utc + self.intervals * self.interval_s

    @property
    def is_split(self) -> bool:
        """Whether intervals are finer than what was measured."""
        return self.interval_s < self.measured_interval_s


def read_profiles(path: Path | Traversable = BUNDLED) -> Profiles:
    """Read a CSV file of profiles; by default the bundled community.

    Raises:
        BadInput: naming the first line that is wrong.
    """
    source = BUNDLED_NAME if path is BUNDLED else str(path)
    try:
        with path.open("rb") as file:
            return _read(source, file)
    except OSError as error:
        raise BadInput(source, None, f"cannot be read: {error.strerror}") from error


def select(
    profiles: Profiles,
    *,
    start_utc: int | None = None,
    days: int | None = None,
    pv: Sequence[str] | None = None,
) -> Profiles:
    """Return `days` of 24 hours from `start_utc`, with panels on the homes `pv` alone.

    Args:
        profiles: all there is.
        start_utc: start of an interval; by default the first one.
        days: how many; by default all that follow.
        pv: the homes that keep their panels, the others generate nothing; by default `default_pv`.

    Raises:
        BadInput: if the file does not hold that.
    """
    first = _index_of(profiles, profiles.start_utc if start_utc is None else start_utc)
    last = profiles.intervals if days is None else _end_of(profiles, first, days)
    keep = set(default_pv(profiles) if pv is None else pv)
    for name in sorted(keep.difference(profiles.households)):
        raise BadInput(
            profiles.source, None, f"has no home {name!r} to keep its panels; it has {listed(profiles.households)}"
        )
    return replace(
        profiles,
        start_utc=profiles.start_utc + first * profiles.interval_s,
        consumption_wh={name: values[first:last] for name, values in profiles.consumption_wh.items()},
        generation_wh={
            name: values[first:last] if name in keep else [0] * (last - first)
            for name, values in profiles.generation_wh.items()
        },
    )


def default_pv(profiles: Profiles) -> tuple[str, ...]:
    """Return every second home, by name, of those that generated anything: so there is someone to sell to."""
    return tuple(name for name in profiles.households if any(profiles.generation_wh[name]))[::2]


def to_periods(profiles: Profiles, period_s: int) -> Profiles:
    """Return the same energy per market period of `period_s`, to the watt-hour.

    Shorter intervals are summed. Longer ones are split evenly: of n parts of v Wh, part k is
    floor(v (k + 1) / n) - floor(v k / n), so that they sum to v; `is_split` then says so.

    Raises:
        BadInput: if neither length is a multiple of the other, or the file does not start and end with a period.
    """
    if period_s <= 0 or DAY_S % period_s:
        raise BadInput("--period", None, f"{period_s} s does not divide a day")
    interval_s = profiles.interval_s
    if max(period_s, interval_s) % min(period_s, interval_s):
        raise BadInput(
            profiles.source,
            None,
            f"its interval of {interval_s} s neither divides nor is a multiple of a market period of {period_s} s",
        )
    for word, time_utc in (("starts", profiles.start_utc), ("ends", profiles.end_utc)):
        if time_utc % period_s:
            raise BadInput(
                profiles.source, None, f"{word} at {format_utc(time_utc)}, within a market period of {period_s} s"
            )

    def convert(series: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
        if period_s >= interval_s:
            return {name: _sum(values, period_s // interval_s) for name, values in series.items()}
        return {name: _split(values, interval_s // period_s) for name, values in series.items()}

    return replace(
        profiles,
        interval_s=period_s,
        consumption_wh=convert(profiles.consumption_wh),
        generation_wh=convert(profiles.generation_wh),
    )


def _index_of(profiles: Profiles, start_utc: int) -> int:
    index, rest = divmod(start_utc - profiles.start_utc, profiles.interval_s)
    if rest or not 0 <= index < profiles.intervals:
        raise BadInput(
            profiles.source,
            None,
            f"has no interval that starts at {format_utc(start_utc)}; it has one every {profiles.interval_s} s "
            f"from {format_utc(profiles.start_utc)} until {format_utc(profiles.end_utc)}",
        )
    return index


def _end_of(profiles: Profiles, first: int, days: int) -> int:
    """Return the index of the interval that follows `days` from the interval `first`."""
    if days < 1:
        raise BadInput("--days", None, f"{days} is no number of days; 1 or more was expected")
    hours = 24 * days
    intervals, rest = divmod(days * DAY_S, profiles.interval_s)
    if rest:
        raise BadInput(profiles.source, None, f"its interval of {profiles.interval_s} s does not divide {hours} hours")
    if first + intervals > profiles.intervals:
        start, end = format_utc(profiles.start_utc + first * profiles.interval_s), format_utc(profiles.end_utc)
        raise BadInput(profiles.source, None, f"ends at {end}; {hours} hours from {start} were asked for")
    return first + intervals


def _sum(values: Sequence[int], size: int) -> list[int]:
    return [sum(values[index : index + size]) for index in range(0, len(values), size)]


def _split(values: Sequence[int], parts: int) -> list[int]:
    return [value * (part + 1) // parts - value * part // parts for value in values for part in range(parts)]


def _read(source: str, file: IO[bytes]) -> Profiles:
    rows = _rows(source, file)
    order = _column_order(source, rows)
    times: list[int] = []
    series: dict[str, tuple[list[int], list[int]]] = {}
    time_text = ""
    line = 1
    for line, row in rows:
        if len(row) != len(COLUMNS):
            raise BadInput(source, line, f"has {len(row)} values; {len(COLUMNS)} were expected")
        new_time_text, home, consumption, generation = [row[column] for column in order]
        if new_time_text != time_text:
            time_text = new_time_text
            _append_time(source, line, time_text, times, series)
        values = series.get(home)
        if values is None:
            _check_new_home(source, line, home, times)
            values = series[home] = ([], [])
        if len(values[0]) == len(times):
            raise BadInput(source, line, f"household {home!r} stands a second time at {format_utc(times[-1])}")
        values[0].append(_watt_hours(source, line, "consumption_wh", consumption))
        values[1].append(_watt_hours(source, line, "generation_wh", generation))
    _check_all_homes(source, line, times, series)
    if len(times) < 2:  # noqa: PLR2004 -- an interval has two ends
        raise BadInput(source, line, "ends before a second time; two at least were expected, to tell the interval")
    households = tuple(sorted(series))
    interval_s = times[1] - times[0]
    return Profiles(
        source=source,
        interval_s=interval_s,
        measured_interval_s=interval_s,
        start_utc=times[0],
        households=households,
        consumption_wh={name: series[name][0] for name in households},
        generation_wh={name: series[name][1] for name in households},
    )


def _rows(source: str, file: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the values of each line."""
    reader = csv.reader(_lines(source, file), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise BadInput(source, reader.line_num, f"is no line of CSV: {error}") from error


def _lines(source: str, file: IO[bytes]) -> Iterator[str]:
    line = 0
    while data := file.readline(MAX_LINE_BYTES + 1):
        line += 1
        if len(data) > MAX_LINE_BYTES:
            raise BadInput(source, line, f"is longer than {MAX_LINE_BYTES} bytes")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise BadInput(source, line, "is not UTF-8") from error
        if text.startswith("\ufeff"):
            raise BadInput(source, line, "begins with a byte order mark; UTF-8 without one was expected")
        yield text


def _column_order(source: str, rows: Iterator[tuple[int, list[str]]]) -> list[int]:
    """Return where each of `COLUMNS` stands, from the header."""
    line, header = next(rows, (None, []))
    if line is None:
        raise BadInput(source, None, f"is empty; a line with {','.join(COLUMNS)} was expected")
    for name in header:
        if name not in COLUMNS:
            raise BadInput(source, line, f"has an unknown column {name!r}; {', '.join(COLUMNS)} were expected")
        if header.count(name) > 1:
            raise BadInput(source, line, f"has the column {name} twice")
    for name in COLUMNS:
        if name not in header:
            raise BadInput(source, line, f"has no column {name}; {', '.join(COLUMNS)} were expected")
    return [header.index(name) for name in COLUMNS]


def _append_time(
    source: str, line: int, text: str, times: list[int], series: Mapping[str, tuple[list[int], list[int]]]
) -> None:
    """Add the time of `line` to `times`, unless it is the last one written in another way."""
    try:
        time_utc = parse_utc(text)
    except ValueError as error:
        raise BadInput(
            source, line, f"timestamp_utc is {text!r}; a UTC time such as 2017-03-20T07:00:00Z was expected"
        ) from error
    if times and time_utc == times[-1]:
        return
    if times and time_utc < times[-1]:
        raise BadInput(source, line, f"goes back from {format_utc(times[-1])} to {text}; rows sorted by time expected")
    _check_all_homes(source, line, times, series)
    if len(times) > 1 and time_utc != times[-1] + times[1] - times[0]:
        expected = format_utc(times[-1] + times[1] - times[0])
        raise BadInput(source, line, f"is at {text}; {expected} was expected, {times[1] - times[0]} s after the last")
    times.append(time_utc)


def _check_new_home(source: str, line: int, home: str, times: Sequence[int]) -> None:
    if not fields.NAME.accepts(home):
        raise BadInput(source, line, f"household is {home!r}; {fields.NAME.expected} was expected")
    if len(times) > 1:
        raise BadInput(source, line, f"household {home!r} has no row at {format_utc(times[0])}, where all homes begin")


def _check_all_homes(
    source: str, line: int, times: Sequence[int], series: Mapping[str, tuple[list[int], list[int]]]
) -> None:
    for home, (consumption_wh, _) in series.items():
        if len(consumption_wh) < len(times):
            raise BadInput(source, line, f"household {home!r} has no row at {format_utc(times[-1])}")


def _watt_hours(source: str, line: int, column: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise BadInput(
            source, line, f"{column} is {text[:40]!r}; a whole number of watt-hours, 0 or more, was expected"
        )
    return int(text)
