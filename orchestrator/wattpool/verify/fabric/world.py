"""A channel's state in all namespaces, and the hash that a peer makes over what each block changed in it.

The commit hash is after fabric core/ledger/kvledger/kv_ledger.go (addBlockCommitHash) and txmgmt/txmgr/
update_batch_bytes.go: that it is the peer's own proves that the peer's state is the replayed one, key by key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from wattpool.ledgers.block import Version
from wattpool.ledgers.fabric_blocks import Called, Effect
from wattpool.verify.state import State

# Namespace, collection (empty for public keys) and key, as bytes sort.
_Place = tuple[bytes, bytes, bytes]


@dataclass
class World:
    """The states by namespace, and what the present block changed in them: places, values (None deletes), versions."""

    states: dict[str, State[bytes]] = field(default_factory=dict)
    changes: dict[_Place, tuple[bytes | None, Version]] = field(default_factory=dict)

    def state(self, namespace: str) -> State[bytes]:
        return self.states.setdefault(namespace, State())

    def is_changed(self, namespace: str, collection: str, key: bytes) -> bool:
        """Tell whether the present block has written a key; `key` is the key's hash in a collection."""
        return (namespace.encode(), collection.encode(), key) in self.changes

    def apply(self, version: Version, call: Called) -> None:
        """Let a valid call take effect."""
        for effect in call.effects:
            state = self.state(effect.namespace)
            state.apply(version, effect)
            self._note(version, effect, state)

    def commit(self, codes: bytes, before: bytes) -> bytes:
        """End the block and return its commit hash; `before` is that of the block before, empty on block 1."""
        changes, self.changes = self.changes, {}
        data = _varint(len(codes)) + codes + _encode(changes) + before
        return sha256(data).digest()

    def _note(self, version: Version, effect: Effect, state: State[bytes]) -> None:
        namespace = effect.namespace.encode()
        for key in [*effect.writes, *effect.policies]:
            stored = state.get(key)
            if stored is not None or key in effect.writes:
                self.changes[namespace, b"", key.encode()] = (None if stored is None else stored.value, version)
        for write in effect.private_writes:
            value = None if write.value_hash is None else bytes.fromhex(write.value_hash)
            self.changes[namespace, write.collection.encode(), bytes.fromhex(write.key_hash)] = (value, version)


def _encode(changes: Mapping[_Place, tuple[bytes | None, Version]]) -> bytes:
    """Encode a txmgr.Updates; a namespace and a collection are named once, where they begin."""
    encoded, last_namespace, last_collection = b"", b"", b""
    for namespace, collection, key in sorted(changes):
        value, (block, position) = changes[namespace, collection, key]
        if namespace != last_namespace:
            last_collection = b""
        parts = _bytes_field(1, namespace if namespace != last_namespace else b"")
        parts += _bytes_field(2, collection if collection != last_collection else b"")
        parts += _bytes_field(3, key)
        parts += bytes((4 << 3, 1)) if value is None else b""
        parts += _bytes_field(5, value or b"")
        parts += _bytes_field(6, _ordered(block) + _ordered(position))
        encoded += _bytes_field(1, parts)
        last_namespace, last_collection = namespace, collection
    return encoded


def _bytes_field(number: int, value: bytes) -> bytes:
    """Encode a protobuf field, which is left out if empty."""
    return bytes((number << 3 | 2,)) + _varint(len(value)) + value if value else b""


def _varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        encoded += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return encoded + bytes((number,))


def _ordered(number: int) -> bytes:
    """Encode so that bytes sort as numbers do (common/ledger/util/util.go EncodeOrderPreservingVarUint64)."""
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes((len(data),)) + data
