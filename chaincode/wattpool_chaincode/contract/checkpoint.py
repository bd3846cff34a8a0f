"""Checkpoints: what all blocks of both chains hash to, as two organisations found it (paper A's tree; mission row A10).

Each organisation computes the tree over the blocks' hashes from its own node. When two name the same, the checkpoint
is accepted and stands here, endorsed; whoever keeps it can tell any later change of any block before it. What is kept
of each chain's tree are the roots of its perfect subtrees, so the next checkpoint needs the new blocks alone.
"""

from collections.abc import Mapping
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import VOTES
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.merkle import Frontier
from wattpool_chaincode.refusal import Refused

EVENT = "checkpoint"
LATEST_KEY = "checkpoint-latest"
# The channels in the order in which their roots stand in the common tree.
CHAINS = ("contract", "ledger")
_MAX_PEAKS = 53
_PEAKS = fields.Check(
    f"a list of up to {_MAX_PEAKS} hashes",
    lambda value: isinstance(value, list) and len(value) <= _MAX_PEAKS and all(map(fields.DIGEST.accepts, value)),
)


def vote(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Say what the blocks hash to, in the name of the submitter's organisation; a later vote replaces an earlier one.

    `contract` and `ledger` are each `{"blocks", "peaks"}`: the number of blocks, and the roots of the perfect
    subtrees over their hashes, largest first (`merkle.Frontier`).

    Returns:
        The checkpoint, with its `root`, if two agree; else the `votes` so far, by MSP id.

    Raises:
        Refused: argument_malformed, checkpoint_disputed, checkpoint_not_next, checkpoint_behind.
    """
    number, *found = fields.read(argument, number=fields.COUNT, **dict.fromkeys(CHAINS, fields.OBJECT))
    frontiers = {chain: _read_frontier(chain, value) for chain, value in zip(CHAINS, found, strict=True)}
    checkpoint = {**{chain: argument[chain] for chain in CHAINS}, "root": common_root(frontiers).hex()}
    latest = read_latest(context)
    if 0 < number <= latest:
        accepted: dict[str, Any] = codec.load(_required(context, number))
        if accepted != checkpoint:
            raise Refused(ContractRefusal.CHECKPOINT_DISPUTED, f"{accepted['root']} was accepted")
        return accepted
    if number != latest + 1:
        raise Refused(ContractRefusal.CHECKPOINT_NOT_NEXT, f"number {number}; {latest + 1} was expected")
    _require_ahead(context, latest, frontiers)
    stored = context.get(_votes_key(number))
    votes = {**({} if stored is None else codec.load(stored)), context.submitter.msp_id: checkpoint}

    context.put(_votes_key(number), codec.encode(votes))
    if list(votes.values()).count(checkpoint) < VOTES:
        return {"votes": votes}
    context.put(_key(number), codec.encode(checkpoint))
    context.put(LATEST_KEY, codec.encode(number))
    context.emit(EVENT, codec.encode({"number": number, "root": checkpoint["root"]}))
    return checkpoint


def checkpoint(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return checkpoint `number`, the latest if 0: `number`, if there is one its fields, and the `votes` for the next.

    Raises:
        Refused: argument_malformed, checkpoint_not_next.
    """
    (number,) = fields.read(argument, number=fields.COUNT)
    latest = read_latest(context)
    if number > latest:
        raise Refused(ContractRefusal.CHECKPOINT_NOT_NEXT, f"number {number}; the latest is {latest}")
    number = number or latest
    votes = context.get(_votes_key(number + 1))
    return {
        "number": number,
        "votes": {} if votes is None else codec.load(votes),
        **(codec.load(_required(context, number)) if number else {}),
    }


def common_root(frontiers: Mapping[str, Frontier]) -> bytes:
    """Return the root over both chains: of the tree whose leaves are their own trees' roots."""
    return merkle.root([frontiers[chain].root for chain in CHAINS])


def to_json(frontier: Frontier) -> dict[str, Any]:
    """Return a chain's part of a vote."""
    return {"blocks": frontier.size, "peaks": [peak.hex() for peak in frontier.peaks]}


def from_json(value: Mapping[str, Any]) -> Frontier:
    """Read what `to_json` gave."""
    return Frontier(size=value["blocks"], peaks=tuple(bytes.fromhex(peak) for peak in value["peaks"]))


def read_latest(context: Context) -> int:
    """Return the number of the latest checkpoint, 0 if there is none."""
    stored = context.get(LATEST_KEY)
    return 0 if stored is None else int(codec.load(stored))


def _read_frontier(chain: str, value: Mapping[str, Any]) -> Frontier:
    problem = fields.mismatch(value, {"blocks": fields.COUNT, "peaks": _PEAKS})
    if problem is None:
        try:
            return from_json(value)
        except ValueError as error:
            problem = str(error)
    raise Refused(CallRefusal.ARGUMENT_MALFORMED, f"{chain}: {problem}")


def _require_ahead(context: Context, latest: int, frontiers: Mapping[str, Frontier]) -> None:
    """Refuse a checkpoint of fewer blocks than the one before, or of no block more."""
    before = codec.load(_required(context, latest)) if latest else {chain: {"blocks": 0} for chain in CHAINS}
    counts = [(frontiers[chain].size, before[chain]["blocks"]) for chain in CHAINS]
    if any(now < then for now, then in counts) or all(now == then for now, then in counts):
        raise Refused(ContractRefusal.CHECKPOINT_BEHIND, f"blocks now and in the checkpoint before: {counts}")


def _required(context: Context, number: int) -> bytes:
    stored = context.get(_key(number))
    if stored is None:
        raise RuntimeError(f"checkpoint {number} was accepted and is not there")
    return stored


def _key(number: int) -> str:
    return f"checkpoint/{number:06}"


def _votes_key(number: int) -> str:
    return f"checkpoint-votes/{number:06}"
