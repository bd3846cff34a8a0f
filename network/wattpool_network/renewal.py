"""Renewed certificates of nodes, one node after the other, so that the network goes on meanwhile."""

from wattpool_network import channel_config, enrolment, package
from wattpool_network.network import Network
from wattpool_network.topology import Orderer, Organisation, Peer


def renew_certificates(network: Network, organisation: Organisation) -> None:
    """Renew the certificates of an organisation's nodes and chaincode, and start each again with its new ones.

    Raises:
        NetworkError: if the authority refuses, or a node does not come back; then no further one is touched.
    """
    authority = network.authority_of(organisation)
    commands = network.commands()
    with network.locked():
        nodes: tuple[Orderer | Peer, ...] = network.topology.orderers_of(organisation)
        for node in (*nodes, *network.topology.peers_of(organisation)):
            enrolment.renew(authority, node, network.layout)
            network.nodes.stop([node])
            if isinstance(node, Peer):
                package.forget_built(node, network.layout)
            network.nodes.start([node], commands.binaries)
            # An orderer that is back takes nothing before it knows the leader again.
            for channel in network.topology.channels:
                channel_config.fetch(commands, channel, network.topology.peers_of(organisation)[0])
        for server in network.topology.chaincode_servers_of(organisation):
            enrolment.renew(authority, server, network.layout)
            network.nodes.stop([server])
            network.nodes.start([server], commands.binaries)
