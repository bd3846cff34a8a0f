"""The one SQLite file of an embedded ledger: chains, state, history, private data, certificates.

What one block changes is changed in one SQLite transaction, so that a process may be killed at any point. The tables
`blocks` and `transactions` hold the chains (format: `wattpool.ledgers.block`), `meta` the genesis, `certificates` those
of everyone who signed. `private_data` holds each private value ever written and not purged, with its key: nothing else
can run the transaction again that wrote it. All other tables can be computed from these.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from wattpool.ledgers import policies
from wattpool.ledgers.block import Code, PrivateWrite, Transaction, Version
from wattpool_chaincode.context import Policy
from wattpool_chaincode.records import codec

# No byte of UTF-8 is 0xff, so this is behind all keys.
BEHIND_ALL_KEYS = b"\xff"
# Tells our files from other SQLite files: "Watp" in ASCII.
_APPLICATION_ID = 0x57617470
_CHUNK_ROWS = 100
# SQLite before 3.32 takes at most 999 parameters in a statement.
_CHUNK_VALUES = 500
_Value = TypeVar("_Value", str, bytes)

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE certificates (fingerprint TEXT PRIMARY KEY, msp_id TEXT NOT NULL, pem BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (
  channel TEXT, number INTEGER, header BLOB NOT NULL, PRIMARY KEY (channel, number)) WITHOUT ROWID;
CREATE TABLE transactions (
  channel TEXT, block INTEGER, position INTEGER, id TEXT NOT NULL, code TEXT NOT NULL, event INTEGER NOT NULL,
  data BLOB NOT NULL, PRIMARY KEY (channel, block, position));
CREATE INDEX transaction_ids ON transactions (channel, id, block, position);
CREATE INDEX events ON transactions (channel, block, position) WHERE event;
CREATE TABLE state (
  channel TEXT, key BLOB, block INTEGER NOT NULL, position INTEGER NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (channel, key));
CREATE TABLE policies (channel TEXT, key BLOB, policy BLOB NOT NULL, PRIMARY KEY (channel, key)) WITHOUT ROWID;
CREATE TABLE history (
  channel TEXT, key BLOB, block INTEGER, position INTEGER,
  PRIMARY KEY (channel, key, block, position)) WITHOUT ROWID;
CREATE TABLE private_state (
  channel TEXT, collection TEXT, key_hash TEXT, value_hash TEXT NOT NULL, block INTEGER NOT NULL,
  position INTEGER NOT NULL, PRIMARY KEY (channel, collection, key_hash)) WITHOUT ROWID;
CREATE TABLE private_data (
  channel TEXT, collection TEXT, key_hash TEXT, block INTEGER, position INTEGER, key BLOB NOT NULL,
  value BLOB NOT NULL, PRIMARY KEY (channel, collection, key_hash, block, position));
CREATE INDEX private_keys ON private_data (channel, collection, key);
"""


class Store:
    """One connection; several may be open on a file, one of them writing."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        mode = "ro" if read_only else "rw"
        # The ledger hands a connection from thread to thread, and never to two at once.
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
        self._execute = self._connection.execute
        if not read_only:
            self._execute("PRAGMA synchronous = FULL")

    @staticmethod
    def create(path: Path, genesis: bytes) -> None:
        """Make a new file.

        Raises:
            FileExistsError: if there is one.
        """
        path.touch(exist_ok=False)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        connection.execute("INSERT INTO meta VALUES ('genesis', ?)", (genesis,))
        connection.close()

    def close(self) -> None:
        self._connection.close()

    def begin_reading(self) -> None:
        """Begin to see one state, whatever is written meanwhile, until `end`."""
        self._execute("BEGIN DEFERRED")

    def begin_writing(self) -> None:
        self._execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        """End what was begun; what was written is durable."""
        self._execute("COMMIT")

    def undo(self) -> None:
        """Forget what was written since `begin_writing`, if it is not durable yet."""
        if self._connection.in_transaction:
            self._execute("ROLLBACK")

    # The chains

    def genesis(self) -> bytes | None:
        """Return the bytes of the genesis, None if this is no file of a ledger."""
        if self._execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            return None
        return bytes(self._execute("SELECT value FROM meta WHERE name = 'genesis'").fetchone()[0])

    def certificate(self, fingerprint: str) -> tuple[str, bytes] | None:
        """Return the MSP id and the PEM of a certificate."""
        row = self._execute("SELECT msp_id, pem FROM certificates WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return None if row is None else (row[0], row[1])

    def add_certificate(self, fingerprint: str, msp_id: str, pem: bytes) -> None:
        self._execute("INSERT OR IGNORE INTO certificates VALUES (?, ?, ?)", (fingerprint, msp_id, pem))

    def height(self, channel: str) -> int:
        """Return the number of blocks."""
        row = self._execute("SELECT max(number) FROM blocks WHERE channel = ?", (channel,)).fetchone()
        return 0 if row[0] is None else row[0] + 1

    def transactions(self, channel: str) -> int:
        """Return the number of transactions, valid or not."""
        return int(self._execute("SELECT count(*) FROM transactions WHERE channel = ?", (channel,)).fetchone()[0])

    def header(self, channel: str, number: int) -> bytes | None:
        row = self._execute("SELECT header FROM blocks WHERE channel = ? AND number = ?", (channel, number)).fetchone()
        return None if row is None else row[0]

    def bodies(self, channel: str, number: int) -> list[bytes]:
        """Return the bytes of a block's transactions, in their order."""
        rows = self._execute(
            "SELECT data FROM transactions WHERE channel = ? AND block = ? ORDER BY position", (channel, number)
        )
        return [data for (data,) in rows]

    def transaction(self, channel: str, version: Version) -> bytes:
        row = self._execute(
            "SELECT data FROM transactions WHERE channel = ? AND block = ? AND position = ?", (channel, *version)
        ).fetchone()
        return bytes(row[0])

    def find(self, channel: str, transaction_id: str) -> Version | None:
        """Return where a transaction stands, the first time if it was sent again."""
        row = self._execute(
            "SELECT block, position FROM transactions WHERE channel = ? AND id = ? ORDER BY block, position LIMIT 1",
            (channel, transaction_id),
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def known_ids(self, channel: str, ids: Sequence[str]) -> set[str]:
        """Return those `ids` under which there is a transaction."""
        found: set[str] = set()
        for chunk, marks in _chunks(ids):
            rows = self._execute(
                f"SELECT id FROM transactions WHERE channel = ? AND id IN ({marks})",  # noqa: S608 -- question marks
                (channel, *chunk),
            )
            found.update(transaction_id for (transaction_id,) in rows)
        return found

    def next_event(self, channel: str, after: Version) -> tuple[Version, bytes] | None:
        """Return the first valid transaction with an event behind `after`."""
        row = self._execute(
            "SELECT block, position, data FROM transactions INDEXED BY events"
            " WHERE channel = ? AND event AND (block, position) > (?, ?) ORDER BY block, position LIMIT 1",
            (channel, *after),
        ).fetchone()
        return None if row is None else ((row[0], row[1]), row[2])

    def add_block(self, channel: str, number: int, header: bytes, judged: Sequence[tuple[Transaction, Code]]) -> None:
        """Add a block with its transactions and their codes, and to the history what they wrote; the state is apart."""
        self._execute("INSERT INTO blocks VALUES (?, ?, ?)", (channel, number, header))
        self._connection.executemany(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    channel,
                    number,
                    position,
                    transaction.id,
                    code.value,
                    code is Code.VALID and transaction.response.event is not None,
                    transaction.data,
                )
                for position, (transaction, code) in enumerate(judged)
            ],
        )
        self._connection.executemany(
            "INSERT INTO history VALUES (?, ?, ?, ?)",
            [
                (channel, key.encode(), number, position)
                for position, (transaction, code) in enumerate(judged)
                if code is Code.VALID
                for key in transaction.response.writes
            ],
        )

    # The state

    def get(self, channel: str, key: str) -> tuple[bytes, Version] | None:
        row = self._execute(
            "SELECT value, block, position FROM state WHERE channel = ? AND key = ?", (channel, key.encode())
        ).fetchone()
        return None if row is None else (row[0], (row[1], row[2]))

    def version(self, channel: str, key: str) -> Version | None:
        row: Version | None = self._execute(
            "SELECT block, position FROM state WHERE channel = ? AND key = ?", (channel, key.encode())
        ).fetchone()
        return row

    def policies(self, channel: str, keys: Collection[str]) -> dict[str, Policy]:
        """Return the policies of those `keys` that have one of their own."""
        found: dict[str, Policy] = {}
        for chunk, marks in _chunks([key.encode() for key in keys]):
            rows = self._execute(
                f"SELECT key, policy FROM policies WHERE channel = ? AND key IN ({marks})",  # noqa: S608 -- question marks
                (channel, *chunk),
            )
            found |= {key.decode(): _read_policy(policy) for key, policy in rows}
        return found

    def range(self, channel: str, start: str, end: str) -> Iterator[tuple[str, bytes, Version]]:
        """Yield keys, values and versions from `start` to before `end`; an empty `end` means no end.

        Rows are fetched in small chunks, so that a reader may stop early and no statement stays open behind it.
        """
        lower, upper = start.encode(), end.encode() or BEHIND_ALL_KEYS
        while True:
            rows = self._execute(
                "SELECT key, value, block, position FROM state"
                " WHERE channel = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?",
                (channel, lower, upper, _CHUNK_ROWS),
            ).fetchall()
            for key, value, number, position in rows:
                yield key.decode(), value, (number, position)
            if len(rows) < _CHUNK_ROWS:
                return
            lower = rows[-1][0] + b"\0"

    def range_versions(self, channel: str, start: str, end: str) -> tuple[tuple[str, Version], ...]:
        """Return keys and versions from `start` to before `end`."""
        rows = self._execute(
            "SELECT key, block, position FROM state WHERE channel = ? AND key >= ? AND key < ? ORDER BY key",
            (channel, start.encode(), end.encode() or BEHIND_ALL_KEYS),
        )
        return tuple((key.decode(), (number, position)) for key, number, position in rows)

    def history(self, channel: str, key: str) -> list[Version]:
        """Return the versions that a key ever had, deletions included, newest first."""
        return self._execute(
            "SELECT block, position FROM history WHERE channel = ? AND key = ? ORDER BY block DESC, position DESC",
            (channel, key.encode()),
        ).fetchall()

    def apply(self, channel: str, version: Version, transaction: Transaction) -> None:
        """Let a valid transaction's writes and policies take effect on the state."""
        writes = transaction.response.writes
        many = self._connection.executemany
        many(
            "INSERT INTO state VALUES (?, ?, ?, ?, ?) ON CONFLICT (channel, key) DO UPDATE"
            " SET block = excluded.block, position = excluded.position, value = excluded.value",
            [(channel, key.encode(), *version, value) for key, value in writes.items() if value is not None],
        )
        if deleted := [(channel, key.encode()) for key, value in writes.items() if value is None]:
            many("DELETE FROM state WHERE channel = ? AND key = ?", deleted)
            many("DELETE FROM policies WHERE channel = ? AND key = ?", deleted)
        for key, policy in transaction.response.policies.items():
            self._apply_policy(channel, version, key.encode(), policy)

    def _apply_policy(self, channel: str, version: Version, key: bytes, policy: Policy | None) -> None:
        changed = self._execute(
            "UPDATE state SET block = ?, position = ? WHERE channel = ? AND key = ?", (*version, channel, key)
        )
        if policy is None:
            self._execute("DELETE FROM policies WHERE channel = ? AND key = ?", (channel, key))
        elif changed.rowcount:
            data = codec.encode(policies.to_json(policy))
            self._execute("INSERT OR REPLACE INTO policies VALUES (?, ?, ?)", (channel, key, data))

    # Private data

    def private_value(self, channel: str, collection: str, hashed_key: str) -> bytes | None:
        """Return the committed private value, None if there is none or it was never handed over."""
        row = self._execute(
            "SELECT value FROM private_state JOIN private_data USING (channel, collection, key_hash, block, position)"
            " WHERE channel = ? AND collection = ? AND key_hash = ?",
            (channel, collection, hashed_key),
        ).fetchone()
        return None if row is None else row[0]

    def private_hash(self, channel: str, collection: str, hashed_key: str) -> tuple[str, Version] | None:
        """Return the hash and the version of a committed private value."""
        row = self._execute(
            "SELECT value_hash, block, position FROM private_state"
            " WHERE channel = ? AND collection = ? AND key_hash = ?",
            (channel, collection, hashed_key),
        ).fetchone()
        return None if row is None else (row[0], (row[1], row[2]))

    def private_range(self, channel: str, collection: str, start: str, end: str) -> list[tuple[str, bytes]]:
        """Return the committed private keys and values from `start` to before `end`."""
        rows = self._execute(
            "SELECT key, value FROM private_data JOIN private_state"
            " USING (channel, collection, key_hash, block, position)"
            " WHERE channel = ? AND collection = ? AND key >= ? AND key < ? ORDER BY key",
            (channel, collection, start.encode(), end.encode() or BEHIND_ALL_KEYS),
        )
        return [(key.decode(), value) for key, value in rows]

    def apply_private(
        self, channel: str, version: Version, write: PrivateWrite, handed_over: tuple[str, bytes] | None
    ) -> None:
        """Let a private write take effect: the hashes always, key and value if they were handed over."""
        place = (channel, write.collection, write.key_hash)
        if write.value_hash is None:
            self._execute("DELETE FROM private_state WHERE channel = ? AND collection = ? AND key_hash = ?", place)
            self._execute("DELETE FROM private_data WHERE channel = ? AND collection = ? AND key_hash = ?", place)
            return
        self._execute(
            "INSERT INTO private_state VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, collection, key_hash) DO UPDATE"
            " SET value_hash = excluded.value_hash, block = excluded.block, position = excluded.position",
            (*place, write.value_hash, *version),
        )
        if handed_over is not None:
            key, value = handed_over
            self._execute(
                "INSERT INTO private_data VALUES (?, ?, ?, ?, ?, ?, ?)", (*place, *version, key.encode(), value)
            )


def hash_key(key: str) -> str:
    """Return the hash under which a private key stands on the block."""
    return codec.content_id(key.encode())


def _chunks(values: Sequence[_Value]) -> Iterator[tuple[Sequence[_Value], str]]:
    """Yield as many values at a time as a statement takes, and a question mark for each."""
    for start in range(0, len(values), _CHUNK_VALUES):
        chunk = values[start : start + _CHUNK_VALUES]
        yield chunk, ",".join("?" * len(chunk))


@lru_cache(maxsize=1024)
def _read_policy(data: bytes) -> Policy:
    return policies.from_json(codec.decode(data))
