"""Suspension: who may not trade for the time being, from the moment in which two organisations have said so.

A void meter is shut out by the next roster; a suspension does not wait for one. Before the gate the slot's requests
are refused, and its orders drop out as the gate closes; what it agreed to before settles nothing: escrow returns, its
energy is the grid's, and its registers move on. Which slots that concerns is frozen when a period begins to settle.

All suspended slots are one key, which decisions alone write: a stage reads it once, and nothing makes it hot.
"""

from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.period import key, read_roster
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.roster import latest_roster
from wattpool_chaincode.organisations import VOTES
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

SUSPENDED_KEY = "suspended"
SUSPENSION_EVENT = "suspension"


def suspend(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Vote for suspending a slot, in the name of the submitter's organisation; see `_decide`."""
    return _decide(context, argument, suspended=True)


def reinstate(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Vote for letting a suspended slot trade again, in the name of the submitter's organisation; see `_decide`."""
    return _decide(context, argument, suspended=False)


def suspension(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return whether a slot is `suspended`, and all `decisions`, oldest first; the last may still want a vote.

    Raises:
        Refused: argument_malformed.
    """
    (slot,) = fields.read(argument, slot=fields.COUNT)
    return {"decisions": _read_decisions(context, slot), "suspended": slot in read_suspended(context)}


def read_suspended(context: Context) -> frozenset[int]:
    """Return the slots that are suspended now."""
    stored = context.get(SUSPENDED_KEY)
    return frozenset() if stored is None else frozenset(codec.load(stored))


def read_frozen_suspended(context: Context, start_utc: int) -> frozenset[int]:
    """Return the slots that were suspended when a period began to settle; it must have."""
    stored = context.get(key("frozen", start_utc))
    if stored is None:
        raise RuntimeError(f"the period at {start_utc} has settled and nothing was frozen")
    return frozenset(codec.load(stored)["suspended"])


def _decide(context: Context, argument: dict[str, Any], *, suspended: bool) -> dict[str, Any]:
    """Take a vote; with the second organisation's it counts, for the reason that the first one gave.

    A vote for what is the case already takes back the organisation's vote for a change, if it gave one.

    Returns:
        `suspended`, as it is now, and `votes`: MSP ids of the organisations that want what was asked for, sorted;
        none if it is the case already.

    Raises:
        Refused: argument_malformed, roster_unknown, slot_unknown.
    """
    slot, reason = fields.read(argument, slot=fields.COUNT, reason=fields.TEXT)
    slots = read_roster(context, latest_roster(context)).slots
    if slot >= slots:
        raise Refused(LedgerRefusal.SLOT_UNKNOWN, f"slot {slot}; there are {slots}")
    all_suspended = read_suspended(context)
    decided = _read_decisions(context, slot)
    wanted = decided.pop() if decided and len(decided[-1]["votes"]) < VOTES else None
    voter = context.submitter.msp_id
    if (slot in all_suspended) is suspended:
        if wanted is not None and voter in wanted["votes"]:
            context.put(_key(slot), codec.encode(decided))
        return {"suspended": suspended, "votes": []}
    if wanted is None:
        wanted = {"reason": reason, "suspended": suspended, "votes": []}
    votes = sorted({*wanted["votes"], voter})

    context.put(_key(slot), codec.encode([*decided, {**wanted, "votes": votes}]))
    if len(votes) < VOTES:
        return {"suspended": not suspended, "votes": votes}
    context.put(SUSPENDED_KEY, codec.encode(sorted(all_suspended ^ {slot})))
    context.emit(SUSPENSION_EVENT, codec.encode({"slot": slot, "suspended": suspended}))
    return {"suspended": suspended, "votes": votes}


def _read_decisions(context: Context, slot: int) -> list[dict[str, Any]]:
    stored = context.get(_key(slot))
    decisions: list[dict[str, Any]] = [] if stored is None else codec.load(stored)
    return decisions


def _key(slot: int) -> str:
    return f"suspension/{slot:07}"
