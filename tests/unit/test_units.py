import pytest

from wattpool_chaincode.records.units import amount_ut, divide_half_even, share_pro_rata


@pytest.mark.parametrize(
    ("energy_wh", "price_ut_per_kwh", "expected_ut"),
    [
        (0, 250_000, 0),
        (1_000, 250_000, 250_000),
        (1, 250_000, 250),
        (1_234, 215_000, 265_310),
        (1, 499, 0),
        (1, 500, 0),  # 0.5 goes to 0
        (1, 501, 1),
        (3, 500, 2),  # 1.5 goes to 2
        (5, 500, 2),  # 2.5 goes to 2
        (7, 500, 4),  # 3.5 goes to 4
        (-1, 500, 0),
        (-3, 500, -2),
        (-5, 500, -2),
        (3, -500, -2),
        (10**15, 10**9, 10**21),
    ],
)
def test_energy_costs_its_price_with_halves_to_the_even_micro_token(
    energy_wh: int, price_ut_per_kwh: int, expected_ut: int
) -> None:
    assert amount_ut(energy_wh, price_ut_per_kwh) == expected_ut


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [
        (7, 1, 7),
        (1, 2, 0),
        (3, 2, 2),
        (-1, 2, 0),
        (-3, 2, -2),
        (1, 3, 0),
        (2, 3, 1),
        (-1, 3, 0),
        (-2, 3, -1),
        (5, 10, 0),
    ],
)
def test_division_rounds_to_the_nearest_and_halves_to_even(numerator: int, denominator: int, expected: int) -> None:
    assert divide_half_even(numerator, denominator) == expected


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (0, [], []),
        (0, [0, 0], [0, 0]),
        (0, [3, 4], [0, 0]),
        (7, [3, 4], [3, 4]),
        (2, [1, 1, 1], [1, 1, 0]),  # equal remainders: the earlier weights
        (5, [3, 3, 3], [2, 2, 1]),  # 1.67 each
        (7, [5, 3, 2], [4, 2, 1]),  # 3.5, 2.1, 1.4
        (1, [0, 5, 5], [0, 1, 0]),
        (99, [1, 99], [1, 98]),  # 0.99 and 98.01
    ],
)
def test_shares_follow_the_weights_by_largest_remainder(total: int, weights: list[int], shares: list[int]) -> None:
    assert share_pro_rata(total, weights) == shares


@pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (2, [1]), (1, []), (1, [0, 0])])
def test_more_than_the_weights_or_less_than_nothing_cannot_be_shared(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match=f"cannot share {total} over"):
        share_pro_rata(total, weights)
