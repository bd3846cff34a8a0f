"""What flows at a connection in an interval, and where a meter gets it from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wattpool_chaincode.records.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Energy behind a connection in one interval, in watt-hours, none negative.

    Import + generation + discharge = consumption + export + charge: what the household does not cover itself comes
    in, what it does not use goes out.

    Attributes:
        consumption_wh: what the household used, its battery aside.
        generation_wh: what its panels produced.
        charge_wh: what its battery took in, losses included.
        discharge_wh: what its battery gave.
    """

    consumption_wh: int
    generation_wh: int
    charge_wh: int = 0
    discharge_wh: int = 0

    @property
    def own_use_wh(self) -> int:
        """What the household used of what its panels and its battery gave."""
        return min(self.consumption_wh, self.generation_wh + self.discharge_wh)

    @property
    def import_wh(self) -> int:
        return max(0, self.consumption_wh + self.charge_wh - self.generation_wh - self.discharge_wh)

    @property
    def export_wh(self) -> int:
        return max(0, self.generation_wh + self.discharge_wh - self.consumption_wh - self.charge_wh)

    @property
    def battery_wh(self) -> int:
        """S_B of eq. (1) of paper A: what the battery released, negative if it charged."""
        return self.discharge_wh - self.charge_wh


class Source(Protocol):
    """Where a meter reads its energy from."""

    def flows(self, period: Period) -> Flows:
        """Return what flowed in a period that has ended."""


class ProfileSource:
    """A simulated source that plays back one home's profile, a value per period."""

    def __init__(self, first: Period, flows: Sequence[Flows]) -> None:
        self._first = first
        self._flows = flows

    def flows(self, period: Period) -> Flows:
        """Return the profile's flows.

        Raises:
            IndexError: if the profile has no such period.
        """
        index, rest = divmod(period.start_utc - self._first.start_utc, self._first.length_s)
        if rest or period.length_s != self._first.length_s or not 0 <= index < len(self._flows):
            raise IndexError(f"the profile has no period {period}")
        return self._flows[index]
