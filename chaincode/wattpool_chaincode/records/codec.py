"""Canonical JSON: one value, one byte string, so that bytes can be hashed, signed and compared.

Keys are sorted, nothing is spaced, text is UTF-8, numbers are integers. Decoding accepts canonical bytes only:
duplicate keys, floats, white space and unsorted keys are refused because encoding again gives other bytes.
"""

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Never

# The limits are ours and far inside the interpreter's, which depend on its version and on how deep the caller is:
# every endorser must refuse the same bytes.
MAX_DEPTH = 32
MAX_INTEGER = (1 << 63) - 1
_PLAIN = frozenset((str, bool, type(None)))


class NotCanonical(ValueError):
    """Bytes that are not the canonical JSON of any value, or a value that has none."""


def encode(value: Any) -> bytes:
    """Return the canonical bytes of `value`: nested dicts (text keys), lists, text, integers, booleans, None.

    Raises:
        NotCanonical: if anything else is in it, an integer beyond 64 bits, or more than `MAX_DEPTH` levels.
    """
    _check((value,), MAX_DEPTH)
    return _write(value)


def decode(data: bytes) -> Any:
    """Return the value of canonical bytes.

    Raises:
        NotCanonical: if `data` is not what `encode` would have written.
    """
    try:
        value = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"not canonical JSON: {error}") from error
    # Decoding leaves nothing else to refuse, and most documents are too short to hold either.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH or _LONG_NUMBER.search(data):
        _check((value,), MAX_DEPTH)
    if _write(value) != data:
        raise NotCanonical("not canonical JSON: keys sorted and unique, no spaces, integers only")
    return value


def load(data: bytes) -> Any:
    """Return the value of bytes that `encode` wrote and nobody can have changed: what a contract finds in its state."""
    return _DECODER.decode(data.decode())


def content_id(data: bytes) -> str:
    """Return the id of canonical bytes: their SHA-256 in lower-case hex."""
    return sha256(data).hexdigest()


def _write(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError as error:
        raise NotCanonical(f"not canonical JSON: {error}") from error


def _check(values: Iterable[Any], levels: int) -> None:
    """Refuse what JSON would write as something else, or not at all; `levels` more may be nested."""
    for value in values:
        kind = type(value)
        if kind is int:
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise NotCanonical("not canonical JSON: an integer beyond 64 bits")
        elif kind not in _PLAIN and not isinstance(value, str):
            if levels == 0:
                raise NotCanonical(f"not canonical JSON: more than {MAX_DEPTH} levels")
            _check(value if kind is list else _members(value), levels - 1)


def _members(value: Any) -> Iterable[Any]:
    """Return what a tuple, a list or a dict holds, and refuse everything else."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise NotCanonical("not canonical JSON: a key that is no text")
        return value.values()
    if not isinstance(value, (list, tuple)):
        raise NotCanonical(f"not canonical JSON: a {type(value).__name__}")
    return value


def _refuse(text: str) -> Never:
    raise ValueError(f"{text} is not an integer")


# An integer beyond 64 bits has at least this many digits.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse)
