"""What an owner orders on the contract chain: other limits, another supplier's tariff, a connection to take over.

An order is signed, and its counter is above that of the owner's last one of any kind, so that nobody can repeat an
order, or bring an old one after a new one. Any operator may carry it. It counts with the next roster.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wattpool_chaincode import authentication, fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.party import Party, read_party, write_changed_party
from wattpool_chaincode.contract.rules import PRICE, read_rules, read_tariff
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.payload import Payload
from wattpool_chaincode.refusal import Refused

LIMITS = {"generation_cost_ut_per_kwh": PRICE, "max_buy_ut_per_kwh": PRICE}
TARIFF = {"tariff": fields.NAME}


def change_limits(context: Context, argument: dict[str, Any]) -> None:
    """Set the limits within which the owner's meters trade, on the owner's signed `limits` order.

    Raises:
        Refused: argument_malformed, not_founded, a `PayloadRefusal`.
    """
    payload, party = take_order(context, argument, "limits", LIMITS)

    write_order(context, payload)
    write_changed_party(context, party, replace(party, **payload.content))


def change_tariff(context: Context, argument: dict[str, Any]) -> None:
    """Change the owner over to another tariff, of the same supplier or another, on the owner's signed `tariff` order.

    Raises:
        Refused: argument_malformed, not_founded, a `PayloadRefusal`, tariff_unknown.
    """
    payload, party = take_order(context, argument, "tariff", TARIFF)
    read_tariff(context, payload.content["tariff"])

    write_order(context, payload)
    write_changed_party(context, party, replace(party, **payload.content))


def last_order(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Return the `counter` of a party's last order, 0 if it never gave one.

    Raises:
        Refused: argument_malformed.
    """
    (party,) = fields.read(argument, party=fields.IDENTITY)
    return {"counter": _last_counter(context, party)}


def take_order(
    context: Context, argument: dict[str, Any], kind: str, content: Mapping[str, fields.Check]
) -> tuple[Payload, Party]:
    """Check an owner's signed order as far as it is like every other, and return it with the owner's party.

    Raises:
        Refused: argument_malformed, not_founded, a `PayloadRefusal`.
    """
    (order,) = fields.read(argument, order=fields.SIGNED)
    payload, signed = authentication.decode(order, kind=kind, community=read_rules(context).community, content=content)
    try:
        party = read_party(context, payload.signer)
    except Refused as refusal:
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, payload.signer) from refusal
    authentication.authenticate(signed, bytes.fromhex(party.public_key))
    authentication.require_counter(payload.counter, _last_counter(context, party.party))
    return payload, party


def write_order(context: Context, payload: Payload) -> None:
    """Keep the counter of an order that is carried out."""
    context.put(_key(payload.signer), codec.encode(payload.counter))


def _last_counter(context: Context, party: str) -> int:
    stored = context.get(_key(party))
    return 0 if stored is None else int(codec.load(stored))


def _key(party: str) -> str:
    return f"party-order/{party}"
