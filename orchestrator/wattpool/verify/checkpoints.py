"""Checkpoints, checked against the blocks: what two organisations agreed on is what the blocks hash to (row A10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wattpool.ledgers.block import Version
from wattpool.verify.report import Violated, Violation, ViolationKind
from wattpool_chaincode.contract import CHANNEL
from wattpool_chaincode.contract.checkpoint import CHAINS
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.merkle import Frontier

_PREFIX = "checkpoint/"


@dataclass(frozen=True)
class _Accepted:
    """A checkpoint, and the transaction that wrote it."""

    version: Version
    transaction: str
    value: bytes


@dataclass
class Checkpoints:
    """The checkpoints on the contract chain.

    They name blocks of the other chain, which may be checked later: `follow` collects, `require` compares.
    """

    # What the contract chain is called, where a violation is.
    channel: str = CHANNEL
    _accepted: list[_Accepted] = field(default_factory=list)

    def follow(self, version: Version, transaction: str, writes: Mapping[str, bytes | None]) -> None:
        """Note what a valid transaction of the contract chain wrote."""
        self._accepted += [
            _Accepted(version, transaction, value)
            for key, value in writes.items()
            if key.startswith(_PREFIX) and value is not None
        ]

    def require(self, hashes: Mapping[str, Sequence[bytes]]) -> None:
        """Check all checkpoints.

        Args:
            hashes: those of all blocks, by what the rules call their channels.

        Raises:
            Violated: checkpoint; it names other blocks, or more than there are.
        """
        frontiers = dict.fromkeys(CHAINS, Frontier())
        for one in self._accepted:
            problem = _problem(one.value, frontiers, hashes)
            if problem is not None:
                raise Violated(
                    Violation(
                        what=ViolationKind.CHECKPOINT,
                        channel=self.channel,
                        block=one.version[0],
                        transaction=one.transaction,
                        detail=problem,
                    )
                )


def _problem(value: bytes, frontiers: dict[str, Frontier], hashes: Mapping[str, Sequence[bytes]]) -> str | None:
    """Say in what a checkpoint differs from the blocks; `frontiers` are brought up to it."""
    try:
        stated: dict[str, Any] = codec.decode(value)
        counts = {chain: int(stated[chain]["blocks"]) for chain in CHAINS}
    except (ValueError, LookupError, TypeError) as error:
        return f"the checkpoint cannot be read: {error}"
    for chain in CHAINS:
        known, found = frontiers[chain], hashes.get(chain, ())
        if not known.size <= counts[chain] <= len(found):
            return f"the checkpoint is over {counts[chain]} blocks of {chain!r}; there are {len(found)}"
        frontiers[chain] = known.extended(found[known.size : counts[chain]])
    expected = {
        **{
            chain: {"blocks": one.size, "peaks": [peak.hex() for peak in one.peaks]} for chain, one in frontiers.items()
        },
        "root": merkle.root([frontiers[chain].root for chain in CHAINS]).hex(),
    }
    if stated != expected:
        return f"the checkpoint has the root {stated.get('root')}; the blocks give {expected['root']}"
    return None
