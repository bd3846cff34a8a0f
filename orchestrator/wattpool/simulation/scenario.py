"""What a simulation starts from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from wattpool.bad_input import BadInput
from wattpool.simulation.community import CommunityPlan
from wattpool.simulation.keys import Secrets
from wattpool.simulation.profiles import Profiles
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import Period

FORECASTS = ("last", "perfect")
# The community's name carries a digest of everything the run starts from: no ledger is gone on with by mistake.
MAX_NAME = 48
DIGEST_DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything that decides what a simulation's figures are.

    Attributes:
        profiles: the energy of the homes, one value per market period.
        plan: the community.
        mechanism: name of the market mechanism.
        forecast: `last` or `perfect`.
        seed: gives all keys and salts.
    """

    profiles: Profiles
    plan: CommunityPlan
    mechanism: str
    forecast: str
    seed: int

    def __post_init__(self) -> None:
        if self.mechanism not in MECHANISMS:
            raise BadInput("--mechanism", None, f"{self.mechanism!r}; {' or '.join(MECHANISMS)} was expected")
        if self.forecast not in FORECASTS:
            raise BadInput("--forecast", None, f"{self.forecast!r}; {' or '.join(FORECASTS)} was expected")

        if self.pool_time_limit_s % self.first.length_s:
            raise BadInput(
                "--period",
                None,
                f"{self.first.length_s} s does not divide the community's pool_time_limit_s, {self.pool_time_limit_s}",
            )

    @property
    def pool_time_limit_s(self) -> int:
        return self.plan.pool_time_limit_s or self.first.length_s

    @property
    def first(self) -> Period:
        return Period(self.profiles.start_utc, self.profiles.interval_s)

    @property
    def last(self) -> Period:
        return Period(self.profiles.end_utc, self.profiles.interval_s).previous

    @cached_property
    def community(self) -> str:
        """The community's name on the ledger: the plan's, and a digest of all that the run starts from.

        What a plan leaves open does not count, so that an option more leaves the names of the runs without it alone.
        """
        # The same ledger may be reported on in any time zone.
        plan = {item.name: getattr(self.plan, item.name) for item in fields(self.plan) if item.name != "zone"}
        whole = {
            **_said(plan),
            "homes": {name: _said(asdict(home)) for name, home in self.plan.homes.items()},
            "tariffs": {name: asdict(tariff) for name, tariff in self.plan.tariffs.items()},
            "consumption_wh": {name: list(values) for name, values in self.profiles.consumption_wh.items()},
            "generation_wh": {name: list(values) for name, values in self.profiles.generation_wh.items()},
            "mechanism": self.mechanism,
            "forecast": self.forecast,
            "period": [self.first.start_utc, self.first.length_s],
            "seed": self.seed,
        }
        return f"{self.plan.community[:MAX_NAME]}-{codec.content_id(codec.encode(whole))[:DIGEST_DIGITS]}"

    @property
    def secrets(self) -> Secrets:
        return Secrets(self.seed, self.community)


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
