"""A community as a simulation needs it: feeders, homes, tariffs and fees, read from a TOML file.

Every key may be left out; `docs/community.md` lists them with their defaults. An unknown key, a wrong value or an
unknown home is refused with file and line.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wattpool.bad_input import BadInput, listed
from wattpool.report.local_time import is_zone
from wattpool.simulation.battery import BatteryPlan
from wattpool_chaincode import fields
from wattpool_chaincode.contract.connection import POWER
from wattpool_chaincode.contract.rules import PRICE, SHARE, TIME_LIMIT, Tariff
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.records.units import PPM

MAX_FILE_BYTES = 1_000_000
STANDARD = "standard"
STANDARD_TARIFF = {
    "energy_ut_per_kwh": 180_000,
    "network_ut_per_kwh": 90_000,
    "levies_ut_per_kwh": 30_000,
    "feed_in_ut_per_kwh": 80_000,
}
# Of the usual size for a household, and a round trip's usual loss.
STANDARD_BATTERY = {"capacity_wh": 10_000, "power_w": 5_000, "efficiency_ppm": 900_000}
# Twenty tokens pay for 66 kWh at the standard retail price: more than any home of the real set ever used in a day.
DEFAULTS: dict[str, Any] = {
    "community": "sierra-crest",
    "meter_model": "Simulated",
    "feeders": ["A", "B"],
    "mechanism": "pool",
    "alpha_ut_per_kwh": 30_000,
    "beta_ut_per_kwh": 15_000,
    "fee_feeder_ut_per_kwh": 15_000,
    "fee_community_ut_per_kwh": 30_000,
    "firm_deposit_ppm": 500_000,
    "firm_tolerance_ppm": 50_000,
    "firm_decline_below_ppm": 500_000,
    "firm_shortfall_ut_per_kwh": 100_000,
    "purse_target_ut": 20_000_000,
    "generation_cost_ut_per_kwh": 60_000,
    "line_limit_w": 17_000,
    "zone": "UTC",
    "tariffs": {},
    "homes": {},
}

FEEDERS = fields.Check(
    f"a list of names, each once and {fields.NAME.expected},",
    lambda value: (
        isinstance(value, list)
        and all(fields.NAME.accepts(name) for name in value)
        and 0 < len(value) == len(set(value))
    ),
)
TABLE = fields.Check("a table", lambda value: isinstance(value, dict))
TOKENS = fields.Check(
    f"a number of micro-tokens from 0 to {fields.MAX_UT}",
    lambda value: type(value) is int and 0 <= value <= fields.MAX_UT,
)
ZONE = fields.Check("a time zone such as Europe/Berlin", lambda value: isinstance(value, str) and is_zone(value))
HOURS = fields.Check(
    "a list of two different hours from 0 to 23",
    lambda value: (
        isinstance(value, list)
        and len(set(value)) == len(value) == 2  # noqa: PLR2004 -- the first and the last
        and all(type(hour) is int and 0 <= hour <= 23 for hour in value)  # noqa: PLR2004 -- of a day
    ),
)
EFFICIENCY = fields.Check(
    "a share from 1 to 1,000,000 parts per million", lambda value: type(value) is int and 0 < value <= PPM
)
BATTERY_CHECKS = {
    "capacity_wh": fields.COUNT,
    "power_w": POWER,
    "efficiency_ppm": EFFICIENCY,
    "buy_hours_utc": HOURS,
    "sell_hours_utc": HOURS,
}
COMMUNITY_CHECKS = {
    "community": fields.NAME,
    "meter_model": fields.NAME,
    "feeders": FEEDERS,
    "mechanism": fields.one_of(*MECHANISMS),
    "alpha_ut_per_kwh": PRICE,
    "beta_ut_per_kwh": PRICE,
    "pool_time_limit_s": TIME_LIMIT,
    "fee_feeder_ut_per_kwh": PRICE,
    "fee_community_ut_per_kwh": PRICE,
    "firm_deposit_ppm": SHARE,
    "firm_tolerance_ppm": SHARE,
    "firm_decline_below_ppm": SHARE,
    "firm_shortfall_ut_per_kwh": PRICE,
    "purse_target_ut": TOKENS,
    "generation_cost_ut_per_kwh": PRICE,
    "line_limit_w": POWER,
    "zone": ZONE,
    "tariffs": TABLE,
    "homes": TABLE,
}


@dataclass(frozen=True, kw_only=True)
class HomePlan:
    """One home: where it is connected, and on which terms.

    Attributes:
        feeder: name of its feeder.
        tariff: name of its tariff.
        generation_cost_ut_per_kwh: what generating costs the owner, who sells for no less, and for more than the
            feed-in price.
        line_limit_w: the most its connection carries, either way.
        max_buy_ut_per_kwh: the most the owner pays, fees included; None for what is usual under the mechanism.
        battery: None if it has none.
    """

    feeder: str
    tariff: str
    generation_cost_ut_per_kwh: int
    line_limit_w: int
    max_buy_ut_per_kwh: int | None = None
    battery: BatteryPlan | None = None


@dataclass(frozen=True, kw_only=True)
class CommunityPlan:
    """A whole community; prices and fees as in the rules on the contract chain.

    Attributes:
        community: its name.
        meter_model: of all meters.
        feeders: their names.
        tariffs: by name; one of them is `standard`.
        homes: by name, in the order of names.
        mechanism: name of the market mechanism.
        alpha_ut_per_kwh: eq. (2) of paper A.
        beta_ut_per_kwh: eq. (3) of paper A.
        pool_time_limit_s: how long coalitions of the pool stay together; None for one market period.
        fee_feeder_ut_per_kwh: local network fee of a trade within a feeder.
        fee_community_ut_per_kwh: the same between feeders.
        firm_deposit_ppm: what the seller of a firm offer puts aside, as a share of its price.
        firm_tolerance_ppm: the share of a firm offer that may be short without consequences.
        firm_decline_below_ppm: a firm offer of which less than this share is delivered is declined whole.
        firm_shortfall_ut_per_kwh: what a shortfall beyond the tolerance costs at most.
        purse_target_ut: what each home's purse is filled up to at the start of a day; what is above is cashed.
        zone: IANA name of the time zone that reports and bills are written in; the market itself knows UTC alone.
    """

    community: str
    meter_model: str
    feeders: tuple[str, ...]
    tariffs: Mapping[str, Tariff]
    homes: Mapping[str, HomePlan]
    mechanism: str
    alpha_ut_per_kwh: int
    beta_ut_per_kwh: int
    pool_time_limit_s: int | None
    fee_feeder_ut_per_kwh: int
    fee_community_ut_per_kwh: int
    firm_deposit_ppm: int
    firm_tolerance_ppm: int
    firm_decline_below_ppm: int
    firm_shortfall_ut_per_kwh: int
    purse_target_ut: int
    zone: str


def plan_for(community_file: Path | None, households: Sequence[str]) -> CommunityPlan:
    """Return the plan for the homes of a profile: the file's, or the default one.

    Raises:
        BadInput: as `read_community`.
    """
    return default_community(households) if community_file is None else read_community(community_file, households)


def default_community(households: Sequence[str]) -> CommunityPlan:
    """Return the plan of defaults alone."""
    return _plan(_File(source="", text=""), {}, households)


def read_community(path: Path, households: Sequence[str]) -> CommunityPlan:
    """Read a TOML file about `households`.

    Raises:
        BadInput: naming the line that is wrong.
    """
    source = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadInput(source, None, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(source, None, f"is longer than {MAX_FILE_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(source, data.count(b"\n", 0, error.start) + 1, "is not UTF-8") from error
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _syntax_error(source, text, error) from error
    return _plan(_File(source=source, text=text), values, households)


@dataclass(frozen=True, kw_only=True)
class _File:
    """A TOML file's text, to find the line of what is wrong: the parser keeps none."""

    source: str
    text: str

    def check(self, path: tuple[str, ...], values: Mapping[str, Any], checks: Mapping[str, fields.Check]) -> None:
        """Refuse the first key of the table at `path` that is unknown or has a wrong value."""
        for key, value in values.items():
            if key not in checks:
                raise self.wrong((*path, key), f"is unknown; {listed(checks)} were expected")
            if not checks[key].accepts(value):
                raise self.wrong((*path, key), f"is {str(value)[:40]!r}; {checks[key].expected} was expected")

    def wrong(self, path: tuple[str, ...], message: str) -> BadInput:
        """Return the error about the key at `path`, with its line, or that of the table which it stands in."""
        lines = _key_lines(self.text)
        starts = (path[:length] for length in range(len(path), 0, -1))
        line = next((lines[start] for start in starts if start in lines), None)
        return BadInput(self.source, line, f"{'.'.join(path)} {message}")


def _plan(file: _File, values: dict[str, Any], households: Sequence[str]) -> CommunityPlan:
    """Check the tables from the outside in, and build the plan."""
    file.check((), values, COMMUNITY_CHECKS)
    community = DEFAULTS | values
    tariffs = _tariffs(file, community["tariffs"])
    names = sorted(households)
    file.check(("homes",), community["homes"], dict.fromkeys(names, TABLE))
    home_checks = {
        "feeder": fields.one_of(*community["feeders"]),
        "tariff": fields.one_of(*tariffs),
        "generation_cost_ut_per_kwh": PRICE,
        "line_limit_w": POWER,
        "max_buy_ut_per_kwh": PRICE,
        "battery": TABLE,
    }
    homes = {}
    for index, name in enumerate(names):
        own = community["homes"].get(name, {})
        file.check(("homes", name), own, home_checks)
        # Dealt to the feeders in pairs: every second home has panels by default, so each feeder has both kinds.
        defaults = {
            "feeder": community["feeders"][index // 2 % len(community["feeders"])],
            "tariff": STANDARD,
            "generation_cost_ut_per_kwh": community["generation_cost_ut_per_kwh"],
            "line_limit_w": community["line_limit_w"],
        }
        battery = {"battery": _battery(file, name, own["battery"])} if "battery" in own else {}
        homes[name] = HomePlan(**(defaults | own | battery))
    return CommunityPlan(
        community=community["community"],
        meter_model=community["meter_model"],
        feeders=tuple(community["feeders"]),
        tariffs=tariffs,
        homes=homes,
        mechanism=community["mechanism"],
        alpha_ut_per_kwh=community["alpha_ut_per_kwh"],
        beta_ut_per_kwh=community["beta_ut_per_kwh"],
        pool_time_limit_s=community.get("pool_time_limit_s"),
        fee_feeder_ut_per_kwh=community["fee_feeder_ut_per_kwh"],
        fee_community_ut_per_kwh=community["fee_community_ut_per_kwh"],
        firm_deposit_ppm=community["firm_deposit_ppm"],
        firm_tolerance_ppm=community["firm_tolerance_ppm"],
        firm_decline_below_ppm=community["firm_decline_below_ppm"],
        firm_shortfall_ut_per_kwh=community["firm_shortfall_ut_per_kwh"],
        purse_target_ut=community["purse_target_ut"],
        zone=community["zone"],
    )


def _battery(file: _File, home: str, values: dict[str, Any]) -> BatteryPlan:
    file.check(("homes", home, "battery"), values, BATTERY_CHECKS)
    plan = STANDARD_BATTERY | values
    hours = {name: tuple(plan[name]) for name in ("buy_hours_utc", "sell_hours_utc") if name in plan}
    return BatteryPlan(**(plan | hours))


def _tariffs(file: _File, tables: dict[str, Any]) -> dict[str, Tariff]:
    """Return the tariffs by name; `standard` is always among them."""
    tariffs = {}
    for name, prices in ({STANDARD: {}} | tables).items():
        if not fields.NAME.accepts(name):
            raise file.wrong(("tariffs", name), f"is no name; {fields.NAME.expected} was expected")
        if not TABLE.accepts(prices):
            raise file.wrong(("tariffs", name), f"is {str(prices)[:40]!r}; {TABLE.expected} was expected")
        file.check(("tariffs", name), prices, dict.fromkeys(STANDARD_TARIFF, PRICE))
        tariff = Tariff(**(STANDARD_TARIFF | prices))
        if tariff.feed_in_ut_per_kwh >= tariff.retail_ut_per_kwh:
            raise file.wrong(
                ("tariffs", name, "feed_in_ut_per_kwh"),
                f"is {tariff.feed_in_ut_per_kwh}; less than the retail price, {tariff.retail_ut_per_kwh}, was expected",
            )
        tariffs[name] = tariff
    return tariffs


def _syntax_error(source: str, text: str, error: Exception) -> BadInput:
    """Return a parser's complaint with its line; at the end of the document that is the last one."""
    message, _, place = str(error).partition(" (at ")
    found = re.match(r"line (\d+)", place)
    line = int(found[1]) if found else text.count("\n") + 1 if place else None
    return BadInput(source, line, f"is no TOML: {message}")


def _key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return on which line each key and each table first stands; what an inline table holds is not looked for."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), start=1):
        # A line that is no statement of its own continues a value over several lines.
        with suppress(tomllib.TOMLDecodeError):
            if line.lstrip().startswith("["):
                table = path = _key_path(line)
            else:
                path = (*table, *_key_path(line.partition("=")[0] + "= 0"))
            lines.setdefault(path, number)
    return lines


def _key_path(statement: str) -> tuple[str, ...]:
    """Return the dotted key of one TOML statement; empty for a comment."""
    path = []
    value: Any = tomllib.loads(statement)
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        path.append(key)
    return tuple(path)
