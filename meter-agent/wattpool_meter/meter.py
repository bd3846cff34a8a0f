"""The meter itself: registers that only go forward, a chain of records, and its word in the market.

Pure: no clock, no I/O. It says what it wants signed; whoever holds the key signs.
"""

from dataclasses import dataclass

from wattpool_chaincode.market.balance import balance_wh
from wattpool_chaincode.records import merkle
from wattpool_chaincode.records.codec import content_id
from wattpool_chaincode.records.ocmf import NO_HASH, MeterRecord, TimeStatus
from wattpool_chaincode.records.payload import Payload
from wattpool_chaincode.records.period import Period
from wattpool_meter.flows import Flows

SECONDS_PER_HOUR = 3_600
MS_PER_S = 1_000


@dataclass(frozen=True, kw_only=True)
class Nameplate:
    """What does not change about a meter.

    Attributes:
        community: whose market it is in.
        device: its id, the one of its signing key.
        serial: of the MID meter whose registers it reads.
        vendor: of that meter.
        meter_model: of that meter.
        agent_version: of the software that signs.
        boot_id: of its present run.
    """

    community: str
    device: str
    serial: str
    vendor: str
    meter_model: str
    agent_version: str
    boot_id: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Within what the owner lets the meter trade, in micro-tokens per kilowatt-hour.

    Attributes:
        generation_cost_ut_per_kwh: the least it sells for.
        max_buy_ut_per_kwh: the most it pays, fees included.
    """

    generation_cost_ut_per_kwh: int
    max_buy_ut_per_kwh: int


class Meter:
    """One device at one connection: feed it energy, and it gives records, requests and states to sign."""

    def __init__(self, nameplate: Nameplate, limits: Limits, *, started_utc: int) -> None:
        self.nameplate = nameplate
        self.limits = limits
        self.import_wh = 0
        self.export_wh = 0
        self._started_utc = started_utc
        self._number = 0
        self._last_hash = NO_HASH
        self._counter = 0
        self._goal: int | None = None
        self._leaves: list[bytes] = []

    def add(self, flows: Flows, *, time_utc: int) -> None:
        """Count the energy of an interval that ended at `time_utc`; it becomes a leaf of the next record's tree."""
        self.import_wh += flows.import_wh
        self.export_wh += flows.export_wh
        self._leaves.append(f"{time_utc} {self.import_wh} {self.export_wh}".encode())

    def close(self, period: Period, *, time_status: TimeStatus = TimeStatus.SYNCHRONISED) -> MeterRecord:
        """Return the record of the registers at the end of `period`, the next link of the chain."""
        self._number += 1
        plate = self.nameplate
        record = MeterRecord(
            community=plate.community,
            device=plate.device,
            agent_version=plate.agent_version,
            model="agent",
            number=self._number,
            vendor=plate.vendor,
            meter_model=plate.meter_model,
            serial=plate.serial,
            time_utc=period.end_utc,
            time_status=time_status,
            import_wh=self.import_wh,
            export_wh=self.export_wh,
            period_start_utc=period.start_utc,
            previous_hash=self._last_hash,
            leaves_root=merkle.root(self._leaves).hex(),
            leaves=len(self._leaves),
            lost_edges=0,
            boot_id=plate.boot_id,
            monotonic_ms=(period.end_utc - self._started_utc) * MS_PER_S,
        )
        self._last_hash = content_id(record.payload())
        self._leaves = []
        return record

    def ask(self, period: Period, expected: Flows) -> Payload | None:
        """Return the request for a period, or None if it would neither buy nor sell (eq. (1) of paper A)."""
        generation_w = expected.generation_wh * SECONDS_PER_HOUR // period.length_s
        consumption_w = expected.consumption_wh * SECONDS_PER_HOUR // period.length_s
        balance = balance_wh(
            generation_w=generation_w, consumption_w=consumption_w, battery_wh=expected.battery_wh, period=period
        )
        if balance == 0:
            return None
        limits = self.limits
        return self._payload(
            "request",
            period.start_utc,
            {
                "battery_wh": expected.battery_wh,
                "consumption_w": consumption_w,
                "generation_w": generation_w,
                "limit_ut_per_kwh": limits.generation_cost_ut_per_kwh if balance > 0 else limits.max_buy_ut_per_kwh,
            },
        )

    def state(self, period: Period, flows: Flows, *, tamper: bool = False) -> Payload | None:
        """Return the meter's state for its smart-meter contract, when its goal changed or it was tampered with."""
        net_wh = flows.export_wh - flows.import_wh
        goal = (net_wh > 0) - (net_wh < 0)
        if goal == self._goal and not tamper:
            return None
        self._goal = goal
        return self._payload(
            "state",
            period.start_utc,
            {
                "household_power_w": flows.consumption_wh * SECONDS_PER_HOUR // period.length_s,
                "power_flow_w": net_wh * SECONDS_PER_HOUR // period.length_s,
                "tamper": tamper,
            },
        )

    def _payload(self, kind: str, period_start_utc: int, content: dict[str, int | bool]) -> Payload:
        self._counter += 1
        return Payload(
            kind=kind,
            community=self.nameplate.community,
            signer=self.nameplate.device,
            period_start_utc=period_start_utc,
            counter=self._counter,
            content=content,
        )
