"""A real Fabric network, if Fabric is on this machine."""

import time
from collections.abc import Iterator

import pytest

from fabric.founded import Founded, example_topology
from wattpool_network.commands import Binaries
from wattpool_network.network import Network


@pytest.fixture(scope="module")
def founded(fabric: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Founded]:  # noqa: ARG001 -- skips
    network = Network(tmp_path_factory.mktemp("network") / "state", example_topology())
    started = time.monotonic()
    try:
        network.up()
        yield Founded(network=network, founding_s=time.monotonic() - started)
    finally:
        Network.open(network.layout.root).down(wipe=True)


@pytest.fixture
def network(founded: Founded) -> Network:
    """The network of the module, all of it running whatever the test before made of it."""
    network = Network.open(founded.network.layout.root)
    network.up()
    return network
