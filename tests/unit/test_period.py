import pytest

from wattpool_chaincode.records.period import Period, format_utc, period_of

SEVEN_UTC = 1_489_993_200  # 2017-03-20T07:00:00Z


@pytest.mark.parametrize(
    ("time_utc", "length_s", "start_utc"),
    [
        (SEVEN_UTC, 900, SEVEN_UTC),
        (SEVEN_UTC + 1, 900, SEVEN_UTC),
        (SEVEN_UTC + 899, 900, SEVEN_UTC),
        (SEVEN_UTC + 900, 900, SEVEN_UTC + 900),
        (SEVEN_UTC + 3_599, 3_600, SEVEN_UTC),
        (SEVEN_UTC + 59, 60, SEVEN_UTC),
        (0, 900, 0),
    ],
)
def test_a_period_contains_its_start_and_not_its_end(time_utc: int, length_s: int, start_utc: int) -> None:
    assert period_of(time_utc, length_s) == Period(start_utc, length_s)


def test_periods_follow_each_other_without_gap() -> None:
    period = Period(SEVEN_UTC)
    assert period.end_utc == period.next.start_utc == SEVEN_UTC + 900
    assert period.next.previous == period
    assert period.previous < period < period.next


@pytest.mark.parametrize("length_s", [0, -900, 7, 901, 86_401, 172_800])
def test_a_length_that_does_not_divide_a_day_is_refused(length_s: int) -> None:
    with pytest.raises(ValueError, match="does not divide a day"):
        Period(0, length_s)


@pytest.mark.parametrize("start_utc", [-900, 1, SEVEN_UTC + 899])
def test_a_start_off_the_grid_is_refused(start_utc: int) -> None:
    with pytest.raises(ValueError, match="is not the start"):
        Period(start_utc)


@pytest.mark.parametrize(
    ("power_w", "length_s", "energy_wh"),
    [
        (4_000, 900, 1_000),
        (3, 900, 0),
        (4, 900, 1),
        (7, 900, 1),
        (-3, 900, 0),
        (-7, 900, -1),
        (5, 3_600, 5),
        (0, 900, 0),
    ],
)
def test_energy_of_a_power_is_rounded_towards_nothing(power_w: int, length_s: int, energy_wh: int) -> None:
    assert Period(0, length_s).energy_wh_at(power_w) == energy_wh


@pytest.mark.parametrize(
    ("time_utc", "text"),
    [(0, "1970-01-01T00:00:00Z"), (SEVEN_UTC, "2017-03-20T07:00:00Z"), (1_709_164_799, "2024-02-28T23:59:59Z")],
)
def test_times_are_written_in_utc(time_utc: int, text: str) -> None:
    assert format_utc(time_utc) == text


def test_a_period_is_written_as_its_start() -> None:
    assert str(Period(SEVEN_UTC)) == "2017-03-20T07:00:00Z"
