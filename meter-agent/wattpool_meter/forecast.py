"""What a meter expects of a period before it begins."""

from typing import Protocol

from wattpool_chaincode.records.period import Period
from wattpool_meter.flows import Flows, Source


class Forecast(Protocol):
    """A way to foresee the flows of a period whose gate is closing."""

    def expect(self, period: Period, last: Flows | None) -> Flows | None:
        """Return the expected flows, or None if nothing can be said.

        Args:
            period: that is about to begin.
            last: what was measured in the last period that has ended, None if there is none yet.
        """


class Persistence:
    """The next period will be like the last one that has ended: what needs no knowledge at all."""

    def expect(self, period: Period, last: Flows | None) -> Flows | None:  # noqa: ARG002 -- a method of the port
        return last


class Foresight:
    """The future itself, where it is known: a profile played back."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def expect(self, period: Period, last: Flows | None) -> Flows | None:  # noqa: ARG002 -- a method of the port
        return self._source.flows(period)
