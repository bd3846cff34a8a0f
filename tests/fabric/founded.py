"""What the tests of a network share: its topology, and how long its founding took."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from wattpool_network.commands import Binaries
from wattpool_network.community import community
from wattpool_network.network import Network
from wattpool_network.readiness import until
from wattpool_network.topology import PORTS_PER_ORGANISATION, Fabric, Topology

DEADLINE_S = 30.0
# The same chaincode serves both channels: a register of assets, and what tests of load need.
EXAMPLE = (sys.executable, str(Path(__file__).with_name("load_chaincode.py")))
# Three organisations, and one that joins.
_PORTS = 4 * PORTS_PER_ORGANISATION
# Below where systems give out ports by themselves.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000


@dataclass(frozen=True, kw_only=True)
class Founded:
    """A network that runs, and how long it took from nothing."""

    network: Network
    founding_s: float


def free_port_base() -> int:
    """Return the first of 400 ports that nothing uses; runs side by side begin to look at different places."""
    bases = range(_FIRST_PORT, _LAST_PORT - _PORTS, _PORTS)
    first = os.getpid() % len(bases)
    for base in chain(bases[first:], bases[:first]):
        if all(_is_free(port) for port in range(base, base + _PORTS)):
            return base
    pytest.skip("no 400 ports in a row are free")


def example_topology() -> Topology:
    return community(command=EXAMPLE, port_base=free_port_base(), fabric=installed_fabric())


def installed_fabric() -> Fabric:
    """Return which version of Fabric is on this machine."""
    words = [Binaries.find().peer, "version"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout  # noqa: S603 -- Fabric's program
    return Fabric.V2_5 if "Version: v2." in said else Fabric.V3


def kill(network: Network, *names: str) -> None:
    """Kill nodes, and wait until they are gone."""
    for name in names:
        pid = network.node_process(name).pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        assert until(partial(_is_gone, network, name), deadline_s=DEADLINE_S)


def _is_gone(network: Network, name: str) -> bool:
    return network.node_process(name).pid is None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
