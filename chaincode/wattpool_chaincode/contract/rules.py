"""The community's rules and tariffs: what every period is opened under.

Rules are versioned and never changed in place. Version 1 is set when the community is founded; each later one is voted
for by two organisations and counts from the market period it names, for periods that are not open yet.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.organisations import AGGREGATOR, PRICES_AND_MONEY, VOTES
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import DAY_S
from wattpool_chaincode.records.units import PPM
from wattpool_chaincode.refusal import Refused

MAX_PRICE_UT_PER_KWH = 1_000_000_000
PRICE = fields.Check(
    f"a price from 0 to {MAX_PRICE_UT_PER_KWH} ut/kWh",
    lambda value: type(value) is int and 0 <= value <= MAX_PRICE_UT_PER_KWH,
)
SHARE = fields.Check(
    "a share from 0 to 1,000,000 parts per million",
    lambda value: type(value) is int and 0 <= value <= PPM,
)
PERIOD_LENGTH = fields.Check(
    "a length in seconds that divides a day", lambda value: type(value) is int and value > 0 and DAY_S % value == 0
)

TIME_LIMIT = fields.Check(
    "a length in seconds of one period or more, at most a day",
    lambda value: type(value) is int and 0 < value <= DAY_S,
)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """One version of the rules.

    Attributes:
        community: its name; every signed payload names it.
        period_s: length of a market period.
        clock: `live` forbids stages before their time; `simulated` compares nothing.
        mechanism: name of the market mechanism.
        alpha_ut_per_kwh: eq. (2) of paper A.
        beta_ut_per_kwh: eq. (3).
        fee_feeder_ut_per_kwh: local network fee of a trade within one feeder, paid by the buyer to the DSO.
        fee_community_ut_per_kwh: the same between feeders.
        pool_time_limit_s: t_Lim of paper A, Table 2: how long coalitions of the pool stay together; a whole number of
            periods.
        gate_lead_s: how long before delivery the gate closes.
        report_due_s: how long after delivery meter records are waited for.
        firm_deposit_ppm: what the seller of a firm offer puts aside, as a share of its price.
        firm_tolerance_ppm: the share of a firm offer that may be short without consequences.
        firm_decline_below_ppm: a firm offer of which less than this share is delivered is declined whole.
        firm_shortfall_ut_per_kwh: what a shortfall beyond the tolerance costs at most.
        seal_key: the aggregator's key that seals periods.
        correction_key: the DSO's key that signs substitutes for what meters left open.
    """

    community: str
    period_s: int
    clock: str
    mechanism: str
    alpha_ut_per_kwh: int
    beta_ut_per_kwh: int
    fee_feeder_ut_per_kwh: int
    fee_community_ut_per_kwh: int
    pool_time_limit_s: int
    gate_lead_s: int
    report_due_s: int
    firm_deposit_ppm: int
    firm_tolerance_ppm: int
    firm_decline_below_ppm: int
    firm_shortfall_ut_per_kwh: int
    seal_key: str
    correction_key: str


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """What the retailer charges and pays: the market's fallback at the grid.

    Energy, network and levies together are the retail price that a local trade has to beat.
    """

    energy_ut_per_kwh: int
    network_ut_per_kwh: int
    levies_ut_per_kwh: int
    feed_in_ut_per_kwh: int

    @property
    def retail_ut_per_kwh(self) -> int:
        return self.energy_ut_per_kwh + self.network_ut_per_kwh + self.levies_ut_per_kwh

    def encode(self) -> bytes:
        return codec.encode(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> "Tariff":
        return cls(**codec.load(data))


@dataclass(frozen=True, kw_only=True)
class Version:
    """Rules, and the start of the first market period that they hold for."""

    from_utc: int
    rules: Rules

    def to_json(self) -> dict[str, Any]:
        return {"from_utc": self.from_utc, "rules": asdict(self.rules)}

    @classmethod
    def from_json(cls, value: Any) -> "Version":
        return cls(from_utc=value["from_utc"], rules=Rules(**value["rules"]))


LATEST_KEY = "rules-latest"
# What a community is cannot be voted on: whose keys and periods they are would no longer be clear.
FIXED = ("community", "period_s", "clock")
CHECKS = {
    "community": fields.NAME,
    "period_s": PERIOD_LENGTH,
    "clock": fields.one_of("live", "simulated"),
    "mechanism": fields.one_of(*MECHANISMS),
    "alpha_ut_per_kwh": PRICE,
    "beta_ut_per_kwh": PRICE,
    "fee_feeder_ut_per_kwh": PRICE,
    "fee_community_ut_per_kwh": PRICE,
    "pool_time_limit_s": TIME_LIMIT,
    "gate_lead_s": fields.COUNT,
    "report_due_s": fields.COUNT,
    "firm_deposit_ppm": SHARE,
    "firm_tolerance_ppm": SHARE,
    "firm_decline_below_ppm": SHARE,
    "firm_shortfall_ut_per_kwh": PRICE,
    "seal_key": fields.PUBLIC_KEY,
    "correction_key": fields.PUBLIC_KEY,
}


def found(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Found the community with its first rules; only the aggregator, once.

    Raises:
        Refused: argument_malformed, not_authorised, already_founded.
    """
    fields.read(argument, **CHECKS)
    _require_whole_periods(argument)
    require(context, AGGREGATOR)
    stored = context.get(_rules_key(1))
    first = Version(from_utc=0, rules=Rules(**argument))
    if stored is not None:
        known = Version.from_json(codec.load(stored))
        if known != first:
            raise Refused(ContractRefusal.ALREADY_FOUNDED, f"as {known.rules.community}")
        return {"version": 1}

    _write_version(context, 1, first)
    return {"version": 1}


def vote_rules(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Vote for new `rules` from the period that starts at `from_utc`, in the name of the submitter's organisation.

    A later vote of an organisation replaces its earlier one. Once two agree the rules are the next version; the roster
    takes them to the ledger chain.

    Returns:
        `version`, once two agree, else null; and `votes`: MSP ids of those who want just this, sorted.

    Raises:
        Refused: argument_malformed, not_founded, rules_fixed, rules_out_of_order.
    """
    from_utc, changed = fields.read(argument, from_utc=fields.COUNT, rules=fields.OBJECT)
    problem = fields.mismatch(changed, CHECKS)
    if problem is not None:
        raise Refused(CallRefusal.ARGUMENT_MALFORMED, f"rules: {problem}")
    _require_whole_periods(changed)
    version = Version(from_utc=from_utc, rules=Rules(**changed))
    latest = read_latest(context)
    before = read_version(context, latest)
    other = [name for name in FIXED if getattr(version.rules, name) != getattr(before.rules, name)]
    if other:
        raise Refused(ContractRefusal.RULES_FIXED, f"{', '.join(other)} cannot change")
    if version == before:
        return {"version": latest, "votes": []}
    if from_utc <= before.from_utc or from_utc % version.rules.period_s:
        raise Refused(
            ContractRefusal.RULES_OUT_OF_ORDER,
            f"from {from_utc}; the start of a period after {before.from_utc} was expected",
        )
    stored = context.get(_votes_key(latest + 1))
    votes = {**({} if stored is None else codec.load(stored)), context.submitter.msp_id: version.to_json()}
    agreed = sorted(name for name, vote in votes.items() if vote == version.to_json())

    context.put(_votes_key(latest + 1), codec.encode(votes))
    if len(agreed) < VOTES:
        return {"version": None, "votes": agreed}
    _write_version(context, latest + 1, version)
    context.put(LATEST_KEY, codec.encode(latest + 1))
    return {"version": latest + 1, "votes": agreed}


def set_tariff(context: Context, argument: dict[str, Any]) -> None:
    """Set the tariff `name`, for rosters published from now on; only the aggregator.

    Raises:
        Refused: argument_malformed, not_authorised, not_founded.
    """
    prices = dict.fromkeys(
        ("energy_ut_per_kwh", "network_ut_per_kwh", "levies_ut_per_kwh", "feed_in_ut_per_kwh"), PRICE
    )
    name, *_ = fields.read(argument, name=fields.NAME, **prices)
    tariff = Tariff(**{price: argument[price] for price in prices})
    if tariff.feed_in_ut_per_kwh >= tariff.retail_ut_per_kwh:
        raise Refused(CallRefusal.ARGUMENT_MALFORMED, "the feed-in price is not below the retail price")
    require(context, AGGREGATOR)
    read_rules(context)
    key = _tariff_key(name)
    is_new = context.get(key) is None

    context.put(key, tariff.encode())
    if is_new:
        context.set_policy(key, PRICES_AND_MONEY)


def rules(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return one version of the rules, the latest if `version` is 0: `version`, `from_utc`, `rules`.

    Raises:
        Refused: argument_malformed, not_founded.
    """
    (version,) = fields.read(argument, version=fields.COUNT)
    version = version or read_latest(context)
    return {"version": version, **read_version(context, version).to_json()}


def read_rules(context: Context) -> Rules:
    """Return the rules that the community was founded with; what is `FIXED` in them holds for ever.

    Raises:
        Refused: not_founded.
    """
    return read_version(context, 1).rules


def read_version(context: Context, version: int) -> Version:
    """Return a version of the rules.

    Raises:
        Refused: not_founded.
    """
    stored = context.get(_rules_key(version))
    if stored is None:
        raise Refused(ContractRefusal.NOT_FOUNDED, f"there is no version {version} of the rules")
    return Version.from_json(codec.load(stored))


def read_latest(context: Context) -> int:
    """Return the number of the latest version of the rules."""
    stored = context.get(LATEST_KEY)
    return 1 if stored is None else int(codec.load(stored))


def read_tariff(context: Context, name: str) -> Tariff:
    """Return a tariff.

    Raises:
        Refused: tariff_unknown.
    """
    stored = context.get(_tariff_key(name))
    if stored is None:
        raise Refused(ContractRefusal.TARIFF_UNKNOWN, name)
    return Tariff.decode(stored)


def require(context: Context, *organisations: str) -> None:
    """Refuse a submitter of any other organisation.

    Raises:
        Refused: not_authorised.
    """
    if context.submitter.msp_id not in organisations:
        raise Refused(
            ContractRefusal.NOT_AUTHORISED, f"{context.submitter.msp_id}; {' or '.join(organisations)} was expected"
        )


def _require_whole_periods(rules: Mapping[str, Any]) -> None:
    if rules["pool_time_limit_s"] % rules["period_s"]:
        raise Refused(
            CallRefusal.ARGUMENT_MALFORMED,
            f"pool_time_limit_s is {rules['pool_time_limit_s']}; a multiple of {rules['period_s']} s was expected",
        )


def _write_version(context: Context, number: int, version: Version) -> None:
    context.put(_rules_key(number), codec.encode(version.to_json()))
    context.set_policy(_rules_key(number), PRICES_AND_MONEY)


def _votes_key(version: int) -> str:
    return f"rules-votes/{version:06}"


def _rules_key(version: int) -> str:
    return f"rules/{version:06}"


def _tariff_key(name: str) -> str:
    return f"tariff/{name}"
