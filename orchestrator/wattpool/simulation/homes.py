"""The simulated homes: real meters, played-back energy, keys from the seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from wattpool.simulation.battery import BatteryAccount, live_through
from wattpool.simulation.community import HomePlan
from wattpool.simulation.scenario import Scenario
from wattpool_chaincode.contract.rules import Tariff
from wattpool_chaincode.records import ocmf, payload, signing
from wattpool_chaincode.records.ocmf import MeterRecord
from wattpool_chaincode.records.payload import Payload, Signed, signer_id
from wattpool_chaincode.records.period import Period
from wattpool_meter.flows import ProfileSource
from wattpool_meter.forecast import Forecast, Foresight, Persistence
from wattpool_meter.meter import Limits, Meter, Nameplate

AGENT_VERSION = "0.1.0"


@dataclass(frozen=True, kw_only=True)
class Home:
    """One household of the simulation: its plan, its keys, its meter, and its battery's account of the whole run."""

    name: str
    plan: HomePlan
    tariff: Tariff
    connection: str
    grid_point: str
    owner_key: ec.EllipticCurvePrivateKey
    device_key: ec.EllipticCurvePrivateKey
    source: ProfileSource
    battery: BatteryAccount
    max_buy_ut_per_kwh: int
    meter: "MeterInPlay"

    @property
    def party(self) -> str:
        return signer_id(signing.public_bytes(self.owner_key))

    @property
    def device(self) -> str:
        return self.meter.device


class MeterInPlay:
    """A meter asked about one period after the other.

    What it says depends on every period before: periods that are passed over, as when a cut-off run goes on, are
    lived through without signing. The request for a period uses what was measured up to two periods before it: its
    gate closes while the period in between still runs.
    """

    def __init__(self, meter: Meter, source: ProfileSource, forecast: Forecast, first: Period) -> None:
        self.device = meter.nameplate.device
        self.opening = meter.close(first.previous)
        self._meter = meter
        self._source = source
        self._forecast = forecast
        self._first = first
        self._next_gate = first
        self._next_record = first
        self._said: tuple[Payload | None, Payload | None] = (None, None)
        self._record: MeterRecord = self.opening

    def at_gate(self, period: Period) -> tuple[Payload | None, Payload | None]:
        """Return the state and the request that the meter sends before the gate of `period` closes."""
        _require_ahead(period, self._next_gate)
        while self._next_gate <= period:
            self._said = self._speak(self._next_gate)
            self._next_gate = self._next_gate.next
        return self._said

    def record(self, period: Period) -> MeterRecord:
        """Return the record at the end of `period`."""
        _require_ahead(period, self._next_record)
        while self._next_record <= period:
            self._meter.add(self._source.flows(self._next_record), time_utc=self._next_record.end_utc)
            self._record = self._meter.close(self._next_record)
            self._next_record = self._next_record.next
        return self._record

    def _speak(self, period: Period) -> tuple[Payload | None, Payload | None]:
        measured = period.previous.previous
        last = self._source.flows(measured) if measured >= self._first else None
        expected = self._forecast.expect(period, last)
        state = None if last is None else self._meter.state(measured, last)
        return state, None if expected is None else self._meter.ask(period, expected)


@dataclass(frozen=True, kw_only=True)
class AtGate:
    """What the meters send before a gate closes."""

    states: Sequence[Signed]
    requests: Sequence[Signed]


class Homes:
    """All homes of a simulation."""

    def __init__(self, homes: Sequence[Home]) -> None:
        self._homes = homes

    def at_gate(self, period: Period) -> AtGate:
        """Return the states of the meters whose goal changed, and the requests, all signed."""
        said = [(home.device_key, *home.meter.at_gate(period)) for home in self._homes]
        return AtGate(
            states=[payload.sign(state, key) for key, state, _ in said if state is not None],
            requests=[payload.sign(request, key) for key, _, request in said if request is not None],
        )

    def records(self, period: Period) -> list[str]:
        return [ocmf.write(home.meter.record(period), home.device_key) for home in self._homes]


def _require_ahead(period: Period, cursor: Period) -> None:
    if period < cursor:
        raise ValueError(f"the meter is past {period}; {cursor} comes next")


def build_homes(scenario: Scenario) -> list[Home]:
    """Return the homes of a scenario, by name."""
    plan, profiles, secrets, first = scenario.plan, scenario.profiles, scenario.secrets, scenario.first
    homes = []
    for name, home in plan.homes.items():
        flows, battery = live_through(home.battery, first, profiles.consumption_wh[name], profiles.generation_wh[name])
        source = ProfileSource(first, flows)
        device_key = secrets.key(f"device/{name}")
        tariff = plan.tariffs[home.tariff]
        nameplate = Nameplate(
            community=scenario.community,
            device=signer_id(signing.public_bytes(device_key)),
            serial=name,
            vendor="Wattpool",
            meter_model=plan.meter_model,
            agent_version=AGENT_VERSION,
            boot_id="simulation",
        )
        max_buy_ut_per_kwh = home.max_buy_ut_per_kwh
        if max_buy_ut_per_kwh is None:
            max_buy_ut_per_kwh = _usual_bid_ut_per_kwh(tariff, scenario.mechanism)
        limits = Limits(
            generation_cost_ut_per_kwh=home.generation_cost_ut_per_kwh, max_buy_ut_per_kwh=max_buy_ut_per_kwh
        )
        meter = Meter(nameplate, limits, started_utc=first.start_utc)
        expectation: Forecast = Persistence() if scenario.forecast == "last" else Foresight(source)
        homes.append(
            Home(
                name=name,
                plan=home,
                tariff=tariff,
                connection=secrets.pseudonym(name),
                grid_point=secrets.pseudonym(f"{name}/grid"),
                owner_key=secrets.key(f"owner/{name}"),
                device_key=device_key,
                source=source,
                battery=battery,
                max_buy_ut_per_kwh=max_buy_ut_per_kwh,
                meter=MeterInPlay(meter, source, expectation, first),
            )
        )
    return homes


def _usual_bid_ut_per_kwh(tariff: Tariff, mechanism: str) -> int:
    """Return what an owner bids who names nothing: the retail price, where bidding high costs nothing.

    Who pays as bid and bids that gains nothing, and is left without a trade: he goes half the way to the feed-in price.
    """
    if mechanism == "pay_as_bid":
        return (tariff.retail_ut_per_kwh + tariff.feed_in_ut_per_kwh) // 2
    return tariff.retail_ut_per_kwh
