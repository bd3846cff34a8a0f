import pytest

from wattpool_chaincode.records.period import Period
from wattpool_meter.flows import Flows, ProfileSource
from wattpool_meter.forecast import Foresight, Persistence

FIRST = Period(1_490_000_400, 900)
SOURCE = ProfileSource(
    FIRST, [Flows(consumption_wh=100, generation_wh=0), Flows(consumption_wh=200, generation_wh=300)]
)


def test_a_profile_is_played_back_period_by_period() -> None:
    assert SOURCE.flows(FIRST.next) == Flows(consumption_wh=200, generation_wh=300)


@pytest.mark.parametrize(
    "period", [FIRST.previous, FIRST.next.next, Period(FIRST.start_utc - FIRST.start_utc % 1800, 1800)]
)
def test_a_profile_has_no_other_periods(period: Period) -> None:
    with pytest.raises(IndexError, match="no period"):
        SOURCE.flows(period)


def test_persistence_expects_what_was_measured_last() -> None:
    last = Flows(consumption_wh=7, generation_wh=1)
    assert Persistence().expect(FIRST, last) is last
    assert Persistence().expect(FIRST, None) is None


def test_foresight_expects_what_will_be() -> None:
    assert Foresight(SOURCE).expect(FIRST, None) == Flows(consumption_wh=100, generation_wh=0)
