"""Corrections after the seal: what a meter left open is filled in, and the period is settled again as version n + 1.

A gap (missing, span, unsure or suspect) is filled by the meter's own records that came late, or by a substitute that
the DSO signs; a substitute again by another or by late records. What a meter measured well stands: nobody's word
replaces it. Registers are not touched.

Firm trades keep what was proved of them, so the exchange of their parties is not corrected in their periods; the
pool's trades of the corrected slots are settled again as agreed at the gate. A mechanism that clears what was measured
agreed on nothing for a gap, and what it has shared out among the others stays theirs: filling the gap says what flowed,
and all of it is the grid's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wattpool_chaincode import authentication, fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger import chunks
from wattpool_chaincode.ledger.clearing import AgreedMatch, read_matches
from wattpool_chaincode.ledger.dues import owe
from wattpool_chaincode.ledger.late import LateRecords, is_place
from wattpool_chaincode.ledger.period import (
    COLLECTION,
    PeriodState,
    Phase,
    key,
    page_of,
    read_entries_of,
    read_period,
    require_phase,
)
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reports import MEASURED, Quality
from wattpool_chaincode.ledger.reservations import parties_to, read_reservations
from wattpool_chaincode.ledger.settlement import Account, SettledTrade, parties_of, settle_trades, sum_accounts
from wattpool_chaincode.ledger.suspension import read_frozen_suspended
from wattpool_chaincode.ledger.versions import (
    latest_version,
    read_page,
    read_record,
    read_seal,
    read_statements,
    version_key,
    written_by,
)
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.payload import is_count, signer_id
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry

CORRECTION = {"corrects": fields.DIGEST, "values": fields.DIGEST, "version": fields.COUNT}


class Value(NamedTuple):
    """What counts from now on as a slot's exchange in the period, and the meter record that says so, if one does."""

    quality: Quality
    import_wh: int
    export_wh: int
    record: str | None = None


def correct(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Fill gaps of a sealed period with substitutes, by the DSO's signed `correction` payload.

    The payload names the version it makes, the hash of the period record it corrects and the chunk of values, whose
    items are slot, import and export in Wh, by slot. A repeated correction changes nothing.

    Returns:
        The period record of the new version.

    Raises:
        Refused: argument_malformed, period_unknown, a `PayloadRefusal`, too_early, version_out_of_order,
            corrects_another, chunk_absent, chunk_malformed, slot_unknown, firm_trade, already_measured,
            over_line_limit, same_as_before.
    """
    start_utc, correction = fields.read(argument, period=fields.COUNT, correction=fields.SIGNED)
    state = read_period(context, start_utc)
    rules = state.rules
    payload, signed = authentication.decode(
        correction, kind="correction", community=rules.community, content=CORRECTION
    )
    authentication.require_period(payload.period_start_utc, start_utc)
    correction_key = bytes.fromhex(rules.correction_key)
    if payload.signer != signer_id(correction_key):
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, payload.signer)
    authentication.authenticate(signed, correction_key)
    return _correct(context, state, payload.content, is_late=False)


def correct_late(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Fill gaps of a sealed period by the meters' own records that came late; they need nobody's signature but theirs.

    Each item of the chunk `values` is a slot and the places of the records at the period's start (null for the one at
    installation) and at its end, by slot; a place is the period, the chunk and the index where it was taken in.

    Returns:
        The period record of the new version.

    Raises:
        Refused: argument_malformed, period_unknown, too_early, version_out_of_order, corrects_another, chunk_absent,
            chunk_malformed, slot_unknown, firm_trade, already_measured, record_unknown, record_for_another,
            record_unsure, over_line_limit.
    """
    start_utc, *_ = fields.read(argument, period=fields.COUNT, **CORRECTION)
    return _correct(context, read_period(context, start_utc), argument, is_late=True)


def _correct(context: Context, state: PeriodState, content: Mapping[str, Any], *, is_late: bool) -> dict[str, Any]:
    start_utc = state.period.start_utc
    version, chunk = content["version"], content["values"]
    require_phase(state, Phase.SEALED)
    latest = latest_version(context, start_utc)
    before = read_record(context, start_utc, latest)
    # Version 1 has no values that it was made of.
    if version == latest and before.get("values") == chunk:
        return before
    if version != latest + 1:
        raise Refused(LedgerRefusal.VERSION_OUT_OF_ORDER, f"version {version}; {latest + 1} was expected")
    if content["corrects"] != codec.content_id(codec.encode(before)):
        raise Refused(LedgerRefusal.CORRECTS_ANOTHER, f"the record of version {latest} is another")
    if read_seal(context, start_utc, latest) is None:
        raise Refused(LedgerRefusal.TOO_EARLY, f"version {latest} is not sealed")
    items, salt, data = chunks.read_transient(context, key("correction", start_utc, chunk), chunk)
    _require_form(items, is_late=is_late)
    slots = [item[0] for item in items]
    if slots[-1] >= state.roster.slots:
        raise Refused(LedgerRefusal.SLOT_UNKNOWN, f"slot {slots[-1]}; the period has {state.roster.slots}")

    matches = read_matches(context, state)
    parties = parties_of(matches, frozenset(slots))
    curve = _Curve(context, state, before, parties)
    values = _values(context, state, curve, items, is_late=is_late)
    changes = curve.settle_again(matches, values)
    result = curve.write(changes, values, version=version, chunk=chunk, salt=salt, corrects=content["corrects"])

    context.put_private(COLLECTION, key("correction", start_utc, chunk), data)
    context.put(key("version", start_utc), codec.encode(version))
    owe(context, start_utc, version, corrects=content["corrects"], gets_ut=curve.gets_ut(changes))
    return result


def _require_form(items: Sequence[Any], *, is_late: bool) -> None:
    """Refuse values that are not of one form, one per slot and by slot.

    Raises:
        Refused: chunk_malformed.
    """
    slots = []
    for item in items:
        match item:
            case [slot, import_wh, export_wh] if not is_late and all(map(is_count, (slot, import_wh, export_wh))):
                slots.append(slot)
            case [slot, before, after] if (
                is_late and is_count(slot) and (before is None or is_place(before)) and is_place(after)
            ):
                slots.append(slot)
            case _:
                raise Refused(LedgerRefusal.CHUNK_MALFORMED, f"{str(item)[:80]} is no value of a slot")
    if not slots or slots != sorted(set(slots)):
        raise Refused(LedgerRefusal.CHUNK_MALFORMED, "values of one slot or more, by slot, were expected")


def _values(
    context: Context, state: PeriodState, curve: "_Curve", items: Iterable[Any], *, is_late: bool
) -> dict[int, Value]:
    """Return what counts from now on, slot by slot."""
    firm = parties_to(read_reservations(context, state.period.start_utc))
    records = LateRecords(context, state)
    values = {}
    for slot, first, second in items:
        entry, statement = curve.entries[slot], curve.statement(slot)
        if slot in firm:
            raise Refused(LedgerRefusal.FIRM_TRADE, f"slot {slot} has a firm trade in the period")
        if statement["quality"] in MEASURED:
            raise Refused(LedgerRefusal.ALREADY_MEASURED, f"slot {slot} is {statement['quality']}")
        if is_late:
            record, import_wh, export_wh = records.energy_wh(entry, first, second)
            value = Value(Quality.LATE, import_wh, export_wh, record)
        else:
            value = Value(Quality.SUBSTITUTED, first, second)
        most_wh = state.period.energy_wh_at(entry.line_limit_w)
        if not (0 <= value.import_wh <= most_wh and 0 <= value.export_wh <= most_wh):
            detail = f"slot {slot}: {value.import_wh} Wh in and {value.export_wh} Wh out; the line carries {most_wh} Wh"
            raise Refused(LedgerRefusal.OVER_LINE_LIMIT, detail)
        if (statement["quality"], statement["import_wh"], statement["export_wh"]) == value[:3]:
            raise Refused(LedgerRefusal.SAME_AS_BEFORE, f"slot {slot}")
        values[slot] = value
    return values


class _Metered(NamedTuple):
    import_wh: int
    export_wh: int


_NOTHING = _Metered(0, 0)


class _Changes(NamedTuple):
    """What settling again changes: trades by their place among all, and accounts by slot, before and after."""

    trades: dict[int, SettledTrade]
    old: dict[int, Account]
    new: dict[int, Account]


class _Curve:
    """A version of a period as far as a correction looks at it: the pages of the corrected slots and their partners.

    Attributes:
        entries: of these slots.
    """

    def __init__(self, context: Context, state: PeriodState, record: dict[str, Any], parties: set[int]) -> None:
        self._context = context
        self._state = state
        self._record = record
        self._parties = sorted(parties)
        self._written = written_by(record, state)
        self._pages = {page: self._read_page(page) for page in sorted({page_of(slot)[0] for slot in parties})}
        self._statements = {
            page: read_statements(context, state.period.start_utc, page, self._written[page]) for page in self._pages
        }
        self._matches: Sequence[AgreedMatch] = ()
        self.entries: dict[int, Entry] = read_entries_of(context, state.roster, parties)

    def statement(self, slot: int) -> dict[str, Any]:
        page, index = page_of(slot)
        return self._statements[page][index]

    def settle_again(self, matches: Sequence[AgreedMatch], values: Mapping[int, Value]) -> _Changes:
        """Settle the trades of the corrected slots by what counts now."""
        self._matches = matches
        slots = frozenset(values)
        touched = [place for place, one in enumerate(matches) if one.bid_slot in slots or one.offer_slot in slots]
        # What a suspended slot exchanged is the grid's, whoever fills its gap.
        shut_out = read_frozen_suspended(self._context, self._state.period.start_utc)
        left = {
            slot: _NOTHING if slot in shut_out else values.get(slot) or self._left_for_pool(slot)
            for slot in self._parties
        }
        settled = settle_trades(matches, left, self.entries, slots=slots)
        before = self._settled_before()
        return _Changes(
            trades=dict(zip(touched, settled, strict=True)),
            old=sum_accounts(self._parties, [before[place] for place in touched]),
            new=sum_accounts(self._parties, settled),
        )

    def gets_ut(self, changes: _Changes) -> dict[str, int]:
        """Return what each party gets, or owes if negative, and the DSO's fees under its MSP id."""
        gets_ut = {DSO: 0}
        for slot in self._parties:
            old, new, party = changes.old[slot], changes.new[slot], self.entries[slot].party
            gets_ut[party] = gets_ut.get(party, 0) + new.credit_ut - old.credit_ut
            gets_ut[DSO] += new.fees_ut - old.fees_ut
        return gets_ut

    def write(  # noqa: PLR0913 -- all that a version is made of
        self,
        changes: _Changes,
        values: Mapping[int, Value],
        *,
        version: int,
        chunk: str,
        salt: str,
        corrects: str,
    ) -> dict[str, Any]:
        """Write the changed pages and the period record of the new version; return the record."""
        start_utc = self._state.period.start_utc
        self._apply(changes)
        accounts = {row[0]: row for page in self._pages.values() for row in page["accounts"]}
        for slot in self._parties:
            account = accounts.get(slot, [slot, *[0] * 6])
            self._state_again(account, values.get(slot), version=version, salt=salt)
        written = [version if page in self._pages else by for page, by in enumerate(self._written)]
        pages = [self._pages.get(page) or self._read_page(page) for page in range(len(written))]
        trades = [row for page in pages for row in page["trades"]]
        result = {
            **self._record,
            "corrects": corrects,
            "declined": sum(1 for row in trades if not row[4]),
            "fees_ut": sum(row[6] for row in trades),
            "pages": written,
            "paid_ut": sum(row[5] for row in trades),
            "root": merkle.root([bytes.fromhex(leaf) for page in pages for leaf in page["leaves"]]).hex(),
            "traded_wh": sum(row[4] for row in trades),
            "trades": sum(1 for row in trades if row[4]),
            "values": chunk,
            "version": version,
        }
        _require_conserved(pages, result)

        for page, changed in self._pages.items():
            private = codec.encode({"salt": salt, "statements": self._statements[page]})
            self._context.put_private(COLLECTION, version_key("statement", start_utc, version, page), private)
            self._context.put(version_key("corrected", start_utc, version, page), codec.encode(changed))
        self._context.put(version_key("result", start_utc, version), codec.encode(result))
        return result

    def _read_page(self, page: int) -> dict[str, Any]:
        stored = read_page(self._context, self._state.period.start_utc, page, self._written[page])
        # What came out of escrow did so once, when the period was settled.
        return {name: value for name, value in stored.items() if name != "out_ut"}

    def _left_for_pool(self, slot: int) -> _Metered:
        # Without good data a statement says nothing of energy.
        one = self.statement(slot)
        return _Metered(one["import_wh"] - one["firm_bought_wh"], one["export_wh"] - one["firm_sold_wh"])

    def _settled_before(self) -> dict[int, SettledTrade]:
        """Return the trades of these pages' buyers as this version has them, by their place among all."""
        found = {}
        for page, stored in self._pages.items():
            rows = zip(self._places(page), stored["trades"], strict=True)
            for place, (_, _, _, _, energy_wh, paid_ut, fee_ut, _) in rows:
                agreed = self._matches[place]
                found[place] = SettledTrade(agreed=agreed, energy_wh=energy_wh, paid_ut=paid_ut, fee_ut=fee_ut)
        return found

    def _places(self, page: int) -> list[int]:
        return [place for place, one in enumerate(self._matches) if page_of(one.bid_slot)[0] == page]

    def _apply(self, changes: _Changes) -> None:
        """Put the new trades and accounts into the pages."""
        for page, stored in self._pages.items():
            stored["trades"] = [
                changes.trades[place].to_row() if place in changes.trades else row
                for place, row in zip(self._places(page), stored["trades"], strict=True)
            ]
            accounts = {row[0]: row for row in stored["accounts"]}
            for slot in self._parties:
                if page_of(slot)[0] != page:
                    continue
                old, new = changes.old[slot].to_row()[1:], changes.new[slot].to_row()[1:]
                known = accounts.get(slot, [slot, *[0] * len(new)])[1:]
                accounts[slot] = [slot, *[one - less + more for one, less, more in zip(known, old, new, strict=True)]]
            stored["accounts"] = [row for _, row in sorted(accounts.items()) if any(row[1:])]

    def _state_again(self, account: Sequence[int], value: Value | None, *, version: int, salt: str) -> None:
        """Put the new statement of an account's slot, and its hash, into its page."""
        slot, bought_wh, sold_wh, paid_ut, fees_ut, earned_ut, _ = account
        page, index = page_of(slot)
        statement = {
            **self._statements[page][index],
            "bought_wh": bought_wh,
            "earned_ut": earned_ut,
            "fees_ut": fees_ut,
            "paid_ut": paid_ut,
            "sold_wh": sold_wh,
        }
        if value is not None:
            statement |= {
                "export_wh": value.export_wh,
                "import_wh": value.import_wh,
                "quality": value.quality.value,
                "record": value.record,
                # Without a meter record nothing else would keep its hash from being guessed at.
                "salt": codec.content_id(f"{salt}/{slot}".encode()),
                "version": version,
            }
        if (
            bought_wh + statement["firm_bought_wh"] > statement["import_wh"]
            or sold_wh + statement["firm_sold_wh"] > statement["export_wh"]
        ):
            raise RuntimeError(f"slot {slot} settled more than it exchanged")
        self._statements[page][index] = statement
        self._pages[page]["leaves"][index] = codec.content_id(codec.encode(statement))


def _require_conserved(pages: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> None:
    """Check that what was bought was sold and what was paid was earned; a breach is a fault of these rules."""
    accounts = [row for page in pages for row in page["accounts"]]
    bought, sold, paid, fees, earned = (sum(row[column] for row in accounts) for column in range(1, 6))
    if not bought == sold == result["traded_wh"]:
        raise RuntimeError(f"bought {bought} Wh, sold {sold} Wh, traded {result['traded_wh']} Wh")
    if not (paid == earned == result["paid_ut"] and fees == result["fees_ut"]):
        raise RuntimeError(f"paid {paid} ut, earned {earned} ut, fees {fees} ut do not agree with the trades")
