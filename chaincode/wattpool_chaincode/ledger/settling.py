"""Settling a period: page by page, each balance written once, then all of it checked and made final.

The escrow of a period is what its deal took in less what its settled pages paid out, and nothing once the period is
final, so that wallets, purses, escrow and fees add up to bought minus redeemed between any two pages too.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger import chunks
from wattpool_chaincode.ledger.chunks import RECORDS
from wattpool_chaincode.ledger.clearing import clear_measured, read_deal, read_matches
from wattpool_chaincode.ledger.delivery import FirmRow, allocate_firm, delivered_wh, firm_rows, left_for_pool
from wattpool_chaincode.ledger.handover import credit_slots
from wattpool_chaincode.ledger.offers import prove_deliveries, write_proved
from wattpool_chaincode.ledger.pages import PURSE, REGISTER, Pages
from wattpool_chaincode.ledger.period import (
    COLLECTION,
    PeriodState,
    Phase,
    is_past,
    key,
    read_entries,
    read_entries_of,
    read_period,
    require_phase,
    require_previous_settled,
    require_time,
    write_phase,
)
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reports import Measured, Quality, Register
from wattpool_chaincode.ledger.reservations import parties_to, read_reservations
from wattpool_chaincode.ledger.settlement import Account, parties_of, settle_trades, sum_accounts
from wattpool_chaincode.ledger.suspension import read_suspended
from wattpool_chaincode.ledger.tokens import read_fees, write_fees
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry


def settle_page(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Settle the slots of page `page`; page 0 comes first and freezes which records count, and who is suspended.

    Raises:
        Refused: argument_malformed, period_unknown, late, too_early, previous_not_ready, page_unknown.
    """
    start_utc, page = fields.read(argument, period=fields.COUNT, page=fields.COUNT)
    state = read_period(context, start_utc)
    stored = context.get(key("settled", start_utc, page))
    if stored is not None:
        return {"out_ut": codec.load(stored)["out_ut"]}
    require_phase(state, Phase.ACTIVE if page == 0 else Phase.SETTLING)
    # Until then its records cannot be taken in: to settle it now would be to settle it without them.
    require_previous_settled(context, state.period)
    slots = [entry.slot for entry in read_entries(context, state.roster, page)]
    record_chunks, suspended = _freeze_or_read(context, state, page)
    rows = chunks.read_rows(context, RECORDS, start_utc, record_chunks)
    matches = read_matches(context, state)
    reservations = read_reservations(context, start_utc)
    here = frozenset(slots)
    # What a firm trade's sides exchange with the grid depends on all their trades.
    scope = here | parties_to(reservations)
    parties = parties_of(matches, scope)
    entries = read_entries_of(context, state.roster, parties)
    # The first page looks at everyone's records, the others at what they settle.
    measured = _unambiguous(rows, range(state.roster.slots) if page == 0 else parties)
    _require_due(context, state, measured)
    good = _good(measured, frozenset(suspended))
    allocations = allocate_firm(context, state, reservations, good, entries)
    left = left_for_pool(good, allocations)
    purses, registers = Pages(context, PURSE), Pages(context, REGISTER)
    if page == 0:
        matches = [*matches, *clear_measured(context, state, left, purses)]
        entries |= read_entries_of(context, state.roster, parties_of(matches, scope))
    settled = settle_trades(matches, left, entries, slots=scope)
    accounts = sum_accounts(slots, settled)
    firm = delivered_wh(allocations)
    statements = [_statement(entries[slot], accounts[slot], measured.get(slot), *firm) for slot in slots]
    result: dict[str, Any] = {
        "accounts": [accounts[slot].to_row() for slot in slots if not accounts[slot].is_idle],
        "firm": [row.to_row() for row in firm_rows(allocations, left, settled) if row.bid_slot in here],
        "leaves": [codec.content_id(codec.encode(statement)) for statement in statements],
        "out_ut": sum(account.credit_ut for account in accounts.values()),
        "trades": [trade.to_row() for trade in settled if trade.agreed.bid_slot in here],
    }

    for slot in slots:
        if slot in measured:
            _move_on(context, registers, measured[slot])
    registers.write()
    credit_slots(context, start_utc, {slot: account.credit_ut for slot, account in accounts.items()}, purses=purses)
    purses.write()
    private = codec.encode({"salt": chunks.salt_of(rows), "statements": statements})
    context.put_private(COLLECTION, key("statement", start_utc, page), private)
    context.put(key("settled", start_utc, page), codec.encode(result))
    if page == 0:
        context.put(key("frozen", start_utc), codec.encode({"chunks": record_chunks, "suspended": suspended}))
        write_phase(context, state, Phase.SETTLING)
    return {"out_ut": result["out_ut"]}


def finalise(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Check that all pages together conserve tokens and energy, pay the DSO its fees, write the period record.

    It proves the delivery of the firm trades whose windows end with the period.

    Raises:
        Refused: argument_malformed, period_unknown, too_early, page_missing.
    """
    (start_utc,) = fields.read(argument, period=fields.COUNT)
    state = read_period(context, start_utc)
    if is_past(state, Phase.SETTLING):
        return read_result(context, start_utc)
    require_phase(state, Phase.SETTLING)
    pages = [_read_settled(context, start_utc, page) for page in range(len(state.roster.pages))]
    trades = [row for page in pages for row in page["trades"]]
    firm = [FirmRow.from_row(row) for page in pages for row in page["firm"]]
    deal = read_deal(context, start_utc)
    fees_ut = sum(row[6] for row in trades)
    result = {
        "clock": state.rules.clock,
        "declined": sum(1 for row in trades if not row[4]),
        "fees_ut": fees_ut,
        "firm": sorted([row.offer, *row.progress] for row in firm),
        "paid_ut": sum(row[5] for row in trades),
        "root": merkle.root([bytes.fromhex(leaf) for page in pages for leaf in page["leaves"]]).hex(),
        "slots": state.roster.slots,
        "traded_wh": sum(row[4] for row in trades),
        "trades": sum(1 for row in trades if row[4]),
    }
    _require_conserved(pages, result, deal["escrow_ut"])
    proved, firm_fees_ut = prove_deliveries(context, firm)

    write_fees(context, read_fees(context) + fees_ut + firm_fees_ut)
    for offer_id, offer in proved.items():
        write_proved(context, offer_id, offer)
    context.put(key("result", start_utc), codec.encode(result))
    write_phase(context, state, Phase.FINAL)
    return result


def read_result(context: Context, start_utc: int) -> dict[str, Any]:
    """Return the period record: totals, and the Merkle root over the statements of all slots."""
    stored = context.get(key("result", start_utc))
    return {} if stored is None else codec.load(stored)


def statements(context: Context, argument: dict[str, Any]) -> Any:
    """Return the private statements of a page: what each slot imported, exported, traded and paid.

    Raises:
        Refused: argument_malformed, page_missing.
    """
    start_utc, page = fields.read(argument, period=fields.COUNT, page=fields.COUNT)
    stored = context.get_private(COLLECTION, key("statement", start_utc, page))
    if stored is None:
        raise Refused(LedgerRefusal.PAGE_MISSING, f"page {page} of {start_utc} is not settled")
    return codec.load(stored)["statements"]


def settled_page(context: Context, argument: dict[str, Any]) -> Any:
    """Return the public result of a settled page: accounts and trades.

    Raises:
        Refused: argument_malformed, page_missing.
    """
    start_utc, page = fields.read(argument, period=fields.COUNT, page=fields.COUNT)
    return _read_settled(context, start_utc, page)


def _freeze_or_read(context: Context, state: PeriodState, page: int) -> tuple[list[str], list[int]]:
    """Return the chunks of records that count, and the slots that are suspended: the same for all pages."""
    start_utc = state.period.start_utc
    if page == 0:
        return chunks.list_chunks(context, RECORDS, start_utc), sorted(read_suspended(context))
    stored = context.get(key("frozen", start_utc))
    if stored is None:
        raise RuntimeError(f"the period at {start_utc} is settling and has no list of chunks")
    frozen = codec.load(stored)
    return frozen["chunks"], frozen["suspended"]


def _unambiguous(rows: Iterable[chunks.Rows], slots: Container[int]) -> dict[int, Measured]:
    """Return what each of `slots` measured, by its last record.

    A chunk that holds back a device's last records changes nothing if another has them. Two different records of one
    number leave the energy open, in this period and in the next.
    """
    measured: dict[int, Measured] = {}
    for chunk in rows:
        for row in chunk.rows:
            if row[0] not in slots:
                continue
            one = Measured.from_row(row)
            known = measured.get(one.slot)
            if known is None or one.register.number > known.register.number:
                measured[one.slot] = one
            elif one.register.number == known.register.number and one != known:
                measured[one.slot] = Measured(one.slot, known.register._replace(sure=False), Quality.UNSURE, 0, 0)
    return measured


def _move_on(context: Context, registers: Pages, measured: Measured) -> None:
    """Take a device's registers to where a period left them; where its predecessor's ended is kept."""
    slot, before = measured.slot, registers[measured.slot]
    if before is not None and Register(*before).installation != measured.register.installation:
        name = f"register-past/{slot:07}/{Register(*before).installation:04}"
        context.put(name, codec.encode(before))
    registers[slot] = list(measured.register)


def _good(measured: dict[int, Measured], suspended: Container[int]) -> dict[int, Measured]:
    """Return what trades are settled on; what a suspended slot exchanged is the grid's."""
    return {slot: one for slot, one in measured.items() if one.quality is Quality.GOOD and slot not in suspended}


def _require_due(context: Context, state: PeriodState, measured: dict[int, Measured]) -> None:
    """Wait until they are due for records that do not reach the period's end, and no longer."""
    if state.phase is not Phase.ACTIVE:
        return
    reached = {slot for slot, one in measured.items() if one.register.time_utc >= state.period.end_utc}
    if any(slot not in reached for slot in range(state.roster.slots)):
        rules = state.rules
        require_time(context, rules, state.period.end_utc + rules.report_due_s)


def _statement(
    entry: Entry,
    account: Account,
    measured: Measured | None,
    firm_import_wh: Mapping[int, int],
    firm_export_wh: Mapping[int, int],
) -> dict[str, Any]:
    """Return a slot's line of the period record; its hash is a leaf, and the meter record's hash salts it."""
    firm_bought_wh, firm_sold_wh = firm_import_wh.get(entry.slot, 0), firm_export_wh.get(entry.slot, 0)
    bought_wh, sold_wh = account.bought_wh + firm_bought_wh, account.sold_wh + firm_sold_wh
    if measured is not None and measured.quality is Quality.GOOD:
        if sold_wh > measured.export_wh or bought_wh > measured.import_wh:
            raise RuntimeError(f"slot {entry.slot} settled more than it measured")
    elif bought_wh or sold_wh:
        raise RuntimeError(f"slot {entry.slot} settled without a measurement")
    return {
        "bought_wh": account.bought_wh,
        "connection": entry.connection,
        "device_key": entry.device_key,
        "earned_ut": account.earned_ut,
        "export_wh": 0 if measured is None else measured.export_wh,
        "fees_ut": account.fees_ut,
        "firm_bought_wh": firm_bought_wh,
        "firm_sold_wh": firm_sold_wh,
        "import_wh": 0 if measured is None else measured.import_wh,
        "paid_ut": account.paid_ut,
        "quality": (Quality.MISSING if measured is None else measured.quality).value,
        "record": None if measured is None else measured.register.hash,
        "slot": entry.slot,
        "sold_wh": account.sold_wh,
    }


def _read_settled(context: Context, start_utc: int, page: int) -> dict[str, Any]:
    stored = context.get(key("settled", start_utc, page))
    if stored is None:
        raise Refused(LedgerRefusal.PAGE_MISSING, f"page {page} is not settled")
    settled: dict[str, Any] = codec.load(stored)
    return settled


def _require_conserved(pages: Sequence[dict[str, Any]], result: dict[str, Any], escrow_ut: int) -> None:
    """Check both conservation laws over the whole period; a breach is a fault of these rules, not of a caller."""
    _, bought, sold, paid, fees, earned, _ = _column_sums(pages)
    out_ut = sum(page["out_ut"] for page in pages)
    if not bought == sold == result["traded_wh"]:
        raise RuntimeError(f"bought {bought} Wh, sold {sold} Wh, traded {result['traded_wh']} Wh")
    if not (paid == earned == result["paid_ut"] and fees == result["fees_ut"]):
        raise RuntimeError(f"paid {paid} ut, earned {earned} ut, fees {fees} ut do not agree with the trades")
    if out_ut + fees != escrow_ut:
        raise RuntimeError(f"escrow of {escrow_ut} ut, of which {out_ut} ut and fees of {fees} ut came out")


def _column_sums(pages: Sequence[dict[str, Any]]) -> list[int]:
    sums = [0] * 7
    for page in pages:
        for row in page["accounts"]:
            sums = [total + value for total, value in zip(sums, row, strict=True)]
    return sums
