import re
from dataclasses import replace
from pathlib import Path

import pytest

from wattpool.bad_input import BadInput
from wattpool.simulation.battery import BatteryPlan
from wattpool.simulation.community import (
    DEFAULTS,
    STANDARD_BATTERY,
    STANDARD_TARIFF,
    CommunityPlan,
    HomePlan,
    default_community,
    plan_for,
    read_community,
)
from wattpool_chaincode.contract.rules import Tariff

DOCUMENTATION = (Path(__file__).resolve().parents[2] / "docs" / "community.md").read_text()
HOMES = ("ann", "bob", "cy", "dee", "eve")


@pytest.fixture
def toml_file(tmp_path: Path) -> Path:
    return tmp_path / "community.toml"


def read(toml_file: Path, text: str) -> CommunityPlan:
    toml_file.write_bytes(text.encode())
    return plan_for(toml_file, HOMES)


def test_the_default_community_deals_homes_to_two_feeders_in_pairs() -> None:
    plan = plan_for(None, HOMES)
    assert [(name, home.feeder) for name, home in plan.homes.items()] == [
        ("ann", "A"),
        ("bob", "A"),
        ("cy", "B"),
        ("dee", "B"),
        ("eve", "A"),
    ]
    assert plan.homes["ann"] == HomePlan(
        feeder="A", tariff="standard", generation_cost_ut_per_kwh=60_000, line_limit_w=17_000
    )
    assert plan.tariffs["standard"].retail_ut_per_kwh == 300_000


def test_the_order_of_the_homes_does_not_matter() -> None:
    assert default_community(HOMES[::-1]) == default_community(HOMES)


def test_an_empty_file_gives_the_defaults(toml_file: Path) -> None:
    assert read(toml_file, "") == default_community(HOMES)


def test_a_file_changes_what_it_names_and_nothing_else(toml_file: Path) -> None:
    plan = read(
        toml_file,
        """
        community = "main-street"
        meter_model = "M1"
        feeders = ["north", "south"]
        mechanism = "uniform"
        alpha_ut_per_kwh = 0
        fee_feeder_ut_per_kwh = 10_000
        purse_target_ut = 5_000_000
        line_limit_w = 9_000
        zone = "Europe/Berlin"

        [tariffs.standard]
        feed_in_ut_per_kwh = 0

        [tariffs.green]
        energy_ut_per_kwh = 200_000

        [homes.bob]
        feeder = "south"
        tariff = "green"
        generation_cost_ut_per_kwh = 1
        max_buy_ut_per_kwh = 2

        [homes]
        eve = { line_limit_w = 25_000 }
        """,
    )
    home = HomePlan(feeder="north", tariff="standard", generation_cost_ut_per_kwh=60_000, line_limit_w=9_000)
    standard = Tariff(
        energy_ut_per_kwh=180_000, network_ut_per_kwh=90_000, levies_ut_per_kwh=30_000, feed_in_ut_per_kwh=0
    )
    assert plan == CommunityPlan(
        community="main-street",
        meter_model="M1",
        feeders=("north", "south"),
        tariffs={
            "standard": standard,
            "green": replace(standard, energy_ut_per_kwh=200_000, feed_in_ut_per_kwh=80_000),
        },
        homes={
            "ann": home,
            "bob": replace(home, feeder="south", tariff="green", generation_cost_ut_per_kwh=1, max_buy_ut_per_kwh=2),
            "cy": replace(home, feeder="south"),
            "dee": replace(home, feeder="south"),
            "eve": replace(home, line_limit_w=25_000),
        },
        mechanism="uniform",
        alpha_ut_per_kwh=0,
        beta_ut_per_kwh=15_000,
        pool_time_limit_s=None,
        fee_feeder_ut_per_kwh=10_000,
        fee_community_ut_per_kwh=30_000,
        firm_deposit_ppm=500_000,
        firm_tolerance_ppm=50_000,
        firm_decline_below_ppm=500_000,
        firm_shortfall_ut_per_kwh=100_000,
        purse_target_ut=5_000_000,
        zone="Europe/Berlin",
    )


def test_a_battery_has_what_it_names_and_defaults(toml_file: Path) -> None:
    text = """
        pool_time_limit_s = 1800

        [homes.bob.battery]
        power_w = 3_000
        sell_hours_utc = [17, 21]

        [homes]
        eve = { battery = {} }
        """
    plan = read(toml_file, text)
    assert plan.pool_time_limit_s == 1_800
    assert {name: home.battery for name, home in plan.homes.items() if home.battery} == {
        "bob": BatteryPlan(capacity_wh=10_000, power_w=3_000, efficiency_ppm=900_000, sell_hours_utc=(17, 21)),
        "eve": BatteryPlan(capacity_wh=10_000, power_w=5_000, efficiency_ppm=900_000),
    }


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("# prices\nalpha = 3\n", 2, "alpha is unknown; community, meter_model, feeders"),
        ("alpha_ut_per_kwh = -1\n", 1, "alpha_ut_per_kwh is '-1'; a price from 0 to"),
        ("alpha_ut_per_kwh = nan\n", 1, "alpha_ut_per_kwh is 'nan'"),
        ("alpha_ut_per_kwh = 2000.0\n", 1, "alpha_ut_per_kwh is '2000.0'"),
        ("alpha_ut_per_kwh = true\n", 1, "alpha_ut_per_kwh is 'True'"),
        ('alpha_ut_per_kwh = "2"\n', 1, "alpha_ut_per_kwh is '2'"),
        ("alpha_ut_per_kwh = 99999999999999999999\n", 1, "alpha_ut_per_kwh is '99999999999999999999'"),
        ("firm_tolerance_ppm = 1_000_001\n", 1, "firm_tolerance_ppm is '1000001'; a share from 0 to"),
        ("purse_target_ut = -1\n", 1, "purse_target_ut is '-1'; a number of micro-tokens"),
        ("line_limit_w = 0\n", 1, "line_limit_w is '0'; a power from 1 to"),
        ('zone = "Atlantis"\n', 1, "zone is 'Atlantis'; a time zone such as Europe/Berlin was expected"),
        ('zone = "../passwd"\n', 1, "zone is '../passwd'"),
        ('zone = "America"\n', 1, "zone is 'America'"),
        ("zone = 1\n", 1, "zone is '1'"),
        ('community = "main street"\n', 1, "community is 'main street'; a name of 1 to 64"),
        ("pool_time_limit_s = 0\n", 1, "pool_time_limit_s is '0'; a length in seconds of one period or more"),
        ("[homes.bob.battery]\npower_w = 0\n", 2, "homes.bob.battery.power_w is '0'; a power from 1 to"),
        (
            "[homes.bob.battery]\nsell_hours_utc = [9, 9]\n",
            2,
            "homes.bob.battery.sell_hours_utc is '[9, 9]'; a list of",
        ),
        (
            "[homes.bob.battery]\nbuy_hours_utc = [9, 24]\n",
            2,
            "homes.bob.battery.buy_hours_utc is '[9, 24]'; a list of",
        ),
        ("[homes.bob.battery]\nvolts = 48\n", 2, "homes.bob.battery.volts is unknown; capacity_wh, power_w"),
        (
            '\nmechanism = "barter"\n',
            2,
            "mechanism is 'barter'; one of pool, uniform, pay_as_bid, mid_rate was expected",
        ),
        ("feeders = []\n", 1, "feeders is '[]'; a list of names"),
        ('feeders = ["A", "A"]\n', 1, "feeders is"),
        ('feeders = [\n  "A",\n  { x = 1 },\n]\n', 1, "feeders is"),
        ('feeders = "A"\n', 1, "feeders is 'A'"),
        ("homes = 3\n", 1, "homes is '3'; a table was expected"),
        ("[[homes]]\n", 1, "homes is"),
        ("[homes]\nann = 3\n", 2, "homes.ann is '3'; a table was expected"),
        ("\n\n[homes.zoe]\n", 3, "homes.zoe is unknown; ann, bob, cy, dee, eve were expected"),
        ("[homes.ann]\n[homes.bob]\nfeed = 1\n", 3, "homes.bob.feed is unknown; feeder, tariff,"),
        ("line_limit_w = 1\n[homes.bob]\n line_limit_w = 'x'", 3, "homes.bob.line_limit_w is 'x'"),
        ("[homes]\nbob = { line_limit_w = 'x' }", 2, "homes.bob.line_limit_w is 'x'"),
        ("homes.bob.line_limit_w = 'x'", 1, "homes.bob.line_limit_w is 'x'"),
        ("homes = { bob = { line_limit_w = 'x' } }", 1, "homes.bob.line_limit_w is 'x'"),
        ('[homes.bob]\nfeeder = "C"\n', 2, "homes.bob.feeder is 'C'; one of A, B was expected"),
        ('[homes.bob]\ntariff = "green"\n', 2, "homes.bob.tariff is 'green'; one of standard was expected"),
        ('[tariffs."a b"]\n', 1, "tariffs.a b is no name"),
        ("[tariffs]\ngreen = 1\n", 2, "tariffs.green is '1'; a table was expected"),
        ("[tariffs.green]\nvat = 1\n", 2, "tariffs.green.vat is unknown; energy_ut_per_kwh,"),
        ("[tariffs.green]\nlevies_ut_per_kwh = inf\n", 2, "tariffs.green.levies_ut_per_kwh is 'inf'"),
        (
            "[tariffs.standard]\nfeed_in_ut_per_kwh = 300_000\n",
            2,
            "tariffs.standard.feed_in_ut_per_kwh is 300000; less than the retail price, 300000, was expected",
        ),
        ("[tariffs.cheap]\nenergy_ut_per_kwh = 0\nnetwork_ut_per_kwh = 0\n", 1, "tariffs.cheap.feed_in_ut_per_kwh is"),
        ("a = 1\nb = = 2\n", 2, "is no TOML: Invalid value"),
        ("a = 1\na = 2\nb = 3\n", 2, "is no TOML: Cannot overwrite a value"),
        ("a = 1\nb =", 2, "is no TOML: Invalid value"),
        ("a = " + "9" * 5_000, None, "is no TOML: Exceeds the limit"),
        ("a = " + "[" * 5_000, None, "is no TOML: maximum recursion depth exceeded"),
        ("#" * 1_000_001, None, "is longer than 1000000 bytes"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(toml_file: Path, text: str, line: int | None, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(toml_file, text)
    assert refused.value.message.startswith(message)
    assert (refused.value.file, refused.value.line) == (str(toml_file), line)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused_with_its_line(toml_file: Path) -> None:
    toml_file.write_bytes(b'# prices\ncommunity = "stra\xdfe"\n')
    with pytest.raises(BadInput, match=r"community\.toml:2: is not UTF-8"):
        read_community(toml_file, HOMES)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.toml: cannot be read: No such file"):
        read_community(tmp_path / "none.toml", HOMES)


def test_a_long_list_of_homes_is_cut_in_the_message(toml_file: Path) -> None:
    toml_file.write_text("[homes.zoe]\n")
    homes = [f"h{number:03}" for number in range(100)]
    with pytest.raises(BadInput, match=r"h018, h019 and 80 more were expected"):
        read_community(toml_file, homes)


def test_the_documented_example_can_be_read(toml_file: Path) -> None:
    toml_file.write_text(DOCUMENTATION.partition("```toml\n")[2].partition("```")[0])
    plan = read_community(toml_file, ["h01", "h02", "h03"])
    assert plan.community == "main-street"
    assert plan.homes["h01"].feeder == "south"
    assert plan.tariffs["green"].retail_ut_per_kwh == 320_000


@pytest.mark.parametrize(
    ("key", "default"),
    [
        (key, default)
        for key, default in (DEFAULTS | STANDARD_TARIFF | STANDARD_BATTERY).items()
        if not isinstance(default, dict)
    ],
)
def test_every_default_is_documented(key: str, default: int | str | list[str]) -> None:
    row = re.search(rf"^\| `{key}` \| ([^|]+) \|", DOCUMENTATION, flags=re.MULTILINE)
    assert row is not None
    written = f"{default:,}" if isinstance(default, int) else f"`{default!r}`".replace("'", '"')
    assert row[1] == written
