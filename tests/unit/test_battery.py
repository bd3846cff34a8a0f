import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattpool.simulation.battery import BatteryAccount, BatteryPlan, live_through
from wattpool_chaincode.records.period import Period
from wattpool_meter.flows import Flows

# 06:00 UTC, in hours: watts are watt-hours.
FIRST = Period(6 * 3_600, 3_600)
PLAN = BatteryPlan(capacity_wh=1_000, power_w=400, efficiency_ppm=900_000)

energies_wh = st.lists(st.integers(0, 3_000), min_size=30, max_size=30)
hours = st.none() | st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda both: both[0] != both[1])
plans = st.builds(
    BatteryPlan,
    capacity_wh=st.integers(0, 10_000),
    power_w=st.integers(1, 5_000),
    efficiency_ppm=st.integers(1, 1_000_000),
    buy_hours_utc=hours,
    sell_hours_utc=hours,
)


def used(plan: BatteryPlan, *home_wh: tuple[int, int]) -> tuple[list[tuple[int, int]], BatteryAccount]:
    """Return charge and discharge hour by hour, given consumption and generation, and the account."""
    consumption_wh, generation_wh = zip(*home_wh, strict=True)
    flows, account = live_through(plan, FIRST, consumption_wh, generation_wh)
    return [(one.charge_wh, one.discharge_wh) for one in flows], account


def test_a_home_without_a_battery_is_as_it_was() -> None:
    flows, account = live_through(None, FIRST, [100, 200], [0, 300])
    assert flows == [Flows(consumption_wh=100, generation_wh=0), Flows(consumption_wh=200, generation_wh=300)]
    assert account == BatteryAccount()


def test_it_takes_what_is_over_and_gives_what_is_lacking_and_loses_a_tenth() -> None:
    steps, account = used(PLAN, (100, 300), (0, 900), (100, 0), (900, 0), (900, 0))
    # 200 and, at full power, 400 Wh: 540 of them can be had again.
    assert steps == [(200, 0), (400, 0), (0, 100), (0, 400), (0, 40)]
    assert account == BatteryAccount(charged_own_wh=600, discharged_own_wh=540, lost_wh=60)


def test_it_holds_no_more_than_its_capacity() -> None:
    steps, account = used(PLAN, *[(0, 400)] * 4)
    # Of 1,000 Wh 280 are left behind the second hour: 311.1 Wh fill them.
    assert steps == [(400, 0), (400, 0), (312, 0), (0, 0)]
    assert (account.stored_wh, account.lost_wh) == (1_000, 112)


@pytest.mark.parametrize("buy_hours", [(6, 7), (22, 7)])
def test_it_buys_and_sells_in_its_hours_and_keeps_the_origins_apart(buy_hours: tuple[int, int]) -> None:
    plan = BatteryPlan(
        capacity_wh=1_000, power_w=400, efficiency_ppm=1_000_000, buy_hours_utc=buy_hours, sell_hours_utc=(8, 9)
    )
    # At six it charges 400 Wh, 100 of them from the panels; at seven 200 more from these; at eight it sells 400 of
    # 600 Wh, half of them the home's own; at nine it covers what the home lacks.
    steps, account = used(plan, (0, 100), (0, 200), (0, 50), (70, 0))
    assert steps == [(400, 0), (200, 0), (0, 400), (0, 70)]
    assert account == BatteryAccount(
        charged_own_wh=300,
        charged_bought_wh=300,
        discharged_own_wh=235,
        discharged_bought_wh=235,
        stored_own_wh=65,
        stored_bought_wh=65,
    )


@given(plan=plans, consumption_wh=energies_wh, generation_wh=energies_wh)
def test_every_watt_hour_is_conserved_in_every_period(
    plan: BatteryPlan, consumption_wh: list[int], generation_wh: list[int]
) -> None:
    flows, whole = live_through(plan, FIRST, consumption_wh, generation_wh)
    charged_wh = discharged_wh = 0
    for number, one in enumerate(flows, start=1):
        _, account = live_through(plan, FIRST, consumption_wh[:number], generation_wh[:number])
        came_wh = one.import_wh + one.generation_wh + one.discharge_wh
        assert came_wh == one.consumption_wh + one.export_wh + one.charge_wh
        assert not (one.import_wh and one.export_wh)
        assert not (one.charge_wh and one.discharge_wh)
        assert 0 <= one.charge_wh <= plan.power_w
        assert 0 <= one.discharge_wh <= plan.power_w
        charged_wh += one.charge_wh
        discharged_wh += one.discharge_wh
        assert charged_wh == discharged_wh + account.lost_wh + account.stored_wh
        assert 0 <= account.stored_wh <= plan.capacity_wh
        assert min(account.stored_own_wh, account.stored_bought_wh, account.lost_wh) >= 0
        assert charged_wh == account.charged_own_wh + account.charged_bought_wh
        assert discharged_wh == account.discharged_own_wh + account.discharged_bought_wh
        assert plan.buy_hours_utc or account.charged_bought_wh == 0
    assert account == whole
