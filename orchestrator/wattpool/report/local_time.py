"""Times in the community's zone; days begin at local midnight, so that one may have 92 or 100 quarter-hours."""

from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

DEFAULT = "UTC"


def zone_of(name: str) -> tzinfo:
    """Return a zone by its IANA name.

    Raises:
        ValueError: if there is none of this name.
    """
    # UTC needs no zone database, which a small system may lack.
    if name == DEFAULT:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error


def is_zone(name: str) -> bool:
    """Tell whether there is a zone of this name."""
    try:
        zone_of(name)
    except ValueError:
        return False
    return True


def day_of(time_utc: int, zone: tzinfo) -> date:
    """Return the local day that a time is in."""
    return datetime.fromtimestamp(time_utc, zone).date()


def clock(time_utc: int, zone: tzinfo) -> str:
    """Return the local time of day: `07:15`."""
    return f"{datetime.fromtimestamp(time_utc, zone):%H:%M}"


def stamp(time_utc: int, zone: tzinfo) -> str:
    """Return a local time with its offset, which tells the two hours of a night apart: `2017-10-29 02:15 +0100`."""
    return f"{datetime.fromtimestamp(time_utc, zone):%Y-%m-%d %H:%M %z}"
