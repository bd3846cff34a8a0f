"""The SQLite file of a ledger, read and never written, as it was at one moment."""

import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from wattpool.ledgers.block import Version
from wattpool.ledgers.port import ForeignLedger
from wattpool.verify.report import Broken, ViolationKind
from wattpool.verify.state import Place

FILE_NAME = "ledger.db"

Row = tuple[Any, ...]


class TransactionRow(NamedTuple):
    """A transaction as it lies in the file: its bytes, and what stands beside them to find it by."""

    position: int
    id: str
    code: str
    event: int
    data: bytes


class LedgerFile:
    """All that a check reads.

    Attributes:
        has_state: whether there are tables of what can be computed from the chains.
        has_openings: whether private values are there; without them, what needs one cannot be run again.
    """

    def __init__(self, connection: sqlite3.Connection, *, has_state: bool = True, has_openings: bool = True) -> None:
        self.has_state = has_state
        self.has_openings = has_openings
        self._connection = connection
        self._execute = connection.execute

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the file in a ledger's directory.

        Raises:
            ForeignLedger: if there is no ledger in it, or it may not be read.
        """
        path = directory / FILE_NAME
        if not path.is_file():
            raise ForeignLedger(f"{directory} is not a ledger")
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise ForeignLedger(f"{path} cannot be opened: {error}") from error
        connection.execute("BEGIN DEFERRED")
        return cls(connection)

    def close(self) -> None:
        self._connection.close()

    def require_intact(self) -> None:
        """Check pages and indexes as SQLite itself does.

        Raises:
            Broken: file.
        """
        for (found,) in self._execute("PRAGMA integrity_check(1)"):
            if found != "ok":
                raise Broken(ViolationKind.FILE, f"the database contradicts itself: {found}")

    # What the chains consist of

    def genesis(self) -> bytes | None:
        return self._one("SELECT CAST(value AS BLOB) FROM meta WHERE name = 'genesis'")

    def certificates(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield fingerprint, MSP id and PEM of all certificates."""
        return self._execute("SELECT fingerprint, msp_id, CAST(pem AS BLOB) FROM certificates ORDER BY fingerprint")

    def heights(self) -> dict[str, int]:
        """Return for each channel the number behind that of its last block."""
        return dict(self._execute("SELECT channel, max(number) + 1 FROM blocks GROUP BY channel").fetchall())

    def transaction_count(self) -> int:
        row = self._execute("SELECT count(*) FROM transactions").fetchone()
        return int(row[0])

    def header(self, channel: str, number: int) -> bytes | None:
        return self._one("SELECT CAST(header AS BLOB) FROM blocks WHERE channel = ? AND number = ?", channel, number)

    def transactions(self, channel: str, number: int) -> list[TransactionRow]:
        """Return a block's transactions in their order."""
        rows = self._execute(
            "SELECT position, id, code, event, CAST(data AS BLOB) FROM transactions"
            " WHERE channel = ? AND block = ? ORDER BY position",
            (channel, number),
        )
        return [TransactionRow(*row) for row in rows]

    def transaction(self, channel: str, version: Version) -> bytes:
        """Return the bytes of a transaction that is known to be there."""
        data = self._one(
            "SELECT CAST(data AS BLOB) FROM transactions WHERE channel = ? AND block = ? AND position = ?",
            channel,
            *version,
        )
        if data is None:
            raise RuntimeError(f"channel {channel!r} has no transaction {version}")
        return data

    def transactions_outside_blocks(self) -> list[tuple[str, int, str]]:
        """Return channel, block and id of the first transaction, if any, whose block is not there."""
        return self._execute(
            "SELECT channel, block, id FROM transactions"
            " WHERE (channel, block) NOT IN (SELECT channel, number FROM blocks) LIMIT 1"
        ).fetchall()

    def valid_transactions(self, channel: str) -> Iterator[tuple[Version, bytes]]:
        """Yield what is marked as valid, in order."""
        rows = self._execute(
            "SELECT block, position, CAST(data AS BLOB) FROM transactions WHERE channel = ? AND code = 'VALID'"
            " ORDER BY block, position",
            (channel,),
        )
        return (((block, position), data) for block, position, data in rows)

    def private_value(self, channel: str, place: Place, version: Version) -> tuple[bytes, bytes] | None:
        """Return key and value of a private write, None if they are not there."""
        row: tuple[bytes, bytes] | None = self._execute(
            "SELECT CAST(key AS BLOB), CAST(value AS BLOB) FROM private_data"
            " WHERE channel = ? AND collection = ? AND key_hash = ? AND block = ? AND position = ?",
            (channel, *place, *version),
        ).fetchone()
        return row

    def openings(self, channel: str, number: int) -> Iterator[dict[str, Any]]:
        """Yield the private values that a block's transactions wrote and that are still kept, as an export has them."""
        rows = self._execute(
            "SELECT position, collection, key_hash, CAST(key AS BLOB), CAST(value AS BLOB) FROM private_data"
            " WHERE channel = ? AND block = ? ORDER BY position, collection, key_hash",
            (channel, number),
        )
        for position, collection, key_hash, key, value in rows:
            yield {
                "block": number,
                "channel": channel,
                "collection": collection,
                "key": key.decode(),
                "key_hash": key_hash,
                "position": position,
                "value": b64encode(value).decode(),
            }

    # What can be computed from the chains

    def state_rows(self) -> Iterator[Row]:
        """Yield channel, key, version and value of all public keys, in this order."""
        return self._execute(
            "SELECT channel, CAST(key AS BLOB), block, position, CAST(value AS BLOB) FROM state ORDER BY channel, key"
        )

    def policy_rows(self) -> Iterator[Row]:
        """Yield channel, key and policy of all public keys that have their own, in this order."""
        return self._execute(
            "SELECT channel, CAST(key AS BLOB), CAST(policy AS BLOB) FROM policies ORDER BY channel, key"
        )

    def history_rows(self) -> Iterator[Row]:
        """Yield channel, key and version of all writes, in this order."""
        return self._execute(
            "SELECT channel, CAST(key AS BLOB), block, position FROM history ORDER BY channel, key, block, position"
        )

    def private_state_rows(self) -> Iterator[Row]:
        """Yield channel, collection, key hash, value hash and version of all private values, in this order."""
        return self._execute(
            "SELECT channel, collection, key_hash, value_hash, block, position FROM private_state"
            " ORDER BY channel, collection, key_hash"
        )

    def private_data_rows(self) -> Iterator[Row]:
        """Yield channel, collection, key hash and version of all private values ever kept, in this order."""
        return self._execute(
            "SELECT channel, collection, key_hash, block, position FROM private_data"
            " ORDER BY channel, collection, key_hash, block, position"
        )

    def _one(self, query: str, *values: str | int) -> bytes | None:
        row = self._execute(query, values).fetchone()
        return None if row is None else row[0]
