"""Renewed certificates of nodes, one node after the other, so that the network goes on meanwhile."""

from wattpool_network import channel_config, enrolment
from wattpool_network.network import Network
from wattpool_network.topology import Orderer, Organisation, Peer


def renew_certificates(network: Network, organisation: Organisation) -> None:
    """Renew the certificates of an organisation's orderers and peers, and start each again with its new ones.

    Raises:
        NetworkError: if the authority refuses, or a node does not come back; then no further one is touched.
    """
    authority = network.authority_of(organisation)
    commands = network.commands()
    with network.locked():
        nodes: tuple[Orderer | Peer, ...] = network.topology.orderers_of(organisation)
        for node in (*nodes, *network.topology.peers_of(organisation)):
            enrolment.renew(authority, node, network.layout)
            network.nodes.restart(node, commands.binaries)
            # An orderer that is back takes nothing before it knows the leader again.
            for channel in network.topology.channels:
                channel_config.fetch(commands, channel, network.topology.peers_of(organisation)[0])
