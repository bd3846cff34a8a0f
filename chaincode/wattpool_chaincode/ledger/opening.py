"""Opening a period, and giving its market up."""

from collections import Counter
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.clearing import read_matches
from wattpool_chaincode.ledger.handover import credit_slots, hand_over
from wattpool_chaincode.ledger.pages import PURSE, Pages
from wattpool_chaincode.ledger.period import (
    LAST_KEY,
    PeriodState,
    Phase,
    is_past,
    key,
    phase_of,
    read_period,
    read_roster,
    require_time,
    write_phase,
)
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.roster import latest_roster
from wattpool_chaincode.ledger.tokens import Wallets, fold_moves
from wattpool_chaincode.organisations import VOTES
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.refusal import Refused


def open_period(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Open the period after the last one, under a roster version; deposits, withdrawals and handovers are carried out.

    Periods follow each other without a gap (mission row B2); the market of the one before must be fixed or given up.
    Under a live clock a period opens at the earliest one period's length before its gate closes, so that nobody can
    open and give up the markets of days to come.
    The version is the latest one copied: an older one would let in who was shut out since, at prices of the past.

    Raises:
        Refused: argument_malformed, roster_unknown, roster_outdated, not_a_period, period_not_next,
            too_early, previous_not_ready.
    """
    start_utc, version = fields.read(argument, period=fields.COUNT, roster=fields.COUNT)
    known = phase_of(context, start_utc)
    if known is not None:
        return {"phase": known.value}
    roster = read_roster(context, version)
    rules = roster.rules_at(start_utc)
    if version != latest_roster(context):
        raise Refused(LedgerRefusal.ROSTER_OUTDATED, f"version {version}; {latest_roster(context)} was expected")
    # Every period has one before it, so that the first is not a special case later.
    if start_utc % rules.period_s or start_utc < rules.period_s:
        raise Refused(LedgerRefusal.NOT_A_PERIOD, f"{start_utc} is no start of a period of {rules.period_s} s")
    last = read_last_period(context)
    if last is not None and start_utc != last + rules.period_s:
        raise Refused(LedgerRefusal.PERIOD_NOT_NEXT, f"the last period opened starts at {last}")
    require_time(context, rules, start_utc - rules.gate_lead_s - rules.period_s)
    if last is not None and phase_of(context, last) in (Phase.OPEN, Phase.CLOSED):
        raise Refused(LedgerRefusal.PREVIOUS_NOT_READY, f"the market of the period at {last} is not fixed")

    purses, wallets = Pages(context, PURSE), Wallets(context)
    if last is not None:
        before = read_period(context, last).roster
        hand_over(context, before, roster, start_utc=start_utc, purses=purses, wallets=wallets)
    fold_moves(context, roster, purses, wallets)
    purses.write()
    wallets.write()
    context.put(LAST_KEY, codec.encode(start_utc))
    state = PeriodState(period=Period(start_utc, rules.period_s), phase=Phase.OPEN, roster=roster)
    write_phase(context, state, Phase.OPEN)
    return {"phase": Phase.OPEN.value}


def abort_period(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Vote for giving up the market of a period that is not settling yet, in the name of the submitter's organisation.

    With the second organisation's vote every escrow returns and all energy is the grid's, for the reason that the
    first one gave; before, nothing changes. The period goes on to be metered, settled and sealed, without a trade.

    Returns:
        `phase` of the period, and `votes`: MSP ids of the organisations that want it given up, sorted.

    Raises:
        Refused: argument_malformed, period_unknown, late.
    """
    start_utc, reason = fields.read(argument, period=fields.COUNT, reason=fields.TEXT)
    state = read_period(context, start_utc)
    stored = context.get(key("abort", start_utc))
    vote: dict[str, Any] = {"reason": reason, "votes": []} if stored is None else codec.load(stored)
    if len(vote["votes"]) == VOTES or context.submitter.msp_id in vote["votes"]:
        return {"phase": state.phase.value, "votes": vote["votes"]}
    if is_past(state, Phase.ACTIVE):
        raise Refused(LedgerRefusal.LATE, f"the period is {state.phase.value}")
    votes = sorted([*vote["votes"], context.submitter.msp_id])

    context.put(key("abort", start_utc), codec.encode({"reason": vote["reason"], "votes": votes}))
    if len(votes) < VOTES:
        return {"phase": state.phase.value, "votes": votes}
    _give_up(context, state, vote["reason"])
    return {"phase": Phase.ACTIVE.value, "votes": votes}


def period_state(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return what is written of a period, stage by stage; `phase` is null if it was never opened.

    Raises:
        Refused: argument_malformed.
    """
    (start_utc,) = fields.read(argument, period=fields.COUNT)
    known = phase_of(context, start_utc)
    state: dict[str, Any] = {"phase": None if known is None else known.value}
    for stage in ("gate", "abort", "deal", "result", "seal"):
        stored = context.get(key(stage, start_utc))
        if stored is not None:
            state[stage] = codec.load(stored)
    return state


def last_period(context: Context, argument: dict[str, Any]) -> dict[str, int | None]:
    """Return the start of the last period opened, null if there is none.

    Raises:
        Refused: argument_malformed.
    """
    fields.read(argument)
    return {"period": read_last_period(context)}


def read_last_period(context: Context) -> int | None:
    stored = context.get(LAST_KEY)
    return None if stored is None else int(codec.load(stored))


def _give_up(context: Context, state: PeriodState, reason: str) -> None:
    """Return the escrow and write a deal without a trade."""
    start_utc = state.period.start_utc
    if context.get(key("deal", start_utc)) is not None:
        escrows_ut: Counter[int] = Counter()
        for match in read_matches(context, state):
            escrows_ut[match.bid_slot] += match.escrow_ut
        purses = Pages(context, PURSE)
        credit_slots(context, start_utc, escrows_ut, purses=purses)
        purses.write()
    given_up = {"aborted": reason, "agreed_wh": 0, "escrow_ut": 0, "pages": 0, "trades": 0}
    context.put(key("deal", start_utc), codec.encode(given_up))
    write_phase(context, state, Phase.ACTIVE)
