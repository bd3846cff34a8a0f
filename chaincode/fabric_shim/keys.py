"""Keys of the state: simple ones, composite ones, and ranges over either.

A composite key is U+0000, an object type and attributes, each closed by U+0000 (fabric-chaincode-go shim/stub.go).
"""

from collections.abc import Sequence

from fabric_shim.errors import ArgumentError

_SEPARATOR = "\0"
_LAST = "\U0010ffff"
# A range from the first key starts here, which keeps composite keys out of it.
_FIRST_SIMPLE = "\x01"


def create_composite_key(object_type: str, attributes: Sequence[str] = ()) -> str:
    """Return the key of the things of `object_type` that the attributes name.

    Raises:
        ArgumentError: a part holds U+0000, U+10FFFF or half a surrogate pair.
    """
    parts = (object_type, *attributes)
    for part in parts:
        if _SEPARATOR in part or _LAST in part or not _is_text(part):
            raise ArgumentError(f"{part!r} cannot be part of a composite key: it holds U+0000, U+10FFFF or a surrogate")
    return _SEPARATOR + "".join(part + _SEPARATOR for part in parts)


def split_composite_key(key: str) -> tuple[str, tuple[str, ...]]:
    """Return the object type and the attributes of a composite key.

    Raises:
        ArgumentError: the key is none.
    """
    if len(key) < len(_SEPARATOR * 2) or key[0] != _SEPARATOR or key[-1] != _SEPARATOR:
        raise ArgumentError(f"{key!r} is no composite key")
    object_type, *attributes = key[1:-1].split(_SEPARATOR)
    return object_type, tuple(attributes)


def check_key(key: str) -> None:
    """Check a key that is written or read alone.

    Raises:
        ArgumentError: it is empty or no text.
    """
    if not key:
        raise ArgumentError("a key must not be empty")
    if not _is_text(key):
        raise ArgumentError(f"{key!r} is no key: it holds half a surrogate pair")


def simple_range(start: str, end: str) -> tuple[str, str]:
    """Return the bounds of a range over simple keys; empty means from the first, to the last.

    Raises:
        ArgumentError: a bound starts with U+0000, where composite keys live.
    """
    for bound in (start, end):
        if bound.startswith(_SEPARATOR) or not _is_text(bound):
            raise ArgumentError(f"{bound!r} is no bound of simple keys: it starts with U+0000 or holds a surrogate")
    return start or _FIRST_SIMPLE, end


def composite_range(object_type: str, attributes: Sequence[str]) -> tuple[str, str]:
    """Return the bounds of the composite keys that start with these parts.

    Raises:
        ArgumentError: as `create_composite_key`.
    """
    prefix = create_composite_key(object_type, attributes)
    return prefix, prefix + _LAST


def all_composite_range() -> tuple[str, str]:
    """Return the bounds of all composite keys."""
    return _SEPARATOR, _SEPARATOR + _LAST


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
