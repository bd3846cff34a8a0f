"""A day of a small community, worked out by hand, for the tests of report and bills."""

from collections.abc import Mapping
from typing import Any

from community import FIRST, Community, Home
from wattpool.report.local_time import zone_of
from wattpool.report.reading import LedgerReader, SettledPeriod
from wattpool.report.rendering import Edition
from wattpool_chaincode.records.period import Period

HOMES = [Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B")]
NAMES = {0: "ann", 1: "bob", 2: "cy"}
# Ann sells Bob at most 300 Wh at 174,999 (fee 10,000), and Cy on the other feeder 200 Wh at 169,999 (fee 20,000).
WISHES_WH = {"ann": 500, "bob": -300, "cy": -400}
# She delivers 450 Wh: 270 to Bob, 180 to Cy. Bob draws 80 Wh from the grid, Cy 220, at 300,000; feed-in is 50,000.
MEASURED_WH = {"ann": (0, 450), "bob": (350, 0), "cy": (400, 0)}
OWN_USE_WH = {"ann": 120, "bob": 0, "cy": 0}


class _Chain:
    """A channel of a community in memory."""

    def __init__(self, community: Community, channel: str) -> None:
        self._call = getattr(community, channel)

    def evaluate(self, function: str, *, by: str, **argument: Any) -> Any:
        return self._call(function, by=by, **argument)


def reader_of(community: Community) -> LedgerReader:
    return LedgerReader(_Chain(community, "contract"), _Chain(community, "ledger"))


def by_hand(
    wishes_wh: Mapping[str, int] = WISHES_WH, measured_wh: Mapping[str, tuple[int, int]] = MEASURED_WH, **rules: Any
) -> list[SettledPeriod]:
    """Return the one settled period of a community that wished and measured this."""
    community = Community(HOMES, rules=rules)
    community.run_period(wishes_wh, measured_wh)
    return reader_of(community).settled_periods()


def corrected() -> list[SettledPeriod]:
    """Return the same period; Bob's reading was lost, substituted as 300 Wh, and his wallet holds 30,000 ut."""
    community = Community(HOMES)
    measured_wh = {name: wh for name, wh in MEASURED_WH.items() if name != "bob"}
    community.run_period(WISHES_WH, measured_wh)
    community.fill_wallet("bob", 30_000)
    community.correct([[1, 300, 0]])
    return reader_of(community).settled_periods()


def own_use(connection: str, period: Period) -> int:
    assert period == FIRST
    return next(OWN_USE_WH[home.name] for home in HOMES if home.connection == connection)


def edition(
    periods: list[SettledPeriod], *, zone: str = "UTC", names: Mapping[int, str] = NAMES, knows_own_use: bool = True
) -> Edition:
    return Edition(
        community="demo",
        periods=periods,
        names=names,
        own_use=own_use if knows_own_use else None,
        zone=zone_of(zone),
        zone_name=zone,
    )
