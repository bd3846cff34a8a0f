"""The contract chain: rules, connection and metering points, parties, devices, the smart-meter contract, the roster."""

from wattpool_chaincode.batch import batch_of
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.contract.checkpoint import checkpoint, vote
from wattpool_chaincode.contract.connection import register_connection
from wattpool_chaincode.contract.device import approve_device, register_device
from wattpool_chaincode.contract.metering_point import register_metering_point
from wattpool_chaincode.contract.move_in import approve_move_in, move_in
from wattpool_chaincode.contract.orders import change_limits, change_tariff, last_order
from wattpool_chaincode.contract.party import party, register_party
from wattpool_chaincode.contract.retirement import retire_device
from wattpool_chaincode.contract.roster import publish_page, publish_roster, roster, roster_page
from wattpool_chaincode.contract.rules import found, rules, set_tariff, vote_rules
from wattpool_chaincode.contract.smart_meter import meter, update_meters
from wattpool_chaincode.contract.voiding import reinstate_device, void_device, voidings
from wattpool_chaincode.organisations import TWO_OF_THREE, require_operator

CHANNEL = "contract"

# What each home of a community goes through, so that ten thousand can be taken in.
_BY_HOME = {
    "approve_device": approve_device,
    "register_connection": register_connection,
    "register_device": register_device,
    "register_metering_point": register_metering_point,
    "register_party": register_party,
}

CONTRACT = Chaincode(
    name=CHANNEL,
    functions={
        **_BY_HOME,
        "approve_move_in": approve_move_in,
        "batch": batch_of(_BY_HOME),
        "change_limits": change_limits,
        "change_tariff": change_tariff,
        "found": found,
        "move_in": move_in,
        "publish_page": publish_page,
        "publish_roster": publish_roster,
        "reinstate_device": reinstate_device,
        "retire_device": retire_device,
        "set_tariff": set_tariff,
        "update_meters": update_meters,
        "void_device": void_device,
        "vote_checkpoint": vote,
        "vote_rules": vote_rules,
    },
    queries={
        "checkpoint": checkpoint,
        "last_order": last_order,
        "meter": meter,
        "party": party,
        "roster": roster,
        "roster_page": roster_page,
        "rules": rules,
        "voidings": voidings,
    },
    policy=TWO_OF_THREE,
    guard=require_operator,
)
