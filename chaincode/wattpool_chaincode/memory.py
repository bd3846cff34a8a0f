"""A context over dicts, for tests and previews; it can be driven and inspected."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Modification, Page, Policy, Submitter
from wattpool_chaincode.organisations import OPERATOR_ATTRIBUTES

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass
class MemoryState:
    """What one channel has committed."""

    public: dict[str, bytes] = field(default_factory=dict)
    private: dict[tuple[str, str], bytes] = field(default_factory=dict)
    hashes: dict[tuple[str, str], bytes] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    past: dict[str, list[Modification]] = field(default_factory=dict)


class MemoryNetwork:
    """Channels of chaincodes; `call` runs one transaction and commits it if the contract does not refuse."""

    def __init__(self, chaincodes: Mapping[str, Chaincode]) -> None:
        self.chaincodes = chaincodes
        self.states = {name: MemoryState() for name in chaincodes}
        self.time_utc = 0
        self.calls = 0

    def call(  # noqa: PLR0913 -- what a transaction consists of
        self,
        channel: str,
        function: str,
        argument: bytes,
        *,
        by: str,
        attributes: Mapping[str, str] = OPERATOR_ATTRIBUTES,
        transient: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """Run and commit one transaction of organisation `by`, by default of its operator's.

        A refusal passes through and changes nothing.
        """
        self.calls += 1
        context = MemoryContext(self, channel, Submitter(msp_id=by, attributes=attributes), transient or {})
        result = self.chaincodes[channel].invoke(context, function, argument)
        context.commit()
        return result


class MemoryContext:
    """One transaction on a `MemoryNetwork`."""

    def __init__(
        self, network: MemoryNetwork, channel: str, submitter: Submitter, transient: Mapping[str, bytes]
    ) -> None:
        self.network = network
        self.channel = channel
        self.submitter = submitter
        self.transient = transient
        self.time_utc = network.time_utc
        self.transaction_id = f"{network.calls:064x}"
        self.event: tuple[str, bytes] | None = None
        self._state = network.states[channel]
        self._writes: dict[str, bytes | None] = {}
        self._private_writes: dict[tuple[str, str], bytes | None] = {}
        self._policy_writes: dict[str, Policy | None] = {}

    def get(self, key: str) -> bytes | None:
        return self._state.public.get(key)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def put(self, key: str, value: bytes) -> None:
        if not key or not value:
            raise ValueError("neither key nor value may be empty")
        self._writes[key] = value

    def delete(self, key: str) -> None:
        self._writes[key] = None

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        keys = sorted((key for key in self._state.public if start <= key < end), key=str.encode)
        return ((key, self._state.public[key]) for key in keys)

    def range_page(self, start: str, end: str, *, page_size: int, bookmark: str = "") -> Page:
        items = list(self.range(bookmark or start, end))
        rest = items[page_size:]
        return Page(items=tuple(items[:page_size]), bookmark=rest[0][0] if rest else "")

    def history(self, key: str) -> Iterator[Modification]:
        return reversed(self._state.past.get(key, []))

    def get_private(self, collection: str, key: str) -> bytes | None:
        return self._state.private.get((collection, key))

    def get_many_private(self, collection: str, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get_private(collection, key) for key in keys]

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        self._private_writes[collection, key] = value

    def purge_private(self, collection: str, key: str) -> None:
        self._private_writes[collection, key] = None

    def private_hash(self, collection: str, key: str) -> bytes | None:
        return self._state.hashes.get((collection, key))

    def range_private(self, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        keys = sorted(key for owner, key in self._state.private if owner == collection and start <= key < end)
        return ((key, self._state.private[collection, key]) for key in keys)

    def set_policy(self, key: str, policy: Policy | None) -> None:
        self._policy_writes[key] = policy

    def emit(self, name: str, payload: bytes) -> None:
        self.event = (name, payload)

    def query(self, channel: str, function: str, argument: bytes) -> bytes:
        context = MemoryContext(self.network, channel, self.submitter, {})
        return self.network.chaincodes[channel].invoke(context, function, argument)

    def commit(self) -> None:
        """Apply what this transaction wrote."""
        for key, value in self._writes.items():
            self._state.past.setdefault(key, []).append(
                Modification(transaction_id=self.transaction_id, time_utc=self.time_utc, value=value)
            )
        _apply(self._state.public, self._writes)
        _apply(self._state.private, self._private_writes)
        hashes = {key: None if value is None else sha256(value).digest() for key, value in self._private_writes.items()}
        _apply(self._state.hashes, hashes)
        _apply(self._state.policies, self._policy_writes)


def _apply(target: dict[Key, Value], changes: Mapping[Key, Value | None]) -> None:
    for key, value in changes.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value
