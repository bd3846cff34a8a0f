"""The context of the embedded ledger: one run of a contract over a snapshot, which notes all it reads and writes."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

from wattpool.ledgers.block import (
    RANGE_BATCH,
    Emitted,
    PrivateRead,
    PrivateWrite,
    RangeRead,
    Response,
    Transaction,
    Version,
)
from wattpool.ledgers.store import Store, hash_key
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Modification, Page, Policy, Submitter

# A peer takes messages of at most 100 MiB (internal/pkg/comm/config.go), whatever they carry.
MAX_MESSAGE_BYTES = 100 * 1024 * 1024
# A peer ends a range silently there (core.yaml ledger.state.totalQueryLimit), which would change answers.
MAX_RANGE_KEYS = 100_000


class Misuse(ValueError):
    """A contract asked for what no ledger allows: a broken invariant of the contract, not a refusal."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run of a contract is told: the same for every endorser."""

    transaction_id: str
    time_utc: int
    submitter: Submitter
    transient: Mapping[str, bytes]


class Simulation:
    """A `wattpool_chaincode.context.Context` over the state that `store` sees.

    Args:
        channel: whose state is read and written.
        run: the transaction.
        store: in a reading transaction, so that all reads see one state.
        chaincodes: by channel, for queries across channels.
    """

    def __init__(self, channel: str, run: Run, *, store: Store, chaincodes: Mapping[str, Chaincode]) -> None:
        self.channel = channel
        self.transaction_id = run.transaction_id
        self.time_utc = run.time_utc
        self.submitter = run.submitter
        self.transient = run.transient
        self.private: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._run = run
        self._store = store
        self._chaincodes = chaincodes
        self._must_not_write = False
        self._reads: dict[str, Version | None] = {}
        self._ranges: list[_Range] = []
        self._private_reads: dict[tuple[str, str], Version | None] = {}
        self._writes: dict[str, bytes | None] = {}
        self._private_writes: dict[tuple[str, str], str | None] = {}
        self._policies: dict[str, Policy | None] = {}
        self._event: Emitted | None = None
        self._heights: dict[str, int] = {}

    def get(self, key: str) -> bytes | None:
        _check_key(key)
        found = self._store.get(self.channel, key)
        if found is None:
            self._reads[key] = None
            return None
        value, self._reads[key] = found
        return value

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def put(self, key: str, value: bytes) -> None:
        _check_key(key)
        _check_value(key, value)
        self._write()
        self._writes[key] = value

    def delete(self, key: str) -> None:
        _check_key(key)
        self._write()
        self._writes[key] = None

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        read = _Range(start, end, self._store.range(self.channel, start, end))
        self._ranges.append(read)
        return iter(read)

    def range_page(self, start: str, end: str, *, page_size: int, bookmark: str = "") -> Page:
        if page_size <= 0:
            raise Misuse(f"a page of {page_size} items")
        self._read_only("a page of a range")
        items: list[tuple[str, bytes]] = []
        for key, value, _ in self._store.range(self.channel, bookmark or start, end):
            if len(items) == page_size:
                return Page(items=tuple(items), bookmark=key)
            items.append((key, value))
        return Page(items=tuple(items), bookmark="")

    def history(self, key: str) -> Iterator[Modification]:
        _check_key(key)
        self._read_only("a history")
        for version in self._store.history(self.channel, key):
            transaction = Transaction.decode(self._store.transaction(self.channel, version))
            yield Modification(
                transaction_id=transaction.id,
                time_utc=transaction.proposal.time_utc,
                value=transaction.response.writes[key],
            )

    def get_private(self, collection: str, key: str) -> bytes | None:
        self.private_hash(collection, key)
        return self._store.private_value(self.channel, collection, hash_key(key))

    def get_many_private(self, collection: str, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get_private(collection, key) for key in keys]

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        _check_key(key)
        _check_value(key, value)
        self._write()
        place = (collection, hash_key(key))
        self._private_writes[place] = sha256(value).hexdigest()
        self.private[place] = (key, value)

    def purge_private(self, collection: str, key: str) -> None:
        _check_key(key)
        self._write()
        place = (collection, hash_key(key))
        self._private_writes[place] = None
        self.private.pop(place, None)

    def private_hash(self, collection: str, key: str) -> bytes | None:
        _check_key(key)
        place = (collection, hash_key(key))
        found = self._store.private_hash(self.channel, *place)
        if found is None:
            self._private_reads[place] = None
            return None
        value_hash, self._private_reads[place] = found
        return bytes.fromhex(value_hash)

    def range_private(self, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        self._read_only("a private range")
        yield from self._store.private_range(self.channel, collection, start, end)

    def set_policy(self, key: str, policy: Policy | None) -> None:
        _check_key(key)
        self._write()
        self._policies[key] = policy

    def emit(self, name: str, payload: bytes) -> None:
        if not name:
            raise Misuse("an event without a name")
        self._event = Emitted(name=name, payload=payload)

    def query(self, channel: str, function: str, argument: bytes) -> bytes:
        if channel == self.channel or channel not in self._chaincodes:
            raise Misuse(f"a query of {channel!r}, which is no other channel of this ledger")
        self._heights[channel] = self._store.height(channel)
        # What the other contract reads is not protected, and what it writes is thrown away, as on a peer.
        other = Simulation(channel, self._run, store=self._store, chaincodes=self._chaincodes)
        return self._chaincodes[channel].invoke(other, function, argument)

    def response(self, proposal_hash: str, result: bytes) -> Response:
        """Return what this run read and wrote, and its result."""
        return Response(
            proposal_hash=proposal_hash,
            result=result,
            reads=self._reads,
            ranges=[one.read() for one in self._ranges],
            private_reads=[
                PrivateRead(collection=collection, key_hash=key_hash, version=version)
                for (collection, key_hash), version in sorted(self._private_reads.items())
            ],
            writes=self._writes,
            private_writes=[
                PrivateWrite(collection=collection, key_hash=key_hash, value_hash=value_hash)
                for (collection, key_hash), value_hash in sorted(self._private_writes.items())
            ],
            policies=self._policies,
            event=self._event,
            heights=self._heights,
        )

    def _write(self) -> None:
        if self._must_not_write:
            raise Misuse("a write in a transaction that asked for a page, a history or a private range")

    def _read_only(self, what: str) -> None:
        if self._writes or self._private_writes or self._policies:
            raise Misuse(f"{what} in a transaction that writes")
        self._must_not_write = True


class _Range:
    """One range as a peer reads it: ahead of the contract, and what was read counts, taken or not.

    A peer reads a batch and the key behind it, to see whether there is more, and so on when that key is asked for
    (core/chaincode/query_response_generator.go).
    """

    def __init__(self, start: str, end: str, rows: Iterator[tuple[str, bytes, Version]]) -> None:
        self._start = start
        self._end = end
        self._rows = rows
        self._found: list[tuple[str, Version]] = []
        self._ahead: deque[tuple[str, bytes]] = deque()
        self._is_exhausted = False
        self._read_on(RANGE_BATCH + 1)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        while self._ahead:
            if len(self._ahead) == 1 and not self._is_exhausted:
                self._read_on(RANGE_BATCH)
            yield self._ahead.popleft()

    def read(self) -> RangeRead:
        """Return the part that was read: one left early ends right behind its last key."""
        end = self._end if self._is_exhausted else self._found[-1][0] + "\0"
        return RangeRead(start=self._start, end=end, found=tuple(self._found))

    def _read_on(self, count: int) -> None:
        before = len(self._found)
        for key, value, version in islice(self._rows, count):
            if len(self._found) == MAX_RANGE_KEYS:
                raise Misuse(f"a range of more than {MAX_RANGE_KEYS} keys")
            self._found.append((key, version))
            self._ahead.append((key, value))
        self._is_exhausted = len(self._found) < before + count


def _check_key(key: str) -> None:
    if not key or key[0] == "\0":
        raise Misuse(f"a key is not empty and does not begin with U+0000: {key!r}")


def _check_value(key: str, value: bytes) -> None:
    if not value:
        raise Misuse(f"an empty value for {key!r}")
    if len(key) + len(value) > MAX_MESSAGE_BYTES:
        raise Misuse(f"key and value of {key!r} are longer than {MAX_MESSAGE_BYTES} bytes")
