import pytest

from wattpool_chaincode.market.prices import asked_ut_per_kwh, bid_ut_per_kwh


@pytest.mark.parametrize(
    ("interested_buyers", "expected"),
    [(0, 100_000), (1, 102_000), (3, 106_000)],
)
def test_the_price_asked_rises_with_each_interested_buyer(interested_buyers: int, expected: int) -> None:
    assert asked_ut_per_kwh(100_000, interested_buyers, 2_000) == expected


@pytest.mark.parametrize(
    ("consumer_price", "sellers", "expected"),
    [(280_000, 0, 280_000), (280_000, 1, 277_000), (280_000, 10, 250_000), (5_000, 2, -1_000)],
)
def test_the_price_bid_falls_with_each_seller(consumer_price: int, sellers: int, expected: int) -> None:
    assert bid_ut_per_kwh(consumer_price, sellers, 3_000) == expected
