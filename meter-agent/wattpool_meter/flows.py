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
    """

    consumption_wh: int
    generation_wh: int

    @property
    def own_use_wh(self) -> int:
        return min(self.consumption_wh, self.generation_wh)

    @property
    def import_wh(self) -> int:
        return self.consumption_wh - self.own_use_wh

    @property
    def export_wh(self) -> int:
        return self.generation_wh - self.own_use_wh


class Source(Protocol):
    """Where a meter reads its energy from."""

    def flows(self, period: Period) -> Flows:
        """Return what flowed in a period that has ended."""


class ProfileSource:
    """A simulated source that plays back one home's profile, a value per period."""

    def __init__(self, first: Period, consumption_wh: Sequence[int], generation_wh: Sequence[int]) -> None:
        self._first = first
        self._flows = [
            Flows(consumption_wh=consumed, generation_wh=generated)
            for consumed, generated in zip(consumption_wh, generation_wh, strict=True)
        ]

    def flows(self, period: Period) -> Flows:
        """Return the profile's flows.

        Raises:
            IndexError: if the profile has no such period.
        """
        index, rest = divmod(period.start_utc - self._first.start_utc, self._first.length_s)
        if rest or period.length_s != self._first.length_s or not 0 <= index < len(self._flows):
            raise IndexError(f"the profile has no period {period}")
        return self._flows[index]
