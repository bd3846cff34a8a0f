"""A home's battery: its own strategy, conserved to the watt-hour, and where the energy in it came from.

All energy is counted on the home's side of the battery. What charging loses is accounted beside the metered values,
never inside them: charged = discharged + lost + stored, of each origin by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wattpool_chaincode.records.period import DAY_S, Period
from wattpool_chaincode.records.units import PPM
from wattpool_meter.flows import Flows

_HOUR_S = 3_600
_DAY_H = 24


@dataclass(frozen=True, kw_only=True)
class BatteryPlan:
    """A battery and its strategy: it takes what the home has over and gives what the home lacks.

    Attributes:
        capacity_wh: the most it holds; it is empty at first.
        power_w: the most it charges and discharges with.
        efficiency_ppm: the share of what is charged that can be discharged.
        buy_hours_utc: first and last hour, the last not included, in which it also charges from what the home imports.
        sell_hours_utc: the same, in which it also discharges into what the home exports.
    """

    capacity_wh: int
    power_w: int
    efficiency_ppm: int
    buy_hours_utc: tuple[int, int] | None = None
    sell_hours_utc: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class BatteryAccount:
    """What passed through a battery up to some time, by origin; `own` is the home's panels, `bought` is imported."""

    charged_own_wh: int = 0
    charged_bought_wh: int = 0
    discharged_own_wh: int = 0
    discharged_bought_wh: int = 0
    lost_wh: int = 0
    stored_own_wh: int = 0
    stored_bought_wh: int = 0

    @property
    def stored_wh(self) -> int:
        return self.stored_own_wh + self.stored_bought_wh


def live_through(
    plan: BatteryPlan | None, first: Period, consumption_wh: Sequence[int], generation_wh: Sequence[int]
) -> tuple[list[Flows], BatteryAccount]:
    """Return a home's flows, a value per period from `first`, and its battery's account behind the last one."""
    account = BatteryAccount()
    flows = []
    period = first
    for consumed_wh, generated_wh in zip(consumption_wh, generation_wh, strict=True):
        one = Flows(consumption_wh=consumed_wh, generation_wh=generated_wh)
        if plan is not None:
            one, account = _use(plan, account, period, one)
        flows.append(one)
        period = period.next
    return flows, account


def _use(plan: BatteryPlan, account: BatteryAccount, period: Period, home: Flows) -> tuple[Flows, BatteryAccount]:
    """Return the flows with the battery's part in them, and its account behind the period."""
    most_wh = period.energy_wh_at(plan.power_w)
    # Rounded up: this just fills it, and nothing is charged that is only lost.
    room_wh = -(-(plan.capacity_wh - account.stored_wh) * PPM // plan.efficiency_ppm)
    charge_wh = min(home.export_wh, most_wh, room_wh)
    discharge_wh = min(home.import_wh, most_wh, account.stored_wh)
    if _is_within(plan.buy_hours_utc, period):
        charge_wh, discharge_wh = min(most_wh, room_wh), 0
    elif _is_within(plan.sell_hours_utc, period):
        charge_wh, discharge_wh = 0, min(most_wh, account.stored_wh)
    flows = replace(home, charge_wh=charge_wh, discharge_wh=discharge_wh)
    return flows, _discharge(_charge(account, plan, charge_wh, own_wh=min(charge_wh, home.export_wh)), discharge_wh)


def _charge(account: BatteryAccount, plan: BatteryPlan, charge_wh: int, *, own_wh: int) -> BatteryAccount:
    bought_wh = charge_wh - own_wh
    stored_own_wh, stored_bought_wh = (wh * plan.efficiency_ppm // PPM for wh in (own_wh, bought_wh))
    return replace(
        account,
        charged_own_wh=account.charged_own_wh + own_wh,
        charged_bought_wh=account.charged_bought_wh + bought_wh,
        lost_wh=account.lost_wh + charge_wh - stored_own_wh - stored_bought_wh,
        stored_own_wh=account.stored_own_wh + stored_own_wh,
        stored_bought_wh=account.stored_bought_wh + stored_bought_wh,
    )


def _discharge(account: BatteryAccount, discharge_wh: int) -> BatteryAccount:
    """Take energy out as it is mixed in the battery, pro rata by origin."""
    if not discharge_wh:
        return account
    own_wh = discharge_wh * account.stored_own_wh // account.stored_wh
    bought_wh = discharge_wh - own_wh
    return replace(
        account,
        discharged_own_wh=account.discharged_own_wh + own_wh,
        discharged_bought_wh=account.discharged_bought_wh + bought_wh,
        stored_own_wh=account.stored_own_wh - own_wh,
        stored_bought_wh=account.stored_bought_wh - bought_wh,
    )


def _is_within(hours_utc: tuple[int, int] | None, period: Period) -> bool:
    """Tell whether a period begins within these hours, which may pass midnight."""
    if hours_utc is None:
        return False
    first, last = hours_utc
    return (period.start_utc % DAY_S // _HOUR_S - first) % _DAY_H < (last - first) % _DAY_H
