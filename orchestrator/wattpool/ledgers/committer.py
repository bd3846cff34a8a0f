"""The queue of ordered transactions, and the commit of all that is in it: group commit without a thread of its own.

Whoever waits for his transaction takes the commit lock and commits for everybody: per channel one block, or more when
the queue is longer than a block may be, all in one SQLite transaction and so with one fsync.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from wattpool.ledgers import block
from wattpool.ledgers.block import Code, Genesis, PrivateWrite, Transaction
from wattpool.ledgers.port import Commit, CommitError, LedgerError
from wattpool.ledgers.store import Store
from wattpool.ledgers.validation import IsSigned, MemberOf, Validator
from wattpool_chaincode.records import codec


@dataclass(frozen=True, kw_only=True)
class Endorsed:
    """A transaction ready to be ordered.

    Attributes:
        transaction: as it will stand in a block.
        private: the private values it writes, which stay off the block: (collection, hash of the key) to key and value.
    """

    transaction: Transaction
    private: Mapping[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)


class Ordered:
    """A transaction in the queue or in a block; a `wattpool.ledgers.port.Pending`.

    Attributes:
        endorsed: the transaction.
        outcome: block number and code, once it is durable.
    """

    def __init__(self, endorsed: Endorsed, committer: "Committer") -> None:
        self.endorsed = endorsed
        self.outcome: tuple[int, Code] | None = None
        self._committer = committer

    @property
    def transaction_id(self) -> str:
        return self.endorsed.transaction.id

    @property
    def channel(self) -> str:
        return self.endorsed.transaction.proposal.channel

    @property
    def result(self) -> bytes:
        return self.endorsed.transaction.response.result

    def wait(self) -> Commit:
        number, code = self._committer.outcome(self)
        if code is not Code.VALID:
            raise CommitError(code, transaction_id=self.transaction_id, block=number)
        return Commit(transaction_id=self.transaction_id, channel=self.channel, block=number, result=self.result)


class Committer:
    """The one writer of a ledger.

    Args:
        store: the writing connection; nobody else uses it.
        genesis: what the chains start from.
        member_of: looks certificates up.
        is_signed: checks signatures.
        block_transactions: the most that one block holds.
        batch_timeout_s: how long who waits for a commit lingers for others to join.
    """

    def __init__(  # noqa: PLR0913 -- what a committer works with
        self,
        store: Store,
        genesis: Genesis,
        *,
        member_of: MemberOf,
        is_signed: IsSigned,
        block_transactions: int,
        batch_timeout_s: float,
    ) -> None:
        self._store = store
        self._genesis = genesis
        self._member_of = member_of
        self._is_signed = is_signed
        self._block_transactions = block_transactions
        self._batch_timeout_s = batch_timeout_s
        self._queue: deque[Ordered] = deque()
        self._queue_changed = threading.Condition()
        self._committing = threading.Lock()

    def order(self, endorsed: Endorsed) -> Ordered:
        """Queue a transaction."""
        ordered = Ordered(endorsed, self)
        with self._queue_changed:
            self._queue.append(ordered)
            self._queue_changed.notify_all()
        return ordered

    def outcome(self, ordered: Ordered) -> tuple[int, Code]:
        """Return block number and code of `ordered`, committing what is queued if need be.

        Raises:
            LedgerError: if the disk refuses; all stays queued.
        """
        if ordered.outcome is None:
            with self._committing:
                # Another thread may have committed it while this one waited for the lock.
                if ordered.outcome is None:
                    self._commit(self._take_queue())
        if ordered.outcome is None:
            raise LedgerError(f"transaction {ordered.transaction_id} was never queued")
        return ordered.outcome

    def close(self) -> None:
        """Close the store when a commit under way is through."""
        with self._committing:
            self._store.close()

    def _take_queue(self) -> list[Ordered]:
        with self._queue_changed:
            if self._batch_timeout_s > 0:
                self._queue_changed.wait_for(
                    lambda: len(self._queue) >= self._block_transactions, timeout=self._batch_timeout_s
                )
            batch = list(self._queue)
            self._queue.clear()
        return batch

    def _commit(self, batch: Sequence[Ordered]) -> None:
        outcomes: dict[Ordered, tuple[int, Code]] = {}
        try:
            self._store.begin_writing()
            for channel, queued in _by_channel(batch).items():
                for start in range(0, len(queued), self._block_transactions):
                    outcomes |= self._write_block(channel, queued[start : start + self._block_transactions])
            self._store.end()
        except BaseException as error:
            # Nothing is written: all goes back to where it was, so that waiting again tries again.
            self._store.undo()
            with self._queue_changed:
                self._queue.extendleft(reversed(batch))
            if isinstance(error, sqlite3.Error):
                raise LedgerError(f"the block could not be written: {error}") from error
            raise
        for ordered, outcome in outcomes.items():
            ordered.outcome = outcome

    def _write_block(self, channel: str, batch: Sequence[Ordered]) -> dict[Ordered, tuple[int, Code]]:
        number = self._store.height(channel)
        previous = self._store.header(channel, number - 1)
        validator = Validator(
            channel,
            self._genesis.chaincodes[channel],
            [ordered.endorsed.transaction for ordered in batch],
            store=self._store,
            member_of=self._member_of,
            is_signed=self._is_signed,
        )
        judged = []
        for position, ordered in enumerate(batch):
            transaction = ordered.endorsed.transaction
            code = validator.validate(transaction)
            if code is Code.VALID:
                self._store.apply(channel, (number, position), transaction)
                self._apply_private(channel, (number, position), ordered.endorsed)
            judged.append((transaction, code))
        header = block.encode_header(
            channel=channel,
            number=number,
            previous_hash=self._genesis.hash if previous is None else codec.content_id(previous),
            data_hash=block.data_hash([transaction.data for transaction, _ in judged]),
            codes=[code for _, code in judged],
        )
        self._store.add_block(channel, number, header, judged)
        return {ordered: (number, code) for ordered, (_, code) in zip(batch, judged, strict=True)}

    def _apply_private(self, channel: str, version: block.Version, endorsed: Endorsed) -> None:
        for write in endorsed.transaction.response.private_writes:
            handed_over = endorsed.private.get((write.collection, write.key_hash))
            if handed_over is not None and not _is_what_was_written(write, *handed_over):
                handed_over = None
            self._store.apply_private(channel, version, write, handed_over)


def _by_channel(batch: Sequence[Ordered]) -> dict[str, list[Ordered]]:
    queued: dict[str, list[Ordered]] = {}
    for ordered in batch:
        queued.setdefault(ordered.channel, []).append(ordered)
    return queued


def _is_what_was_written(write: PrivateWrite, key: str, value: bytes) -> bool:
    return codec.content_id(key.encode()) == write.key_hash and sha256(value).hexdigest() == write.value_hash
