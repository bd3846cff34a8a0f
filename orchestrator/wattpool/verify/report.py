"""What a check of a ledger says: how far each chain goes, and the first violation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

# Told how much is checked, of how much.
Progress = Callable[[int, int], None]


class ViolationKind(StrEnum):
    """What is wrong, in the order in which it is looked for: the ledger, each block, each transaction, the tables."""

    FILE = "file"  # the database cannot be read
    GENESIS = "genesis"  # other roots, chaincodes or policies than the chains start from
    CERTIFICATE = "certificate"  # not issued by its organisation's root, not valid at the time, of the wrong role
    CONFIG = "config"  # a channel's configuration changed in a way that its policies do not allow
    NUMBER = "number"  # a block is missing or doubled
    MALFORMED = "malformed"  # not the canonical bytes of a block's header or of a transaction
    PREVIOUS_HASH = "previous_hash"  # not the hash of the block before
    DATA_HASH = "data_hash"  # not the hash of the block's transactions
    INDEX = "index"  # a column beside a transaction contradicts it
    TRANSACTION_ID = "transaction_id"  # not the hash of nonce and certificate, or proposed for another channel
    DOUBLED = "doubled"  # the transaction is in the channel already
    SIGNATURE = "signature"  # not the submitter's, or a block's not its orderers'
    ENDORSEMENT = "endorsement"  # the endorsements that hold do not meet the policies
    READS = "reads"  # marked valid, though what it read had changed
    CODE = "code"  # another validation code than the rules give
    TIME = "time"  # proposed before what it read
    PRIVATE_DATA = "private_data"  # a private value is missing, or not the one whose hash is on the block
    EXECUTION = "execution"  # the contract, run again, does something else
    TOKENS = "tokens"  # tokens held are not tokens bought less tokens redeemed
    ENERGY = "energy"  # energy bought, sold and measured in a period do not agree
    SEAL = "seal"  # a seal names another period record or another seal before it
    STATE = "state"  # the state table is not what the blocks give
    POLICIES = "policies"  # nor that of the keys' own policies
    HISTORY = "history"  # nor the history
    PRIVATE_STATE = "private_state"  # nor the tables of private data
    CHECKPOINT = "checkpoint"  # a checkpoint is not what the blocks hash to
    TIP = "tip"  # a block that is known to have been there is missing, or another one
    COMMIT_HASH = "commit_hash"  # a peer committed something else than the blocks give
    FORK = "fork"  # two organisations' peers have different blocks of the same number


@dataclass(frozen=True, kw_only=True)
class Violation:
    """The first thing wrong.

    Attributes:
        channel: where; None if it concerns the whole ledger.
        block: its number, if it is in one.
        transaction: its id, if it is in one.
        what: its kind.
        detail: what was found and what was expected, in a clause.
    """

    what: ViolationKind
    detail: str
    channel: str | None = None
    block: int | None = None
    transaction: str | None = None

    def __str__(self) -> str:
        place = [
            f"{name} {value}"
            for name, value in (("channel", self.channel), ("block", self.block), ("transaction", self.transaction))
            if value is not None
        ]
        return f"{', '.join(place) or 'ledger'}: {self.detail} ({self.what.value})."


@dataclass(frozen=True, kw_only=True)
class ChannelReport:
    """How far a chain was checked.

    Attributes:
        blocks: that hold.
        transactions: in these blocks.
        unrepeatable: of them, those that could not be run again: their private input was purged since, or they only
            looked at what no read set protects. All else about them was checked.
        system: of them, those that changed the channel or its chaincodes, or called others than Wattpool's (Fabric).
            They were judged, and are not run.
        genesis_hash: what the chain starts from, which names the roots of trust; None if it cannot be read.
        tip_hash: of the last block that holds; None if there is none.
    """

    blocks: int
    transactions: int
    unrepeatable: int
    system: int
    genesis_hash: str | None
    tip_hash: str | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a check found: by channel, and the first violation, None if all holds."""

    channels: Mapping[str, ChannelReport]
    violation: Violation | None


class Broken(Exception):
    """A check failed; whoever knows the place makes a `Violation` of it."""

    def __init__(self, what: ViolationKind, detail: str) -> None:
        super().__init__(detail)
        self.what = what
        self.detail = detail


class Violated(Exception):
    """The first violation is found; nothing more is checked."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation


@contextmanager
def located(channel: str, block: int | None, transaction: str | None = None) -> Iterator[None]:
    """Turn what is broken into a violation in a block of a channel, and a transaction of it.

    Raises:
        Violated: if something is broken.
    """
    try:
        yield
    except Broken as error:
        raise Violated(
            Violation(what=error.what, detail=error.detail, channel=channel, block=block, transaction=transaction)
        ) from error


def require_pinned(pinned: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Check that channels start from the hashes that they must start from.

    Raises:
        Violated: genesis; a channel starts from another one, or is not there.
    """
    for channel, expected in pinned.items():
        if found.get(channel) != expected:
            detail = f"the chain starts from {found.get(channel)}; {expected} was expected"
            raise Violated(Violation(what=ViolationKind.GENESIS, channel=channel, detail=detail))


def require_tips(tips: Mapping[str, tuple[int, str]], hashes: Mapping[str, Sequence[bytes]]) -> None:
    """Check that chains have the blocks that they are known to have had.

    Args:
        tips: by channel, a number of blocks, and the hash of the last of them.
        hashes: by channel, those of all blocks.

    Raises:
        Violated: tip; a chain is shorter, or has another block there.
    """
    for channel, (blocks, expected) in tips.items():
        found = hashes.get(channel, ())
        if len(found) < blocks:
            detail = f"there are {len(found)} blocks; {blocks} were expected"
        elif found[blocks - 1].hex() != expected:
            detail = f"the hash of block {blocks - 1} is {found[blocks - 1].hex()}; {expected} was expected"
        else:
            continue
        raise Violated(Violation(what=ViolationKind.TIP, channel=channel, detail=detail))
