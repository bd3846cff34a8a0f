import pytest

from wattpool_chaincode.market.balance import balance_wh, is_within_line_limit
from wattpool_chaincode.records.period import Period

QUARTER = Period(0, 900)
HOUR = Period(0, 3600)


@pytest.mark.parametrize(
    ("generation_w", "consumption_w", "battery_wh", "period", "expected_wh"),
    [
        (3_000, 1_000, 0, QUARTER, 500),
        (1_000, 3_000, 0, QUARTER, -500),
        (3_000, 1_000, 0, HOUR, 2_000),
        (0, 0, 200, QUARTER, 200),
        (0, 400, 250, QUARTER, 150),
        (2_000, 500, -375, QUARTER, 0),
        (7, 0, 0, QUARTER, 1),  # 1.75 Wh
        (0, 7, 0, QUARTER, -1),  # -1.75 Wh
        (0, 7, 2, QUARTER, 0),  # 0.25 Wh: rounded once, after the battery
    ],
)
def test_balance_follows_equation_1(
    generation_w: int, consumption_w: int, battery_wh: int, period: Period, expected_wh: int
) -> None:
    assert (
        balance_wh(generation_w=generation_w, consumption_w=consumption_w, battery_wh=battery_wh, period=period)
        == expected_wh
    )


@pytest.mark.parametrize(
    ("balance", "line_limit_w", "period", "within"),
    [
        (2_300, 9_200, QUARTER, True),
        (2_301, 9_200, QUARTER, False),
        (-2_300, 9_200, QUARTER, True),
        (-2_301, 9_200, QUARTER, False),
        (2_301, 9_203, QUARTER, False),  # 2300.75 Wh
        (9_200, 9_200, HOUR, True),
        (0, 0, QUARTER, True),
        (1, 0, QUARTER, False),
    ],
)
def test_the_line_limits_both_directions(balance: int, line_limit_w: int, period: Period, *, within: bool) -> None:
    assert is_within_line_limit(balance, line_limit_w, period) is within
