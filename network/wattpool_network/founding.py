"""Bringing a network about, step by step; each step looks first at what is there.

So a founding that was cut off goes on, and the same steps add an organisation or a new version of a chaincode.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from wattpool_network import configuration, connection, enrolment, package, readiness
from wattpool_network.commands import COMMAND_POLL_S, Commands, write_whole, write_yaml
from wattpool_network.errors import CommandFailed, NotReady
from wattpool_network.layout import Layout
from wattpool_network.nodes import Nodes, each
from wattpool_network.topology import ChaincodeServer, Channel, Node, Orderer, Peer, Topology, to_json

DISCOVERY_DEADLINE_S = 60.0

Report = Callable[[str], None]


def is_founded(nodes: Nodes) -> bool:
    """Tell whether the network of this topology was brought about before, whether or not it runs."""
    file = nodes.layout.founded
    return file.exists() and file.read_text() == to_json(nodes.topology)


@dataclass(frozen=True, kw_only=True)
class Founding:
    """The steps to the network of a topology; `report` is told each as it begins."""

    nodes: Nodes
    commands: Commands
    report: Report

    def run(self) -> None:
        """Take all steps, or those alone that start the nodes if the network was brought about before.

        Raises:
            NetworkError: whatever stands in the way.
        """
        founded = is_founded(self.nodes)
        self.nodes.require_ports()
        self.report("certificate authorities")
        self.enrol()
        self.report("orderers and peers")
        self._configure()
        self._start((*self.topology.orderers, *self.topology.peers))
        if not founded:
            self.report("channels")
            self._join()
        self.report("chaincode")
        self._start(self.topology.chaincode_servers)
        if not founded:
            self._deploy()
        self.report("discovery")
        self._await_discovery()
        self.conclude()

    def conclude(self) -> None:
        """Tell clients how the network is now, end nodes that belong to it no more, and write down that it is done."""
        connection.write(self.layout.connection, connection.of(self.topology, self.layout))
        self.nodes.stop_others()
        write_whole(self.layout.founded, to_json(self.topology))

    def enrol(self) -> None:
        """Start the authorities, and have them certify all nodes and people."""
        for authority in self.topology.authorities:
            enrolment.prepare_authority(authority, self.layout)
        self._start(self.topology.authorities)
        each(lambda authority: enrolment.enrol(self.topology, authority, self.layout), self.topology.authorities)

    def _start(self, nodes: tuple[Node, ...]) -> None:
        self.nodes.start(nodes, self.commands.binaries)

    @property
    def topology(self) -> Topology:
        return self.nodes.topology

    @property
    def layout(self) -> Layout:
        return self.nodes.layout

    def _configure(self) -> None:
        for orderer in self.topology.orderers:
            value = configuration.orderer(self.topology, orderer, self.layout)
            write_yaml(self.layout.home(orderer) / "orderer.yaml", value)
        for peer in self.topology.peers:
            value = configuration.peer(self.topology, peer, self.layout, builder=self.commands.binaries.builder)
            write_yaml(self.layout.home(peer) / "core.yaml", value)
        for server in self.topology.chaincode_servers:
            self.layout.home(server).mkdir(parents=True, exist_ok=True)
            self.layout.package(server).write_bytes(package.of(server))

    def _join(self) -> None:
        for channel in self.topology.channels:
            block = self.layout.genesis(channel)
            if not block.exists():
                self.commands.make_genesis(channel, block)
        each(self._join_orderer, self.topology.orderers)
        each(self._join_peer, self.topology.peers)

    def _join_orderer(self, orderer: Orderer) -> None:
        joined = self.commands.orderer_channels(orderer)
        for channel in self.topology.channels:
            if channel.name not in joined:
                self.commands.join_orderer(orderer, channel)

    def _join_peer(self, peer: Peer) -> None:
        joined = self.commands.peer_channels(peer)
        for channel in self.topology.channels:
            if channel.name not in joined:
                self.commands.join_peer(peer, channel)

    def _deploy(self) -> None:
        for channel in self.topology.channels:
            for chaincode in channel.chaincodes:
                collections = configuration.collections(self.topology, chaincode)
                file = self.layout.channel(channel) / f"{chaincode.name}.collections.json"
                file.write_text(json.dumps(collections, indent=2) + "\n")
        each(self._install, self.topology.peers)
        each(self._approve, self.topology.chaincode_servers)
        firsts = [self.topology.peers_of(organisation)[0] for organisation in self.topology.organisations]
        for channel in self.topology.channels:
            committed = self.commands.committed(firsts[0], channel)
            for chaincode in channel.chaincodes:
                if committed.get(chaincode.name) != chaincode.sequence:
                    self.commands.commit(firsts, channel, chaincode)

    def _install(self, peer: Peer) -> None:
        installed = self.commands.installed(peer)
        for server in self.topology.chaincode_servers:
            if server.organisation == peer.organisation and package.id_of(server) not in installed:
                self.commands.install(peer, server)

    def _approve(self, server: ChaincodeServer) -> None:
        peer = self.topology.peers_of(server.organisation)[0]
        package_id = package.id_of(server)
        if self.commands.approved_package(peer, server) != package_id:
            self.commands.approve(peer, server, package_id)

    def _await_discovery(self) -> None:
        """Wait until every peer knows all others with their chaincode: before that, endorsers are not found."""
        places = [(peer, channel) for peer in self.topology.peers for channel in self.topology.channels]
        each(self._await_discovered, places)

    def _await_discovered(self, place: tuple[Peer, Channel]) -> None:
        peer, channel = place
        chaincodes = {chaincode.name for chaincode in channel.chaincodes}

        def is_complete() -> bool:
            try:
                known = self.commands.discovered(peer, channel)
            except CommandFailed:
                return False
            return all(chaincodes <= known.get(other.address, set()) for other in self.topology.peers)

        if not readiness.until(is_complete, deadline_s=DISCOVERY_DEADLINE_S, poll_s=COMMAND_POLL_S):
            raise NotReady(f"{peer.name} knowing all peers of channel {channel.name}", DISCOVERY_DEADLINE_S)
