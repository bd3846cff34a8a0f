"""A community of any size, made up to be measured: half of its homes sell, half buy, and forecasts are perfect.

What its meters say is signed before its periods begin, since in life they sign on machines of their own.
"""

from collections.abc import Sequence
from dataclasses import replace

from wattpool.cycle import Community, Cycle
from wattpool.ledgers.port import Ledger
from wattpool.simulation.clock import SimulatedClock
from wattpool.simulation.community import default_community
from wattpool.simulation.engine import Simulation
from wattpool.simulation.founding import found
from wattpool.simulation.homes import Homes
from wattpool.simulation.profiles import Profiles
from wattpool.simulation.scenario import Scenario
from wattpool.simulation.treasury import Treasury
from wattpool_chaincode.ledger.tokens import MAX_MOVES
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records.payload import Signed
from wattpool_chaincode.records.period import Period

PERIODS = 2
PERIOD_S = 900
START_UTC = 1_500_000_300
HOMES_PER_FEEDER = 100


class SignedBefore:
    """Meters that have said all they will say; of other periods they know nothing."""

    def __init__(self, homes: Homes, periods: Sequence[Period]) -> None:
        self._requests = {period: homes.at_gate(period).requests for period in periods}
        self._records = {period: homes.records(period) for period in periods}

    def requests(self, period: Period) -> Sequence[Signed]:
        return self._requests.get(period, [])

    def records(self, period: Period) -> Sequence[str]:
        return self._records.get(period, [])


class LargeCommunity:
    """A made-up community on an open ledger.

    Args:
        scenario: as `scenario_of` gives it.
        ledger: an empty one.
        clock: of that ledger, or any.
    """

    def __init__(self, scenario: Scenario, ledger: Ledger, clock: SimulatedClock) -> None:
        self.simulation = Simulation(scenario, ledger, clock)
        self.periods = (scenario.first, scenario.last)
        self._clock = clock
        self._meters = SignedBefore(Homes(self.simulation.homes), self.periods)

    def found(self) -> None:
        """Register all homes, publish and adopt the roster, and fill the purses of those who buy.

        A period that opens takes in so many deposits and no more. For the others, periods go by before the first
        one, in which nobody asks for anything.
        """
        simulation = self.simulation
        scenario, ledger, homes = simulation.scenario, simulation.ledger, simulation.homes
        found(simulation.contract, ledger, simulation.rules, scenario.plan, homes)
        buyers = [home for home in homes if home.source.flows(scenario.first).import_wh]
        community, target_ut = scenario.community, scenario.plan.purse_target_ut
        treasury = Treasury(ledger, buyers, simulation.slots(), community=community, target_ut=target_ut)
        treasury.fill()
        first = scenario.first
        for _ in range(-(-len(buyers) // MAX_MOVES) - 1):
            first = first.previous
        self._run(first, scenario.first.previous)

    def run(self, period: Period) -> None:
        """Take one of `periods` through the market, all of it, before the next is taken."""
        self._run(period, period)

    def _run(self, first: Period, last: Period) -> None:
        simulation = self.simulation
        roster = simulation.ledger.evaluate("roster", by=AGGREGATOR)
        secrets = simulation.scenario.secrets
        community = Community(
            rules=simulation.rules,
            roster=roster["version"],
            slots=roster["slots"],
            seal_key=secrets.key("aggregator/seal"),
            salt=secrets.salt,
        )
        cycle = Cycle(simulation.ledger, community, self._meters, self._clock)
        for _ in cycle.run(first, last, before_gate=lambda _: None):
            pass


def scenario_of(meters: int, *, mechanism: str = "pool") -> Scenario:
    """Return a community of so many homes and two periods; its seed is its size."""
    names = tuple(f"h{number:05}" for number in range(meters))
    # Even homes buy and odd ones sell; together they sell a little less than what is asked for.
    consumption_wh = {
        name: [50 if number % 2 else 150 + 37 * number % 400] * PERIODS for number, name in enumerate(names)
    }
    generation_wh = {
        name: [130 + 53 * number % 400 if number % 2 else 0] * PERIODS for number, name in enumerate(names)
    }
    profiles = Profiles(
        source=f"{meters} made-up homes",
        interval_s=PERIOD_S,
        measured_interval_s=PERIOD_S,
        start_utc=START_UTC,
        households=names,
        consumption_wh=consumption_wh,
        generation_wh=generation_wh,
    )
    plan = default_community(names)
    feeders = tuple(f"F{number:03}" for number in range(-(-meters // HOMES_PER_FEEDER)))
    homes = {
        name: replace(plan.homes[name], feeder=feeders[number // HOMES_PER_FEEDER]) for number, name in enumerate(names)
    }
    plan = replace(plan, feeders=feeders, homes=homes)
    return Scenario(profiles=profiles, plan=plan, mechanism=mechanism, forecast="perfect", seed=meters)
