"""The ledger as the orchestrator sees it: calls, commits, events, blocks, and errors named after their phase."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from wattpool.ledgers.block import Code


@dataclass(frozen=True, kw_only=True)
class Call:
    """A function of a channel's contract, its argument (canonical JSON) and data for the endorsers' eyes only."""

    channel: str
    function: str
    argument: bytes
    transient: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A valid, durable transaction: where it stands, and what the contract returned (canonical JSON)."""

    transaction_id: str
    channel: str
    block: int
    result: bytes


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a valid transaction emitted."""

    channel: str
    block: int
    transaction_id: str
    name: str
    payload: bytes

    @property
    def checkpoint(self) -> "Checkpoint":
        """Where to go on once this event is dealt with."""
        return Checkpoint(block=self.block, transaction_id=self.transaction_id)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A place in a channel: the start of a block, or right behind one of its transactions."""

    block: int
    transaction_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tip:
    """How far a channel has come: its number of blocks and of transactions, and the hash of its last block."""

    blocks: int
    transactions: int
    tip_hash: str


class Pending(Protocol):
    """A transaction that is endorsed and sent, perhaps not yet committed."""

    @property
    def transaction_id(self) -> str: ...

    @property
    def result(self) -> bytes:
        """What the contract returned; it holds only if the transaction turns out valid."""

    def wait(self) -> Commit:
        """Return when the transaction is durable; a second call gives the same answer.

        Raises:
            CommitError: if it is in a block and without effect.
        """


class Ledger(Protocol):
    """The chains of one community; `by` is the MSP id of the organisation whose client submits."""

    def submit(self, call: Call, *, by: str) -> Commit:
        """Run `call`, and return when its effects are durable.

        Raises:
            EndorseError: if it was refused; nothing is on the ledger.
            CommitError: if it is in a block and without effect.
        """

    def submit_async(self, call: Call, *, by: str) -> Pending:
        """Run `call` and send it; its effects count when `Pending.wait` returns.

        Raises:
            EndorseError: if it was refused; nothing is on the ledger.
        """

    def submit_together(self, calls: Sequence[Call], *, by: str) -> Sequence[Pending]:
        """Run and send calls of which none builds on another, side by side as far as the ledger can.

        Raises:
            EndorseError: if one was refused; others may have been sent.
        """

    def evaluate(self, call: Call, *, by: str) -> bytes:
        """Run `call` on the committed state and throw its writes away.

        Raises:
            EndorseError: if it was refused.
        """

    def events(self, channel: str, *, after: Checkpoint | None = None) -> Iterator[Event]:
        """Yield the events of valid transactions behind `after`, from the first block if None, and end at the tip."""

    def block(self, channel: str, number: int) -> object:
        """Return one block, in the form that this ledger keeps it in.

        Raises:
            LedgerError: if there is no such block.
        """

    def transaction(self, channel: str, transaction_id: str) -> object:
        """Return one transaction, in the form that this ledger keeps it in.

        Raises:
            LedgerError: if there is no such transaction.
        """

    def height(self, channel: str) -> int:
        """Return the number of blocks."""

    def block_hashes(self, channel: str, start: int, stop: int, *, by: str) -> Iterator[bytes]:
        """Yield the hashes of the blocks from `start` to before `stop`, as organisation `by` holds them."""

    def tip(self, channel: str) -> Tip:
        """Return how far a channel has come."""


class EndorseReason(StrEnum):
    """Why the ledger itself endorses nothing; all other reasons are the contract's."""

    CHANNEL_UNKNOWN = "channel_unknown"
    ORGANISATION_UNKNOWN = "organisation_unknown"
    CERTIFICATE_NOT_VALID = "certificate_not_valid"
    TIME_OUTSIDE_WINDOW = "time_outside_window"
    TOO_LARGE = "too_large"
    POLICY_NOT_SATISFIABLE = "policy_not_satisfiable"
    ENDORSEMENTS_DIFFER = "endorsements_differ"


class LedgerError(Exception):
    """Something went wrong on a ledger."""


class EndorseError(LedgerError):
    """The endorsers refused; nothing is on the ledger.

    Args:
        reason: of the contract's closed lists, or an `EndorseReason`.
        detail: what was wrong and what was expected.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class CommitError(LedgerError):
    """The transaction is in a block, invalid: it had no effect, and will have none."""

    def __init__(self, code: Code, *, transaction_id: str, block: int) -> None:
        super().__init__(f"transaction {transaction_id} in block {block} had no effect: {code}")
        self.code = code
        self.transaction_id = transaction_id
        self.block = block


class LedgerLocked(LedgerError):
    """Another process, or another part of this one, writes to this ledger."""


class ForeignLedger(LedgerError):
    """A directory that is no ledger, another community's, or of another format."""


class LedgerDamaged(LedgerError):
    """A ledger that contradicts itself."""
