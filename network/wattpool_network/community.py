"""The network of a Wattpool community: three organisations, two channels, and who must endorse on them."""

import sys

from wattpool_chaincode.context import Policy
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, TWO_OF_THREE
from wattpool_network.topology import Chaincode, Channel, Collection, Consensus, Fabric, Organisation, Topology

# Serves the chaincode whose name follows.
WATTPOOL = (sys.executable, "-m", "wattpool_chaincode.fabric")
CONTRACT = "contract"
LEDGER = "ledger"
NAMES = {AGGREGATOR: "aggregator", DSO: "dso", MEMBERS: "members"}
# Raw requests and reports, of which the ledger itself holds salted hashes.
METER_DATA = Collection(name="meter_data", members=tuple(NAMES), required_peers=1, max_peers=2)


def community(
    *,
    command: tuple[str, ...] = WATTPOOL,
    orderers: int = 3,
    consensus: Consensus = Consensus.RAFT,
    port_base: int = 7000,
    fabric: Fabric = Fabric.V3,
) -> Topology:
    """Return the topology of a community on one machine.

    Args:
        command: starts a chaincode process; the name of the chaincode is added as its last word.
        orderers: how many, spread over the organisations in turn.
        consensus: how they agree.
        port_base: the first of the ports used.
        fabric: the oldest version of Fabric among the nodes.

    Raises:
        InvalidTopology: if it cannot be a network.
    """
    share, rest = divmod(orderers, len(NAMES))
    organisations = tuple(
        Organisation(name=name, msp_id=msp_id, slot=position, orderers=share + (position < rest))
        for position, (msp_id, name) in enumerate(NAMES.items())
    )
    return Topology(
        organisations=organisations,
        channels=(
            Channel(name=CONTRACT, chaincodes=(_chaincode(CONTRACT, command),)),
            Channel(name=LEDGER, chaincodes=(_chaincode(LEDGER, command, METER_DATA),)),
        ),
        port_base=port_base,
        consensus=consensus,
        fabric=fabric,
    )


def signature_policy(policy: Policy) -> str:
    """Return a policy in Fabric's words, its organisations standing for their peers (common/policydsl)."""
    rules = (f"'{rule}.peer'" if isinstance(rule, str) else signature_policy(rule) for rule in policy.rules)
    return f"OutOf({policy.required}, {', '.join(rules)})"


def _chaincode(name: str, command: tuple[str, ...], *collections: Collection) -> Chaincode:
    return Chaincode(
        name=name, command=(*command, name), endorsement=signature_policy(TWO_OF_THREE), collections=collections
    )
