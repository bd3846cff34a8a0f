"""Voiding: a device that nobody can trust any more trades no more, from the next roster on.

It voids itself when its tamper contact opens (`smart_meter`), or by evidence that anyone may bring: two records with
its signature, of one number, that say different things. Only the DSO and one more organisation reinstate it. What
happened to a device is kept, event by event.
"""

from dataclasses import replace
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.device import Device, read_device, read_record, write_device
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.rules import read_rules
from wattpool_chaincode.organisations import DSO, VOTES
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

TAMPERED, FORKED = "tampered", "forked"
_PAIR = fields.Check(
    "a list of two OCMF records as text",
    lambda value: isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value),  # noqa: PLR2004
)


def void_device(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Void the device that signed both of `records`, which have one number and different content.

    The same evidence again changes nothing, so that it does not outlive a reinstatement.

    Returns:
        `device`, and whether it is `void` now.

    Raises:
        Refused: argument_malformed, not_founded, a `PayloadRefusal` of a record (malformed, foreign_community,
            wrongly_signed), device_unknown, record_for_another, not_forked.
    """
    (records,) = fields.read(argument, records=_PAIR)
    community = read_rules(context).community
    first, second = (read_record(text, community) for text in records)
    device = read_device(context, first.record.device)
    for signed in (first, second):
        if signed.record.device != device.device:
            raise Refused(ContractRefusal.RECORD_FOR_ANOTHER, f"device {signed.record.device}")
        if not signed.is_signed_by(bytes.fromhex(device.public_key)):
            raise Refused(PayloadRefusal.WRONGLY_SIGNED, f"record {signed.record.number}")
    if first.record.number != second.record.number or first.hash == second.hash:
        raise Refused(ContractRefusal.NOT_FORKED, "the records have different numbers, or are the same")
    evidence = {"number": first.record.number, "reason": FORKED, "records": sorted([first.hash, second.hash])}
    if {**evidence, "void": True} in _read_events(context, device):
        return {"device": device.device, "void": device.void}

    void(context, device, evidence)
    return {"device": device.device, "void": True}


def reinstate_device(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Vote for trusting a void device again, in the name of the submitter's organisation.

    Once the DSO and one more organisation want it the device trades with the next roster, for the reason given first.

    Returns:
        Whether it is `void` now, and `votes`: MSP ids of those who want it reinstated, sorted; none if it is not void.

    Raises:
        Refused: argument_malformed, device_unknown, device_retired.
    """
    identity, reason = fields.read(argument, device=fields.IDENTITY, reason=fields.TEXT)
    device = read_device(context, identity)
    if device.retirement is not None:
        raise Refused(ContractRefusal.DEVICE_RETIRED, identity)
    if not device.void:
        return {"void": False, "votes": []}
    events = _read_events(context, device)
    vote = {"reason": reason, "void": False, "votes": []} if events[-1]["void"] else events.pop()
    votes = sorted({*vote["votes"], context.submitter.msp_id})
    is_agreed = DSO in votes and len(votes) >= VOTES

    context.put(_key(device), codec.encode([*events, {**vote, "votes": votes}]))
    if is_agreed:
        write_device(context, replace(device, void=False))
    return {"void": not is_agreed, "votes": votes}


def voidings(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return whether a device is `void`, and the `events` of its voiding and reinstatement, oldest first.

    Raises:
        Refused: argument_malformed, device_unknown.
    """
    (identity,) = fields.read(argument, device=fields.IDENTITY)
    device = read_device(context, identity)
    return {"events": _read_events(context, device), "void": device.void}


def void(context: Context, device: Device, evidence: dict[str, Any]) -> None:
    """Void a device for what the evidence says; votes for its reinstatement that did not know it count no more."""
    events = _read_events(context, device)
    if device.void and not events[-1]["void"]:
        events.pop()

    context.put(_key(device), codec.encode([*events, {**evidence, "void": True}]))
    write_device(context, replace(device, void=True))


def _read_events(context: Context, device: Device) -> list[dict[str, Any]]:
    stored = context.get(_key(device))
    events: list[dict[str, Any]] = [] if stored is None else codec.load(stored)
    return events


def _key(device: Device) -> str:
    return f"voidings/{device.device}"
