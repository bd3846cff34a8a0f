"""A small community on the in-memory network: the reader's entry to the tests of the two chains' rules.

`Community(homes)` founds it, admits its homes and fills their purses. From there a test signs what meters and owners
sign (`request`, `record`, `order`, `seal`), runs single stages (`ledger("close", ...)`), or a whole period
(`run_period`). All keys follow from names, so that every run is the same to the byte.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from wattpool_chaincode.contract import CONTRACT
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.ledger import chunks as ledger_chunks
from wattpool_chaincode.ledger import period as ledger_period
from wattpool_chaincode.ledger.sealing import seal_content
from wattpool_chaincode.memory import MemoryNetwork
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec, ocmf, payload, signing
from wattpool_chaincode.records.ocmf import MeterRecord, TimeStatus
from wattpool_chaincode.records.payload import Payload
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import PAGE_SIZE

FIRST = Period(1_489_968_000)  # 2017-03-20T00:00:00Z
COMMUNITY = "demo"
SALT = bytes(16)


@lru_cache(maxsize=4_096)
def key_of(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the private key that belongs to `name`."""
    scalar = int.from_bytes(sha256(name.encode()).digest()) % (signing.ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


@lru_cache(maxsize=4_096)
def public_key_of(name: str) -> str:
    return signing.public_bytes(key_of(name)).hex()


def identity_of(name: str) -> str:
    """Return the id of the device or party whose key belongs to `name`."""
    return payload.signer_id(bytes.fromhex(public_key_of(name)))


RULES: dict[str, Any] = {
    "community": COMMUNITY,
    "period_s": 900,
    "clock": "simulated",
    "mechanism": "uniform",
    "alpha_ut_per_kwh": 1_000,
    "beta_ut_per_kwh": 1_000,
    "fee_feeder_ut_per_kwh": 10_000,
    "fee_community_ut_per_kwh": 20_000,
    "pool_time_limit_s": 900,
    "gate_lead_s": 300,
    "report_due_s": 3_600,
    "firm_deposit_ppm": 500_000,
    "firm_tolerance_ppm": 100_000,
    "firm_decline_below_ppm": 500_000,
    "firm_shortfall_ut_per_kwh": 80_000,
    "seal_key": public_key_of("seal"),
    "correction_key": public_key_of("correction"),
}
TARIFF = {
    "energy_ut_per_kwh": 150_000,
    "network_ut_per_kwh": 100_000,
    "levies_ut_per_kwh": 50_000,
    "feed_in_ut_per_kwh": 50_000,
}


@dataclass(frozen=True, kw_only=True)
class Home:
    """A connection with its meter `name`, owned by `<name>'s owner` unless by the owner of the home `owned_with`."""

    name: str
    feeder: str = "A"
    tariff: str = "standard"
    line_limit_w: int = 10_000
    generation_cost_ut_per_kwh: int = 60_000
    max_buy_ut_per_kwh: int = 400_000
    purse_ut: int = 10_000_000
    owned_with: str = ""

    @property
    def connection(self) -> str:
        return identity_of(f"{self.name}'s connection")

    @property
    def grid_point(self) -> str:
        return identity_of(f"{self.name}'s grid point")

    @property
    def owner(self) -> str:
        return f"{self.owned_with or self.name}'s owner"


@dataclass
class Meter:
    """What a meter remembers between its records, and the counter of its last request.

    `device` names it if it is not the home's first.
    """

    number: int = 1
    hash: str = ""
    import_wh: int = 1_000
    export_wh: int = 2_000
    counter: int = 0
    device: str = ""


class Call(NamedTuple):
    """A call that was committed, as it can be made again."""

    channel: str
    function: str
    argument: bytes
    by: str
    transient: Mapping[str, bytes]
    time_utc: int


@dataclass(frozen=True)
class Tokens:
    """Where all tokens are; `together` must equal what was bought less what was redeemed."""

    wallets_ut: int
    deposits_ut: int
    purses_ut: int
    escrow_ut: int
    fees_ut: int
    issued_ut: int
    offers_ut: int = 0

    @property
    def together_ut(self) -> int:
        inside_ut = self.purses_ut + self.escrow_ut + self.fees_ut
        return self.wallets_ut + self.deposits_ut + self.offers_ut + inside_ut


@dataclass
class Community:
    """A community that trades; `calls` keeps all that was committed.

    Args:
        homes: connected and admitted in this order, so that the first gets slot 0.
        rules: what differs from `RULES`.
        tariffs: by name, what differs from `TARIFF`; without any there is `standard`.
        page_size: of all pages; another than the chains' own only within `small_pages`.
    """

    homes: Sequence[Home]
    rules: Mapping[str, Any] = field(default_factory=dict)
    tariffs: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: {"standard": {}})
    page_size: int = PAGE_SIZE
    network: MemoryNetwork = field(init=False)
    meters: dict[str, Meter] = field(init=False, default_factory=dict)
    calls: list[Call] = field(init=False, default_factory=list)
    owners: dict[str, str] = field(init=False, default_factory=dict)
    _order_counters: dict[str, int] = field(init=False, default_factory=dict)
    _seal: str = field(init=False, default=ocmf.NO_HASH)

    def __post_init__(self) -> None:
        self.network = new_network()
        self.contract("found", **{**RULES, **self.rules})
        for name, prices in self.tariffs.items():
            self.contract("set_tariff", **tariff(name, **prices))
        for home in self.homes:
            self.admit(home)
        if self.homes:
            self.publish()
        for home in self.homes:
            if home.purse_ut:
                self.fill_purse(home.name, home.purse_ut)

    # Calls.

    def contract(self, function: str, *, by: str = AGGREGATOR, **argument: Any) -> Any:
        """Call a function of the contract chain."""
        return self._call("contract", function, by=by, transient={}, argument=argument)

    def ledger(
        self, function: str, *, by: str = AGGREGATOR, transient: Mapping[str, bytes] | None = None, **argument: Any
    ) -> Any:
        """Call a function of the ledger chain."""
        return self._call("ledger", function, by=by, transient=transient or {}, argument=argument)

    def refusal(
        self,
        channel: str,
        function: str,
        *,
        by: str = AGGREGATOR,
        transient: Mapping[str, bytes] | None = None,
        **argument: Any,
    ) -> StrEnum:
        """Return why a call is refused, having checked that it changed nothing."""
        before = copies(self.network)
        try:
            self._call(channel, function, by=by, transient=transient or {}, argument=argument)
        except Refused as refused:
            assert copies(self.network) == before
            return refused.reason
        raise AssertionError(f"{function} was not refused")

    # Founding.

    def admit(self, home: Home) -> None:
        """Register a home's connection with its grid point, owner and meter, and approve the meter."""
        self.contract("register_connection", by=DSO, **connection_of(home))
        self.contract("register_metering_point", by=DSO, **grid_point_of(home))
        self.contract("register_party", join=join(home))
        self.contract("register_device", **device(home))
        for organisation in (DSO, AGGREGATOR):
            self.contract("approve_device", by=organisation, device=identity_of(home.name))
        self.owners[home.name] = home.owner
        self.meters[home.name] = Meter(hash=ocmf.read(opening(home)).hash)

    def exchange(self, home: Home, device: str, *, closing: object, start: Period) -> str:
        """Retire a home's meter, let `device` begin at the start of a period; return its opening record."""
        retired = identity_of(self.device(home.name))
        self.contract("retire_device", by=DSO, device=retired, closing=closing, reason="calibration expired")
        meter = Meter(number=0, hash=ocmf.NO_HASH, import_wh=7, export_wh=9, device=device)
        first = record(home.name, meter, period=start.previous)
        content = {"public_key": public_key_of(device), "point": home.grid_point, "serial": device}
        self.contract(
            "register_device",
            install=signed("install", device, {**content, "maximum_power_w": home.line_limit_w}),
            mandate=signed(
                "mandate", self.owners[home.name], {"device": identity_of(device), "point": home.grid_point}
            ),
            opening=first,
        )
        for organisation in (DSO, AGGREGATOR):
            self.contract("approve_device", by=organisation, device=identity_of(device))
        meter.number, meter.hash = 1, ocmf.read(first).hash
        self.meters[home.name] = meter
        return first

    def move_in(self, home: Home, owner: str, *, counter: int = 1) -> None:
        """Let `owner`, who joins if need be, take a home's connection over; it counts with the next roster."""
        self.contract("register_party", join=join(replace(home, name=owner.removesuffix("'s owner"), owned_with="")))
        order = signed("move_in", owner, {"connection": home.connection}, counter=counter)
        self.contract("move_in", order=order)
        self.contract("approve_move_in", by=DSO, connection=home.connection, party=identity_of(owner))
        self.owners[home.name] = owner

    def device(self, name: str) -> str:
        """Return the name of a home's meter."""
        return self.meters[name].device or name

    def publish(self) -> int:
        """Publish the roster as the registers stand, copy it to the ledger chain, return its version."""
        for page in range(self.pages):
            self.ledger("adopt_page", page=self.contract("publish_page", page=page)["page"])
        version = int(self.contract("publish_roster")["version"])
        self.ledger("adopt_roster", version=version)
        return version

    # Tokens.

    def fill_purse(self, name: str, amount_ut: int) -> None:
        """Buy tokens for a home's owner and deposit them; they are in the purse when the next period opens."""
        owner = self.owners[name]
        reference = f"payment-{len(self.calls)}"
        self.ledger("buy", party=identity_of(owner), amount_ut=amount_ut, reference=reference)
        self.ledger("deposit", order=self.order(owner, "deposit", slot=self.slot(name), amount_ut=amount_ut))

    def order(
        self, owner: str, kind: str, *, counter: int | None = None, period: Period | None = None, **content: Any
    ) -> list[str]:
        """Return an owner's signed order, with the owner's next counter unless another is given."""
        if counter is None:
            counter = self._order_counters[owner] = self._order_counters.get(owner, 0) + 1
        return signed(kind, owner, content, counter=counter, period=period)

    # Offers by hand.

    def fill_wallet(self, name: str, amount_ut: int) -> None:
        """Buy tokens for a home's owner."""
        party = identity_of(self.owners[name])
        self.ledger("buy", party=party, amount_ut=amount_ut, reference=f"payment-{len(self.calls)}")

    def offer_order(self, name: str, *, offered: Period = FIRST, by: str | None = None, **changes: Any) -> list[str]:
        """Return a home's signed offer of 1 kWh for 150,000 ut in the period after `FIRST`; `changes` are of it."""
        content = {
            "slot": self.slot(name),
            "energy_wh": 1_000,
            "price_ut_per_kwh": 150_000,
            "from_utc": FIRST.next.start_utc,
            "until_utc": FIRST.next.end_utc,
            "level": "community",
        }
        return self.order(by or self.owners[name], "offer", period=offered, **{**content, **changes})

    def pick_order(self, name: str, offer: str, *, by: str | None = None, **changes: Any) -> list[str]:
        """Return a home's signed pick of an offer."""
        content = {"offer": offer, "slot": self.slot(name)}
        return self.order(by or self.owners[name], "pick", **{**content, **changes})

    def add_offer(self, name: str, *, offered: Period = FIRST, **changes: Any) -> str:
        """Let a home's owner offer energy; return the offer's id."""
        order = self.offer_order(name, offered=offered, **changes)
        return str(self.ledger("add_offer", order=order)["offer"])

    def pick_offer(self, name: str, offer: str) -> None:
        """Let a home's owner pick an offer, and reserve its window."""
        self.ledger("pick_offer", order=self.pick_order(name, offer))
        self.ledger("confirm_p2l", offer=offer)

    def purse_ut(self, name: str) -> int:
        return int(self.ledger("purse", slot=self.slot(name))["balance_ut"])

    def wallet_ut(self, name: str) -> int:
        return int(self.ledger("wallet", party=identity_of(self.owners[name]))["balance_ut"])

    @property
    def pages(self) -> int:
        return -(-len(self.meters) // self.page_size)

    def slot(self, name: str) -> int:
        return list(self.meters).index(name)

    # What meters sign.

    def request(self, name: str, balance_wh: int, *, limit: int | None = None, period: Period = FIRST) -> list[str]:
        """Return a meter's next request, to sell `balance_wh` or to buy its negative."""
        meter = self.meters[name]
        meter.counter += 1
        content = request_content(balance_wh, limit=limit, period=period)
        return signed("request", self.device(name), content, period=period, counter=meter.counter)

    def record(
        self, name: str, *, import_wh: int = 0, export_wh: int = 0, period: Period = FIRST, **changes: Any
    ) -> str:
        """Move a meter's registers on by what a period took and gave, and return the record of it."""
        meter = self.meters[name]
        meter.import_wh += import_wh
        meter.export_wh += export_wh
        text = record(name, meter, period=period, **changes)
        meter.number, meter.hash = meter.number + 1, ocmf.read(text).hash
        return text

    # The stages of a period.

    def open(self, period: Period = FIRST) -> None:
        self.ledger("open", period=period.start_utc, roster=self.ledger("roster")["version"])

    def ingest(self, requests: Iterable[object], *, period: Period = FIRST, salt: bytes = SALT) -> Any:
        """Send one chunk of requests."""
        return self.ledger("ingest", **chunk("request", requests, period=period, salt=salt))

    def report(self, records: Iterable[object], *, period: Period = FIRST, salt: bytes = SALT) -> Any:
        """Send one chunk of records."""
        return self.ledger("report", **chunk("record", records, period=period, salt=salt))

    def fix(self, period: Period = FIRST) -> Any:
        """Close the gate, clear all pages, put the trades in force; return the deal."""
        groups = len(self.ledger("close", period=period.start_utc)["groups"])
        for page in range(1 if groups == 1 else groups + 1):
            self.ledger("clear", period=period.start_utc, page=page)
        return self.ledger("activate", period=period.start_utc)

    def abort(self, period: Period = FIRST, *, reason: str = "grid fault") -> Any:
        """Give the market up by the votes of two organisations; return what the second was told."""
        self.ledger("abort", by=DSO, period=period.start_utc, reason=reason)
        return self.ledger("abort", by=MEMBERS, period=period.start_utc, reason="as the DSO says")

    def settle(self, period: Period = FIRST) -> Any:
        """Settle all pages and finalise; return the period record."""
        for page in range(self.pages):
            self.ledger("settle", period=period.start_utc, page=page)
        return self.ledger("finalise", period=period.start_utc)

    def seal(self, period: Period = FIRST) -> Any:
        """Seal the period with the aggregator's signature, onto the seal before."""
        result = self.ledger("period", period=period.start_utc)["result"]
        content = seal_content(result, self._seal)
        sealed = self.ledger("seal", period=period.start_utc, seal=signed("seal", "seal", content, period=period))
        self._seal = sealed["seal"]
        return sealed

    def run_period(
        self, wishes_wh: Mapping[str, int], measured_wh: Mapping[str, tuple[int, int]], *, period: Period = FIRST
    ) -> Any:
        """Take a period from `open` to `seal` and return its record.

        Args:
            wishes_wh: what each meter asks to sell, or to buy if negative.
            measured_wh: import and export of each meter that reports.
            period: the one after the last.
        """
        self.open(period)
        self.ingest([self.request(name, wish, period=period) for name, wish in wishes_wh.items()], period=period)
        self.fix(period)
        self.report(
            [
                self.record(name, import_wh=import_wh, export_wh=export_wh, period=period)
                for name, (import_wh, export_wh) in measured_wh.items()
            ],
            period=period,
        )
        result = self.settle(period)
        self.seal(period)
        return result

    # Corrections.

    def correction(
        self,
        values: Sequence[object],
        *,
        period: Period = FIRST,
        by: str = "correction",
        salt: bytes = SALT,
        **changes: Any,
    ) -> dict[str, Any]:
        """Return the arguments of `correct`, signed by the DSO, transient data included; `changes` are of its content.

        Each value is slot, import and export in Wh.
        """
        sent = chunk("correction", values, period=period, salt=salt)
        content = {**self.correction_of(period), "values": sent["chunk"], **changes}
        order = signed("correction", by, content, period=period)
        return {"period": sent["period"], "transient": sent["transient"], "correction": order}

    def correction_of(self, period: Period = FIRST) -> dict[str, Any]:
        """Return what a correction of a period's latest version says of it."""
        latest = self.version(period)
        corrects = codec.content_id(codec.encode(latest["result"]))
        return {"corrects": corrects, "version": latest["version"] + 1}

    def correct(self, values: Sequence[object], *, period: Period = FIRST) -> Any:
        """Fill gaps of a period with substitutes, seal the new version, return its record."""
        result = self.ledger("correct", **self.correction(values, period=period))
        self.seal_correction(period)
        return result

    def late(self, values: Sequence[object], *, period: Period = FIRST, **changes: Any) -> dict[str, Any]:
        """Return the arguments of `correct_late`; each value is a slot and two places, see `place`."""
        sent = chunk("correction", values, period=period)
        arguments = {**self.correction_of(period), "values": sent["chunk"], **changes}
        return {"period": sent["period"], "transient": sent["transient"], **arguments}

    def correct_late(self, values: Sequence[object], *, period: Period = FIRST) -> Any:
        """Fill gaps of a period by late records, seal the new version, return its record."""
        result = self.ledger("correct_late", **self.late(values, period=period))
        self.seal_correction(period)
        return result

    def seal_correction(self, period: Period = FIRST) -> Any:
        """Seal the latest version of a period with the aggregator's signature, onto the version before."""
        latest = self.version(period)
        before = self.ledger("correction", period=period.start_utc, version=latest["version"] - 1)
        seal = signed("seal", "seal", seal_content(latest["result"], before["seal"]), period=period)
        return self.ledger("seal_correction", period=period.start_utc, version=latest["version"], seal=seal)

    def version(self, period: Period = FIRST, number: int = 0) -> dict[str, Any]:
        """Return a version of a period, by default the latest."""
        return dict(self.ledger("correction", period=period.start_utc, version=number))

    def corrected(self, name: str, period: Period = FIRST) -> dict[str, Any]:
        """Return what the latest version of a period did to a home."""
        page, index = divmod(self.slot(name), self.page_size)
        version = self.version(period)["version"]
        return dict(self.ledger("corrected_statements", period=period.start_utc, version=version, page=page)[index])

    # What is on the chains.

    def snapshot(self) -> bytes:
        """Return all state of both channels as bytes."""
        return snapshot(self.network)

    def trades(self, period: Period = FIRST) -> list[Any]:
        """Return the settled trades of page 0: level, buyer, seller, agreed and settled Wh, payment, fee, price."""
        return list(self.ledger("settled_page", period=period.start_utc, page=0)["trades"])

    def statement(self, name: str, period: Period = FIRST) -> dict[str, Any]:
        """Return what a period did to a home of page 0."""
        return dict(self.ledger("statements", period=period.start_utc, page=0)[self.slot(name)])

    def tokens(self) -> Tokens:
        return tokens(self.network)

    def _call(
        self, channel: str, function: str, *, by: str, transient: Mapping[str, bytes], argument: Mapping[str, Any]
    ) -> Any:
        call = Call(channel, function, codec.encode(argument), by, transient, self.network.time_utc)
        result = codec.decode(make(self.network, call))
        self.calls.append(call)
        return result


@contextmanager
def small_pages(size: int) -> Iterator[None]:
    """Let the pages of both chains hold `size` slots, so that a few homes fill several."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("contract.roster", "ledger.period"):
            patch.setattr(import_module(f"wattpool_chaincode.{name}"), "PAGE_SIZE", size)
        patch.setattr(import_module("wattpool_chaincode.ledger.gate"), "CLEARED_TOGETHER", size)
        yield


def new_network() -> MemoryNetwork:
    return MemoryNetwork({"contract": CONTRACT, "ledger": LEDGER})


def make(network: MemoryNetwork, call: Call) -> bytes:
    """Make a call, for the first time or again."""
    network.time_utc = call.time_utc
    return network.call(call.channel, call.function, call.argument, by=call.by, transient=call.transient)


def snapshot(network: MemoryNetwork) -> bytes:
    """Return what both channels have committed as bytes; the past of keys, which names transactions, is left out."""
    states = network.states
    return repr(
        [
            (name, *(sorted(part.items()) for part in (state.public, state.private, state.hashes, state.policies)))
            for name, state in sorted(states.items())
        ]
    ).encode()


def copies(network: MemoryNetwork) -> Any:
    """Return what `snapshot` does, to be compared in the same process: a hundred times as fast."""
    return [
        tuple(dict[Any, Any](part) for part in (state.public, state.private, state.hashes, state.policies))
        for state in network.states.values()
    ]


def tokens(network: MemoryNetwork) -> Tokens:
    """Count all tokens, from the keys of the ledger chain alone."""
    state = network.states["ledger"].public

    def of(kind: str) -> list[tuple[str, Any]]:
        found = [(name, value) for name, value in state.items() if name.startswith(kind)]
        return [(name.removeprefix(kind), codec.decode(value)) for name, value in found]

    escrow_ut = 0
    for start, deal in of("deal/"):
        if f"result/{start}" not in state:
            escrow_ut += deal["escrow_ut"] - sum(page["out_ut"] for _, page in of(f"settled/{start}/"))
    supply = codec.decode(state.get("supply", b'{"bought_ut":0,"redeemed_ut":0}'))
    return Tokens(
        wallets_ut=sum(wallet["balance_ut"] for _, wallet in of("wallet/")),
        deposits_ut=sum(move["deposit_ut"] for _, move in of("move/")),
        purses_ut=sum(sum(page) for _, page in of("purse/")),
        escrow_ut=escrow_ut,
        fees_ut=codec.decode(state.get("fees", b"0")),
        issued_ut=supply["bought_ut"] - supply["redeemed_ut"],
        offers_ut=sum(offer["held_ut"] for _, offer in of("offer/")),
    )


def signed(
    kind: str,
    name: str,
    content: Mapping[str, Any],
    *,
    period: Period | None = None,
    **changes: Any,
) -> list[str]:
    """Return a payload signed with the key of `name`, its signer; `changes` are of other fields of the payload."""
    statement = Payload(
        kind=kind,
        community=COMMUNITY,
        signer=identity_of(name),
        period_start_utc=0 if period is None else period.start_utc,
        counter=1,
        content=dict(content),
    )
    return payload.sign(replace(statement, **changes), key_of(name)).to_json()


def request_content(balance_wh: int, *, limit: int | None = None, period: Period = FIRST) -> dict[str, int]:
    """Return what a request says: `balance_wh` as generation or consumption; by default at any price but a bad one."""
    watts = abs(balance_wh) * 3_600 // period.length_s
    default_limit = 60_000 if balance_wh > 0 else 300_000
    return {
        "battery_wh": 0,
        "consumption_w": watts if balance_wh < 0 else 0,
        "generation_w": watts if balance_wh > 0 else 0,
        "limit_ut_per_kwh": default_limit if limit is None else limit,
    }


def tariff(name: str, **changes: int) -> dict[str, Any]:
    return {"name": name, **TARIFF, **changes}


def connection_of(home: Home) -> dict[str, Any]:
    return {"connection": home.connection, "feeder": home.feeder, "line_limit_w": home.line_limit_w}


def grid_point_of(home: Home, **changes: str) -> dict[str, Any]:
    return {"point": home.grid_point, "connection": home.connection, "kind": "grid", **changes}


def join(home: Home, **changes: Any) -> list[str]:
    """Return the owner's signed wish to take part."""
    content = {
        "public_key": public_key_of(home.owner),
        "tariff": home.tariff,
        "generation_cost_ut_per_kwh": home.generation_cost_ut_per_kwh,
        "max_buy_ut_per_kwh": home.max_buy_ut_per_kwh,
    }
    return signed("join", home.owner, {**content, **changes})


def install(home: Home, **changes: Any) -> list[str]:
    """Return the meter's signed word on where it is installed."""
    content = {
        "public_key": public_key_of(home.name),
        "point": home.grid_point,
        "serial": home.name,
        "maximum_power_w": home.line_limit_w,
    }
    return signed("install", home.name, {**content, **changes})


def mandate(home: Home, **changes: Any) -> list[str]:
    """Return the owner's signed word that the meter may trade for the owner."""
    return signed("mandate", home.owner, {"device": identity_of(home.name), "point": home.grid_point, **changes})


def opening(home: Home, **changes: Any) -> str:
    """Return the meter's record at installation: its first, at the start of `FIRST`."""
    return record(home.name, Meter(number=0, hash=ocmf.NO_HASH), period=FIRST.previous, **changes)


def device(home: Home, **changes: Any) -> dict[str, Any]:
    """Return the argument of `register_device`."""
    return {"install": install(home), "mandate": mandate(home), "opening": opening(home), **changes}


def record(name: str, meter: Meter, *, period: Period, **changes: Any) -> str:
    """Return the record that follows what a meter remembers, signed; it remembers nothing of it."""
    name = meter.device or name
    fields = {
        "community": COMMUNITY,
        "device": identity_of(name),
        "agent_version": "0.1.0",
        "model": "agent",
        "number": meter.number + 1,
        "vendor": "Eastron",
        "meter_model": "SDM630",
        "serial": name,
        "time_utc": period.end_utc,
        "time_status": TimeStatus.SYNCHRONISED,
        "import_wh": meter.import_wh,
        "export_wh": meter.export_wh,
        "period_start_utc": period.start_utc,
        "previous_hash": meter.hash,
        "leaves_root": "ab" * 32,
        "leaves": 100,
        "lost_edges": 0,
        "boot_id": "5f0c",
        "monotonic_ms": 123_456,
    }
    return ocmf.write(MeterRecord(**{**fields, **changes}), key_of(name))


def chunk(kind: str, items: Iterable[object], *, period: Period = FIRST, salt: bytes = SALT) -> dict[str, Any]:
    """Return the arguments of `ingest` (kind `request`) or `report` (kind `record`), transient data included."""
    name, data = ledger_chunks.encode_chunk(list(items), salt=salt)
    transient = {ledger_period.key(kind, period.start_utc, name): data}
    return {"period": period.start_utc, "chunk": name, "pages": [0], "transient": transient}


def place(records: Sequence[str], index: int, *, period: Period) -> list[Any]:
    """Return where a record was taken in: among `records`, one chunk of a period."""
    return [period.start_utc, chunk("record", records, period=period)["chunk"], index]


def unfounded() -> Community:
    """Return a community of which nothing has been written yet."""
    community = Community([])
    community.network = new_network()
    return community
