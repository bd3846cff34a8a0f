"""Exports: all that a check needs of a ledger in one file, as lines of canonical JSON (`docs/ledger-format.md`).

The first line is the genesis; then come the certificates, and channel by channel the blocks, each followed by its
openings: the private values, with their salts, whose hashes are on it. They are for who may see the ledger's private
data; a public export has none. The last line counts the blocks and hashes all lines before.
"""

import os
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from wattpool.durable import move
from wattpool.ledgers import block
from wattpool.ledgers.block import Code
from wattpool.ledgers.port import ForeignLedger, LedgerDamaged
from wattpool.verify.file import LedgerFile
from wattpool.verify.report import Broken, ViolationKind
from wattpool_chaincode.records import codec

FORMAT = "wattpool-export/1"

# What of the tables of `wattpool.ledgers.store` can be filled from an export.
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE certificates (fingerprint TEXT PRIMARY KEY, msp_id TEXT NOT NULL, pem BLOB NOT NULL);
CREATE TABLE blocks (channel TEXT, number INTEGER, header BLOB NOT NULL, PRIMARY KEY (channel, number));
CREATE TABLE transactions (
  channel TEXT, block INTEGER, position INTEGER, id TEXT NOT NULL, code TEXT NOT NULL, event INTEGER NOT NULL,
  data BLOB NOT NULL, PRIMARY KEY (channel, block, position));
CREATE TABLE private_data (
  channel TEXT, collection TEXT, key_hash TEXT, block INTEGER, position INTEGER, key BLOB NOT NULL,
  value BLOB NOT NULL, PRIMARY KEY (channel, collection, key_hash, block, position));
"""


def write_export(directory: Path, out: Path, *, has_openings: bool = True) -> dict[str, int]:
    """Write the ledger in `directory` as it is now.

    `out` appears whole or not at all, and for good; it is its owner's alone.

    Returns:
        The number of blocks by channel.

    Raises:
        ForeignLedger: if there is no ledger in the directory.
        LedgerDamaged: if it cannot be read.
        OSError: if the file cannot be written.
    """
    file = LedgerFile.open(directory)
    part = out.with_name(f"{out.name}.part")
    try:
        heights = file.heights()
        digest = sha256()
        with open(part, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
            for line in _lines(file, heights, has_openings=has_openings):
                digest.update(line)
                stream.write(line)
            stream.write(_line({"blocks": heights, "hash": digest.hexdigest(), "kind": "end"}))
        move(part, out)
    except sqlite3.DatabaseError as error:
        raise LedgerDamaged(f"the ledger in {directory} cannot be read: {error}") from error
    finally:
        file.close()
        part.unlink(missing_ok=True)
    return heights


def read_export(path: Path) -> LedgerFile:
    """Read an export into a ledger's file that vanishes when it is closed; nothing in it is checked but its form.

    Raises:
        ForeignLedger: if it cannot be read.
        Broken: file, naming the line that is not as it should be.
    """
    connection = sqlite3.connect("", isolation_level=None)
    try:
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        with path.open("rb") as lines:
            has_openings = _Reader(connection).read(lines)
    except OSError as error:
        connection.close()
        raise ForeignLedger(f"{path} cannot be read: {error.strerror}") from error
    except BaseException:
        connection.close()
        raise
    return LedgerFile(connection, has_state=False, has_openings=has_openings)


def _lines(file: LedgerFile, heights: dict[str, int], *, has_openings: bool) -> Iterator[bytes]:
    genesis = file.genesis()
    if genesis is None:
        raise LedgerDamaged("the ledger has no genesis")
    yield _line(
        {"format": FORMAT, "genesis": codec.load(genesis), "has_openings": has_openings, "kind": "genesis"},
    )
    for fingerprint, msp_id, pem in file.certificates():
        yield _line({"fingerprint": fingerprint, "kind": "certificate", "msp_id": msp_id, "pem": pem.decode()})
    for channel, height in heights.items():
        for number in range(height):
            header = file.header(channel, number)
            if header is None:
                raise LedgerDamaged(f"channel {channel!r} has no block {number}")
            data = block.join_block(header, [row.data for row in file.transactions(channel, number)])
            yield b'{"block":%b,"kind":"block"}\n' % data
            if has_openings:
                for opening in file.openings(channel, number):
                    yield _line({**opening, "kind": "opening"})


class _Reader:
    """Takes an export in, line by line."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._digest = sha256()
        self._heights: dict[str, int] = {}
        self._has_openings = False
        self._is_over = False

    def read(self, lines: Iterator[bytes]) -> bool:
        """Take all lines in; return whether there are openings."""
        for number, line in enumerate(lines, start=1):
            try:
                self._take_line(line, is_first=number == 1)
            except (ValueError, LookupError, TypeError, AttributeError, sqlite3.Error) as error:
                raise Broken(ViolationKind.FILE, f"line {number} of the export: {error}") from error
        if not self._is_over:
            raise Broken(ViolationKind.FILE, "the export is cut off: its last line is missing")
        return self._has_openings

    def _take_line(self, line: bytes, *, is_first: bool) -> None:
        if not line.endswith(b"\n"):
            raise ValueError("it is cut off")
        value = codec.decode(line[:-1])
        if is_first != (value["kind"] == "genesis") or self._is_over:
            raise ValueError(f"{value['kind']!r} in this place")
        self._take(value)
        self._digest.update(line)

    def _take(self, value: dict[str, Any]) -> None:
        match value:
            case {"format": str(name), "genesis": dict(genesis), "has_openings": bool(), "kind": "genesis"}:
                if name != FORMAT:
                    raise ValueError(f"the format is {name!r}; {FORMAT!r} was expected")
                self._has_openings = value["has_openings"]
                self._insert("meta", "genesis", codec.encode(genesis))
            case {"fingerprint": str(fingerprint), "kind": "certificate", "msp_id": str(msp_id), "pem": str(pem)}:
                self._insert("certificates", fingerprint, msp_id, pem.encode())
            case {"block": dict(taken), "kind": "block"}:
                self._take_block(taken)
            case {"channel": str(), "kind": "opening"}:
                self._take_opening(value)
            case {"blocks": dict(blocks), "hash": str(digest), "kind": "end"}:
                self._is_over = True
                if (blocks, digest) != (self._heights, self._digest.hexdigest()):
                    raise ValueError("lines before it were changed or are missing")
            case _:
                raise ValueError("no line of an export")
        if len(value) != _FIELDS[value["kind"]]:
            raise ValueError("a field too many")

    def _take_block(self, taken: dict[str, Any]) -> None:
        transactions = taken.pop("transactions")
        channel, number = taken["channel"], taken["number"]
        if not isinstance(channel, str) or number != self._heights.get(channel, 0):
            raise ValueError(f"block {number} of channel {channel!r} in this place")
        self._heights[channel] = number + 1
        self._insert("blocks", channel, number, codec.encode(taken))
        for position, (one, code) in enumerate(zip(transactions, taken["codes"], strict=True)):
            has_event = code == Code.VALID and one["response"]["event"] is not None
            identity = one["proposal"]["id"]
            self._insert("transactions", channel, number, position, identity, code, has_event, codec.encode(one))

    def _take_opening(self, value: dict[str, Any]) -> None:
        places = ("channel", "collection", "key_hash", "block", "position")
        decoded = b64decode(value["value"], validate=True)
        if b64encode(decoded).decode() != value["value"]:
            raise ValueError("the value is not canonical base64")
        self._insert("private_data", *(value[name] for name in places), value["key"].encode(), decoded)

    def _insert(self, table: str, *values: str | int | bytes) -> None:
        marks = ",".join("?" * len(values))
        self._execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608 -- names of our own


_FIELDS = {"genesis": 4, "certificate": 4, "block": 2, "opening": 8, "end": 3}


def _line(value: dict[str, Any]) -> bytes:
    return codec.encode(value) + b"\n"
