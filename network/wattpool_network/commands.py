"""Fabric's own programs: where they are, and running those that do one thing and end."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from wattpool_network import configuration, genesis
from wattpool_network.errors import BinaryMissing, CommandFailed, NotReady
from wattpool_network.layout import Layout
from wattpool_network.readiness import until
from wattpool_network.topology import Chaincode, ChaincodeServer, Channel, Orderer, Peer, Topology

_PROGRAMS = ("peer", "orderer", "configtxgen", "configtxlator", "osnadmin", "fabric-ca-server", "discover")
# A user's own settings for other networks would win over the configuration files.
_FOREIGN = ("CORE_", "ORDERER_", "FABRIC_", "CONFIGTX_", "CHAINCODE_")
_DEADLINE_HERE_S = 60.0
# Other organisations' nodes are started by other people.
_DEADLINE_ELSEWHERE_S = 900.0
# Asking through one of Fabric's programs costs a tenth of a second of processor time.
COMMAND_POLL_S = 0.5
_DEADLINE_S = 120
_EVENT_TIMEOUT = "60s"
# What an orderer answers that knows of no leader.
_NO_LEADER = "SERVICE_UNAVAILABLE"
_NOT_APPROVED = "could not fetch approved chaincode definition"


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """Absolute paths of Fabric's programs and of its builder for chaincode as a service."""

    peer: str
    orderer: str
    configtxgen: str
    configtxlator: str
    osnadmin: str
    ca_server: str
    discover: str
    builder: str

    @classmethod
    def find(cls) -> Self:
        """Look in $FABRIC_BIN, then on the PATH; the builder stands beside the programs as Fabric ships it.

        Raises:
            BinaryMissing: the first that is not there.
        """
        search = os.pathsep.join(filter(None, (os.environ.get("FABRIC_BIN"), os.environ.get("PATH"))))
        found = {}
        for program in _PROGRAMS:
            path = shutil.which(program, path=search)
            if path is None:
                raise BinaryMissing(program)
            found[program] = str(Path(path).resolve())
        builder = Path(found["peer"]).parent.parent / "builders" / "ccaas"
        if not (builder / "bin" / "detect").is_file():
            raise BinaryMissing(f"builder {builder}")
        return cls(
            peer=found["peer"],
            orderer=found["orderer"],
            configtxgen=found["configtxgen"],
            configtxlator=found["configtxlator"],
            osnadmin=found["osnadmin"],
            ca_server=found["fabric-ca-server"],
            discover=found["discover"],
            builder=str(builder),
        )


def environment() -> dict[str, str]:
    """Return this process's environment without settings of Fabric."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Fabric's programs for one network; each call acts as the admin of the organisation it concerns.

    All raise `CommandFailed` if the program does, with the line that tells why, and those that need an orderer raise
    `NotReady` if there is no leader in time.
    """

    binaries: Binaries
    topology: Topology
    layout: Layout

    @property
    def others_deadline_s(self) -> float:
        """How long to wait for what needs nodes of several organisations."""
        return _DEADLINE_ELSEWHERE_S if self.topology.runs_here else _DEADLINE_HERE_S

    def make_genesis(self, channel: Channel, block: Path) -> None:
        """Write a channel's first block, and beside it the configuration that it is made from.

        The same network has the same block, whoever makes it: the program's own differs each time.
        """
        block.parent.mkdir(parents=True, exist_ok=True)
        write_yaml(block.with_name("configtx.yaml"), configuration.channel(self.topology, self.layout))
        unfinished = block.with_suffix(".new")
        self._run(
            self.binaries.configtxgen,
            *("-configPath", str(block.parent), "-profile", configuration.PROFILE),
            *("-channelID", channel.name, "-outputBlock", str(unfinished)),
        )
        unfinished.write_bytes(genesis.normalised(unfinished.read_bytes()))
        unfinished.rename(block)

    def orderer_channels(self, orderer: Orderer) -> set[str]:
        """Return which channels an orderer has joined."""
        answer = json.loads(self._osnadmin(orderer, "list", "--no-status"))
        return {channel["name"] for channel in answer["channels"] or ()}

    def join_orderer(self, orderer: Orderer, channel: Channel) -> None:
        block = str(self.layout.genesis(channel))
        answer = self._osnadmin(orderer, "join", "--channelID", channel.name, "--config-block", block)
        # The program ends with status 0 even if the orderer refuses.
        if not answer.startswith("Status: 201"):
            raise CommandFailed(f"joining {orderer.name} to {channel.name}", 0, _telling_line(answer))

    def peer_channels(self, peer: Peer) -> set[str]:
        """Return which channels a peer has joined."""
        lines = self._peer(peer, "channel", "list").splitlines()
        return {line.strip() for line in lines}

    def join_peer(self, peer: Peer, channel: Channel) -> None:
        self._peer(peer, "channel", "join", "--blockpath", str(self.layout.genesis(channel)))

    def installed(self, peer: Peer) -> set[str]:
        """Return the ids of the packages installed on a peer."""
        answer = self._peer_json(peer, "queryinstalled")
        return {package["package_id"] for package in answer.get("installed_chaincodes", ())}

    def install(self, peer: Peer, server: ChaincodeServer) -> None:
        self._peer(peer, "lifecycle", "chaincode", "install", str(self.layout.package(server)))

    def committed(self, peer: Peer, channel: Channel) -> dict[str, int]:
        """Return the sequence of each chaincode committed on a channel, as a peer knows it."""
        answer = self._peer_json(peer, "querycommitted", "--channelID", channel.name)
        return {one["name"]: one["sequence"] for one in answer.get("chaincode_definitions", ())}

    def is_approved_by_all(self, peer: Peer, channel: Channel, chaincode: Chaincode) -> bool:
        """Tell whether all organisations have approved a definition."""
        answer = self._peer_json(peer, "checkcommitreadiness", *self._definition(channel, chaincode))
        return all(answer["approvals"].values())

    def approved_package(self, peer: Peer, channel: Channel, chaincode: Chaincode) -> str | None:
        """Return with which package the peer's organisation has approved the chaincode, None if it has not."""
        words = ("--channelID", channel.name, "--name", chaincode.name)
        try:
            answer = self._peer_json(peer, "queryapproved", *words, "--sequence", str(chaincode.sequence))
        except CommandFailed as error:
            if _NOT_APPROVED in error.last_line:
                return None
            raise
        found: str = answer["source"]["Type"]["LocalPackage"]["package_id"]
        return found

    def approve(self, peer: Peer, channel: Channel, chaincode: Chaincode, package_id: str) -> None:
        """Approve for the peer's organisation, and wait until the peer has that committed."""
        self._ordered(
            peer,
            channel,
            *("lifecycle", "chaincode", "approveformyorg", *self._definition(channel, chaincode)),
            *("--package-id", package_id, "--waitForEventTimeout", _EVENT_TIMEOUT),
        )

    def commit(self, peers: Sequence[Peer], channel: Channel, chaincode: Chaincode) -> None:
        """Commit what all have approved, and wait until each of the peers has it."""
        endorsers = [
            option
            for peer in peers
            for option in ("--peerAddresses", peer.address, "--tlsRootCertFiles", self._tls_root(peer))
        ]
        self._ordered(
            peers[0],
            channel,
            *("lifecycle", "chaincode", "commit", *self._definition(channel, chaincode), *endorsers),
            *("--waitForEventTimeout", _EVENT_TIMEOUT),
        )

    def discovered(self, peer: Peer, channel: Channel) -> dict[str, set[str]]:
        """Return which peers a peer knows on a channel, by address, and the chaincodes that each can run there."""
        msp = self.layout.user(peer.organisation, "admin") / "msp"
        answer = self._run(
            self.binaries.discover,
            *("--peerTLSCA", self._tls_root(peer), "--MSP", peer.organisation.msp_id),
            *("--userCert", str(msp / "signcerts" / "cert.pem"), "--userKey", str(msp / "keystore" / "key.pem")),
            *("peers", "--channel", channel.name, "--server", peer.address),
        )
        return {one["Endpoint"]: set(one["Chaincodes"] or ()) for one in json.loads(answer)}

    def fetch_configuration(self, peer: Peer, channel: Channel, file: Path, *, from_peer: bool = False) -> None:
        """Write the channel's newest configuration block, as the orderers have it or as the peer does."""
        words = ("channel", "fetch", "config", str(file), "--channelID", channel.name)
        if from_peer:
            self._peer(peer, *words)
        else:
            self._ordered(peer, channel, *words)

    def compute_update(self, channel: Channel, *, original: Path, updated: Path, output: Path) -> None:
        """Write what leads from one configuration of a channel to another."""
        self._run(
            self.binaries.configtxlator,
            *("compute_update", "--channel_id", channel.name, "--output", str(output)),
            *("--original", str(original), "--updated", str(updated)),
        )

    def sign_update(self, peer: Peer, file: Path) -> None:
        """Add the signature of the organisation's admin to an update."""
        self._peer(peer, "channel", "signconfigtx", "--file", str(file))

    def submit_update(self, peer: Peer, channel: Channel, file: Path) -> None:
        """Have an update ordered, which the organisation's admin signs too."""
        self._ordered(peer, channel, "channel", "update", "--file", str(file), "--channelID", channel.name)

    def request_snapshot(self, peer: Peer, channel: Channel, block: int) -> None:
        """Have a peer write a snapshot of its state after `block`, which must not lie behind it."""
        words = ("--channelID", channel.name, "--blockNumber", str(block))
        at = ("--peerAddress", peer.address, "--tlsRootCertFile", self._tls_root(peer))
        self._peer(peer, "snapshot", "submitrequest", *words, *at)

    def _definition(self, channel: Channel, chaincode: Chaincode) -> tuple[str, ...]:
        words: tuple[str, ...] = ("--channelID", channel.name, "--name", chaincode.name, "--version", chaincode.version)
        words += ("--sequence", str(chaincode.sequence), "--signature-policy", chaincode.endorsement)
        if not chaincode.collections:
            return words
        file = self.layout.channel(channel) / f"{chaincode.name}.collections.json"
        return (*words, "--collections-config", str(file))

    def _ordering(self, peer: Peer) -> tuple[str, ...]:
        orderer = (*self.topology.orderers_of(peer.organisation), *self.topology.orderers)[0]
        root = str(self.layout.tls_root(orderer.organisation))
        return ("--orderer", orderer.address, "--tls", "--cafile", root)

    def _tls_root(self, peer: Peer) -> str:
        return str(self.layout.tls_root(peer.organisation))

    def _osnadmin(self, orderer: Orderer, verb: str, *words: str) -> str:
        tls = self.layout.user(orderer.organisation, "admin") / "tls"
        return self._run(
            self.binaries.osnadmin,
            *("channel", verb, "--orderer-address", orderer.admin_address),
            *("--ca-file", str(self.layout.tls_root(orderer.organisation))),
            *("--client-cert", str(tls / "server.crt"), "--client-key", str(tls / "server.key"), *words),
        )

    def _ordered(self, peer: Peer, channel: Channel, *words: str) -> None:
        """Run what an orderer must take, again as long as the orderers have no leader and so take nothing."""
        ordering = self._ordering(peer)

        def is_taken() -> bool:
            try:
                self._peer(peer, *words, *ordering)
            except CommandFailed as error:
                if _NO_LEADER not in error.last_line:
                    raise
                return False
            return True

        if not until(is_taken, deadline_s=self.others_deadline_s, poll_s=COMMAND_POLL_S):
            raise NotReady(f"a leader of channel {channel.name}", self.others_deadline_s)

    def _peer_json(self, peer: Peer, verb: str, *words: str) -> Any:
        return json.loads(self._peer(peer, "lifecycle", "chaincode", verb, *words, "--output", "json"))

    def _peer(self, peer: Peer, *words: str) -> str:
        return self._run(self.binaries.peer, *words, settings=peer_environment(self.layout, peer))

    def _run(self, *command: str, settings: dict[str, str] | None = None) -> str:
        return run(*command, settings=settings)


def run(*command: str, settings: Mapping[str, str] | None = None, directory: Path | None = None) -> str:
    """Run a program in a directory, with settings in its environment, and return what it wrote.

    Raises:
        CommandFailed: if it ends with another status than 0.
    """
    done = subprocess.run(  # noqa: S603 -- Fabric's programs, with words of our own
        command,
        env={**environment(), **(settings or {})},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    if done.returncode:
        name = " ".join([Path(command[0]).name, *command[1:4]])
        raise CommandFailed(name, done.returncode, _telling_line(done.stderr or done.stdout))
    return done.stdout


def peer_environment(layout: Layout, peer: Peer) -> dict[str, str]:
    """Return what makes the `peer` program speak to `peer` as the admin of its organisation."""
    return {
        "FABRIC_CFG_PATH": str(layout.home(peer)),
        "CORE_PEER_MSPCONFIGPATH": str(layout.user(peer.organisation, "admin") / "msp"),
        "FABRIC_LOGGING_SPEC": "error",
    }


def write_whole(file: Path, text: str) -> None:
    """Write a file that is there whole or as it was before."""
    unfinished = file.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.rename(file)


def write_yaml(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False, width=120))


def _telling_line(text: str) -> str:
    """Return the line that says what is wrong: the one marked as error, below which help may stand, or the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error: ")]
    return (errors or lines or [""])[-1]
