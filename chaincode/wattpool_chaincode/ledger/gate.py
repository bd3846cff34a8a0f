"""Gate closure: the requests freeze into one book of orders that clearing is a pure function of."""

from collections.abc import Mapping
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger import chunks
from wattpool_chaincode.ledger.chunks import REQUESTS
from wattpool_chaincode.ledger.envelope import read_rooms
from wattpool_chaincode.ledger.pages import PURSE, Pages
from wattpool_chaincode.ledger.period import (
    COLLECTION,
    Phase,
    is_past,
    key,
    read_all_entries,
    read_period,
    require_time,
    write_phase,
)
from wattpool_chaincode.ledger.reservations import is_standing, read_reservations, reserved_wh
from wattpool_chaincode.ledger.suspension import read_suspended
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.units import WH_PER_KWH
from wattpool_chaincode.roster import Entry

# Orders of one transaction of `clear`; it reads the whole book, so fewer are better, and takes a tenth of a second.
CLEARED_TOGETHER = 2_000
# Rounding a payment and its fee adds less than a micro-token each to a trade of at least one watt-hour.
_ROUNDING_UT_PER_KWH = 2 * WH_PER_KWH


def close_gate(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Freeze the requests of a period: one order per slot, of what firm trades leave, as far as its purse can pay.

    A meter may change its mind until the gate closes: its request with the highest counter counts, and makes no order
    if its balance is nothing. Two different requests with one counter contradict each other, and neither counts.
    Orders of slots that were suspended meanwhile drop out.

    Raises:
        Refused: argument_malformed, period_unknown, too_early.
    """
    (start_utc,) = fields.read(argument, period=fields.COUNT)
    state = read_period(context, start_utc)
    if is_past(state, Phase.OPEN):
        return read_gate(context, start_utc)
    require_time(context, state.rules, start_utc - state.rules.gate_lead_s)
    found = chunks.read_rows(context, REQUESTS, start_utc, chunks.list_chunks(context, REQUESTS, start_utc))
    entries = read_all_entries(context, state.roster)
    purses = Pages(context, PURSE)
    suspended = read_suspended(context)
    standing = [
        one
        for one in read_reservations(context, start_utc)
        if is_standing(one, lambda slot: entries[slot].party, suspended)
    ]
    reserved = reserved_wh(standing)
    asked = [row for row in _last_words(found) if _asks(row) and row[0] not in suspended]
    rows = [_unreserved(row, *reserved) for row in asked]
    orders = [affordable(row, entries[row[0]], purses) for row in rows]
    book = codec.encode({"orders": orders, "salt": chunks.salt_of(found)})
    gate = {
        "book": codec.content_id(book),
        "chunks": [rows.chunk for rows in found],
        "envelopes": read_rooms(context, state.period, standing, entries),
        "groups": _groups(orders, entries),
        "orders": len(orders),
    }

    context.put_private(COLLECTION, key("book", start_utc), book)
    context.put(key("gate", start_utc), codec.encode(gate))
    write_phase(context, state, Phase.CLOSED)
    return gate


def read_gate(context: Context, start_utc: int) -> dict[str, Any]:
    """Return what gate closure wrote: hash of the book, chunks, envelopes, groups of feeders, number of orders."""
    stored = context.get(key("gate", start_utc))
    return {} if stored is None else codec.load(stored)


def affordable(row: list[int], entry: Entry, purses: Pages) -> list[int]:
    """Return the order with its energy cut to what the purse pays at the dearest price a trade can have."""
    slot, counter, balance_wh, limit = row
    if balance_wh < 0:
        dearest = min(limit, entry.retail_ut_per_kwh) + _ROUNDING_UT_PER_KWH
        balance_wh = -min(-balance_wh, purses[slot] * WH_PER_KWH // dearest)
    return [slot, counter, balance_wh, limit]


def _last_words(found: list[chunks.Rows]) -> list[list[int]]:
    """Return the row with the highest counter of each slot, by slot; slots that contradict themselves drop out."""
    best: dict[int, list[int]] = {}
    contradicted: dict[int, int] = {}
    for rows in found:
        for row in rows.rows:
            slot, counter = row[0], row[1]
            known = best.get(slot)
            if known is None or counter > known[1]:
                best[slot] = row
            elif counter == known[1] and row != known:
                contradicted[slot] = counter
    return [row for slot, row in sorted(best.items()) if contradicted.get(slot) != row[1]]


def _asks(row: list[int]) -> bool:
    """Tell whether a request is for more than nothing."""
    _, _, balance_wh, _ = row
    return balance_wh != 0


def _unreserved(row: list[int], import_wh: Mapping[int, int], export_wh: Mapping[int, int]) -> list[int]:
    """Return the order without the energy that is due to firm trades."""
    slot, counter, balance_wh, limit = row
    if balance_wh < 0:
        balance_wh = min(0, balance_wh + import_wh.get(slot, 0))
    else:
        balance_wh = max(0, balance_wh - export_wh.get(slot, 0))
    return [slot, counter, balance_wh, limit]


def _groups(orders: list[list[int]], entries: list[Entry]) -> list[list[str]]:
    """Return the feeders that are cleared together, a group per page; one group if all fits in one.

    With more than one group, one more page clears the community on what the groups leave.
    """
    sizes: dict[str, int] = {}
    for order in orders:
        feeder = entries[order[0]].feeder
        sizes[feeder] = sizes.get(feeder, 0) + 1
    groups: list[list[str]] = [[]]
    filled = 0
    for feeder, size in sorted(sizes.items()):
        if groups[-1] and filled + size > CLEARED_TOGETHER:
            groups.append([])
            filled = 0
        groups[-1].append(feeder)
        filled += size
    return groups
