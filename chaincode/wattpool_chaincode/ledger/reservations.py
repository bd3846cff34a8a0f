"""Reservations: what firm trades claim of each period of their delivery windows, one key per trade and period.

They are written while the period's gate is open and never after: gate and settlement read the same ones.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

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
    """

    offer: str
    bid_slot: int
    offer_slot: int
    plan_wh: int
    due_wh: int
    ends: bool


def write_reservations(  # noqa: PLR0913 -- a trade and its window
    context: Context, offer: str, *, bid_slot: int, offer_slot: int, energy_wh: int, window: list[Period]
) -> None:
    """Reserve `energy_wh` evenly over the periods of `window`."""
    due_wh = 0
    for number, period in enumerate(window, start=1):
        before_wh, due_wh = due_wh, energy_wh * number // len(window)
        row = [bid_slot, offer_slot, due_wh - before_wh, due_wh, number == len(window)]
        context.put(key(_KIND, period.start_utc, offer), codec.encode(row))


def read_reservations(context: Context, start_utc: int) -> list[Reservation]:
    """Return the reservations of a period, by offer; one that comes meanwhile is refused as a phantom."""
    found = []
    for name, value in context.range(*part_range(_KIND, start_utc)):
        bid_slot, offer_slot, plan_wh, due_wh, ends = codec.load(value)
        found.append(
            Reservation(
                offer=name.rpartition("/")[2],
                bid_slot=bid_slot,
                offer_slot=offer_slot,
                plan_wh=plan_wh,
                due_wh=due_wh,
                ends=ends,
            )
        )
    return found


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
