"""Clearing: partners, prices and the most of each trade, page by page, then all of it in force at once.

A page is a pure function of the book and the roster. Nothing staged counts before `activate` has found every page
there and has taken what the buyers may owe into escrow.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.ledger.gate import read_gate
from wattpool_chaincode.ledger.pages import COUNTER, PURSE, Pages
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
from wattpool_chaincode.market.levels import Level, Wish, clear_level, residual
from wattpool_chaincode.market.mechanisms import MECHANISMS
from wattpool_chaincode.market.order import Match, Outcome, Terms
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.units import amount_ut
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry


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
    if page < len(groups):
        wishes = _read_wishes(context, state, gate["book"], groups[page])
        cleared, left = _clear_feeders(state.rules, wishes, groups[page])
    else:
        wishes = _read_wishes(context, state, gate["book"], list(chain.from_iterable(groups)))
        pages = _read_stored_pages(context, start_utc, len(groups))
        left = [wish for stored, group in zip(pages, groups, strict=True) for wish in _left_by(stored, wishes, group)]
        cleared = []
    if page == count_clear_pages(gate) - 1:
        cleared += _clear(state.rules, left, Level.COMMUNITY)

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
    escrow_ut = 0
    for match in matches:
        purses[match.bid_slot] -= match.escrow_ut
        escrow_ut += match.escrow_ut
        if purses[match.bid_slot] < 0:
            raise RuntimeError(f"slot {match.bid_slot} was matched beyond its purse")
    for slot, counter, _, _ in _read_book(context, start_utc, gate["book"]):
        counters[slot] = counter
    deal = {
        "agreed_wh": sum(match.energy_wh for match in matches),
        "escrow_ut": escrow_ut,
        "pages": count_clear_pages(gate),
        "trades": len(matches),
    }

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
    rules: Rules, wishes: list[Wish], feeders: list[str]
) -> tuple[list[tuple[Level, Match]], list[Wish]]:
    cleared: list[tuple[Level, Match]] = []
    left: list[Wish] = []
    by_feeder: dict[str, list[Wish]] = {feeder: [] for feeder in feeders}
    for wish in wishes:
        if wish.feeder in by_feeder:
            by_feeder[wish.feeder].append(wish)
    for feeder in feeders:
        matches = _clear(rules, by_feeder[feeder], Level.FEEDER)
        cleared += matches
        left += residual(by_feeder[feeder], [match for _, match in matches])
    return cleared, left


def _clear(rules: Rules, wishes: list[Wish], level: Level) -> list[tuple[Level, Match]]:
    terms = Terms(alpha_ut_per_kwh=rules.alpha_ut_per_kwh, beta_ut_per_kwh=rules.beta_ut_per_kwh)
    matches = clear_level(MECHANISMS[rules.mechanism], wishes, fee_ut_per_kwh=fee_ut_per_kwh(rules, level), terms=terms)
    return [(level, match) for match in matches]


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
