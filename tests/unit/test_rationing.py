import pytest

from wattpool_chaincode.market.order import Order
from wattpool_chaincode.market.rationing import pair_by_merit, share_by_uniform_rule


def order(slot: int, energy_wh: int, limit: int, lot: int | None = None) -> Order:
    return Order(slot=slot, lot=bytes([slot if lot is None else lot]), energy_wh=energy_wh, limit_ut_per_kwh=limit)


@pytest.mark.parametrize(
    ("total_wh", "wishes_wh", "expected"),
    [
        (0, [5, 3], [0, 0]),
        (8, [5, 3], [5, 3]),
        (6, [5, 3], [3, 3]),
        (7, [5, 3], [4, 3]),
        (5, [5, 3], [3, 2]),
        (5, [3, 5], [3, 2]),
        (2, [4, 4, 4], [1, 1, 0]),
        (8, [1, 9, 9, 9], [1, 3, 2, 2]),
        (7, [2, 9, 9], [2, 3, 2]),  # odd watt-hours are only for wishes above the level
        (100, [10, 60, 60, 20], [10, 35, 35, 20]),
    ],
)
def test_the_uniform_rule_gives_one_level_and_odd_watt_hours_by_lot(
    total_wh: int, wishes_wh: list[int], expected: list[int]
) -> None:
    assert share_by_uniform_rule(total_wh, wishes_wh) == expected


@pytest.mark.parametrize(
    ("bids", "offers", "expected"),
    [
        pytest.param([], [order(10, 5, 20)], [], id="nobody buys"),
        pytest.param([order(1, 5, 20)], [], [], id="nobody sells"),
        pytest.param([order(1, 5, 19)], [order(10, 5, 20)], [], id="the bid is below the offer"),
        pytest.param([order(1, 5, 20)], [order(10, 5, 20)], [(1, 10, 5)], id="equal limits match"),
        pytest.param(
            [order(1, 30, 50), order(2, 30, 70)],
            [order(10, 40, 60), order(11, 40, 20)],
            [(2, 11, 30), (1, 11, 10)],
            id="the dearest bid meets the cheapest offer; who cannot afford the next offer gets the rest",
        ),
        pytest.param(
            [order(1, 60, 50), order(2, 30, 50), order(3, 60, 50)],
            [order(10, 100, 20)],
            [(1, 10, 35), (2, 10, 30), (3, 10, 35)],
            id="bids of one limit share equally",
        ),
        pytest.param(
            [order(1, 100, 50)],
            [order(10, 60, 20), order(11, 30, 20), order(12, 60, 20), order(13, 9, 21)],
            [(1, 10, 35), (1, 11, 30), (1, 12, 35)],
            id="offers of one limit share equally, dearer ones get nothing",
        ),
        pytest.param(
            [order(1, 60, 50), order(2, 60, 50), order(3, 60, 70)],
            [order(10, 100, 20)],
            [(3, 10, 60), (1, 10, 20), (2, 10, 20)],
            id="dearer bids are served before the margin is rationed",
        ),
        pytest.param(
            [order(1, 50, 50), order(2, 50, 50)],
            [order(10, 30, 50), order(11, 30, 50)],
            [(1, 10, 30), (2, 11, 30)],
            id="ties at the margin on both sides",
        ),
        pytest.param(
            [order(1, 2, 50)],
            [order(10, 5, 20, lot=3), order(11, 5, 20, lot=1), order(12, 5, 20, lot=2)],
            [(1, 11, 1), (1, 12, 1)],
            id="odd watt-hours go by lot, and no award is no pair",
        ),
        pytest.param(
            [order(1, 1, 50, lot=7), order(2, 1, 50, lot=7)],
            [order(10, 1, 20)],
            [(1, 10, 1)],
            id="of equal lots the lower slot is first",
        ),
    ],
)
def test_pairs_by_merit(bids: list[Order], offers: list[Order], expected: list[tuple[int, int, int]]) -> None:
    assert [(bid.slot, offer.slot, energy_wh) for bid, offer, energy_wh in pair_by_merit(bids, offers)] == expected
