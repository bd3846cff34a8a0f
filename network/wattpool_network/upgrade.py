"""A new version of a chaincode, without a moment in which none answers.

The new processes start beside the old ones, all organisations approve, one commit changes over on all peers, and then
the old processes end. When new rules of the market begin to count is the contracts' own business: rules are versioned
by period there, so that a day never mixes two.
"""

import dataclasses

from wattpool_network.errors import NetworkError
from wattpool_network.founding import Founding, Report
from wattpool_network.network import Network
from wattpool_network.topology import Chaincode, Channel, Topology


def upgrade(
    network: Network, name: str, *, command: tuple[str, ...], version: str, report: Report = lambda _: None
) -> Network:
    """Change a chaincode over to `version`, served by `command`, and return the network as it is then.

    Raises:
        NetworkError: if there is no such chaincode, it has this version already, or the new processes do not start;
            then the old version goes on. Whatever else stands in the way, `up` completes the upgrade.
    """
    upgraded = network.with_topology(_upgraded(network.topology, name, command, version))
    commands = upgraded.commands()
    with network.locked():
        upgraded.nodes.require_ports()
        try:
            upgraded.nodes.start(upgraded.topology.chaincode_servers, commands.binaries)
        except NetworkError:
            network.nodes.stop_others()
            raise
        upgraded.store()
        Founding(nodes=upgraded.nodes, commands=commands, report=report).run()
    return upgraded


def _upgraded(topology: Topology, name: str, command: tuple[str, ...], version: str) -> Topology:
    chaincodes = {chaincode.name: chaincode for channel in topology.channels for chaincode in channel.chaincodes}
    if name not in chaincodes:
        raise NetworkError(f"there is no chaincode {name}, but {', '.join(chaincodes)}")
    old = chaincodes[name]
    if old.version == version:
        raise NetworkError(f"chaincode {name} has version {version} already")
    new = dataclasses.replace(old, command=command, version=version, sequence=old.sequence + 1)
    return dataclasses.replace(topology, channels=tuple(_with(channel, old, new) for channel in topology.channels))


def _with(channel: Channel, old: Chaincode, new: Chaincode) -> Channel:
    chaincodes = tuple(new if chaincode == old else chaincode for chaincode in channel.chaincodes)
    return dataclasses.replace(channel, chaincodes=chaincodes)
