"""Merkle trees of RFC 9162, section 2.1: one hash for a list, and a short proof that a leaf stands in it.

Leaves and nodes are hashed with different first bytes, so that a node never passes for a leaf. The tree over n
leaves splits at the largest power of two below n; level by level that is: pair neighbours, and let a last odd one rise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256

HASH_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """All that has to be kept of a tree that only grows: its perfect subtrees' roots, the largest first.

    Attributes:
        size: number of leaves.
        peaks: one hash for each power of two in `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no tree has.

        Raises:
            ValueError: if the number of peaks, or the length of one, does not fit.
        """
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError(f"{len(self.peaks)} peaks do not make a tree of {self.size} leaves")
        if any(len(peak) != HASH_BYTES for peak in self.peaks):
            raise ValueError(f"a peak is a hash of {HASH_BYTES} bytes")

    def extended(self, leaves: Iterable[bytes]) -> "Frontier":
        """Return the frontier with `leaves` added; each costs two hashes on average."""
        size, peaks = self.size, list(self.peaks)
        for leaf in leaves:
            node, smaller = _leaf_hash(leaf), size
            while smaller % 2:
                node = _node_hash(peaks.pop(), node)
                smaller //= 2
            peaks.append(node)
            size += 1
        return Frontier(size=size, peaks=tuple(peaks))

    @property
    def root(self) -> bytes:
        """What `merkle.root` gives for all leaves: the smallest subtrees join first."""
        if not self.peaks:
            return root(())
        return reduce(lambda right, left: _node_hash(left, right), reversed(self.peaks))


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the tree head over `leaves`, in their order; of no leaves, the hash of nothing (section 2.1.1)."""
    if not leaves:
        return sha256().digest()
    level = [_leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root, lowest first (section 2.1.3.1).

    Raises:
        ValueError: if there is no such leaf.
    """
    _check_index(index, len(leaves))
    level = [_leaf_hash(leaf) for leaf in leaves]
    path = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = _level_above(level)
        index //= 2
    return path


def root_of_path(leaf: bytes, *, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that `path` gives to `leaf` at `index` among `size` (section 2.1.3.2).

    The leaf stands in a list of `size` leaves if and only if this is that list's root.

    Raises:
        ValueError: if there is no such place, or `path` has not the hashes that lead from there to a root.
    """
    _check_index(index, size)
    if any(len(sibling) != HASH_BYTES for sibling in path):
        raise ValueError(f"a path consists of hashes of {HASH_BYTES} bytes")
    siblings = iter(path)
    node = _leaf_hash(leaf)
    last = size - 1
    try:
        while last:
            if index % 2:
                node = _node_hash(next(siblings), node)
            elif index < last:
                node = _node_hash(node, next(siblings))
            index, last = index // 2, last // 2
    except StopIteration:
        raise ValueError(f"a path of {len(path)} hashes is too short for a tree of {size} leaves") from None
    if next(siblings, None) is not None:
        raise ValueError(f"a path of {len(path)} hashes is too long for a tree of {size} leaves")
    return node


def _level_above(level: Sequence[bytes]) -> list[bytes]:
    above = [_node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        above.append(level[-1])
    return above


def _leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} among {size}")
