"""`wattpool simulate`: a community of real homes trades under the contract code, on a real ledger.

The meters are the real meter core, their energy is a profile played back, the clock is simulated; rules, cycle,
signatures and ledger are those of a live community.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wattpool.client import Chain, Sent
from wattpool.cycle import Community, Cycle
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import EndorseError, Ledger
from wattpool.simulation.apart import HomesApart
from wattpool.simulation.clock import SimulatedClock
from wattpool.simulation.founding import found
from wattpool.simulation.homes import build_homes
from wattpool.simulation.scenario import Scenario
from wattpool.simulation.treasury import Treasury
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.contract import CHANNEL as CONTRACT_CHANNEL
from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.contract.smart_meter import MAX_STATES
from wattpool_chaincode.ledger import CHANNEL as LEDGER_CHANNEL
from wattpool_chaincode.ledger.period import Phase
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import AGGREGATOR, OPERATOR_ATTRIBUTES
from wattpool_chaincode.records import signing
from wattpool_chaincode.records.period import Period

GATE_LEAD_S = 300
REPORT_DUE_S = 86_400


class Simulation:
    """A scenario on an open ledger."""

    def __init__(self, scenario: Scenario, ledger: Ledger, clock: SimulatedClock) -> None:
        self.scenario = scenario
        self.contract = Chain(ledger, CONTRACT_CHANNEL)
        self.ledger = Chain(ledger, LEDGER_CHANNEL)
        self._clock = clock
        self._secrets = scenario.secrets
        self.homes = build_homes(scenario)

    @property
    def rules(self) -> Rules:
        plan = self.scenario.plan
        return Rules(
            community=self.scenario.community,
            period_s=self.scenario.first.length_s,
            clock="simulated",
            mechanism=self.scenario.mechanism,
            alpha_ut_per_kwh=plan.alpha_ut_per_kwh,
            beta_ut_per_kwh=plan.beta_ut_per_kwh,
            fee_feeder_ut_per_kwh=plan.fee_feeder_ut_per_kwh,
            fee_community_ut_per_kwh=plan.fee_community_ut_per_kwh,
            pool_time_limit_s=self.scenario.pool_time_limit_s,
            gate_lead_s=GATE_LEAD_S,
            report_due_s=REPORT_DUE_S,
            firm_deposit_ppm=plan.firm_deposit_ppm,
            firm_tolerance_ppm=plan.firm_tolerance_ppm,
            firm_decline_below_ppm=plan.firm_decline_below_ppm,
            firm_shortfall_ut_per_kwh=plan.firm_shortfall_ut_per_kwh,
            seal_key=signing.public_bytes(self._secrets.key("aggregator/seal")).hex(),
            correction_key=signing.public_bytes(self._secrets.key("dso/correction")).hex(),
        )

    def run(self) -> Iterator[Period]:
        """Found the community if that is not done, run its periods from where the ledger stands, yield each sealed."""
        # The meters' process starts up while the community is founded.
        with HomesApart(self.scenario) as homes:
            if self._roster() is None:
                found(self.contract, self.ledger, self.rules, self.scenario.plan, self.homes)
            yield from self._run(homes)

    def _run(self, homes: HomesApart) -> Iterator[Period]:
        roster = self.ledger.evaluate("roster", by=AGGREGATOR)
        treasury = Treasury(
            self.ledger,
            self.homes,
            self.slots(),
            community=self.scenario.community,
            target_ut=self.scenario.plan.purse_target_ut,
        )
        community = Community(
            rules=self.rules,
            roster=roster["version"],
            slots=roster["slots"],
            seal_key=self._secrets.key("aggregator/seal"),
            salt=self._secrets.salt,
        )

        sent: list[Sent] = []

        def before_gate(period: Period) -> None:
            # States share a block with whatever is committed next; who sent them looks back a period later.
            while sent:
                sent.pop().wait()
            treasury.start_day(period, self.scenario.first)
            states = [state.to_json() for state in homes.states(period)]
            for first in range(0, len(states), MAX_STATES):
                batch = states[first : first + MAX_STATES]
                sent.append(self.contract.submit_async("update_meters", by=AGGREGATOR, states=batch))

        cycle = Cycle(self.ledger, community, homes, self._clock)
        yield from cycle.run(self.next_period(), self.scenario.last, before_gate=before_gate)
        while sent:
            sent.pop().wait()

    def next_period(self) -> Period:
        """Return the first period that is not sealed; the one after the last if all are."""
        last = self.ledger.evaluate("last_period", by=AGGREGATOR)["period"]
        if last is None:
            return self.scenario.first
        period = Period(last, self.scenario.first.length_s)
        while period >= self.scenario.first and not self._is_sealed(period):
            period = period.previous
        return period.next

    def slots(self) -> dict[str, int]:
        """Return the slot of each connection."""
        version = self.ledger.evaluate("roster", by=AGGREGATOR)["version"]
        pages = self.contract.evaluate("roster", by=AGGREGATOR, version=version)["pages"]
        return {
            entry["connection"]: entry["slot"]
            for page in pages
            for entry in self.contract.evaluate("roster_page", by=AGGREGATOR, page=page)
        }

    def _roster(self) -> dict[str, int] | None:
        try:
            roster: dict[str, int] = self.ledger.evaluate("roster", by=AGGREGATOR)
        except EndorseError as error:
            if error.reason != LedgerRefusal.ROSTER_UNKNOWN:
                raise
            return None
        return roster

    def _is_sealed(self, period: Period) -> bool:
        state = self.ledger.evaluate("period", by=AGGREGATOR, period=period.start_utc)
        return bool(state["phase"] == Phase.SEALED)


@contextmanager
def open_ledger(directory: Path, scenario: Scenario, clock: SimulatedClock) -> Iterator[EmbeddedLedger]:
    """Open the ledger of a scenario, a new one if the directory is empty or not there.

    Raises:
        ForeignLedger: if something else is in the directory, or another run's ledger.
        LedgerLocked: if someone else writes to it.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        ledger = EmbeddedLedger.open(directory, chaincodes=CHAINCODES, community=scenario.community, clock=clock)
    else:
        ledger = EmbeddedLedger.create(
            directory,
            community=scenario.community,
            chaincodes=CHAINCODES,
            client_attributes=OPERATOR_ATTRIBUTES,
            clock=clock,
        )
    with ledger:
        yield ledger


def clock_for(scenario: Scenario) -> SimulatedClock:
    """Return a clock that stands at the founding, when the first gate is about to close."""
    return SimulatedClock(scenario.first.start_utc - GATE_LEAD_S)
