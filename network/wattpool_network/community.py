"""The network of a Wattpool community: three organisations, two channels, and who must endorse on them."""

import dataclasses
import sys
from collections.abc import Mapping
from types import MappingProxyType

from wattpool_chaincode.context import Policy
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, TWO_OF_THREE
from wattpool_network.errors import NetworkError
from wattpool_network.topology import (
    LOOPBACK,
    Chaincode,
    Channel,
    Collection,
    Consensus,
    Fabric,
    Organisation,
    Topology,
)

# Serves the chaincode whose name follows.
WATTPOOL = (sys.executable, "-m", "wattpool_chaincode.fabric")
CONTRACT = "contract"
LEDGER = "ledger"
NAMES = {AGGREGATOR: "aggregator", DSO: "dso", MEMBERS: "members"}
# Raw requests and reports, of which the ledger itself holds salted hashes.
METER_DATA = Collection(name="meter_data", members=tuple(NAMES), required_peers=1, max_peers=2)


def community(  # noqa: PLR0913 -- what may differ from one community's network to another's
    *,
    command: tuple[str, ...] = WATTPOOL,
    orderers: int = 3,
    consensus: Consensus = Consensus.RAFT,
    port_base: int = 7000,
    fabric: Fabric = Fabric.V3,
    chaincode_tls: bool = True,
    hosts: Mapping[str, str] = MappingProxyType({}),
) -> Topology:
    """Return the topology of a community.

    Args:
        command: starts a chaincode process; the name of the chaincode is added as its last word.
        orderers: how many, spread over the organisations in turn.
        consensus: how they agree.
        port_base: the first of the ports used.
        fabric: the oldest version of Fabric among the nodes.
        chaincode_tls: whether peers and chaincode talk over mutual TLS.
        hosts: the host of each organisation, by name; without it all are on this machine alone.

    Raises:
        InvalidTopology: if it cannot be a network.
    """
    share, rest = divmod(orderers, len(NAMES))
    organisations = tuple(
        Organisation(
            name=name,
            msp_id=msp_id,
            slot=position,
            host=hosts.get(name, LOOPBACK),
            orderers=share + (position < rest),
        )
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
        chaincode_tls=chaincode_tls,
    )


def with_community(topology: Topology, name: str) -> Topology:
    """Return a topology that serves a further community: channels of its own, the first community's chaincode.

    Raises:
        NetworkError: if a new version of a chaincode is planned, or the name is no name.
    """
    first = [channel for channel in topology.channels if not channel.community]
    for channel in first:
        if channel.plan is not None:
            raise NetworkError(f"{channel.plan.chaincode.name} is being upgraded; add {name} after that")
    further = tuple(
        Channel(
            name=f"{name}-{channel.name}",
            chaincodes=tuple(dataclasses.replace(chaincode, sequence=1) for chaincode in channel.chaincodes),
            community=name,
        )
        for channel in first
    )
    return dataclasses.replace(topology, channels=(*topology.channels, *further))


def signature_policy(policy: Policy) -> str:
    """Return a policy in Fabric's words, its organisations standing for their peers (common/policydsl)."""
    rules = (f"'{rule}.peer'" if isinstance(rule, str) else signature_policy(rule) for rule in policy.rules)
    return f"OutOf({policy.required}, {', '.join(rules)})"


def _chaincode(name: str, command: tuple[str, ...], *collections: Collection) -> Chaincode:
    return Chaincode(
        name=name, command=(*command, name), endorsement=signature_policy(TWO_OF_THREE), collections=collections
    )
