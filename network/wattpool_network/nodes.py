"""The nodes of a network as processes on this machine: start, stop, and how each is."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from wattpool_network import configuration, package, readiness
from wattpool_network.commands import Binaries, environment
from wattpool_network.errors import NetworkError, NodeFailed, NotReady, PortInUse
from wattpool_network.layout import Layout
from wattpool_network.process import Process
from wattpool_network.topology import Authority, ChaincodeServer, Node, Orderer, Peer, Topology

READY_DEADLINE_S = 60.0
_MAX_LOG_BYTES = 64 * 1024 * 1024
_HEIGHT = "ledger_blockchain_height"


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """How one node is; `heights` has the number of blocks of each channel that a peer has joined."""

    node: Node
    pid: int | None
    is_ready: bool
    heights: dict[str, int]

    @property
    def state(self) -> str:
        if self.pid is None:
            return "stopped"
        return "ready" if self.is_ready else "not ready"


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """All nodes of a topology; whoever starts or stops some holds the lock of the state directory."""

    topology: Topology
    layout: Layout

    def process(self, node: Node) -> Process:
        return Process(name=node.name, pid_file=self.layout.pid(node), log=self.layout.log(node))

    def require_ports(self) -> None:
        """Check that those nodes of this machine that do not run could listen.

        Raises:
            PortInUse: if something else does.
        """
        for node in self.topology.here(self.topology.nodes):
            if self.process(node).pid is None:
                for port in node.ports:
                    if not readiness.is_free(node.organisation.host, port):
                        raise PortInUse(port, node.name)

    def start(self, nodes: Iterable[Node], binaries: Binaries) -> None:
        """Start those nodes of this machine that do not run, and wait until all are ready.

        Raises:
            NetworkError: if one cannot be started, ends, or is not ready in time.
        """
        nodes = self.topology.here(nodes)
        for node in nodes:
            process = self.process(node)
            if process.pid is None:
                command, settings = self._command(node, binaries)
                try:
                    process.start(command, {**environment(), **settings})
                except OSError as error:
                    raise NetworkError(f"{node.name} cannot be started: {command[0]}: {error.strerror}") from error
        each(self._await_ready, nodes)

    def cap_logs(self) -> None:
        """Put aside those logs that have grown large, of nodes that run, too."""
        for node in self.topology.here(self.topology.nodes):
            self.process(node).cap_log(_MAX_LOG_BYTES)

    def stop(self, nodes: Iterable[Node]) -> None:
        """End those nodes that run, and wait until they have."""
        each(lambda node: self.process(node).stop(), nodes)

    def stop_others(self) -> None:
        """End what was started here for another topology: versions and organisations of before, or given up."""
        own = {node.name for node in self.topology.nodes}
        for pid_file in sorted(self.layout.pids.glob("*.pid")):
            if pid_file.stem not in own:
                Process(name=pid_file.stem, pid_file=pid_file, log=self.layout.logs / f"{pid_file.stem}.log").stop()

    def status(self) -> list[NodeStatus]:
        """Ask every node of this machine how it is."""
        return each(self._status, self.topology.here(self.topology.nodes))

    def is_ready(self, node: Node) -> bool:
        """Tell whether a node's own process runs and answers that it is well."""
        if self.process(node).pid is None:
            return False
        # The health endpoint answers before the node itself listens, and a chaincode server has none.
        is_healthy = isinstance(node, ChaincodeServer) or readiness.is_healthy(node.operations_port)
        return is_healthy and readiness.is_listening(node.organisation.host, node.port)

    def _await_ready(self, node: Node) -> None:
        process = self.process(node)

        def is_settled() -> bool:
            return process.pid is None or self.is_ready(node)

        if not readiness.until(is_settled, deadline_s=READY_DEADLINE_S):
            raise NotReady(f"{node.name} ready", READY_DEADLINE_S)
        if process.pid is None:
            raise NodeFailed(node.name, process.log, process.last_words)

    def _command(self, node: Node, binaries: Binaries) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return how a node is started, and its settings in the environment."""
        home = str(self.layout.home(node))
        match node:
            case Authority():
                return (binaries.ca_server, "start", "--home", f"{home}/{configuration.CA}"), {}
            case Orderer():
                return (binaries.orderer,), configuration.node_environment(home)
            case Peer():
                settings = configuration.node_environment(home) | package.builder_settings(node, self.layout)
                return (binaries.peer, "node", "start"), settings
            case ChaincodeServer():
                return node.chaincode.command, package.environment(node, self.layout)

    def _status(self, node: Node) -> NodeStatus:
        is_ready = self.is_ready(node)
        heights = {}
        if isinstance(node, Peer) and is_ready:
            heights = readiness.metric(node.operations_port, _HEIGHT)
        return NodeStatus(
            node=node,
            pid=self.process(node).pid,
            is_ready=is_ready,
            heights={channel: int(height) for channel, height in sorted(heights.items())},
        )


def each(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Do the same for all at the same time; the first failure in their order is raised when all have ended."""
    items = list(items)
    with ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
        return list(pool.map(work, items))
