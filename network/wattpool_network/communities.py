"""Communities that share a network: each has its own pair of channels, and the same chaincode processes serve all."""

from wattpool_network.community import with_community
from wattpool_network.founding import Founding, Report
from wattpool_network.network import Network


def add(network: Network, name: str, *, report: Report = lambda _: None) -> Network:
    """Have the network serve a further community, and return it as it is then; the same call completes one cut off.

    Raises:
        NetworkError: if the name is no name, or what stands in the way; then the same call, or `up`, goes on.
    """
    topology = network.topology
    if name not in {channel.community for channel in topology.channels}:
        topology = with_community(topology, name)
    extended = network.with_topology(topology)
    commands = extended.commands()
    with network.locked():
        extended.store()
        Founding(nodes=extended.nodes, commands=commands, report=report).run()
    return extended
