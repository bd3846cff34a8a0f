"""Delta payments: what a corrected version of a period moves between wallets, and what stays due.

Payers pay from their wallets, and the DSO from its fees, as far as these cover it; what comes in is shared among
those who get something, pro rata. The rest stays due on both sides, for the next bill: a due is a promise and holds
no tokens, so that no balance is ever negative and tokens only ever move from one balance to another. Purses are left
alone: periods that are open count on them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.tokens import read_fees, read_wallet, write_fees, write_wallet
from wattpool_chaincode.ledger.versions import version_key
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.units import share_pro_rata
from wattpool_chaincode.refusal import Refused

LIST_SIZE = 100
_DUES, _DUES_END = "due/", "due0"

BOOKMARK = fields.Check(
    "an empty text or a bookmark that a list ended with",
    lambda value: isinstance(value, str) and (not value or _DUES <= value < _DUES_END),
)


def owe(context: Context, start_utc: int, version: int, *, corrects: str, gets_ut: Mapping[str, int]) -> None:
    """Write the delta payments of a version, which names the record it corrects, and pay what is covered.

    Args:
        context: of the transaction.
        start_utc: of the period.
        version: that is new.
        corrects: hash of the period record before.
        gets_ut: what each party gets, or owes if negative; the DSO's fees under its MSP id; together nothing.
    """
    payments: list[list[Any]] = [[party, amount_ut] for party, amount_ut in sorted(gets_ut.items()) if amount_ut]
    if sum(gets_ut.values()):
        raise RuntimeError(f"the delta payments of {start_utc} do not add up to nothing")
    context.put(version_key("delta", start_utc, version), codec.encode({"corrects": corrects, "payments": payments}))
    left = _pay(context, payments)
    if left:
        context.put(version_key("due", start_utc, version), codec.encode(left))


def pay_due(context: Context, argument: dict[str, Any]) -> list[list[Any]]:
    """Pay of what a version left due as much as wallets cover now; return what stays due.

    Raises:
        Refused: argument_malformed, version_unknown.
    """
    start_utc, version = fields.read(argument, period=fields.COUNT, version=fields.COUNT)
    if context.get(version_key("delta", start_utc, version)) is None:
        raise Refused(LedgerRefusal.VERSION_UNKNOWN, f"the period at {start_utc} has no correction {version}")
    name = version_key("due", start_utc, version)
    stored = context.get(name)
    if stored is None:
        return []
    due: list[list[Any]] = codec.load(stored)
    left = _pay(context, due)

    if not left:
        context.delete(name)
    elif left != due:
        context.put(name, codec.encode(left))
    return left


def list_dues(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return one page of the corrections that are not paid yet, by period; `bookmark` "" begins.

    Raises:
        Refused: argument_malformed.
    """
    (bookmark,) = fields.read(argument, bookmark=BOOKMARK)
    page = context.range_page(_DUES, _DUES_END, page_size=LIST_SIZE, bookmark=bookmark)
    dues = []
    for name, value in page.items:
        _, start, version = name.split("/")
        dues.append({"due": codec.load(value), "period": int(start), "version": int(version.removeprefix("v"))})
    return {"bookmark": page.bookmark, "dues": dues}


def _pay(context: Context, due: list[list[Any]]) -> list[list[Any]]:
    """Move what payers cover to those who get something; return what stays due."""
    wallets = {party: read_wallet(context, party) for party, _ in due if party != DSO}
    fees_ut = read_fees(context)

    def balance_ut(party: str) -> int:
        return fees_ut if party == DSO else wallets[party].balance_ut

    paid_ut = {party: min(-amount_ut, balance_ut(party)) for party, amount_ut in due if amount_ut < 0}
    claims = [(party, amount_ut) for party, amount_ut in due if amount_ut > 0]
    shares_ut = share_pro_rata(sum(paid_ut.values()), [amount_ut for _, amount_ut in claims])
    moves_ut = {party: -amount_ut for party, amount_ut in paid_ut.items()}
    moves_ut |= {party: share_ut for (party, _), share_ut in zip(claims, shares_ut, strict=True)}
    for party, move_ut in moves_ut.items():
        if not move_ut:
            continue
        if party == DSO:
            write_fees(context, fees_ut + move_ut)
        else:
            write_wallet(context, party, replace(wallets[party], balance_ut=wallets[party].balance_ut + move_ut))
    return [[party, amount_ut - moves_ut[party]] for party, amount_ut in due if amount_ut != moves_ut[party]]
