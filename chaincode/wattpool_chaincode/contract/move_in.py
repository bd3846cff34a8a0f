"""Moving in: a connection gets another party, from the next roster on; its slot and its meter stay.

The new owner orders it, the aggregator brings the order in, and the DSO, who knows whose connection it is, approves.
What the old party's purse holds, and what periods under way still return to it, stays the old party's.
"""

from dataclasses import replace
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.orders import take_order, write_order
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.rules import require
from wattpool_chaincode.contract.slot import Slot, change_slot, slot_of
from wattpool_chaincode.organisations import AGGREGATOR, DSO
from wattpool_chaincode.refusal import Refused

MOVE_IN = {"connection": fields.IDENTITY}


def move_in(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Bring in a new owner's signed `move_in` order for a connection; a later one replaces it until it is approved.

    Returns:
        `connection` and `party`, as the DSO approves them.

    Raises:
        Refused: argument_malformed, not_authorised, not_founded, a `PayloadRefusal`, connection_unmeasured,
            party_unchanged.
    """
    fields.read(argument, order=fields.SIGNED)
    require(context, AGGREGATOR)
    payload, party = take_order(context, argument, "move_in", MOVE_IN)
    connection = payload.content["connection"]
    if _measured(context, connection).party == party.party:
        raise Refused(ContractRefusal.PARTY_UNCHANGED, f"{connection} is {party.party}'s")

    write_order(context, payload)
    context.put(_key(connection), party.party.encode())
    return {"connection": connection, "party": party.party}


def approve_move_in(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Give a connection to the party that ordered it last; only the DSO.

    Returns:
        Its `slot`.

    Raises:
        Refused: argument_malformed, not_authorised, connection_unmeasured, move_in_unknown.
    """
    connection, party = fields.read(argument, connection=fields.IDENTITY, party=fields.IDENTITY)
    require(context, DSO)
    slot = _measured(context, connection)
    if slot.party == party:
        return {"slot": slot.slot}
    if context.get(_key(connection)) != party.encode():
        raise Refused(ContractRefusal.MOVE_IN_UNKNOWN, f"{party} has not ordered {connection}, or not last")

    change_slot(context, slot, replace(slot, party=party))
    return {"slot": slot.slot}


def _measured(context: Context, connection: str) -> Slot:
    slot = slot_of(context, connection)
    if slot is None:
        raise Refused(ContractRefusal.CONNECTION_UNMEASURED, connection)
    return slot


def _key(connection: str) -> str:
    return f"move-in/{connection}"
