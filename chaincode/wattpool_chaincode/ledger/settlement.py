"""Settlement: each trade is paid for what was measured at both ends, page by page, and each balance written once.

The gate fixed partners, prices and the most of each trade. A party's measured export or import is shared over its
trades pro rata; a trade settles for the smaller of its two shares. A forecast error costs nothing: what is not
delivered returns from escrow, what is delivered beyond is the grid's.

The escrow of a period is what its deal took in less what its settled pages paid out, and nothing once the period is
final, so that wallets, purses, escrow and fees add up to bought minus redeemed between any two pages too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger import chunks
from wattpool_chaincode.ledger.chunks import RECORDS
from wattpool_chaincode.ledger.clearing import AgreedMatch, read_deal, read_matches
from wattpool_chaincode.ledger.pages import PURSE, REGISTER, Pages
from wattpool_chaincode.ledger.period import (
    COLLECTION,
    PeriodState,
    Phase,
    is_past,
    key,
    read_all_entries,
    read_entries,
    read_period,
    require_phase,
    require_previous_settled,
    require_time,
    write_phase,
)
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reports import Measured, Quality
from wattpool_chaincode.ledger.tokens import read_fees, write_fees
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.units import amount_ut, share_pro_rata
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledTrade:
    """A trade as it was delivered and paid; `energy_wh` is 0 if it was declined."""

    agreed: AgreedMatch
    energy_wh: int
    paid_ut: int
    fee_ut: int

    @property
    def refund_ut(self) -> int:
        return self.agreed.escrow_ut - self.paid_ut - self.fee_ut


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a period did to one slot."""

    slot: int
    bought_wh: int
    sold_wh: int
    paid_ut: int
    fees_ut: int
    earned_ut: int
    refund_ut: int

    @property
    def credit_ut(self) -> int:
        """What returns to its purse from escrow."""
        return self.earned_ut + self.refund_ut


def settle_trades(
    matches: Sequence[AgreedMatch], measured: dict[int, Measured], entries: Sequence[Entry]
) -> list[SettledTrade]:
    """Settle every trade for min(a, e, i), e and i being the shares of measured export and import.

    A trade so small that, in whole micro-tokens, it does not beat both parties' tariffs is declined.
    """
    given = _shares(matches, "offer_slot", {slot: one.export_wh for slot, one in measured.items()})
    taken = _shares(matches, "bid_slot", {slot: one.import_wh for slot, one in measured.items()})
    return [
        _settle_trade(match, min(given_wh, taken_wh), buyer=entries[match.bid_slot], seller=entries[match.offer_slot])
        for match, given_wh, taken_wh in zip(matches, given, taken, strict=True)
    ]


def settle_page(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Settle the slots of page `page`; page 0 comes first and freezes which meter records count.

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
    entries = read_all_entries(context, state.roster)
    record_chunks = _freeze_or_read_chunks(context, state, page)
    rows = chunks.read_rows(context, RECORDS, start_utc, record_chunks)
    measured = _unambiguous(rows)
    _require_due(context, state, entries, measured)
    settled = settle_trades(read_matches(context, state), _good(measured), entries)
    accounts = _accounts(slots, settled)
    statements = [_statement(entries[slot], accounts[slot], measured.get(slot)) for slot in slots]
    here = set(slots)
    result: dict[str, Any] = {
        "accounts": [_account_row(accounts[slot]) for slot in slots if accounts[slot] != _idle(slot)],
        "leaves": [codec.content_id(codec.encode(statement)) for statement in statements],
        "out_ut": sum(account.credit_ut for account in accounts.values()),
        "trades": [_trade_row(trade) for trade in settled if trade.agreed.bid_slot in here],
    }

    purses, registers = Pages(context, PURSE), Pages(context, REGISTER)
    for slot in slots:
        if accounts[slot].credit_ut:
            purses[slot] += accounts[slot].credit_ut
        if slot in measured:
            registers[slot] = list(measured[slot].register)
    purses.write()
    registers.write()
    private = codec.encode({"salt": chunks.salt_of(rows), "statements": statements})
    context.put_private(COLLECTION, key("statement", start_utc, page), private)
    context.put(key("settled", start_utc, page), codec.encode(result))
    if page == 0:
        context.put(key("frozen", start_utc), codec.encode(record_chunks))
        write_phase(context, state, Phase.SETTLING)
    return {"out_ut": result["out_ut"]}


def finalise(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Check that all pages together conserve tokens and energy, pay the DSO its fees, write the period record.

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
    deal = read_deal(context, start_utc)
    fees_ut = sum(row[6] for row in trades)
    result = {
        "declined": sum(1 for row in trades if not row[4]),
        "fees_ut": fees_ut,
        "paid_ut": sum(row[5] for row in trades),
        "root": merkle.root([bytes.fromhex(leaf) for page in pages for leaf in page["leaves"]]).hex(),
        "traded_wh": sum(row[4] for row in trades),
        "trades": sum(1 for row in trades if row[4]),
    }
    _require_conserved(pages, result, deal["escrow_ut"])

    write_fees(context, read_fees(context) + fees_ut)
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


def _shares(matches: Sequence[AgreedMatch], side: str, metered_wh: dict[int, int]) -> list[int]:
    """Return each match's share of what its `side` metered: all agreed if there is enough, else pro rata."""
    slot_of = attrgetter(side)
    positions: dict[int, list[int]] = {}
    for position, match in enumerate(matches):
        positions.setdefault(slot_of(match), []).append(position)
    shares = [0] * len(matches)
    for slot, own in positions.items():
        agreed = [matches[position].energy_wh for position in own]
        total = min(sum(agreed), metered_wh.get(slot, 0))
        for position, share in zip(own, share_pro_rata(total, agreed), strict=True):
            shares[position] = share
    return shares


def _settle_trade(match: AgreedMatch, energy_wh: int, *, buyer: Entry, seller: Entry) -> SettledTrade:
    paid_ut = amount_ut(energy_wh, match.price_ut_per_kwh)
    fee_ut = amount_ut(energy_wh, match.fee_ut_per_kwh)
    beats_retail = paid_ut + fee_ut < amount_ut(energy_wh, buyer.retail_ut_per_kwh)
    beats_feed_in = paid_ut > amount_ut(energy_wh, seller.feed_in_ut_per_kwh)
    if not (beats_retail and beats_feed_in):
        energy_wh = paid_ut = fee_ut = 0
    return SettledTrade(agreed=match, energy_wh=energy_wh, paid_ut=paid_ut, fee_ut=fee_ut)


def _freeze_or_read_chunks(context: Context, state: PeriodState, page: int) -> list[str]:
    start_utc = state.period.start_utc
    if page == 0:
        return chunks.list_chunks(context, RECORDS, start_utc)
    stored = context.get(key("frozen", start_utc))
    if stored is None:
        raise RuntimeError(f"the period at {start_utc} is settling and has no list of chunks")
    frozen: list[str] = codec.load(stored)
    return frozen


def _unambiguous(rows: Iterable[chunks.Rows]) -> dict[int, Measured]:
    """Return what each slot measured, by its last record.

    A chunk that holds back a device's last records changes nothing if another has them. Two different records of one
    number leave the energy open, in this period and in the next.
    """
    measured: dict[int, Measured] = {}
    for chunk in rows:
        for row in chunk.rows:
            one = Measured.from_row(row)
            known = measured.get(one.slot)
            if known is None or one.register.number > known.register.number:
                measured[one.slot] = one
            elif one.register.number == known.register.number and one != known:
                measured[one.slot] = Measured(one.slot, known.register._replace(sure=False), Quality.UNSURE, 0, 0)
    return measured


def _good(measured: dict[int, Measured]) -> dict[int, Measured]:
    return {slot: one for slot, one in measured.items() if one.quality is Quality.GOOD}


def _require_due(context: Context, state: PeriodState, entries: Sequence[Entry], measured: dict[int, Measured]) -> None:
    """Wait until they are due for records that do not reach the period's end, and no longer."""
    reached = {slot for slot, one in measured.items() if one.register.time_utc >= state.period.end_utc}
    if state.phase is Phase.ACTIVE and any(entry.slot not in reached for entry in entries):
        rules = state.roster.rules
        require_time(context, rules, state.period.end_utc + rules.report_due_s)


def _accounts(slots: Sequence[int], settled: Iterable[SettledTrade]) -> dict[int, Account]:
    totals = {slot: [0] * 6 for slot in slots}
    for trade in settled:
        buyer, seller = totals.get(trade.agreed.bid_slot), totals.get(trade.agreed.offer_slot)
        if buyer is not None:
            buyer[0] += trade.energy_wh
            buyer[2] += trade.paid_ut
            buyer[3] += trade.fee_ut
            buyer[5] += trade.refund_ut
        if seller is not None:
            seller[1] += trade.energy_wh
            seller[4] += trade.paid_ut
    return {
        slot: Account(
            slot=slot,
            bought_wh=bought,
            sold_wh=sold,
            paid_ut=paid,
            fees_ut=fees,
            earned_ut=earned,
            refund_ut=refund,
        )
        for slot, (bought, sold, paid, fees, earned, refund) in totals.items()
    }


def _idle(slot: int) -> Account:
    return Account(slot=slot, bought_wh=0, sold_wh=0, paid_ut=0, fees_ut=0, earned_ut=0, refund_ut=0)


def _statement(entry: Entry, account: Account, measured: Measured | None) -> dict[str, Any]:
    """Return a slot's line of the period record; its hash is a leaf, and the meter record's hash salts it."""
    if measured is not None and measured.quality is Quality.GOOD:
        over_sold = account.sold_wh > measured.export_wh
        if over_sold or account.bought_wh > measured.import_wh:
            raise RuntimeError(f"slot {entry.slot} settled more than it measured")
    elif account.bought_wh or account.sold_wh:
        raise RuntimeError(f"slot {entry.slot} settled without a measurement")
    return {
        "bought_wh": account.bought_wh,
        "connection": entry.connection,
        "earned_ut": account.earned_ut,
        "export_wh": 0 if measured is None else measured.export_wh,
        "fees_ut": account.fees_ut,
        "import_wh": 0 if measured is None else measured.import_wh,
        "paid_ut": account.paid_ut,
        "quality": (Quality.MISSING if measured is None else measured.quality).value,
        "record": None if measured is None else measured.register.hash,
        "slot": entry.slot,
        "sold_wh": account.sold_wh,
    }


def _account_row(account: Account) -> list[int]:
    return [
        account.slot,
        account.bought_wh,
        account.sold_wh,
        account.paid_ut,
        account.fees_ut,
        account.earned_ut,
        account.refund_ut,
    ]


def _trade_row(trade: SettledTrade) -> list[Any]:
    """Return level, buyer, seller, agreed and settled energy, payment, fee and price."""
    agreed = trade.agreed
    return [
        agreed.level.value,
        agreed.bid_slot,
        agreed.offer_slot,
        agreed.energy_wh,
        trade.energy_wh,
        trade.paid_ut,
        trade.fee_ut,
        agreed.price_ut_per_kwh,
    ]


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
