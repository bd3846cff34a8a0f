"""Checkpoints: what all blocks hash to, as each organisation's own node has them (mission row A10)."""

from collections.abc import Mapping
from typing import Any

from wattpool.client import Chain
from wattpool.ledgers.port import Ledger
from wattpool_chaincode.contract import CHANNEL
from wattpool_chaincode.contract.checkpoint import CHAINS, common_root, from_json, to_json
from wattpool_chaincode.records.merkle import Frontier


def vote(ledger: Ledger, *, by: str) -> dict[str, Any]:
    """Compute the next checkpoint from the blocks that organisation `by` holds, and vote for it.

    If others have voted, for as many blocks as they named; what these hash to is one's own finding all the same.

    Returns:
        What the contract said: the checkpoint, once two agree, or the votes so far.

    Raises:
        EndorseError: in the contract's words, such as `checkpoint_behind` if there is no new block.
    """
    contract = Chain(ledger, CHANNEL)
    before = contract.evaluate("checkpoint", by=by, number=0)
    blocks = _blocks(ledger, before["votes"])
    found = {}
    for chain in CHAINS:
        known = from_json(before[chain]) if before["number"] else Frontier()
        hashes = ledger.block_hashes(chain, known.size, max(known.size, blocks[chain]), by=by)
        found[chain] = to_json(known.extended(hashes))
    voted: dict[str, Any] = contract.submit("vote_checkpoint", by=by, number=before["number"] + 1, **found)
    return voted


def common_root_of(ledger: Ledger, blocks: Mapping[str, int], *, by: str) -> str:
    """Return what the first blocks of both chains hash to, as organisation `by` has them, trusting no checkpoint.

    Args:
        ledger: that has them.
        blocks: how many, by chain; of a chain with fewer, all count.
        by: MSP id.
    """
    frontiers = {}
    for chain in CHAINS:
        stop = min(blocks[chain], ledger.height(chain))
        frontiers[chain] = Frontier().extended(ledger.block_hashes(chain, 0, stop, by=by))
    return common_root(frontiers).hex()


def _blocks(ledger: Ledger, votes: dict[str, Any]) -> dict[str, int]:
    """Return up to which block to vote: what the first voter named, if one has come as far."""
    heights = {chain: ledger.height(chain) for chain in CHAINS}
    for _, named in sorted(votes.items()):
        asked = {chain: named[chain]["blocks"] for chain in CHAINS}
        if all(asked[chain] <= heights[chain] for chain in CHAINS):
            return asked
    return heights
