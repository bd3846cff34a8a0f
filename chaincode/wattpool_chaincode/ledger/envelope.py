"""The DSO's envelope: how far a feeder's agreed exchange with the other feeders may go in a period.

The agreed net exchange, pool trades between feeders and firm trades that cross the feeder's boundary, lies within
[-import, +export]. The gate subtracts firm trades first; what goes up to the community beyond the room that is left is
cut by the uniform rule and stays with the grid, at no fault of the home's. Firm trades that alone are more than the
envelope are the DSO's to curtail. Each side is limited by itself, so that the envelope holds whatever part of it is
delivered. What `mid_rate` allocates has flowed already: envelopes do not touch it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.period import (
    Phase,
    key,
    part_range,
    phase_of,
    read_all_entries,
    read_roster,
)
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reservations import Reservation
from wattpool_chaincode.ledger.roster import latest_roster
from wattpool_chaincode.ledger.tokens import require_organisation
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry

_KIND = "envelope"


def set_envelope(context: Context, argument: dict[str, Any]) -> None:
    """Limit what a feeder may import and export, mean watts, in a period whose gate is not closed; only the DSO.

    A later envelope for the same feeder and period replaces the earlier one.

    Raises:
        Refused: argument_malformed, not_authorised, roster_unknown, not_a_period, feeder_unknown, late.
    """
    start_utc, feeder, import_w, export_w = fields.read(
        argument, period=fields.COUNT, feeder=fields.NAME, import_w=fields.COUNT, export_w=fields.COUNT
    )
    require_organisation(context, DSO)
    roster = read_roster(context, latest_roster(context))
    period_s = roster.rules_at(start_utc).period_s
    if start_utc % period_s:
        raise Refused(LedgerRefusal.NOT_A_PERIOD, f"{start_utc} is no start of a period of {period_s} s")
    # A name mistyped would protect nothing, and nobody would notice.
    if all(entry.feeder != feeder for entry in read_all_entries(context, roster)):
        raise Refused(LedgerRefusal.FEEDER_UNKNOWN, feeder)
    phase = phase_of(context, start_utc)
    if phase not in (None, Phase.OPEN):
        raise Refused(LedgerRefusal.LATE, f"the period is {phase.value}")

    context.put(key(_KIND, start_utc, feeder), codec.encode({"export_w": export_w, "import_w": import_w}))


def read_rooms(
    context: Context, period: Period, reservations: Iterable[Reservation], entries: Sequence[Entry]
) -> dict[str, list[int]]:
    """Return the import and export, in watt-hours, that firm trades leave each feeder that has an envelope."""
    rooms: dict[str, list[int]] = {}
    for name, value in context.range(*part_range(_KIND, period.start_utc)):
        limits = codec.load(value)
        rooms[name.rpartition("/")[2]] = [
            period.energy_wh_at(limits["import_w"]),
            period.energy_wh_at(limits["export_w"]),
        ]
    for one in reservations if rooms else ():
        buyer, seller = entries[one.bid_slot].feeder, entries[one.offer_slot].feeder
        if buyer == seller:
            continue
        for feeder, side in ((buyer, 0), (seller, 1)):
            if feeder in rooms:
                rooms[feeder][side] = max(0, rooms[feeder][side] - one.plan_wh)
    return rooms
