"""The state that the blocks give, replayed: as it stands, and as it stood at an earlier height of the chain."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from wattpool.ledgers.block import PrivateWrite, Version

# A private value: its collection and the hash of its key.
Place = tuple[str, str]
# A key's own endorsement policy, as the ledger has it.
PolicyT = TypeVar("PolicyT")
PolicyT_co = TypeVar("PolicyT_co", covariant=True)


class Effect(Protocol[PolicyT_co]):
    """What a valid transaction leaves behind: values (None deletes), policies (None lifts) and private hashes."""

    @property
    def writes(self) -> Mapping[str, bytes | None]: ...

    @property
    def policies(self) -> Mapping[str, PolicyT_co | None]: ...

    @property
    def private_writes(self) -> Sequence[PrivateWrite]: ...


class Stored(NamedTuple, Generic[PolicyT]):
    """A public key's value, the version it got it (or its policy) with, and its own policy."""

    value: bytes
    version: Version
    policy: PolicyT | None = None


class Hashed(NamedTuple):
    """A private value, as far as a block shows it."""

    value_hash: str
    version: Version


class View(Protocol[PolicyT]):
    """A channel's state at one moment."""

    def get(self, key: str) -> Stored[PolicyT] | None: ...

    def range(self, start: str, end: str) -> Iterator[tuple[str, Stored[PolicyT]]]:
        """Yield keys from `start` to before `end`, which is without end if empty, in order."""

    def private(self, place: Place) -> Hashed | None: ...


class State(Generic[PolicyT]):
    """One channel's state behind the transactions applied so far.

    Attributes:
        past: for each key that was ever written or deleted, the versions, oldest first.
        private_past: the same for private values, with their hashes; None for a purge.
        collections: names of all private collections.
    """

    def __init__(self) -> None:
        self.past: dict[str, list[Version]] = {}
        self.private_past: dict[Place, list[tuple[Version, str | None]]] = {}
        self.collections: dict[str, None] = {}
        self._stored: dict[str, Stored[PolicyT]] = {}
        # Sorted: the order of texts is that of their UTF-8 bytes. Keys that were deleted stay.
        self._keys: list[str] = []

    def get(self, key: str) -> Stored[PolicyT] | None:
        return self._stored.get(key)

    def values(self, keys: Iterable[str]) -> dict[str, bytes | None]:
        """Return the values of keys, None for one that is not there."""
        found = {key: self._stored.get(key) for key in keys}
        return {key: None if stored is None else stored.value for key, stored in found.items()}

    def range(self, start: str, end: str) -> Iterator[tuple[str, Stored[PolicyT]]]:
        for key in self.names(start, end):
            stored = self._stored.get(key)
            if stored is not None:
                yield key, stored

    def names(self, start: str = "", end: str = "") -> list[str]:
        """Return all keys that ever were, from `start` to before `end`."""
        stop = bisect_left(self._keys, end) if end else len(self._keys)
        return self._keys[bisect_left(self._keys, start) : stop]

    def private(self, place: Place) -> Hashed | None:
        past = self.private_past.get(place)
        if past is None:
            return None
        version, value_hash = past[-1]
        return None if value_hash is None else Hashed(value_hash, version)

    def apply(self, version: Version, effect: Effect[PolicyT]) -> None:
        """Let a valid transaction take effect: writes (a put keeps the key's policy), then policies."""
        for key, value in effect.writes.items():
            if key not in self.past:
                insort(self._keys, key)
                self.past[key] = []
            self.past[key].append(version)
            if value is None:
                self._stored.pop(key, None)
            else:
                before = self._stored.get(key)
                self._stored[key] = Stored(value, version, None if before is None else before.policy)
        for key, policy in effect.policies.items():
            stored = self._stored.get(key)
            if stored is not None:
                self._stored[key] = Stored(stored.value, version, policy)
        for write in effect.private_writes:
            past = self.private_past.setdefault((write.collection, write.key_hash), [])
            past.append((version, write.value_hash))
            self.collections[write.collection] = None


class StateAt(Generic[PolicyT]):
    """What `state` was when the chain had `height` blocks; versions that only a policy gave are not told apart.

    Args:
        state: replayed at least that far.
        height: number of blocks.
        written: returns what the transaction of a version wrote; past values are not kept in memory.
    """

    def __init__(self, state: State[PolicyT], height: int, *, written: Callable[[Version], Effect[PolicyT]]) -> None:
        self._state = state
        self._end: Version = (height, 0)
        self._written = written

    def get(self, key: str) -> Stored[PolicyT] | None:
        stored = self._state.get(key)
        if stored is not None and stored.version < self._end:
            return stored
        versions = self._state.past.get(key, [])
        index = bisect_left(versions, self._end)
        if index == 0:
            return None
        version = versions[index - 1]
        value = self._written(version).writes[key]
        return None if value is None else Stored(value, version)

    def range(self, start: str, end: str) -> Iterator[tuple[str, Stored[PolicyT]]]:
        for key in self._state.names(start, end):
            stored = self.get(key)
            if stored is not None:
                yield key, stored

    def private(self, place: Place) -> Hashed | None:
        before = [one for one in self._state.private_past.get(place, []) if one[0] < self._end]
        if not before:
            return None
        version, value_hash = before[-1]
        return None if value_hash is None else Hashed(value_hash, version)
