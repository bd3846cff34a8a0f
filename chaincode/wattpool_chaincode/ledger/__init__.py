"""The ledger chain: tokens, and a market period's whole life from `open` to `seal`."""

from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.ledger.clearing import activate, clear_page
from wattpool_chaincode.ledger.gate import close_gate
from wattpool_chaincode.ledger.opening import abort_period, last_period, open_period, period_state
from wattpool_chaincode.ledger.reports import reading, report
from wattpool_chaincode.ledger.requests import ingest
from wattpool_chaincode.ledger.roster import adopt_page, adopt_roster, roster_version
from wattpool_chaincode.ledger.sealing import seal_period, sealed_by
from wattpool_chaincode.ledger.settling import finalise, settle_page, settled_page, statements
from wattpool_chaincode.ledger.tokens import (
    buy_tokens,
    deposit_tokens,
    purse,
    redeem_fees,
    redeem_tokens,
    supply,
    transfer_tokens,
    wallet,
    withdraw_tokens,
)
from wattpool_chaincode.organisations import TWO_OF_THREE, require_operator

CHANNEL = "ledger"

LEDGER = Chaincode(
    name=CHANNEL,
    functions={
        "abort": abort_period,
        "activate": activate,
        "adopt_page": adopt_page,
        "adopt_roster": adopt_roster,
        "buy": buy_tokens,
        "clear": clear_page,
        "close": close_gate,
        "deposit": deposit_tokens,
        "finalise": finalise,
        "ingest": ingest,
        "open": open_period,
        "redeem": redeem_tokens,
        "redeem_fees": redeem_fees,
        "report": report,
        "seal": seal_period,
        "settle": settle_page,
        "transfer": transfer_tokens,
        "withdraw": withdraw_tokens,
    },
    queries={
        "last_period": last_period,
        "period": period_state,
        "purse": purse,
        "reading": reading,
        "roster": roster_version,
        "sealed_by": sealed_by,
        "settled_page": settled_page,
        "statements": statements,
        "supply": supply,
        "wallet": wallet,
    },
    policy=TWO_OF_THREE,
    guard=require_operator,
)
