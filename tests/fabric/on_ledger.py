"""What is on the ledger, read from the blocks of every peer."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, transaction_pb2

from fabric.load import CHANNEL, opened
from fabric_gateway import ValidationCode
from wattpool_network.connection import OrganisationAccess
from wattpool_network.connection import read as connection_of
from wattpool_network.network import Network
from wattpool_network.readiness import until
from wattpool_network.topology import ChaincodeServer, Peer

DEADLINE_S = 60.0
# What a peer writes when a connection that it opened breaks or is refused to it, such as that to a chaincode, and what
# the shim writes when its stream is gone or opened anew.
_RESET = re.compile(
    r"GoAway|GOAWAY|too_many_pings|ENHANCE_YOUR_CALM|client-transport \S+\] Closing: connection error|"
    r"stream terminated|could not launch chaincode|"
    r"closed a connection|stream to a peer ended|stream to the peer is gone| registered \w+_1:"
)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The blocks of a channel: after each one the hash of all that was committed (Fabric's COMMIT_HASH), and puts.

    `puts` has the transactions by which each key was put with effect.
    """

    commit_hashes: tuple[bytes, ...]
    puts: Mapping[str, tuple[str, ...]]

    @property
    def height(self) -> int:
        return len(self.commit_hashes)


def chains(network: Network) -> dict[str, Chain]:
    """Return the channel's blocks as each peer has them, by its name, once all have equally many."""
    heights: dict[str, int] = {}

    def are_level() -> bool:
        heights.clear()
        heights.update(
            {one.node.name: one.heights.get(CHANNEL, 0) for one in network.nodes.status() if isinstance(one.node, Peer)}
        )
        return len(set(heights.values())) == 1 and min(heights.values()) > 0

    assert until(are_level, deadline_s=DEADLINE_S), heights
    access = connection_of(network.layout.connection).organisations
    found = {}
    for peer in network.topology.peers:
        msp_id = peer.organisation.msp_id
        found[peer.name] = asyncio.run(_read(msp_id, access[msp_id], height=heights[peer.name]))
    return found


def assert_exactly_once(network: Network, acknowledged: Mapping[str, str], *, prefix: str) -> Chain:
    """Check that what was acknowledged, and nothing else of that prefix, took effect once, and that all peers agree."""
    by_peer = chains(network)
    first = next(iter(by_peer.values()))
    for chain in by_peer.values():
        # The first block has none (core/ledger/kvledger/kv_ledger.go, commit).
        assert all(chain.commit_hashes[1:]), "a block without commit hash"
        assert chain == first
    puts = {key: transactions for key, transactions in first.puts.items() if key.startswith(prefix)}
    assert acknowledged
    assert puts == {key: (transaction,) for key, transaction in acknowledged.items()}
    return first


def log_ends(network: Network) -> dict[Path, int]:
    """Return how long the logs of peers and chaincode are now."""
    nodes = [node for node in network.topology.nodes if isinstance(node, (Peer, ChaincodeServer))]
    logs = [network.nodes.process(node).log for node in nodes]
    return {log: log.stat().st_size for log in logs}


def resets(ends: Mapping[Path, int]) -> list[str]:
    """Return the lines, in the logs after these places, that tell of a connection or stream which broke."""
    found = []
    for file, end in ends.items():
        with file.open("rb") as log:
            log.seek(end)
            lines = log.read().decode(errors="replace").splitlines()
        found += [f"{file.name}: {line}" for line in lines if _RESET.search(line)]
    return found


async def _read(msp_id: str, access: OrganisationAccess, *, height: int) -> Chain:
    commit_hashes: list[bytes] = []
    puts: dict[str, list[str]] = defaultdict(list)
    async with opened(msp_id, access, name="admin") as gateway:
        network = gateway.network(CHANNEL)
        async with await network.block_events(start_block=0, stop_block=height - 1) as blocks:
            async for block in blocks:
                metadata = block.metadata.metadata
                commit_hashes.append(bytes(common_pb2.Metadata.FromString(metadata[common_pb2.COMMIT_HASH]).value))
                codes = metadata[common_pb2.TRANSACTIONS_FILTER]
                for code, envelope in zip(codes, block.data.data, strict=True):
                    if code == ValidationCode.VALID:
                        _note_put(common_pb2.Envelope.FromString(envelope), puts)
    assert len(commit_hashes) == height
    return Chain(commit_hashes=tuple(commit_hashes), puts={key: tuple(ids) for key, ids in puts.items()})


def _note_put(envelope: Any, puts: dict[str, list[str]]) -> None:
    payload = common_pb2.Payload.FromString(envelope.payload)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    if header.type != common_pb2.ENDORSER_TRANSACTION:
        return
    action = transaction_pb2.Transaction.FromString(payload.data).actions[0].payload
    proposed = transaction_pb2.ChaincodeActionPayload.FromString(action).chaincode_proposal_payload
    call = proposal_pb2.ChaincodeProposalPayload.FromString(proposed).input
    words = chaincode_pb2.ChaincodeInvocationSpec.FromString(call).chaincode_spec.input.args
    if words[0] == b"load:put":
        puts[words[1].decode()].append(header.tx_id)
