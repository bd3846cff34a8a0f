"""The ledger chain: tokens, offers by hand, a market period's life from `open` to `seal`, corrections after it."""

from wattpool_chaincode.batch import batch_of
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.ledger.clearing import activate, clear_page, cleared_page, orders
from wattpool_chaincode.ledger.correcting import correct, correct_late
from wattpool_chaincode.ledger.delivery import curtail
from wattpool_chaincode.ledger.dues import list_dues, pay_due
from wattpool_chaincode.ledger.envelope import set_envelope
from wattpool_chaincode.ledger.gate import close_gate
from wattpool_chaincode.ledger.offers import (
    add_offer,
    cancel_offer,
    confirm_l2p,
    confirm_p2l,
    expire_offer,
    list_offers,
    offer,
    offers_due,
    offers_held,
    pick_offer,
    proof_of_delivery,
    to_begin,
)
from wattpool_chaincode.ledger.opening import abort_period, last_period, open_period, period_state
from wattpool_chaincode.ledger.reports import reading, report
from wattpool_chaincode.ledger.requests import ingest
from wattpool_chaincode.ledger.roster import adopt_page, adopt_roster, roster_version
from wattpool_chaincode.ledger.sealing import seal_correction, seal_period, sealed_by
from wattpool_chaincode.ledger.settling import finalise, settle_page, settled_page, statements
from wattpool_chaincode.ledger.suspension import reinstate, suspend, suspension
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
from wattpool_chaincode.ledger.versions import corrected_page, corrected_statements, correction
from wattpool_chaincode.organisations import TWO_OF_THREE, require_operator

CHANNEL = "ledger"

_TOKENS = {
    "buy": buy_tokens,
    "deposit": deposit_tokens,
    "redeem": redeem_tokens,
    "transfer": transfer_tokens,
    "withdraw": withdraw_tokens,
}

LEDGER = Chaincode(
    name=CHANNEL,
    functions={
        **_TOKENS,
        "abort": abort_period,
        "activate": activate,
        "add_offer": add_offer,
        "adopt_page": adopt_page,
        "adopt_roster": adopt_roster,
        "batch": batch_of(_TOKENS),
        "cancel_offer": cancel_offer,
        "clear": clear_page,
        "close": close_gate,
        "confirm_l2p": confirm_l2p,
        "confirm_p2l": confirm_p2l,
        "correct": correct,
        "correct_late": correct_late,
        "curtail": curtail,
        "expire_offer": expire_offer,
        "finalise": finalise,
        "ingest": ingest,
        "open": open_period,
        "pay_due": pay_due,
        "pick_offer": pick_offer,
        "redeem_fees": redeem_fees,
        "reinstate": reinstate,
        "report": report,
        "seal": seal_period,
        "seal_correction": seal_correction,
        "set_envelope": set_envelope,
        "settle": settle_page,
        "suspend": suspend,
    },
    queries={
        "cleared_page": cleared_page,
        "corrected_page": corrected_page,
        "corrected_statements": corrected_statements,
        "correction": correction,
        "last_period": last_period,
        "list_dues": list_dues,
        "list_offers": list_offers,
        "offer": offer,
        "offers_due": offers_due,
        "offers_held": offers_held,
        "orders": orders,
        "period": period_state,
        "proof_of_delivery": proof_of_delivery,
        "purse": purse,
        "reading": reading,
        "roster": roster_version,
        "sealed_by": sealed_by,
        "settled_page": settled_page,
        "statements": statements,
        "supply": supply,
        "suspension": suspension,
        "to_begin": to_begin,
        "wallet": wallet,
    },
    policy=TWO_OF_THREE,
    guard=require_operator,
)
