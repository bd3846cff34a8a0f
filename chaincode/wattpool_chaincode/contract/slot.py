"""Slots: a connection's number in the roster, for ever, and who and what is behind it at present.

The device that measures it and the party that pays change; each change keeps what was before under a key of its own.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from wattpool_chaincode.context import Context
from wattpool_chaincode.records import codec

SLOTS_KEY = "slots"


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A connection that was measured at least once.

    Attributes:
        slot: its number.
        connection: its permanent pseudonym.
        device: what measures it, or did last.
        party: whose account it trades for.
        installation: how many devices measured it before this one.
        import_wh: what those devices measured in all that it took from the grid.
        export_wh: what they measured that it gave.
        changes: how often its device or party changed.
    """

    slot: int
    connection: str
    device: str
    party: str
    installation: int = 0
    import_wh: int = 0
    export_wh: int = 0
    changes: int = 0

    def encode(self) -> bytes:
        return codec.encode(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> "Slot":
        return cls(**codec.load(data))


def count_slots(context: Context) -> int:
    """Return how many slots are given out."""
    stored = context.get(SLOTS_KEY)
    return 0 if stored is None else int(codec.load(stored))


def read_slots(context: Context, slots: Sequence[int]) -> list[Slot]:
    """Return slots that are given out."""
    stored = context.get_many([_key(slot) for slot in slots])
    return [_decode(slot, value) for slot, value in zip(slots, stored, strict=True)]


def slot_of(context: Context, connection: str) -> Slot | None:
    """Return a connection's slot, None if it was never measured."""
    stored = context.get(_connection_key(connection))
    if stored is None:
        return None
    (slot,) = read_slots(context, [int(codec.load(stored))])
    return slot


def add_slot(context: Context, *, connection: str, device: str, party: str) -> Slot:
    """Give a connection the next slot."""
    number = count_slots(context)
    slot = Slot(slot=number, connection=connection, device=device, party=party)
    context.put(_key(number), slot.encode())
    context.put(_connection_key(connection), codec.encode(number))
    context.put(SLOTS_KEY, codec.encode(number + 1))
    return slot


def change_slot(context: Context, before: Slot, after: Slot) -> None:
    """Write a slot behind which something changed, and keep what it was before."""
    context.put(f"slot-past/{before.slot:07}/{before.changes:06}", before.encode())
    context.put(_key(after.slot), replace(after, changes=before.changes + 1).encode())


def _decode(slot: int, stored: bytes | None) -> Slot:
    if stored is None:
        raise RuntimeError(f"slot {slot} was given out and is empty")
    return Slot.decode(stored)


def _key(slot: int) -> str:
    return f"slot/{slot:07}"


def _connection_key(connection: str) -> str:
    return f"slot-of/{connection}"
