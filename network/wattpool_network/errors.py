"""What can go wrong with a network, by what to do next; each message is one sentence that names what is wrong."""

from collections.abc import Mapping
from pathlib import Path


class NetworkError(Exception):
    """The base of all."""


class InvalidTopology(NetworkError):
    """A topology that cannot be a network."""


class StateMismatch(NetworkError):
    """The state directory belongs to another topology, or holds no network."""


class StateBusy(NetworkError):
    """Another command is changing the same state directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is in use by another command; wait until that has ended")
        self.directory = directory


class BinaryMissing(NetworkError):
    """A program of Fabric is not on this machine."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Fabric's {name} is neither in $FABRIC_BIN nor on the PATH; Fabric's install-fabric.sh brings it"
        )
        self.name = name


class PortInUse(NetworkError):
    """Something else listens where a node is to listen."""

    def __init__(self, port: int, node: str) -> None:
        super().__init__(f"port {port}, which {node} needs, is in use by another program; choose another port base")
        self.port = port
        self.node = node


class NodeFailed(NetworkError):
    """A node ended by itself; its log says why."""

    def __init__(self, node: str, log: Path, last_line: str) -> None:
        super().__init__(f"{node} ended: {last_line or 'it logged nothing'} (see {log})")
        self.node = node
        self.log = log


class NotReady(NetworkError):
    """Something did not happen in the time given."""

    def __init__(self, what: str, deadline_s: float) -> None:
        super().__init__(f"{what} is not so after {deadline_s:.0f} s")
        self.what = what


class CommandFailed(NetworkError):
    """A program of Fabric refused; the message carries its last line."""

    def __init__(self, command: str, status: int, last_line: str) -> None:
        super().__init__(f"{command} failed with status {status}: {last_line or 'it said nothing'}")
        self.command = command
        self.status = status
        self.last_line = last_line


class MalformedConnection(NetworkError):
    """A connection file that cannot be used."""


class SnapshotsDiffer(NetworkError):
    """Peers hold different states after the same block: one of them is broken or was tampered with."""

    def __init__(self, channel: str, block: int, hashes: Mapping[str, str]) -> None:
        told = ", ".join(f"{peer} {value}" for peer, value in hashes.items())
        super().__init__(f"the peers' states of channel {channel} after block {block} differ: {told}")
        self.hashes = hashes
