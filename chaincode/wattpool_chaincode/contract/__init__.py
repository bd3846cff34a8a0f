"""The contract chain: rules, connection and metering points, parties, devices, the smart-meter contract, the roster."""

from wattpool_chaincode.batch import batch_of
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.contract.checkpoint import checkpoint, vote
from wattpool_chaincode.contract.connection import register_connection
from wattpool_chaincode.contract.device import approve_device, register_device
from wattpool_chaincode.contract.metering_point import register_metering_point
from wattpool_chaincode.contract.party import party, register_party
from wattpool_chaincode.contract.roster import publish_page, publish_roster, roster, roster_page
from wattpool_chaincode.contract.rules import found, rules, set_tariff, vote_rules
from wattpool_chaincode.contract.smart_meter import meter, update_meters
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
        "batch": batch_of(_BY_HOME),
        "found": found,
        "publish_page": publish_page,
        "publish_roster": publish_roster,
        "set_tariff": set_tariff,
        "update_meters": update_meters,
        "vote_checkpoint": vote,
        "vote_rules": vote_rules,
    },
    queries={
        "checkpoint": checkpoint,
        "meter": meter,
        "party": party,
        "roster": roster,
        "roster_page": roster_page,
        "rules": rules,
    },
    policy=TWO_OF_THREE,
    guard=require_operator,
)
