from pathlib import Path

import pytest

from wattpool.bad_input import BadInput
from wattpool.simulation.profiles import (
    BUNDLED_DAY_START_UTC,
    MAX_LINE_BYTES,
    Profiles,
    default_pv,
    read_profiles,
    select,
    to_periods,
)
from wattpool_chaincode.records.period import parse_utc

HEADER = "timestamp_utc,household,consumption_wh,generation_wh\n"
GOOD = HEADER + (
    "2017-03-20T07:00:00Z,ann,10,0\n"
    "2017-03-20T07:00:00Z,bob,7,3\n"
    "2017-03-20T08:00:00Z,bob,8,5\n"
    "2017-03-20T08:00:00Z,ann,20,1\n"
)
OTHER_ORDER = """\
household,generation_wh,timestamp_utc,consumption_wh
bob,3,2017-03-20 07:00:00+00:00,7
ann,0,2017-03-20 07:00:00+00:00,10
ann,1,2017-03-20 08:00:00+00:00,20
bob,5,2017-03-20 08:00:00+00:00,8
"""
SEVEN_UTC = 1_489_993_200


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tmp_path / "homes.csv"


def read(csv_file: Path, text: str) -> Profiles:
    csv_file.write_bytes(text.encode())
    return read_profiles(csv_file)


def profiles_of(values: list[int], *, interval_s: int = 3_600, start_utc: int = SEVEN_UTC) -> Profiles:
    return Profiles(
        source="homes.csv",
        interval_s=interval_s,
        measured_interval_s=interval_s,
        start_utc=start_utc,
        households=("ann",),
        consumption_wh={"ann": values},
        generation_wh={"ann": [0] * len(values)},
    )


def test_a_file_is_read_by_home_and_interval(csv_file: Path) -> None:
    profiles = read(csv_file, GOOD)
    assert profiles == Profiles(
        source=str(csv_file),
        interval_s=3_600,
        measured_interval_s=3_600,
        start_utc=SEVEN_UTC,
        households=("ann", "bob"),
        consumption_wh={"ann": [10, 20], "bob": [7, 8]},
        generation_wh={"ann": [0, 1], "bob": [3, 5]},
    )
    assert profiles.end_utc == SEVEN_UTC + 7_200


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD.removesuffix("\n"),
        GOOD.replace("ann", '"ann"'),
        GOOD.replace("T07:00:00Z,bob", "T07:00:00+00:00,bob"),
        OTHER_ORDER,
    ],
    ids=["crlf", "no last newline", "quoted", "two ways to write UTC", "other order"],
)
def test_the_same_file_written_otherwise_reads_the_same(csv_file: Path, text: str) -> None:
    assert read(csv_file, text) == read(csv_file, GOOD)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "is empty"),
        (HEADER, 1, "ends before a second time"),
        (HEADER + "2017-03-20T07:00:00Z,ann,1,1\n", 2, "ends before a second time"),
        (GOOD.replace(",generation_wh", ""), 1, "has no column generation_wh"),
        (GOOD.replace("generation_wh", "pv"), 1, "has an unknown column 'pv'"),
        (GOOD.replace("generation_wh", "consumption_wh"), 1, "has the column consumption_wh twice"),
        ("\ufeff" + GOOD, 1, "begins with a byte order mark"),
        (GOOD.replace("bob,7,3", "bob,7"), 3, "has 3 values; 4 were expected"),
        (GOOD.replace("bob,7,3", "bob,7,3,1"), 3, "has 5 values; 4 were expected"),
        (GOOD + "\n", 6, "has 0 values"),
        (GOOD.replace("bob,7,3", "bob,7,-5"), 3, "generation_wh is '-5'; a whole number of watt-hours, 0 or more, was"),
        (GOOD.replace("bob,7,3", "bob,NaN,3"), 3, "consumption_wh is 'NaN'"),
        (GOOD.replace("bob,7,3", "bob,,3"), 3, "consumption_wh is ''"),
        (GOOD.replace("bob,7,3", "bob,7.0,3"), 3, "consumption_wh is '7.0'"),
        (GOOD.replace("bob,7,3", "bob,1_0,3"), 3, "consumption_wh is '1_0'"),
        (GOOD.replace("bob,7,3", "bob,\u0667,3"), 3, "consumption_wh is '\u0667'"),
        (GOOD.replace("bob,7,3", "bob,1000000000,3"), 3, "consumption_wh is '1000000000'"),
        (GOOD.replace("bob,7,3", '"bob"x,7,3'), 3, "is no line of CSV"),
        (GOOD.replace("bob,7,3", "b b,7,3"), 3, "household is 'b b'; a name"),
        (GOOD.replace("bob,7,3", f"{'b' * MAX_LINE_BYTES},7,3"), 3, "is longer than 1000 bytes"),
        (GOOD.replace("07:00:00Z,bob", "07:00:00,bob"), 3, "timestamp_utc is '2017-03-20T07:00:00'; a UTC time"),
        (GOOD.replace("07:00:00Z,bob", "07:00:00+01:00,bob"), 3, "timestamp_utc is '2017-03-20T07:00:00+01:00'"),
        (GOOD.replace("07:00:00Z,bob", "07:00:00.5Z,bob"), 3, "timestamp_utc is '2017-03-20T07:00:00.5Z'"),
        (GOOD.replace("2017-03-20T07:00:00Z,ann", "yesterday,ann"), 2, "timestamp_utc is 'yesterday'"),
        (GOOD.replace("2017-", "1917-"), 2, "timestamp_utc is '1917-03-20T07:00:00Z'"),
        (GOOD + "2017-03-20T07:00:00Z,ann,1,1\n", 6, "goes back from 2017-03-20T08:00:00Z to 2017-03-20T07:00:00Z"),
        (GOOD + "2017-03-20T08:00:00Z,ann,20,1\n", 6, "household 'ann' stands a second time at 2017-03-20T08:00:00Z"),
        (GOOD + "2017-03-20T10:00:00Z,ann,1,1\n", 6, "is at 2017-03-20T10:00:00Z; 2017-03-20T09:00:00Z was expected"),
        (GOOD + "2017-03-20T08:30:00Z,ann,1,1\n", 6, "is at 2017-03-20T08:30:00Z; 2017-03-20T09:00:00Z was expected"),
        (GOOD + "2017-03-20T09:00:00Z,ann,1,1\n", 6, "household 'bob' has no row at 2017-03-20T09:00:00Z"),
        (
            GOOD.replace("2017-03-20T07:00:00Z,bob,7,3\n", ""),
            3,
            "household 'bob' has no row at 2017-03-20T07:00:00Z, where all homes begin",
        ),
        (
            GOOD.replace("2017-03-20T08:00:00Z,ann,20,1\n", "2017-03-20T09:00:00Z,ann,1,1\n"),
            5,
            "household 'ann' has no row at 2017-03-20T08:00:00Z",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(csv_file: Path, text: str, line: int | None, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(csv_file, text)
    assert (refused.value.file, refused.value.line) == (str(csv_file), line)
    assert refused.value.message.startswith(message)
    place = f"{csv_file}: " if line is None else f"{csv_file}:{line}: "
    assert str(refused.value) == place + refused.value.message
    assert "\n" not in str(refused.value)


def test_a_line_that_is_not_utf_8_is_named(csv_file: Path) -> None:
    csv_file.write_bytes(GOOD.replace("bob", "böb").encode("latin-1"))
    with pytest.raises(BadInput, match=r"homes\.csv:3: is not UTF-8"):
        read_profiles(csv_file)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv: cannot be read: No such file or directory"):
        read_profiles(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        read_profiles(tmp_path)


@pytest.mark.parametrize(
    ("values", "period_s", "expected"),
    [
        ([10, 3], 900, [2, 3, 2, 3, 0, 1, 1, 1]),
        ([10, 3], 3_600, [10, 3]),
        ([1, 2, 3, 4, 5, 6], 10_800, [6, 15]),
    ],
    ids=["split", "as it is", "summed"],
)
def test_energy_is_kept_when_intervals_become_market_periods(
    values: list[int], period_s: int, expected: list[int]
) -> None:
    start_utc = SEVEN_UTC - SEVEN_UTC % 10_800
    periods = to_periods(profiles_of(values, start_utc=start_utc), period_s)
    assert periods.consumption_wh == {"ann": expected}
    assert periods.is_split is (period_s < 3_600)
    assert periods.end_utc == start_utc + 3_600 * len(values)


@pytest.mark.parametrize(
    ("profiles", "period_s", "message"),
    [
        (profiles_of([1, 2]), 7_000, "--period: 7000 s does not divide a day"),
        (profiles_of([1, 2]), 0, "--period: 0 s does not divide a day"),
        (
            profiles_of([1, 2]),
            2_400,
            "homes.csv: its interval of 3600 s neither divides nor is a multiple of a market period of 2400 s",
        ),
        (profiles_of([1, 2]), 7_200, "homes.csv: starts at 2017-03-20T07:00:00Z, within a market period of 7200 s"),
        (
            profiles_of([1, 2, 3], start_utc=SEVEN_UTC + 3_600),
            7_200,
            "homes.csv: ends at 2017-03-20T11:00:00Z, within a market period of 7200 s",
        ),
    ],
)
def test_intervals_that_do_not_fit_market_periods_are_refused(profiles: Profiles, period_s: int, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        to_periods(profiles, period_s)
    assert str(refused.value) == message


def test_the_bundled_community_is_a_week_of_ten_homes_with_something_to_trade() -> None:
    profiles = read_profiles()
    assert (len(profiles.households), profiles.intervals, profiles.interval_s) == (10, 168, 3_600)
    assert sum(map(sum, profiles.consumption_wh.values())) == 1_767_043
    assert sum(map(sum, profiles.generation_wh.values())) == 1_925_846
    day = select(profiles, start_utc=BUNDLED_DAY_START_UTC, days=1)
    assert day.start_utc == parse_utc("2017-05-05T07:00:00Z")
    tradable_wh = 0
    for index in range(day.intervals):
        exports_wh = [day.generation_wh[name][index] - day.consumption_wh[name][index] for name in day.households]
        tradable_wh += min(sum(wh for wh in exports_wh if wh > 0), -sum(wh for wh in exports_wh if wh < 0))
    assert tradable_wh == 53_906


def test_by_default_every_second_home_that_generates_keeps_its_panels() -> None:
    profiles = read_profiles()
    assert default_pv(profiles) == ("h01", "h03", "h09", "h11", "h16")
    without_h03 = select(profiles, pv=[name for name in profiles.households if name != "h03"])
    assert default_pv(without_h03) == ("h01", "h08", "h10", "h13", "h17")


def test_a_selection_keeps_the_days_and_the_panels_asked_for() -> None:
    profiles = read_profiles()
    days = select(profiles, start_utc=profiles.start_utc + 86_400, days=2, pv=["h02"])
    assert (days.start_utc, days.intervals) == (profiles.start_utc + 86_400, 48)
    assert days.consumption_wh["h17"] == profiles.consumption_wh["h17"][24:72]
    assert days.generation_wh["h02"] == profiles.generation_wh["h02"][24:72]
    assert {name for name in days.households if any(days.generation_wh[name])} == {"h02"}
    assert not any(map(any, select(profiles, pv=[]).generation_wh.values()))


@pytest.mark.parametrize(
    ("start_utc", "days", "pv", "message"),
    [
        (SEVEN_UTC - 3_600, None, None, "has no interval that starts at 2017-03-20T06:00:00Z; it has one every 3600 s"),
        (SEVEN_UTC + 1_800, None, None, "has no interval that starts at 2017-03-20T07:30:00Z"),
        (SEVEN_UTC + 86_400, None, None, "has no interval that starts at 2017-03-21T07:00:00Z"),
        (None, 2, None, "ends at 2017-03-21T07:00:00Z; 48 hours from 2017-03-20T07:00:00Z were asked for"),
        (SEVEN_UTC + 3_600, 1, None, "ends at 2017-03-21T07:00:00Z; 24 hours from 2017-03-20T08:00:00Z were asked for"),
        (None, 0, None, "0 is no number of days"),
        (None, None, ["ann", "eve"], "has no home 'eve' to keep its panels; it has ann"),
    ],
)
def test_a_selection_that_the_file_does_not_hold_is_refused(
    start_utc: int | None, days: int | None, pv: list[str] | None, message: str
) -> None:
    with pytest.raises(BadInput) as refused:
        select(profiles_of([1] * 24), start_utc=start_utc, days=days, pv=pv)
    assert refused.value.message.startswith(message)


def test_an_interval_that_does_not_divide_a_day_gives_no_days() -> None:
    with pytest.raises(BadInput, match="its interval of 7000 s does not divide 24 hours"):
        select(profiles_of([1] * 24, interval_s=7_000), days=1)
