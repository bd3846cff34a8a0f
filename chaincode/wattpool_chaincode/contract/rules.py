"""The community's rules and tariffs: what every period is opened under.

Rules are versioned and never changed in place; version 1 is set when the community is founded.
"""

from dataclasses import asdict, dataclass
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.organisations import AGGREGATOR, PRICES_AND_MONEY
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import DAY_S
from wattpool_chaincode.refusal import Refused

MAX_PRICE_UT_PER_KWH = 1_000_000_000
PRICE = fields.Check(
    f"a price from 0 to {MAX_PRICE_UT_PER_KWH} ut/kWh",
    lambda value: type(value) is int and 0 <= value <= MAX_PRICE_UT_PER_KWH,
)
PERIOD_LENGTH = fields.Check(
    "a length in seconds that divides a day", lambda value: type(value) is int and value > 0 and DAY_S % value == 0
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
        gate_lead_s: how long before delivery the gate closes.
        report_due_s: how long after delivery meter records are waited for.
        seal_key: the aggregator's key that seals periods.
    """

    community: str
    period_s: int
    clock: str
    mechanism: str
    alpha_ut_per_kwh: int
    beta_ut_per_kwh: int
    fee_feeder_ut_per_kwh: int
    fee_community_ut_per_kwh: int
    gate_lead_s: int
    report_due_s: int
    seal_key: str

    def encode(self) -> bytes:
        return codec.encode(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> "Rules":
        return cls(**codec.load(data))


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


CHECKS = {
    "community": fields.NAME,
    "period_s": PERIOD_LENGTH,
    "clock": fields.one_of("live", "simulated"),
    "mechanism": fields.one_of(*MECHANISMS),
    "alpha_ut_per_kwh": PRICE,
    "beta_ut_per_kwh": PRICE,
    "fee_feeder_ut_per_kwh": PRICE,
    "fee_community_ut_per_kwh": PRICE,
    "gate_lead_s": fields.COUNT,
    "report_due_s": fields.COUNT,
    "seal_key": fields.PUBLIC_KEY,
}


def found(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Found the community with its first rules; only the aggregator, once.

    Raises:
        Refused: argument_malformed, not_authorised, already_founded.
    """
    fields.read(argument, **CHECKS)
    require(context, AGGREGATOR)
    key = _rules_key(1)
    stored = context.get(key)
    if stored is not None:
        if stored != codec.encode(argument):
            raise Refused(ContractRefusal.ALREADY_FOUNDED, f"as {Rules.decode(stored).community}")
        return {"version": 1}

    context.put(key, codec.encode(argument))
    context.set_policy(key, PRICES_AND_MONEY)
    return {"version": 1}


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
    """Return one version of the rules, as first set.

    Raises:
        Refused: argument_malformed, not_founded.
    """
    (version,) = fields.read(argument, version=fields.COUNT)
    return asdict(read_rules(context, version))


def read_rules(context: Context, version: int = 1) -> Rules:
    """Return a version of the rules.

    Raises:
        Refused: not_founded.
    """
    stored = context.get(_rules_key(version))
    if stored is None:
        raise Refused(ContractRefusal.NOT_FOUNDED, f"there is no version {version} of the rules")
    return Rules.decode(stored)


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


def _rules_key(version: int) -> str:
    return f"rules/{version:06}"


def _tariff_key(name: str) -> str:
    return f"tariff/{name}"
