"""Running a contract again: a context over the replayed state that notes what the contract reads and writes."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Never

from wattpool.ledgers.block import RANGE_BATCH, Emitted, PrivateRead, PrivateWrite, RangeRead, Response, Version
from wattpool.verify.report import Broken, ViolationKind
from wattpool.verify.state import Place, Stored, View
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Modification, Page, Policy, Submitter
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

# Returns the private value of a place that was written at a version.
PrivateValue = Callable[[str, Place, Version], bytes]


class Purged(Exception):
    """The run needs a private value that was purged since."""


class Unprotected(Exception):
    """The run looks at what no read set protects, so that its answer may have been another one when it was endorsed."""


class Misused(ValueError):
    """The contract asked for what no ledger allows, or for what the transaction does not record."""


class Transient(Mapping[str, bytes]):
    """The transient data of a transaction, found again in what it wrote or read of the private data.

    Args:
        hashes: of the values, by name.
        find: returns the value of a private key that has a given hash.
    """

    def __init__(self, hashes: Mapping[str, str], find: Callable[[str, str], bytes]) -> None:
        self._hashes = hashes
        self._find = find

    def __getitem__(self, name: str) -> bytes:
        return self._find(name, self._hashes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._hashes)

    def __len__(self) -> int:
        return len(self._hashes)


class Execution:
    """A `wattpool_chaincode.context.Context` for one run; its attributes then say what it came to.

    Args:
        transaction_id: of the transaction.
        time_utc: of its proposal.
        submitter: by whom.
        transient: what came with it.
        channel: whose state is read: the transaction's, or the other one in a query.
        view: that state.
        private_value: looks private values up.
        others: for each other channel that may be queried, its number of blocks then, its state and its contract.

    Attributes:
        reads: versions of the public keys read, None where there was nothing.
        ranges: start, end and what was found; the end is right behind the last key of a range that was not read out.
        private_reads: the same as `reads`, of private values and their hashes.
        writes: of public keys; None deletes.
        private_writes: hashes of private values; None purges.
        policies: of public keys.
        event: the one it emitted.
        heights: of the channels that it queried.
    """

    def __init__(  # noqa: PLR0913 -- what a run depends on
        self,
        *,
        transaction_id: str,
        time_utc: int,
        submitter: Submitter,
        transient: Mapping[str, bytes],
        channel: str,
        view: View[Any],
        private_value: PrivateValue,
        others: Mapping[str, tuple[int, View[Any], Chaincode]],
    ) -> None:
        self.channel = channel
        self.transaction_id = transaction_id
        self.time_utc = time_utc
        self.submitter = submitter
        self.transient = transient
        self._view = view
        self._private_value = private_value
        self._others = others
        self.reads: dict[str, Version | None] = {}
        self.ranges: list[tuple[str, str, list[tuple[str, Version]]]] = []
        self.private_reads: dict[Place, Version | None] = {}
        self.writes: dict[str, bytes | None] = {}
        self.private_writes: dict[Place, str | None] = {}
        self.policies: dict[str, Policy | None] = {}
        self.event: Emitted | None = None
        self.heights: dict[str, int] = {}

    def get(self, key: str) -> bytes | None:
        stored = self._view.get(_named(key))
        self.reads[key] = None if stored is None else stored.version
        return None if stored is None else stored.value

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def put(self, key: str, value: bytes) -> None:
        self.writes[_named(key)] = _filled(value)

    def delete(self, key: str) -> None:
        self.writes[_named(key)] = None

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        rows = list(self._view.range(start, end))
        place = len(self.ranges)
        self.ranges.append(_range_read(start, end, rows, taken=0))

        def take() -> Iterator[tuple[str, bytes]]:
            for index, (key, stored) in enumerate(rows):
                if index % RANGE_BATCH == 0:
                    self.ranges[place] = _range_read(start, end, rows, taken=index + 1)
                yield key, stored.value

        return take()

    def range_page(self, start: str, end: str, *, page_size: int, bookmark: str = "") -> Page:  # noqa: ARG002
        _refuse_unprotected("a page of a range")

    def history(self, key: str) -> Iterator[Modification]:  # noqa: ARG002
        _refuse_unprotected("a history")

    def range_private(self, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:  # noqa: ARG002
        _refuse_unprotected("a private range")

    def get_private(self, collection: str, key: str) -> bytes | None:
        self.private_hash(collection, key)
        place = (collection, hash_key(key))
        version = self.private_reads[place]
        return None if version is None else self._private_value(self.channel, place, version)

    def get_many_private(self, collection: str, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get_private(collection, key) for key in keys]

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        self.private_writes[collection, hash_key(_named(key))] = sha256(_filled(value)).hexdigest()

    def purge_private(self, collection: str, key: str) -> None:
        self.private_writes[collection, hash_key(_named(key))] = None

    def private_hash(self, collection: str, key: str) -> bytes | None:
        place = (collection, hash_key(_named(key)))
        hashed = self._view.private(place)
        self.private_reads[place] = None if hashed is None else hashed.version
        return None if hashed is None else bytes.fromhex(hashed.value_hash)

    def set_policy(self, key: str, policy: Policy | None) -> None:
        self.policies[_named(key)] = policy

    def emit(self, name: str, payload: bytes) -> None:
        if not name:
            raise Misused("an event without a name")
        self.event = Emitted(name=name, payload=payload)

    def query(self, channel: str, function: str, argument: bytes) -> bytes:
        if channel not in self._others:
            raise Misused(f"it queries channel {channel!r}, of which the transaction records no height")
        self.heights[channel], view, chaincode = self._others[channel]
        # Neither reads nor writes of the other contract count, and what it would query itself is on no block.
        other = Execution(
            transaction_id=self.transaction_id,
            time_utc=self.time_utc,
            submitter=self.submitter,
            transient=self.transient,
            channel=channel,
            view=view,
            private_value=self._private_value,
            others={},
        )
        return chaincode.invoke(other, function, argument)

    def run(self, chaincode: Chaincode, function: str, argument: bytes) -> bytes:
        """Return what the function returns.

        Raises:
            Broken: execution; it refuses or fails.
            Purged: it needs a private value that is gone.
            Unprotected: it looks at what no read set protects.
        """
        try:
            return chaincode.invoke(self, function, argument)
        except (Broken, Purged, Unprotected, sqlite3.DatabaseError):
            raise
        except Refused as error:
            raise Broken(ViolationKind.EXECUTION, f"run again, the contract refuses: {error}") from error
        except Exception as error:
            # A contract whose invariant is broken raises anything; on a ledger that holds, none does.
            detail = f"run again, the contract fails: {type(error).__name__}: {error}"
            raise Broken(ViolationKind.EXECUTION, detail) from error

    def response(self, proposal_hash: str, result: bytes) -> Response:
        """Return what the run read and wrote, and its result, as the embedded ledger records it."""
        return Response(
            proposal_hash=proposal_hash,
            result=result,
            reads=self.reads,
            ranges=[RangeRead(start=start, end=end, found=tuple(found)) for start, end, found in self.ranges],
            private_reads=[
                PrivateRead(collection=collection, key_hash=key_hash, version=version)
                for (collection, key_hash), version in sorted(self.private_reads.items())
            ],
            writes=self.writes,
            private_writes=[
                PrivateWrite(collection=collection, key_hash=key_hash, value_hash=value_hash)
                for (collection, key_hash), value_hash in sorted(self.private_writes.items())
            ],
            policies=self.policies,
            event=self.event,
            heights=self.heights,
        )


def difference(recorded: Response, repeated: Response) -> str | None:
    """Say in a clause in what two responses differ, None if in nothing."""
    if repeated.data == recorded.data:
        return None
    before, after = codec.decode(recorded.data), codec.decode(repeated.data)
    name = next(name for name in before if before[name] != after[name])
    recorded_part, repeated_part = before[name], after[name]
    if isinstance(recorded_part, dict) and isinstance(repeated_part, dict):
        keys = sorted({*recorded_part, *repeated_part})
        key = next(key for key in keys if recorded_part.get(key, ...) != repeated_part.get(key, ...))
        return f"run again, the contract gives other {name}: {key!r} differs"
    return (
        f"run again, the contract gives another {name}: {str(repeated_part)[:80]} instead of {str(recorded_part)[:80]}"
    )


def hash_key(key: str) -> str:
    """Return the hash under which a private key stands on the block."""
    return codec.content_id(key.encode())


def _range_read(
    start: str, end: str, rows: Sequence[tuple[str, Stored[Any]]], *, taken: int
) -> tuple[str, str, list[tuple[str, Version]]]:
    """Return what counts as read of `rows` when so many were taken: the batches begun, and the key behind them."""
    count = max(1, -(-taken // RANGE_BATCH)) * RANGE_BATCH + 1
    found = [(key, stored.version) for key, stored in rows[:count]]
    return start, end if len(rows) < count else found[-1][0] + "\0", found


def _named(key: str) -> str:
    if not key or key[0] == "\0":
        raise Misused(f"a key is not empty and does not begin with U+0000: {key!r}")
    return key


def _filled(value: bytes) -> bytes:
    if not value:
        raise Misused("an empty value")
    return value


def _refuse_unprotected(what: str) -> Never:
    raise Unprotected(what)
