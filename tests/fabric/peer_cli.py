"""Calling chaincode with Fabric's own `peer` program, as the client of one organisation."""

import json
import subprocess
from typing import Any

from wattpool_network.commands import Binaries, environment, peer_environment
from wattpool_network.network import Network
from wattpool_network.topology import Peer

_DEADLINE_S = 60


def invoke(network: Network, chaincode: str, *words: str, endorsers: tuple[int, ...] = (0, 1)) -> None:
    """Submit to the channel of the chaincode's own name and wait for the commit; `endorsers` by position."""
    peers = [network.topology.peers[position] for position in endorsers]
    targets = [
        option
        for peer in peers
        for option in (
            "--peerAddresses",
            peer.address,
            "--tlsRootCertFiles",
            str(network.layout.tls_root(peer.organisation)),
        )
    ]
    orderer = network.topology.orderers[0]
    root = str(network.layout.tls_root(orderer.organisation))
    ordering = ("--orderer", orderer.address, "--tls", "--cafile", root, "--waitForEvent")
    _run(network, peers[0], "invoke", chaincode, words, *ordering, *targets)


def query(network: Network, chaincode: str, *words: str, peer: int = 0) -> Any:
    """Ask one peer, by its position."""
    return json.loads(_run(network, network.topology.peers[peer], "query", chaincode, words))


def _run(network: Network, peer: Peer, verb: str, chaincode: str, words: tuple[str, ...], *options: str) -> str:
    client = network.layout.user(peer.organisation, "client") / "msp"
    settings = {**peer_environment(network.layout, peer), "CORE_PEER_MSPCONFIGPATH": str(client)}
    done = subprocess.run(  # noqa: S603 -- Fabric's program, with words of the test
        [
            Binaries.find().peer,
            *("chaincode", verb, "--channelID", chaincode, "--name", chaincode),
            *("--ctor", json.dumps({"Args": words}), *options),
        ],
        env={**environment(), **settings},
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
