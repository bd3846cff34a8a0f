"""Snapshots of a channel: equal hashes after the same block show that all peers hold the same state.

A peer can join a channel from a snapshot (docs/source/peer_ledger_snapshot.md); private data is not in it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wattpool_network.commands import Commands
from wattpool_network.errors import CommandFailed, NetworkError, NotReady, SnapshotsDiffer
from wattpool_network.network import Network
from wattpool_network.readiness import until
from wattpool_network.topology import Channel, Peer

DEADLINE_S = 60.0
_METADATA = "_snapshot_additional_metadata.json"
# Under load a peer may pass the block before it is asked; each further try looks further ahead.
_BLOCKS_AHEAD = (0, 4, 8, 16)
_PASSED = "cannot be less than"
_ALREADY = ("already generated", "duplicate snapshot request")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state of a channel after a block: its hash, and where each peer, by name, has put it."""

    block: int
    hash: str
    directories: dict[str, Path]


def take(network: Network, channel: Channel) -> Snapshot:
    """Have all peers write a snapshot of a channel after the same block.

    Raises:
        SnapshotsDiffer: if the peers do not hold the same state.
        NotReady: if one does not come about in time.
        NetworkError: if a peer does not run.
    """
    network.require_whole()
    commands = network.commands()
    for ahead in _BLOCKS_AHEAD:
        block = _last_block(network, channel) + ahead
        # Every peer is asked, so that none is left out of a later try.
        requested = [_request(commands, peer, channel, block) for peer in network.topology.peers]
        if all(requested):
            return _collect(network, channel, block)
    raise NotReady(f"a block of channel {channel.name} that no peer has passed", DEADLINE_S)


def _last_block(network: Network, channel: Channel) -> int:
    heights = []
    for one in network.nodes.status():
        if isinstance(one.node, Peer):
            if channel.name not in one.heights:
                raise NetworkError(f"{one.node.name} is {one.state}; a snapshot needs all peers")
            heights.append(one.heights[channel.name])
    return max(heights) - 1


def _request(commands: Commands, peer: Peer, channel: Channel, block: int) -> bool:
    try:
        commands.request_snapshot(peer, channel, block)
    except CommandFailed as error:
        if _PASSED in error.last_line:
            return False
        if not any(words in error.last_line for words in _ALREADY):
            raise
    return True


def _collect(network: Network, channel: Channel, block: int) -> Snapshot:
    directories = {
        peer.name: network.layout.home(peer) / "data" / "snapshots" / "completed" / channel.name / str(block)
        for peer in network.topology.peers
    }
    if not until(lambda: all(path.exists() for path in directories.values()), deadline_s=DEADLINE_S):
        raise NotReady(f"a snapshot of channel {channel.name} after block {block}", DEADLINE_S)
    hashes = {name: _hash(path) for name, path in directories.items()}
    if len(set(hashes.values())) > 1:
        raise SnapshotsDiffer(channel.name, block, hashes)
    return Snapshot(block=block, hash=next(iter(hashes.values())), directories=directories)


def _hash(directory: Path) -> str:
    metadata: Any = json.loads((directory / _METADATA).read_text())
    return str(metadata["snapshot_hash"])
