"""Wattpool's chaincode on Fabric's sample networks, which somebody else started: `test-network` and its nano bash twin.

The state directory holds what is ours: operators' keys, copies of the samples' admins, the processes of the chaincode.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from wattpool_network import connection, deployment_check, package, sample_identities
from wattpool_network.commands import Binaries, Commands, run, write_yaml
from wattpool_network.community import WATTPOOL
from wattpool_network.compose import CHAINCODE_IMAGE
from wattpool_network.connection import Connection, OrganisationAccess
from wattpool_network.errors import CommandFailed, NetworkError
from wattpool_network.founding import Founding, Report
from wattpool_network.layout import Layout
from wattpool_network.nodes import Nodes, each
from wattpool_network.sample import Sample
from wattpool_network.sample_identities import ADMIN
from wattpool_network.topology import Batch, ChaincodeServer, Channel, Orderer, Peer

# The network of the containers of test-network (compose/compose-test-net.yaml).
_CONTAINER_NETWORK = "fabric_test"
_PROFILE = "ChannelUsingRaft"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Both chaincodes on a sample network; `report` is told each step as it begins."""

    sample: Sample
    layout: Layout
    report: Report

    def up(self) -> Path:
        """Bring about what is missing, check that all organisations answer, and return the file for clients.

        Raises:
            NetworkError: whatever stands in the way; what was achieved is kept.
        """
        binaries = Binaries.find()
        commands = Commands(binaries=binaries, topology=self.sample.topology, layout=self.layout)
        self.layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.report("certificates")
        sample_identities.take_over(self.sample, self.layout)
        operators = sample_identities.certify_operators(self.sample, self.layout)
        access = self._access(operators)
        connection.write(self.layout.connection, access)
        for peer in self.sample.topology.peers:
            self._configure(peer)
        self.report("channels")
        self._join(commands)
        self.report("chaincode")
        for server in self.sample.topology.chaincode_servers:
            self.layout.home(server).mkdir(parents=True, exist_ok=True)
            self.layout.package(server).write_bytes(package.of(server))
        self._serve(binaries)
        Founding(nodes=self._nodes, commands=commands, report=self.report).deploy()
        self.report("check")
        deployment_check.check(access)
        return self.layout.connection

    def down(self) -> None:
        """End the processes of the chaincode; what was committed on the sample's channels stays."""
        if self.sample.in_containers:
            each(_remove_container, self.sample.topology.chaincode_servers)
        else:
            self._nodes.stop(self.sample.topology.chaincode_servers)

    @property
    def _nodes(self) -> Nodes:
        return Nodes(topology=self.sample.topology, layout=self.layout)

    def _configure(self, peer: Peer) -> None:
        """Write what the `peer` program needs to speak to a peer as the organisation's admin."""
        home = self.layout.home(peer)
        home.mkdir(parents=True, exist_ok=True)
        value = {
            "peer": {
                "address": peer.address,
                "localMspId": peer.organisation.msp_id,
                "tls": {"enabled": True, "rootcert": {"file": str(self.layout.tls_root(peer.organisation))}},
                "BCCSP": {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}},
            }
        }
        write_yaml(home / "core.yaml", value)

    def _join(self, commands: Commands) -> None:
        topology = self.sample.topology
        joined = {peer: commands.peer_channels(peer) for peer in topology.peers}
        for channel in topology.channels:
            self.layout.channel(channel).mkdir(parents=True, exist_ok=True)
            missing = [peer for peer in topology.peers if channel.name not in joined[peer]]
            if missing and self.sample.in_containers:
                self._create_by_script(channel, commands)
            elif missing:
                self._create(channel, commands)
                for peer in missing:
                    commands.join_peer(peer, channel)

    def _create(self, channel: Channel, commands: Commands) -> None:
        """Create a channel as generate_artifacts.sh and join_orderers.sh of nano bash create theirs."""
        # Nano bash clears this directory when it starts anew with other certificates.
        block = self.sample.directory / "channel-artifacts" / f"{channel.name}.block"
        if not block.exists():
            unfinished = block.with_suffix(".new")
            run(
                commands.binaries.configtxgen,
                *("-configPath", str(self.sample.directory), "-profile", _PROFILE),
                *("-channelID", channel.name, "-outputBlock", str(unfinished)),
                settings=_block_settings(),
            )
            unfinished.rename(block)
        shutil.copyfile(block, self.layout.genesis(channel))
        for orderer in self.sample.topology.orderers:
            if channel.name not in _orderer_channels(commands.binaries, orderer):
                _join_orderer(commands.binaries, orderer, channel, block)

    def _create_by_script(self, channel: Channel, commands: Commands) -> None:
        """Create a channel with the script of test-network, which has its first two organisations join."""
        script = str(self.sample.directory / "network.sh")
        first, *others = self.sample.topology.peers
        if channel.name not in commands.peer_channels(first):
            programs = Path(commands.binaries.peer).parent
            settings = {**_block_settings(), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
            run(script, "createChannel", "-c", channel.name, settings=settings, directory=self.sample.directory)
        for peer in (first, *others):
            if channel.name not in commands.peer_channels(peer):
                hint = f"for org3, addOrg3.sh up -c {channel.name} does it"
                raise NetworkError(f"{peer.name} has not joined channel {channel.name}; {hint}")

    def _serve(self, binaries: Binaries) -> None:
        servers = self.sample.topology.chaincode_servers
        if self.sample.in_containers:
            each(lambda server: _start_container(server, self.layout), servers)
        else:
            self._nodes.start(servers, binaries)

    def _access(self, operators: dict[str, connection.IdentityFiles]) -> Connection:
        topology = self.sample.topology
        organisations: dict[str, OrganisationAccess] = {}
        for role, organisation in self.sample.roles.items():
            peers = [peer.address for peer in topology.peers_of(organisation)]
            # Whoever plays two of the organisations has each begin with another of its peers.
            place = sum(access.msp_id == organisation.msp_id for access in organisations.values()) % len(peers)
            admin = sample_identities.files(self.layout.user(organisation, ADMIN) / "msp")
            organisations[role] = OrganisationAccess(
                name=organisation.name,
                msp_id=organisation.msp_id,
                peers=(*peers[place:], *peers[:place]),
                tls_root=self.layout.tls_root(organisation),
                identities={"admin": admin, "client": operators[role]},
                authority=None,
            )
        return Connection(
            channels={channel.name: tuple(one.name for one in channel.chaincodes) for channel in topology.channels},
            organisations=organisations,
        )


def _block_settings() -> dict[str, str]:
    """Return what makes configtxgen cut blocks as on our own networks; the samples wait for two seconds."""
    batch = Batch()
    prefix = f"CONFIGTX_PROFILES_{_PROFILE.upper()}_ORDERER"
    return {
        f"{prefix}_BATCHTIMEOUT": f"{batch.timeout_ms}ms",
        f"{prefix}_BATCHSIZE_MAXMESSAGECOUNT": str(batch.max_messages),
        f"{prefix}_BATCHSIZE_PREFERREDMAXBYTES": str(batch.preferred_bytes),
    }


def _orderer_channels(binaries: Binaries, orderer: Orderer) -> set[str]:
    answer = json.loads(run(binaries.osnadmin, "channel", "list", "-o", orderer.admin_address, "--no-status"))
    return {channel["name"] for channel in answer["channels"] or ()}


def _join_orderer(binaries: Binaries, orderer: Orderer, channel: Channel, block: Path) -> None:
    words = ("--channelID", channel.name, "--config-block", str(block), "-o", orderer.admin_address)
    answer = run(binaries.osnadmin, "channel", "join", *words)
    # The program ends with status 0 even if the orderer refuses.
    if not answer.startswith("Status: 201"):
        raise CommandFailed(f"joining {orderer.name} to {channel.name}", 0, " ".join(answer.split()))


def container(server: ChaincodeServer, layout: Layout) -> tuple[str, ...]:
    """Return the command that runs a chaincode process in a container beside those of test-network."""
    settings = (f"{name}={value}" for name, value in package.environment(server, layout).items())
    return (
        *("docker", "run", "--detach", "--name", server.name, "--hostname", server.name),
        *("--network", _CONTAINER_NETWORK, *(word for setting in settings for word in ("--env", setting))),
        # The image's entry point takes what follows the program.
        *(f"{CHAINCODE_IMAGE}:{server.chaincode.version}", *server.chaincode.command[len(WATTPOOL) :]),
    )


def _start_container(server: ChaincodeServer, layout: Layout) -> None:
    _remove_container(server)
    run(*container(server, layout))


def _remove_container(server: ChaincodeServer) -> None:
    run("docker", "rm", "--force", server.name)
