"""Requests: a meter asks for the market, signed, and is let in or refused by name (paper A, Fig. 2; row A5)."""

from enum import StrEnum
from typing import Any

from wattpool_chaincode import authentication, fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.rules import PRICE
from wattpool_chaincode.ledger import chunks
from wattpool_chaincode.ledger.chunks import REQUESTS, Refusals
from wattpool_chaincode.ledger.pages import COUNTER, Pages
from wattpool_chaincode.ledger.period import PAGES, Devices, PeriodState, Phase, read_period, require_phase
from wattpool_chaincode.ledger.suspension import read_suspended
from wattpool_chaincode.market.balance import balance_wh, is_within_line_limit
from wattpool_chaincode.refusal import Refused

REQUEST = {
    "battery_wh": fields.INTEGER,
    "consumption_w": fields.COUNT,
    "generation_w": fields.COUNT,
    "limit_ut_per_kwh": PRICE,
}


class RequestRefusal(StrEnum):
    """Why a request that is authentic is refused, in the order in which it is checked after `PayloadRefusal`."""

    NOT_ADMITTED = "not_admitted"
    SUSPENDED = "suspended"
    OVER_LINE_LIMIT = "over_line_limit"
    OVER_OWNER_LIMIT = "over_owner_limit"


def ingest(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Take in a chunk of signed requests while the period is open; a repeated chunk changes nothing.

    `pages` says on which pages of the roster their devices stand, or most of them: it spares reading the others.

    Raises:
        Refused: argument_malformed, period_unknown, late, chunk_absent, chunk_malformed.
    """
    start_utc, chunk, pages = fields.read(argument, period=fields.COUNT, chunk=fields.DIGEST, pages=PAGES)
    state = read_period(context, start_utc)
    summary = chunks.read_summary(context, REQUESTS, start_utc, chunk)
    if summary is not None:
        return summary
    require_phase(state, Phase.OPEN)
    devices = Devices(context, state.roster, pages)
    counters = Pages(context, COUNTER)
    suspended = read_suspended(context)

    def evaluate(items: list[Any]) -> tuple[list[list[Any]], Refusals]:
        rows: list[list[Any]] = []
        refused: Refusals = []
        seen: set[bytes] = set()
        for index, item in enumerate(items):
            try:
                row = _order(item, state, devices, counters, seen=seen, suspended=suspended)
            except Refused as refusal:
                refused.append((index, refusal.reason.value))
            else:
                rows.append(row)
        return rows, refused

    return chunks.take_in(context, REQUESTS, start_utc=start_utc, chunk=chunk, evaluate=evaluate)


def _order(  # noqa: PLR0913 -- a request, and all that it is checked against
    item: object,
    state: PeriodState,
    devices: Devices,
    counters: Pages,
    *,
    seen: set[bytes],
    suspended: frozenset[int],
) -> list[Any]:
    """Return slot, counter, balance and limit of one request, or refuse it.

    The balance is computed here from what the meter says it will generate, consume and release (eq. (1)); a balance
    of nothing withdraws what the meter asked for before.
    """
    payload, signed = authentication.decode(item, kind="request", community=state.rules.community, content=REQUEST)
    authentication.require_period(payload.period_start_utc, state.period.start_utc)
    entry = devices.find(payload.signer)
    if entry is None:
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, payload.signer)
    authentication.authenticate(signed, bytes.fromhex(entry.device_key))
    authentication.require_counter(payload.counter, counters[entry.slot])
    # Which of several different requests counts is decided at the gate, whatever chunks they came in.
    if signed.payload in seen:
        raise Refused(PayloadRefusal.REPLAYED, "twice in this chunk")
    seen.add(signed.payload)
    if not entry.may_trade:
        raise Refused(RequestRefusal.NOT_ADMITTED, payload.signer)
    if entry.slot in suspended:
        raise Refused(RequestRefusal.SUSPENDED, payload.signer)
    content = payload.content
    balance = balance_wh(
        generation_w=content["generation_w"],
        consumption_w=content["consumption_w"],
        battery_wh=content["battery_wh"],
        period=state.period,
    )
    if not is_within_line_limit(balance, entry.line_limit_w, state.period):
        raise Refused(RequestRefusal.OVER_LINE_LIMIT, f"{balance} Wh over a line of {entry.line_limit_w} W")
    limit = content["limit_ut_per_kwh"]
    if (balance < 0 and limit > entry.max_buy_ut_per_kwh) or (balance > 0 and limit < entry.generation_cost_ut_per_kwh):
        raise Refused(RequestRefusal.OVER_OWNER_LIMIT, f"{limit} ut/kWh")
    return [entry.slot, payload.counter, balance, limit]
