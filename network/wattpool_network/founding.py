"""Bringing a network about, step by step; each step looks first at what is there.

So a founding that was cut off goes on, and the same steps add an organisation or a new version of a chaincode.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from wattpool_network import configuration, connection, enrolment, genesis, package, readiness
from wattpool_network.commands import COMMAND_POLL_S, Commands, write_whole, write_yaml
from wattpool_network.errors import CommandFailed, NotReady
from wattpool_network.layout import Layout
from wattpool_network.nodes import Nodes, each
from wattpool_network.topology import Chaincode, Channel, Node, Orderer, Organisation, Peer, Topology, to_json

# A peer that joins late reads all the blocks there are.
CATCH_UP_DEADLINE_S = 600.0

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
            self.deploy()
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
        authorities = self.topology.here(self.topology.authorities)
        for authority in authorities:
            enrolment.prepare_authority(authority, self.layout)
        self._start(authorities)
        each(lambda authority: enrolment.enrol(self.topology, authority, self.layout), authorities)

    def _start(self, nodes: tuple[Node, ...]) -> None:
        self.nodes.start(nodes, self.commands.binaries)

    @property
    def topology(self) -> Topology:
        return self.nodes.topology

    @property
    def layout(self) -> Layout:
        return self.nodes.layout

    def _configure(self) -> None:
        for orderer in self.topology.here(self.topology.orderers):
            value = configuration.orderer(self.topology, orderer, self.layout)
            write_yaml(self.layout.home(orderer) / "orderer.yaml", value)
        for peer in self.topology.here(self.topology.peers):
            value = configuration.peer(self.topology, peer, self.layout, builder=self.commands.binaries.builder)
            write_yaml(self.layout.home(peer) / "core.yaml", value)
        for server in self.topology.here(self.topology.chaincode_servers):
            self.layout.home(server).mkdir(parents=True, exist_ok=True)
            self.layout.package(server).write_bytes(package.of(server))

    def _join(self) -> None:
        self._make_genesis()
        each(self._join_orderer, self.topology.here(self.topology.orderers))
        each(self._join_peer, self.topology.here(self.topology.peers))
        self._await_caught_up()

    def _make_genesis(self) -> None:
        """Make the first block of each channel that has none; it is the same on each machine."""
        for channel in self.topology.channels:
            block = self.layout.genesis(channel)
            if not block.exists():
                self.commands.make_genesis(channel, block)
                if self.topology.runs_here:
                    self.report(f"first block of {channel.name}: {genesis.fingerprint(block.read_bytes())}")

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

    def _await_caught_up(self) -> None:
        """Wait until each peer has the blocks that any has now: before that, a newcomer does not know its own admin."""
        heights = self._heights()
        wanted = {
            channel.name: max(of_peer.get(channel.name, 0) for of_peer in heights) for channel in self.topology.channels
        }

        def are_level() -> bool:
            return all(of_peer.get(name, 0) >= height for of_peer in self._heights() for name, height in wanted.items())

        if not readiness.until(are_level, deadline_s=CATCH_UP_DEADLINE_S):
            raise NotReady("every peer having all blocks", CATCH_UP_DEADLINE_S)

    def _heights(self) -> list[dict[str, int]]:
        return [one.heights for one in self.nodes.status() if isinstance(one.node, Peer)]

    def deploy(self) -> None:
        """Install the packages that lie ready, and have all organisations approve and one commit each chaincode."""
        for channel in self.topology.channels:
            for chaincode in channel.definitions:
                collections = configuration.collections(self.topology, chaincode)
                file = self.layout.channel(channel) / f"{chaincode.name}.collections.json"
                file.write_text(json.dumps(collections, indent=2) + "\n")
        each(self._install, self.topology.here(self.topology.peers))
        approvals = [
            (organisation, channel, chaincode)
            for organisation in self.topology.organisations_here
            for channel in self.topology.channels
            for chaincode in channel.definitions
        ]
        each(lambda approval: self._approve(*approval), approvals)
        firsts = [self.topology.peers_of(organisation)[0] for organisation in self.topology.organisations]
        own = self.topology.here(self.topology.peers)[0]
        for channel in self.topology.channels:
            for chaincode in channel.chaincodes:
                if self._is_committed(own, channel, chaincode):
                    continue
                if self.topology.runs_here:
                    self.report(f"{chaincode.name} on {channel.name}: waiting for the other organisations")
                    self._await_others(own, channel, chaincode)
                if own == firsts[0]:
                    self.commands.commit(firsts, channel, chaincode)

    def _is_committed(self, peer: Peer, channel: Channel, chaincode: Chaincode) -> bool:
        return self.commands.committed(peer, channel).get(chaincode.name) == chaincode.sequence

    def _await_others(self, own: Peer, channel: Channel, chaincode: Chaincode) -> None:
        """Wait until all have approved if it is here that the definition is committed, until it is if it is not."""

        def is_done() -> bool:
            if own == self.topology.peers[0]:
                return self.commands.is_approved_by_all(own, channel, chaincode)
            return self._is_committed(own, channel, chaincode)

        if not readiness.until(is_done, deadline_s=self.commands.others_deadline_s, poll_s=COMMAND_POLL_S):
            raise NotReady(f"{chaincode.name} on {channel.name} approved by all", self.commands.others_deadline_s)

    def _install(self, peer: Peer) -> None:
        installed = self.commands.installed(peer)
        for server in self.topology.chaincode_servers:
            if server.organisation == peer.organisation and package.id_of(server) not in installed:
                self.commands.install(peer, server)

    def _approve(self, organisation: Organisation, channel: Channel, chaincode: Chaincode) -> None:
        peer = self.topology.peers_of(organisation)[0]
        package_id = package.id_of(self.topology.server_of(organisation, chaincode))
        if self.commands.approved_package(peer, channel, chaincode) != package_id:
            self.commands.approve(peer, channel, chaincode, package_id)

    def _await_discovery(self) -> None:
        """Wait until every peer knows all others with their chaincode: before that, endorsers are not found."""
        own = self.topology.here(self.topology.peers)
        places = [(peer, channel) for peer in own for channel in self.topology.channels]
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

        deadline_s = self.commands.others_deadline_s
        if not readiness.until(is_complete, deadline_s=deadline_s, poll_s=COMMAND_POLL_S):
            raise NotReady(f"{peer.name} knowing all peers of channel {channel.name}", deadline_s)
