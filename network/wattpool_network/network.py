"""A whole network on this machine: up, down and how it is.

`up` brings about what is missing and leaves alone what is there, so it founds a network, goes on where a founding was
cut off, restarts nodes that died, and does nothing to a network that runs.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from wattpool_network import topology as data
from wattpool_network.commands import Binaries, Commands, write_whole
from wattpool_network.errors import NetworkError, StateBusy, StateMismatch
from wattpool_network.founding import Founding, Report, is_founded
from wattpool_network.layout import Layout
from wattpool_network.nodes import Nodes
from wattpool_network.process import Process
from wattpool_network.topology import Authority, ChaincodeServer, Orderer, Peer, Topology

Named = TypeVar("Named", data.Organisation, data.Channel)


class Network:
    """The network of one state directory."""

    def __init__(self, directory: Path, topology: Topology) -> None:
        self.layout = Layout(directory.resolve())
        self.topology = topology

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the network that was founded in `directory`.

        Raises:
            StateMismatch: if there is none.
        """
        if not cls.is_in(directory):
            raise StateMismatch(f"{directory} holds no network; `up` founds one")
        return cls(directory, data.from_json(Layout(directory.resolve()).topology.read_text()))

    @staticmethod
    def is_in(directory: Path) -> bool:
        """Tell whether a network was founded in `directory`."""
        return Layout(directory.resolve()).topology.exists()

    def with_topology(self, topology: Topology) -> "Network":
        """Return the network that shall be in the same state directory."""
        return Network(self.layout.root, topology)

    def require_whole(self) -> None:
        """Check that all organisations run here.

        Raises:
            NetworkError: if one alone does.
        """
        if self.topology.runs_here:
            raise NetworkError(
                f"this needs the keys of all organisations, and here are those of {self.topology.runs_here} alone"
            )

    @property
    def nodes(self) -> Nodes:
        return Nodes(topology=self.topology, layout=self.layout)

    def node_process(self, name: str) -> Process:
        """Return the process of the node of that name.

        Raises:
            NetworkError: if there is no such node.
        """
        for node in self.topology.here(self.topology.nodes):
            if node.name == name:
                return self.nodes.process(node)
        raise NetworkError(f"there is no node {name}; `status` names them")

    def organisation(self, name: str) -> data.Organisation:
        """Return the organisation of that name.

        Raises:
            NetworkError: if no such organisation runs here.
        """
        return _named("organisation", name, self.topology.organisations_here)

    def channel(self, name: str) -> data.Channel:
        """Return the channel of that name.

        Raises:
            NetworkError: if there is no such channel.
        """
        return _named("channel", name, self.topology.channels)

    def commands(self) -> Commands:
        """Return Fabric's programs, for this network.

        Raises:
            BinaryMissing: if one is not on this machine.
        """
        return Commands(binaries=Binaries.find(), topology=self.topology, layout=self.layout)

    def up(self, *, report: Report = lambda _: None) -> None:
        """Have all of it run and ready; `report` is told each step as it begins.

        Raises:
            NetworkError: whatever stands in the way; what was achieved is kept, and another `up` goes on from there.
        """
        commands = self.commands()
        self.claim()
        with self.locked():
            self.nodes.cap_logs()
            if not self.is_up():
                Founding(nodes=self.nodes, commands=commands, report=report).run()

    def is_up(self) -> bool:
        """Tell whether the network is complete and every node is ready."""
        return is_founded(self.nodes) and all(status.is_ready for status in self.nodes.status())

    def authority_of(self, organisation: data.Organisation) -> Authority:
        return next(one for one in self.topology.authorities if one.organisation == organisation)

    def down(self, *, wipe: bool = False) -> None:
        """End all nodes, chaincode first and authorities last; with `wipe` forget the network and its ledgers.

        Raises:
            StateBusy: if another command is at work.
        """
        with self.locked():
            for kind in (ChaincodeServer, Peer, Orderer, Authority):
                self.nodes.stop(node for node in self.topology.nodes if isinstance(node, kind))
            self.nodes.stop_others()
            if wipe:
                shutil.rmtree(self.layout.root)

    def claim(self) -> None:
        """Make the state directory this topology's.

        Raises:
            StateMismatch: if it is another's.
        """
        stored = self.layout.topology
        text = data.to_json(self.topology)
        if stored.exists():
            if stored.read_text() != text:
                raise StateMismatch(
                    f"{self.layout.root} holds a network of another topology; start that as it is, or choose another"
                )
            return
        root = self.layout.root
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise StateMismatch(f"{root} exists and is no directory of a network; choose another")
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store()

    def store(self) -> None:
        """Write down that the state directory holds this topology."""
        write_whole(self.layout.topology, data.to_json(self.topology))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing the network.

        Raises:
            StateBusy: if one does.
        """
        lock = os.open(self.layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateBusy(self.layout.root) from None
            yield
        finally:
            os.close(lock)


def _named(kind: str, name: str, known: Sequence[Named]) -> Named:
    """Return the one of that name.

    Raises:
        NetworkError: if there is none.
    """
    for one in known:
        if one.name == name:
            return one
    raise NetworkError(f"there is no {kind} {name}, but {', '.join(one.name for one in known)}")
