"""Reservations: what firm trades claim of each period of their delivery windows, one key per trade and period.

They are written while the period's gate is open and never after: gate and settlement read the same ones.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace

from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.period import key, part_range
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import Period

_KIND = "firm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A firm trade's hold on one period.

    Attributes:
        offer: id.
        bid_slot: the buyer's connection.
        offer_slot: the seller's.
        plan_wh: what is due in this period.
        due_wh: what is due by its end.
        ends: whether the delivery window does.
        buyer: the party that had the buyer's connection when they agreed.
        seller: the party that had the seller's.
    """

    offer: str
    bid_slot: int
    offer_slot: int
    plan_wh: int
    due_wh: int
    ends: bool
    buyer: str
    seller: str


def write_reservations(context: Context, reservation: Reservation, window: list[Period]) -> None:
    """Reserve what a firm trade is due at the end of `window`, evenly over its periods."""
    energy_wh, due_wh = reservation.due_wh, 0
    for number, period in enumerate(window, start=1):
        before_wh, due_wh = due_wh, energy_wh * number // len(window)
        one = replace(reservation, plan_wh=due_wh - before_wh, due_wh=due_wh, ends=number == len(window))
        row = [one.bid_slot, one.offer_slot, one.plan_wh, one.due_wh, one.ends, one.buyer, one.seller]
        context.put(key(_KIND, period.start_utc, one.offer), codec.encode(row))


def read_reservations(context: Context, start_utc: int) -> list[Reservation]:
    """Return the reservations of a period, by offer; one that comes meanwhile is refused as a phantom."""
    found = []
    for name, value in context.range(*part_range(_KIND, start_utc)):
        bid_slot, offer_slot, plan_wh, due_wh, ends, buyer, seller = codec.load(value)
        found.append(
            Reservation(
                offer=name.rpartition("/")[2],
                bid_slot=bid_slot,
                offer_slot=offer_slot,
                plan_wh=plan_wh,
                due_wh=due_wh,
                ends=ends,
                buyer=buyer,
                seller=seller,
            )
        )
    return found


def is_standing(reservation: Reservation, party_of: Callable[[int], str], suspended: Container[int]) -> bool:
    """Tell whether both ends can deliver: neither is suspended, and each is still the party's that agreed.

    Args:
        reservation: of a firm trade.
        party_of: tells whose a slot is in the period.
        suspended: slots.
    """
    ends = ((reservation.bid_slot, reservation.buyer), (reservation.offer_slot, reservation.seller))
    return all(slot not in suspended and party_of(slot) == party for slot, party in ends)


def parties_to(reservations: Iterable[Reservation]) -> set[int]:
    """Return the slots at both ends."""
    return {slot for one in reservations for slot in (one.bid_slot, one.offer_slot)}


def reserved_wh(reservations: Iterable[Reservation]) -> tuple[Counter[int], Counter[int]]:
    """Return what is due by each slot of its import, and of its export, in this period."""
    import_wh: Counter[int] = Counter()
    export_wh: Counter[int] = Counter()
    for one in reservations:
        import_wh[one.bid_slot] += one.plan_wh
        export_wh[one.offer_slot] += one.plan_wh
    return import_wh, export_wh
