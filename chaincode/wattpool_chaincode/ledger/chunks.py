"""Chunks: up to 500 signed requests or meter records in one transaction, kept from neighbours' eyes.

The raw chunk comes in the transient map and goes into the private collection; the block shows its salted hash, how
many items it has, and which were refused and why. A bad item never spoils its chunk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.period import COLLECTION, key, part_range
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

MAX_ITEMS = 500
MAX_BYTES = 1_000_000
SALT_BYTES = 16

Refusals = list[tuple[int, str]]


@dataclass(frozen=True)
class Kind:
    """What a kind of chunk is stored under: raw and evaluated in private, its digest in public."""

    raw: str
    rows: str
    public: str


REQUESTS = Kind(raw="request", rows="order", public="requests")
RECORDS = Kind(raw="record", rows="measured", public="records")


@dataclass(frozen=True)
class Rows:
    """What the rules made of one chunk: a row per item that was not refused, and the chunk's salt."""

    chunk: str
    rows: list[list[Any]]
    salt: str


def encode_chunk(items: list[Any], *, salt: bytes) -> tuple[str, bytes]:
    """Return a chunk's id and bytes, as an orchestrator sends them."""
    data = codec.encode({"items": items, "salt": salt.hex()})
    return codec.content_id(data), data


def take_in(
    context: Context,
    kind: Kind,
    *,
    start_utc: int,
    chunk: str,
    evaluate: Callable[[list[Any]], tuple[list[list[Any]], Refusals]],
) -> dict[str, Any]:
    """Store a chunk from the transient map with what `evaluate` makes of its items.

    Returns:
        How many items there are, and index and reason of each refused one.

    Raises:
        Refused: chunk_absent, chunk_malformed.
    """
    items, salt, data = read_transient(context, key(kind.raw, start_utc, chunk), chunk)
    rows, refused = evaluate(items)
    summary = {"count": len(items), "refused": refused}

    context.put_private(COLLECTION, key(kind.raw, start_utc, chunk), data)
    context.put_private(COLLECTION, key(kind.rows, start_utc, chunk), codec.encode({"rows": rows, "salt": salt}))
    context.put(key(kind.public, start_utc, chunk), codec.encode(summary))
    return summary


def read_summary(context: Context, kind: Kind, start_utc: int, chunk: str) -> dict[str, Any] | None:
    """Return what `take_in` returned for this chunk, None if it was never taken in."""
    stored = context.get(key(kind.public, start_utc, chunk))
    return None if stored is None else codec.load(stored)


def list_chunks(context: Context, kind: Kind, start_utc: int) -> list[str]:
    """Return the ids of all chunks of a period, sorted; a chunk that comes meanwhile is refused as a phantom."""
    start, end = part_range(kind.public, start_utc)
    return [name.rpartition("/")[2] for name, _ in context.range(start, end)]


def read_rows(context: Context, kind: Kind, start_utc: int, chunks: list[str]) -> list[Rows]:
    """Return the evaluated rows of the named chunks, in their order."""
    found = []
    values = context.get_many_private(COLLECTION, [key(kind.rows, start_utc, chunk) for chunk in chunks])
    for chunk, stored in zip(chunks, values, strict=True):
        if stored is None:
            raise RuntimeError(f"the private data of chunk {chunk} is not on this peer")
        found.append(_decode_rows(chunk, stored))
    return found


# Every page of a settlement reads all chunks: each is decoded once per process.
@lru_cache(maxsize=64)
def _decode_rows(chunk: str, stored: bytes) -> Rows:
    value = codec.load(stored)
    return Rows(chunk, value["rows"], value["salt"])


def read_items(context: Context, kind: Kind, start_utc: int, chunk: str) -> list[Any]:
    """Return the raw items of a chunk, those that were refused among them."""
    stored = context.get_private(COLLECTION, key(kind.raw, start_utc, chunk))
    if stored is None:
        raise RuntimeError(f"the private data of chunk {chunk} is not on this peer")
    items: list[Any] = codec.load(stored)["items"]
    return items


def salt_of(chunks: list[Rows]) -> str:
    """Return a salt that nobody outside knows, for what is derived from several chunks."""
    return sha256("".join(rows.salt for rows in chunks).encode()).hexdigest()


def read_transient(context: Context, name: str, chunk: str) -> tuple[list[Any], str, bytes]:
    """Return the items, the salt and the bytes of a chunk in the transient map.

    Raises:
        Refused: chunk_absent, chunk_malformed.
    """
    data = context.transient.get(name)
    if data is None:
        raise Refused(LedgerRefusal.CHUNK_ABSENT, f"the transient map has no {name!r}")
    if len(data) > MAX_BYTES:
        raise Refused(LedgerRefusal.CHUNK_MALFORMED, f"{len(data)} bytes, at most {MAX_BYTES} are allowed")
    if codec.content_id(data) != chunk:
        raise Refused(LedgerRefusal.CHUNK_MALFORMED, "the chunk's name is not its hash")
    try:
        value = codec.decode(data)
    except codec.NotCanonical as error:
        raise Refused(LedgerRefusal.CHUNK_MALFORMED, str(error)) from error
    match value:
        case {"items": [*items], "salt": str(salt)} if len(value) == 2 and len(items) <= MAX_ITEMS:  # noqa: PLR2004
            pass
        case _:
            raise Refused(LedgerRefusal.CHUNK_MALFORMED, f"not an object of a salt and up to {MAX_ITEMS} items")
    if len(salt) < 2 * SALT_BYTES:
        raise Refused(LedgerRefusal.CHUNK_MALFORMED, f"a salt of {SALT_BYTES} bytes in hex was expected")
    return items, salt, data
