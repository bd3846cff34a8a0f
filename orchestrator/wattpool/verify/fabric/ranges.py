"""Range queries: what a range gives now, and whether that is what a transaction found.

After fabric core/ledger/kvledger/txmgmt: validation/rangequery_validator.go, rwsetutil/query_results_helper.go.
"""

from collections.abc import Sequence
from hashlib import sha256

from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from wattpool.ledgers.block import Version
from wattpool.ledgers.fabric_blocks import RangeQuery
from wattpool.verify.state import State

_LEAF = 1
_SMALLEST_DEGREE = 2


def is_unchanged(query: RangeQuery, state: State[bytes]) -> bool:
    """Tell whether a range still gives what was found: the keys and their versions, or the summary of too many."""
    # Of a range that was not read out, the last key seen belongs to what was read.
    end = query.end if query.exhausted else query.end + "\0"
    now = [(key, stored.version) for key, stored in state.range(query.start, end)]
    if query.reads is not None:
        return now == list(query.reads)
    return _summary(now, query.max_degree) == (query.max_level, list(query.hashes))


def covers(query: RangeQuery, start: str, end: str) -> bool:
    """Tell whether a range that was read protects what is found from `start` to before `end`, empty for no end."""
    stop = query.end if query.exhausted else query.end + "\0"
    return query.start == start and (not stop or (end != "" and end <= stop))


def _summary(found: Sequence[tuple[str, Version]], degree: int) -> tuple[int, list[bytes]] | None:
    """Return the highest level of the Merkle tree over `found` and its hashes; None if so few need none."""
    if degree < _SMALLEST_DEGREE or len(found) <= degree:
        return None
    levels: dict[int, list[bytes]] = {}
    top = _LEAF
    for first in range(0, len(found), degree + 1):
        level = _LEAF
        levels.setdefault(level, []).append(_leaf(found[first : first + degree + 1]))
        while len(levels[level]) > degree:
            levels.setdefault(level + 1, []).append(_joined(levels.pop(level)))
            level += 1
            top = max(top, level)
    for level in range(_LEAF, top):
        rest = levels.pop(level, [])
        if rest:
            levels.setdefault(level + 1, []).append(rest[0] if len(rest) == 1 else _joined(rest))
    if len(levels[top]) > degree:
        return top + 1, [_joined(levels[top])]
    return top, levels[top]


def _leaf(found: Sequence[tuple[str, Version]]) -> bytes:
    reads = [
        kv_rwset_pb2.KVRead(key=key, version=kv_rwset_pb2.Version(block_num=block, tx_num=position))
        for key, (block, position) in found
    ]
    return sha256(kv_rwset_pb2.QueryReads(kv_reads=reads).SerializeToString()).digest()


def _joined(hashes: Sequence[bytes]) -> bytes:
    return sha256(b"".join(hashes)).digest()
