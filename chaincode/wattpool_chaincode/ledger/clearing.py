"""Clearing: partners, prices and the most of each trade, page by page, then all of it in force at once.

A page is a pure function of the book, the roster and the coalitions that t_Lim keeps. Nothing staged counts before
`activate` has found every page there and has taken what the buyers may owe into escrow. A mechanism that clears what
was measured agrees on nothing at the gate; settling then starts with its page.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.ledger.gate import affordable, read_gate
from wattpool_chaincode.ledger.handover import find_former_party
from wattpool_chaincode.ledger.pages import COUNTER, HANDOVER, PURSE, Pages
from wattpool_chaincode.ledger.period import (
    COLLECTION,
    PeriodState,
    Phase,
    is_past,
    key,
    read_all_entries,
    read_period,
    require_phase,
    write_phase,
)
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reports import Measured
from wattpool_chaincode.market.levels import Level, Wish, clear_level, residual, within_envelopes
from wattpool_chaincode.market.mechanisms import BY_COALITION, MECHANISMS, ON_MEASURED
from wattpool_chaincode.market.order import Match, Outcome, Terms
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.units import amount_ut
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry

# Buyers and sellers that coalitions of the pool still hold together, by level, as they were formed.
Partners = Mapping[Level, Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedMatch:
    """A trade as fixed at the gate: at most `energy_wh`, at this price and network fee."""

    bid_slot: int
    offer_slot: int
    level: Level
    energy_wh: int
    price_ut_per_kwh: int
    fee_ut_per_kwh: int

    @property
    def escrow_ut(self) -> int:
        return amount_ut(self.energy_wh, self.price_ut_per_kwh) + amount_ut(self.energy_wh, self.fee_ut_per_kwh)


def clear_page(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Clear page `page` of a period: a group of feeders, or on the last page what they leave to the community.

    A book that fits one page is cleared whole, all levels, on page 0.

    Raises:
        Refused: argument_malformed, period_unknown, too_early, late, page_unknown, page_missing.
    """
    start_utc, page = fields.read(argument, period=fields.COUNT, page=fields.COUNT)
    state = read_period(context, start_utc)
    stored = context.get(key("cleared", start_utc, page))
    if stored is not None:
        return {"matches": len(codec.load(stored)["matches"])}
    require_phase(state, Phase.CLOSED)
    gate = read_gate(context, start_utc)
    groups: list[list[str]] = gate["groups"]
    if page >= count_clear_pages(gate):
        raise Refused(LedgerRefusal.PAGE_UNKNOWN, f"page {page}; the period has {count_clear_pages(gate)}")
    partners = _read_partners(context, state)
    if page < len(groups):
        wishes = _read_wishes(context, state, gate["book"], groups[page])
        cleared, left = _clear_feeders(state.rules, wishes, groups[page], partners)
    else:
        wishes = _read_wishes(context, state, gate["book"], list(chain.from_iterable(groups)))
        pages = _read_stored_pages(context, start_utc, len(groups))
        left = [wish for stored, group in zip(pages, groups, strict=True) for wish in _left_by(stored, wishes, group)]
        cleared = []
    if page == count_clear_pages(gate) - 1:
        cleared += _clear(state.rules, within_envelopes(left, gate["envelopes"]), Level.COMMUNITY, partners)

    matches = [_encode_match(level, match) for level, match in cleared]
    context.put(key("cleared", start_utc, page), codec.encode({"book": gate["book"], "matches": matches}))
    return {"matches": len(matches)}


def activate(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Put all pages of a period in force at once and take the buyers' escrow out of their purses.

    Raises:
        Refused: argument_malformed, period_unknown, too_early, page_missing.
    """
    (start_utc,) = fields.read(argument, period=fields.COUNT)
    state = read_period(context, start_utc)
    if is_past(state, Phase.CLOSED):
        return read_deal(context, start_utc)
    require_phase(state, Phase.CLOSED)
    gate = read_gate(context, start_utc)
    matches = _agreed(context, state, count_clear_pages(gate))
    purses, counters = Pages(context, PURSE), Pages(context, COUNTER)
    deal = _take_escrow(purses, matches, pages=count_clear_pages(gate))
    for slot, counter, _, _ in _read_book(context, start_utc, gate["book"]):
        counters[slot] = counter

    purses.write()
    counters.write()
    context.put(key("deal", start_utc), codec.encode(deal))
    write_phase(context, state, Phase.ACTIVE)
    return deal


def orders(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return the private book of a period whose gate has closed, and the roster version that its slots stand in.

    Each of the `orders` is slot, counter, balance in Wh (positive to sell) and limit in ut/kWh.

    Raises:
        Refused: argument_malformed, period_unknown, too_early.
    """
    (start_utc,) = fields.read(argument, period=fields.COUNT)
    state = read_period(context, start_utc)
    if not is_past(state, Phase.OPEN):
        raise Refused(LedgerRefusal.TOO_EARLY, "the gate has not closed")
    gate = read_gate(context, start_utc)
    book = _read_book(context, start_utc, gate["book"]) if gate else []
    return {"orders": book, "roster": state.roster.version}


def cleared_page(context: Context, argument: dict[str, Any]) -> Any:
    """Return the matches of a cleared page, those that were rejected among them, whether or not they are in force.

    Each is level, buyer, seller, energy in Wh, price, price asked and price bid in ut/kWh, and outcome.

    Raises:
        Refused: argument_malformed, page_missing.
    """
    start_utc, page = fields.read(argument, period=fields.COUNT, page=fields.COUNT)
    stored = context.get(key("cleared", start_utc, page))
    if stored is None:
        raise Refused(LedgerRefusal.PAGE_MISSING, f"page {page} is not cleared")
    return codec.load(stored)["matches"]


def clear_measured(
    context: Context, state: PeriodState, measured: Mapping[int, Measured], purses: Pages
) -> Sequence[AgreedMatch]:
    """Clear what was measured, if the mechanism does, one page more; what the buyers owe goes into escrow at once.

    A home takes part with what it exported beyond its import, or imported beyond its export: nobody trades with
    himself. It needs no request and states no limit: every trade beats what the grid pays and charges, whatever an
    owner's limits are. A buyer whose purse does not cover his import is cut to what it covers; one who has moved out
    since has no purse here and buys nothing.

    Args:
        context: of the first settling page.
        state: of the period.
        measured: of all slots with good data, without what went to firm trades.
        purses: changed, and not written.
    """
    start_utc = state.period.start_utc
    deal = read_deal(context, start_utc)
    if state.rules.mechanism not in ON_MEASURED or "aborted" in deal:
        return ()
    book = read_gate(context, start_utc)["book"]
    entries = read_all_entries(context, state.roster)
    handovers = Pages(context, HANDOVER)
    wishes = []
    for slot, one in sorted(measured.items()):
        entry = entries[slot]
        balance_wh = one.export_wh - one.import_wh
        if balance_wh < 0 and find_former_party(handovers, slot, start_utc) is not None:
            continue
        limit = entry.retail_ut_per_kwh if balance_wh < 0 else 0
        _, _, balance_wh, _ = affordable([slot, 0, balance_wh, limit], entry, purses)
        if balance_wh and entry.may_trade:
            wishes.append(_wish(entry, balance_wh=balance_wh, limit_ut_per_kwh=limit, book=book))
    cleared, left = _clear_feeders(state.rules, wishes, sorted({wish.feeder for wish in wishes}), {})
    cleared += _clear(state.rules, left, Level.COMMUNITY, {})
    page = codec.encode({"book": book, "matches": [_encode_match(level, match) for level, match in cleared]})
    matches = _decode_agreed(page, state.rules)

    context.put(key("cleared", start_utc, deal["pages"]), page)
    context.put(key("deal", start_utc), codec.encode(_take_escrow(purses, matches, pages=deal["pages"] + 1)))
    return matches


def read_deal(context: Context, start_utc: int) -> dict[str, Any]:
    """Return what was agreed in all; `aborted` gives the reason if the market was given up."""
    stored = context.get(key("deal", start_utc))
    return {} if stored is None else codec.load(stored)


def read_matches(context: Context, state: PeriodState) -> list[AgreedMatch]:
    """Return the trades in force, in the order in which they were cleared; none if the market was given up."""
    return _agreed(context, state, read_deal(context, state.period.start_utc)["pages"])


def count_clear_pages(gate: dict[str, Any]) -> int:
    """Return how many pages a gate's book is cleared in."""
    groups = len(gate["groups"])
    return 1 if groups == 1 else groups + 1


def fee_ut_per_kwh(rules: Rules, level: Level) -> int:
    """Return the local network fee of a level."""
    return rules.fee_feeder_ut_per_kwh if level is Level.FEEDER else rules.fee_community_ut_per_kwh


def _take_escrow(purses: Pages, matches: Iterable[AgreedMatch], *, pages: int) -> dict[str, int]:
    """Take what the buyers may owe out of their purses, and return the deal."""
    deal = {"agreed_wh": 0, "escrow_ut": 0, "pages": pages, "trades": 0}
    for match in matches:
        purses[match.bid_slot] -= match.escrow_ut
        if purses[match.bid_slot] < 0:
            raise RuntimeError(f"slot {match.bid_slot} was matched beyond its purse")
        deal["agreed_wh"] += match.energy_wh
        deal["escrow_ut"] += match.escrow_ut
        deal["trades"] += 1
    return deal


def _agreed(context: Context, state: PeriodState, pages: int) -> list[AgreedMatch]:
    return [
        match
        for stored in _read_stored_pages(context, state.period.start_utc, pages)
        for match in _decode_agreed(stored, state.rules)
    ]


# Every page of a settlement reads all that was cleared: it is decoded once per process.
@lru_cache(maxsize=64)
def _decode_agreed(stored: bytes, rules: Rules) -> tuple[AgreedMatch, ...]:
    return tuple(
        AgreedMatch(
            bid_slot=match.bid_slot,
            offer_slot=match.offer_slot,
            level=level,
            energy_wh=match.energy_wh,
            price_ut_per_kwh=match.price_ut_per_kwh,
            fee_ut_per_kwh=fee_ut_per_kwh(rules, level),
        )
        for level, match in _decode_page(stored)
        if match.energy_wh
    )


def _read_book(context: Context, start_utc: int, digest: str) -> list[list[int]]:
    stored = context.get_private(COLLECTION, key("book", start_utc))
    if stored is None or codec.content_id(stored) != digest:
        raise RuntimeError(f"the book of the period at {start_utc} is not on this peer")
    return _decode_book(stored)


# Every page of a clearing reads the same book.
@lru_cache(maxsize=2)
def _decode_book(stored: bytes) -> list[list[int]]:
    orders: list[list[int]] = codec.load(stored)["orders"]
    return orders


def _read_wishes(context: Context, state: PeriodState, book: str, feeders: list[str]) -> list[Wish]:
    if state.rules.mechanism in ON_MEASURED:
        return []
    entries = read_all_entries(context, state.roster)
    here = set(feeders)
    return [
        _wish(entries[slot], balance_wh=balance_wh, limit_ut_per_kwh=limit, book=book)
        for slot, _, balance_wh, limit in _read_book(context, state.period.start_utc, book)
        if balance_wh and entries[slot].feeder in here
    ]


def _wish(entry: Entry, *, balance_wh: int, limit_ut_per_kwh: int, book: str) -> Wish:
    """Return an order within what beats the party's tariff: below retail all in, above feed-in.

    The lot depends on the whole book, which nobody knows when he signs his own request.
    """
    if balance_wh < 0:
        limit = min(limit_ut_per_kwh, entry.retail_ut_per_kwh - 1)
    else:
        limit = max(limit_ut_per_kwh, entry.feed_in_ut_per_kwh + 1)
    return Wish(
        slot=entry.slot,
        feeder=entry.feeder,
        lot=sha256(f"{book}{entry.connection}".encode()).digest(),
        balance_wh=balance_wh,
        limit_ut_per_kwh=limit,
    )


def _clear_feeders(
    rules: Rules, wishes: list[Wish], feeders: list[str], partners: Partners
) -> tuple[list[tuple[Level, Match]], list[Wish]]:
    cleared: list[tuple[Level, Match]] = []
    left: list[Wish] = []
    by_feeder: dict[str, list[Wish]] = {feeder: [] for feeder in feeders}
    for wish in wishes:
        if wish.feeder in by_feeder:
            by_feeder[wish.feeder].append(wish)
    for feeder in feeders:
        matches = _clear(rules, by_feeder[feeder], Level.FEEDER, partners)
        cleared += matches
        left += residual(by_feeder[feeder], [match for _, match in matches])
    return cleared, left


def _clear(rules: Rules, wishes: list[Wish], level: Level, partners: Partners) -> list[tuple[Level, Match]]:
    here = {wish.slot for wish in wishes} if level in partners else set()
    terms = Terms(
        alpha_ut_per_kwh=rules.alpha_ut_per_kwh,
        beta_ut_per_kwh=rules.beta_ut_per_kwh,
        partners=tuple(pair for pair in partners.get(level, ()) if here.issuperset(pair)),
    )
    matches = clear_level(MECHANISMS[rules.mechanism], wishes, fee_ut_per_kwh=fee_ut_per_kwh(rules, level), terms=terms)
    return [(level, match) for match in matches]


def _read_partners(context: Context, state: PeriodState) -> Partners:
    """Return who agreed in the period before, if t_Lim still holds their coalitions together.

    A market that was given up after it was cleared had its coalitions all the same: what was cleared never changes.
    One that another mechanism cleared had none.
    """
    previous_utc = state.period.previous.start_utc
    begins_stretch = state.period.start_utc % state.rules.pool_time_limit_s == 0
    if begins_stretch or state.rules.mechanism not in BY_COALITION:
        return {}
    gate = read_gate(context, previous_utc)
    pages = range(count_clear_pages(gate)) if gate else range(0)
    partners: dict[Level, list[tuple[int, int]]] = {}
    for stored in context.get_many([key("cleared", previous_utc, page) for page in pages]):
        for level, match in _decode_page(stored) if stored is not None else ():
            if match.energy_wh and match.outcome is not Outcome.CLEARED:
                partners.setdefault(level, []).append((match.bid_slot, match.offer_slot))
    return partners


def _left_by(stored: bytes, wishes: list[Wish], feeders: list[str]) -> list[Wish]:
    """Return what the feeders of a cleared page leave to the community."""
    matches = [match for _, match in _decode_page(stored)]
    return residual([wish for wish in wishes if wish.feeder in feeders], matches)


def _read_stored_pages(context: Context, start_utc: int, pages: int) -> list[bytes]:
    found = []
    for page, stored in enumerate(context.get_many([key("cleared", start_utc, page) for page in range(pages)])):
        if stored is None:
            raise Refused(LedgerRefusal.PAGE_MISSING, f"page {page} is not cleared")
        found.append(stored)
    return found


def _decode_page(stored: bytes) -> list[tuple[Level, Match]]:
    return [_decode_match(row) for row in codec.load(stored)["matches"]]


def _encode_match(level: Level, match: Match) -> list[Any]:
    return [
        level.value,
        match.bid_slot,
        match.offer_slot,
        match.energy_wh,
        match.price_ut_per_kwh,
        match.asked_ut_per_kwh,
        match.bid_ut_per_kwh,
        match.outcome.value,
    ]


def _decode_match(row: list[Any]) -> tuple[Level, Match]:
    level, bid_slot, offer_slot, energy_wh, price, asked, bid, outcome = row
    return Level(level), Match(
        bid_slot=bid_slot,
        offer_slot=offer_slot,
        energy_wh=energy_wh,
        price_ut_per_kwh=price,
        asked_ut_per_kwh=asked,
        bid_ut_per_kwh=bid,
        outcome=Outcome(outcome),
    )
