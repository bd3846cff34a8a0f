"""The laws of the ledger chain, computed from its state without the contracts' own arithmetic.

Tokens: wallets + waiting deposits + what offers hold + purses + escrow + the DSO's fees = bought - redeemed, behind
every transaction. The escrow of a period is what its deal took in less what its settled pages paid out, and nothing
once it is final.

Energy, in each version of a period's record: all that was bought was sold, no slot traded more than its meter measured
or counts instead, by hand and in the pool together, none that was suspended traded at all, and the period record's
Merkle root is over the statements that say so. Seals: each names its period record and the seal before, or the one that
it corrects. Delta payments are what two versions differ by, move just what is no longer due, and are due from parties
as much as to parties.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wattpool.verify.execution import Purged, hash_key
from wattpool.verify.report import Broken, ViolationKind
from wattpool.verify.state import Place, State
from wattpool_chaincode.ledger.period import COLLECTION, Phase, key, part_range, roster_key, roster_page_key
from wattpool_chaincode.ledger.tokens import FEES_KEY
from wattpool_chaincode.ledger.versions import FIRST_VERSION
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.ocmf import NO_HASH
from wattpool_chaincode.records.payload import Payload, Signed

# Returns the private value at a place now; raises `Purged` if it is gone, `LookupError` if it never was.
PrivateNow = Callable[[Place], bytes]

_DONE = (Phase.FINAL, Phase.SEALED)


@dataclass
class Laws:
    """Checks what each valid transaction of the ledger chain leaves behind.

    Attributes:
        state: of the channel.
        private: looks its private values up.
    """

    state: State[Any]
    private: PrivateNow
    _surplus_ut: int = 0
    _escrows: dict[int, "_Escrow"] = field(default_factory=dict)

    def check(self, writes: Mapping[str, bytes | None], *, before: Mapping[str, bytes | None], argument: bytes) -> None:
        """Check the state behind a transaction.

        Args:
            writes: of the transaction.
            before: the values of the same keys before it.
            argument: that it was called with.

        Raises:
            Broken: tokens, energy, seal; malformed if what is written is nothing that Wattpool's contracts write.
        """
        try:
            self._check(writes, before, argument)
        except (ValueError, LookupError, TypeError) as error:
            detail = f"what it wrote cannot be read: {type(error).__name__}: {error}"
            raise Broken(ViolationKind.MALFORMED, detail) from error

    def _check(self, writes: Mapping[str, bytes | None], before: Mapping[str, bytes | None], argument: bytes) -> None:
        for name, value in writes.items():
            self._surplus_ut += _tokens_ut(name, value) - _tokens_ut(name, before[name])
            if value is not None:
                self._follow_escrow(name, value)
        too_many_ut = self._surplus_ut + sum(one.taken_in_ut - one.paid_out_ut for one in self._escrows.values())
        if too_many_ut:
            raise Broken(
                ViolationKind.TOKENS,
                f"what is held, less what was bought and not redeemed, is {too_many_ut} ut and not 0",
            )
        for name in writes:
            kind, _, part = name.partition("/")
            start, _, number = part.partition("/v")
            version = int(number or FIRST_VERSION)
            if kind == "result":
                self._require_energy(int(start), version)
            elif kind == "seal":
                self._require_seal(int(start), version, argument)
            elif kind in ("delta", "due"):
                self._require_delta(int(start), version, writes, before)

    def _follow_escrow(self, name: str, value: bytes) -> None:
        kind, *parts = name.split("/")
        if kind == "period" and Phase(codec.decode(value)["phase"]) in _DONE:
            self._escrows.pop(int(parts[0]), None)
        elif kind == "deal":
            self._escrow(parts[0]).taken_in_ut = codec.decode(value)["escrow_ut"]
        elif kind == "settled":
            self._escrow(parts[0]).paid_out_ut += codec.decode(value)["out_ut"]

    def _escrow(self, start: str) -> "_Escrow":
        return self._escrows.setdefault(int(start), _Escrow())

    def _require_energy(self, start_utc: int, version: int) -> None:
        result = self._read(_name("result", start_utc, version))
        pages = self._pages(start_utc, version)
        where = f"period {start_utc}, version {version}"
        if version > FIRST_VERSION:
            corrected = codec.content_id(codec.encode(self._read(_name("result", start_utc, version - 1))))
            if (result["version"], result["corrects"]) != (version, corrected):
                raise Broken(ViolationKind.ENERGY, f"{where} does not say that it corrects the version before")
        traded_wh = sum(trade[4] for page in pages for trade in page["trades"])
        bought_wh = sum(account[1] for page in pages for account in page["accounts"])
        sold_wh = sum(account[2] for page in pages for account in page["accounts"])
        if not bought_wh == sold_wh == traded_wh == result["traded_wh"]:
            raise Broken(
                ViolationKind.ENERGY,
                f"{where}: bought {bought_wh} Wh, sold {sold_wh} Wh, traded {traded_wh} Wh, "
                f"on record {result['traded_wh']} Wh",
            )
        root = merkle.root([bytes.fromhex(leaf) for page in pages for leaf in page["leaves"]]).hex()
        if root != result["root"]:
            raise Broken(ViolationKind.ENERGY, f"{where}: the root over the statements is {root}, not {result['root']}")
        firm = _Firm([row for page in pages for row in page["firm"]])
        if firm.progress() != result["firm"] or firm.is_exceeded():
            raise Broken(
                ViolationKind.ENERGY,
                f"{where}: the firm trades on record are not those settled, or got more than they claimed",
            )
        suspended = self._read(key("frozen", start_utc))["suspended"]
        sides = [slot for page in pages for trade in page["trades"] if trade[4] for slot in trade[1:3]]
        shut_out = sorted({*sides, *+firm.bought_wh, *+firm.sold_wh} & set(suspended))
        if shut_out:
            raise Broken(ViolationKind.ENERGY, f"period {start_utc}: slots {shut_out} were suspended and traded")
        written = self._written_by(start_utc, version)
        for number, page in enumerate(pages):
            by = written.get(number, FIRST_VERSION)
            self._require_statements(_name("statement", start_utc, by, number), f"{where}, page {number}", page, firm)

    def _written_by(self, start_utc: int, version: int) -> dict[int, int]:
        """Return by which version each page was written; all by the first if its record names none."""
        return dict(enumerate(self._read(_name("result", start_utc, version)).get("pages", [])))

    def _pages(self, start_utc: int, version: int) -> list[Any]:
        """Return a version's public pages."""
        pages = [codec.decode(stored.value) for _, stored in self.state.range(*part_range("settled", start_utc))]
        for number, by in self._written_by(start_utc, version).items():
            if by > FIRST_VERSION:
                pages[number] = self._read(_name("corrected", start_utc, by, number))
        return pages

    def _require_statements(self, name: str, where: str, page: Mapping[str, Any], firm: "_Firm") -> None:
        """Check the private statements behind a page's leaves, unless they were purged."""
        try:
            data = self.private((COLLECTION, hash_key(name)))
        except Purged:
            return
        statements: list[dict[str, Any]] = codec.decode(data)["statements"]
        if [codec.content_id(codec.encode(one)) for one in statements] != page["leaves"]:
            raise Broken(ViolationKind.ENERGY, f"{where}: the statements are not those whose hashes are published")
        accounts = {account[0]: account for account in page["accounts"]}
        for one in statements:
            _, bought_wh, sold_wh, *_ = accounts.pop(one["slot"], (one["slot"], 0, 0))
            firm_bought_wh, firm_sold_wh = firm.bought_wh[one["slot"]], firm.sold_wh[one["slot"]]
            stated = (one["bought_wh"], one["sold_wh"], one["firm_bought_wh"], one["firm_sold_wh"])
            is_beyond_import = bought_wh + firm_bought_wh > one["import_wh"]
            is_beyond_export = sold_wh + firm_sold_wh > one["export_wh"]
            expected = (bought_wh, sold_wh, firm_bought_wh, firm_sold_wh)
            if stated != expected or is_beyond_import or is_beyond_export:
                raise Broken(
                    ViolationKind.ENERGY,
                    f"{where}: slot {one['slot']} bought, sold and did so by hand {expected} Wh, its statement says "
                    f"{stated} of {one['import_wh']} Wh imported and {one['export_wh']} Wh exported",
                )
        if accounts:
            raise Broken(ViolationKind.ENERGY, f"{where}: slot {min(accounts)} has an account and no statement")

    def _require_delta(
        self, start_utc: int, version: int, writes: Mapping[str, bytes | None], before: Mapping[str, bytes | None]
    ) -> None:
        """Check the delta payments of a correction against the accounts of its two versions and what was moved."""
        where = f"period {start_utc}, version {version}"
        delta_name, due_name = _name("delta", start_utc, version), _name("due", start_utc, version)
        delta = self._read(delta_name)
        payments = dict(delta["payments"])
        corrected = codec.content_id(codec.encode(self._read(_name("result", start_utc, version - 1))))
        expected = self._gets_ut(start_utc, version)
        expected.subtract(self._gets_ut(start_utc, version - 1))
        if delta["corrects"] != corrected or payments != {one: ut for one, ut in expected.items() if ut}:
            raise Broken(ViolationKind.TOKENS, f"{where}: the delta payments are not what the versions differ by")
        open_before = payments if delta_name in writes else _decode_due(before[due_name])
        stored = self.state.get(due_name)
        due = _decode_due(None if stored is None else stored.value)
        if sum(due.values()) or any(not _is_part(ut, open_before.get(party, 0)) for party, ut in due.items()):
            raise Broken(ViolationKind.TOKENS, f"{where}: more is due than was open, or not as much to as from parties")
        for party, open_ut in open_before.items():
            name = FEES_KEY if party == DSO else f"wallet/{party}"
            moved_ut = _tokens_ut(name, writes.get(name)) - _tokens_ut(name, before.get(name))
            if moved_ut != open_ut - due.get(party, 0):
                raise Broken(
                    ViolationKind.TOKENS,
                    f"{where}: {moved_ut} ut were moved to {party}, {open_ut - due.get(party, 0)} ut are no longer due",
                )

    def _gets_ut(self, start_utc: int, version: int) -> Counter[str]:
        """Return what each party got back or earned in a version, and the DSO in fees."""
        roster = self._read(roster_key(self._read(key("period", start_utc))["roster"]))
        entries = [entry for digest in roster["pages"] for entry in self._read(roster_page_key(digest))]
        gets_ut: Counter[str] = Counter()
        for page in self._pages(start_utc, version):
            for slot, _, _, _, fees_ut, earned_ut, refund_ut in page["accounts"]:
                gets_ut[entries[slot]["party"]] += earned_ut + refund_ut
                gets_ut[DSO] += fees_ut
        return gets_ut

    def _require_seal(self, start_utc: int, version: int, argument: bytes) -> None:
        """Check the payload in the argument against the period record, the seal before and the key."""
        versions = self._read(roster_key(self._read(key("period", start_utc))["roster"]))["rules"]
        rules = [one["rules"] for one in versions if one["from_utc"] <= start_utc][-1]
        is_first = version == FIRST_VERSION
        corrected = (start_utc - rules["period_s"], FIRST_VERSION) if is_first else (start_utc, version - 1)
        stored = self.state.get(_name("seal", *corrected))
        expected = {
            "previous": NO_HASH if stored is None else codec.decode(stored.value)["seal"],
            "result": codec.content_id(codec.encode(self._read(_name("result", start_utc, version)))),
        }
        signed = Signed.from_json(codec.decode(argument)["seal"])
        sealed = Payload.decode("seal", signed.payload)
        written = self._read(_name("seal", start_utc, version))
        if (sealed.period_start_utc, sealed.content) != (start_utc, expected):
            raise Broken(
                ViolationKind.SEAL,
                f"{sealed.content} is sealed for period {sealed.period_start_utc}; "
                f"{expected} for {start_utc} was expected",
            )
        if written != {"previous": expected["previous"], "seal": codec.content_id(signed.payload)}:
            raise Broken(ViolationKind.SEAL, f"{written} is kept as the seal of period {start_utc}")
        if not signed.is_signed_by(bytes.fromhex(rules["seal_key"])):
            raise Broken(ViolationKind.SEAL, f"period {start_utc} is not sealed with the aggregator's key")

    def _read(self, name: str) -> Any:
        stored = self.state.get(name)
        if stored is None:
            raise LookupError(name)
        return codec.decode(stored.value)


@dataclass
class _Escrow:
    """A period's tokens that are no longer in purses and not yet back."""

    taken_in_ut: int = 0
    paid_out_ut: int = 0


class _Firm:
    """A period's firm trades, as the settled pages have them.

    Attributes:
        bought_wh: by slot.
        sold_wh: by slot.
    """

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        self.bought_wh: Counter[int] = Counter()
        self.sold_wh: Counter[int] = Counter()
        for _, bid_slot, offer_slot, _, delivered_wh, *_ in rows:
            self.bought_wh[bid_slot] += delivered_wh
            self.sold_wh[offer_slot] += delivered_wh

    def progress(self) -> list[Any]:
        """Return what the period record has to say of them."""
        return sorted([offer, *progress] for offer, _, _, _, _, *progress, _ in self._rows)

    def is_exceeded(self) -> bool:
        """Tell whether a trade got more than it claimed, or less than nothing."""
        return any(not 0 <= delivered_wh <= claimed_wh for _, _, _, claimed_wh, delivered_wh, *_ in self._rows)


def _name(kind: str, start_utc: int, version: int, page: int | None = None) -> str:
    """Return the key of something of one version of a period, or of one of its pages."""
    name = key(kind, start_utc, page)
    return name if version == FIRST_VERSION else f"{name}/v{version:04}"


def _decode_due(value: bytes | None) -> dict[str, int]:
    return {} if value is None else dict(codec.decode(value))


def _is_part(due_ut: int, open_ut: int) -> bool:
    """Tell whether what is due is some of what was open, on the same side."""
    return 0 < due_ut <= open_ut or open_ut <= due_ut < 0


def _tokens_ut(name: str, value: bytes | None) -> int:
    """Return the tokens that a key holds; the supply counts against them."""
    read = _HOLDINGS.get(name.partition("/")[0])
    return 0 if read is None or value is None else read(codec.decode(value))


_HOLDINGS: Mapping[str, Callable[[Any], int]] = {
    "wallet": lambda wallet: wallet["balance_ut"],
    "move": lambda move: move["deposit_ut"],
    "offer": lambda offer: offer["held_ut"],
    "purse": sum,
    "fees": int,
    "supply": lambda supply: supply["redeemed_ut"] - supply["bought_ut"],
}
