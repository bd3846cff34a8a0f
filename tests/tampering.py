"""Changing a closed ledger behind its back, as its operator could: rows, whole chains, and what colluding keys sign."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wattpool.ledgers import block
from wattpool.ledgers.block import Code, Endorsement, Genesis, Proposal, Response, Transaction, Version
from wattpool.ledgers.certificates import Identity, Role
from wattpool_chaincode.organisations import ORGANISATIONS
from wattpool_chaincode.records import codec

Edit = Callable[[Transaction], Transaction]


class Tampered:
    """A copy of the ledger in `original`, in the directory `copy`, and the hands that change it."""

    def __init__(self, original: Path, copy: Path) -> None:
        self.directory = Path(shutil.copytree(original, copy))
        self._connection = sqlite3.connect(self.directory / "ledger.db", isolation_level=None)

    def close(self) -> None:
        self._connection.close()

    def sql(self, statement: str, *values: Any) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def identity(self, msp_id: str, role: Role) -> Identity:
        return Identity.load(self.directory / "organisations" / msp_id, role.value)

    def height(self, channel: str) -> int:
        return int(self.sql("SELECT count(*) FROM blocks WHERE channel = ?", channel)[0][0])

    def transactions(self, channel: str, number: int) -> list[Transaction]:
        rows = self.sql(
            "SELECT data FROM transactions WHERE channel = ? AND block = ? ORDER BY position", channel, number
        )
        return [Transaction.decode(data) for (data,) in rows]

    def find(self, channel: str, chosen: Callable[[Transaction], bool]) -> Version:
        """Return block and position of the first chosen transaction."""
        return next(
            (number, position)
            for number in range(self.height(channel))
            for position, one in enumerate(self.transactions(channel, number))
            if chosen(one)
        )

    def replace(self, channel: str, number: int, *transactions: bytes | Transaction) -> None:
        """Exchange a block's transactions, position by position, and leave all hashes as they are."""
        for position, one in enumerate(transactions):
            data = one if isinstance(one, bytes) else one.data
            place = (channel, number, position)
            self.sql("UPDATE transactions SET data = ? WHERE channel = ? AND block = ? AND position = ?", data, *place)
            if isinstance(one, Transaction):
                statement = "UPDATE transactions SET id = ? WHERE channel = ? AND block = ? AND position = ?"
                self.sql(statement, one.id, *place)

    def edit(self, channel: str, number: int, edit: Edit, *, position: int = 0) -> None:
        """Change one transaction and compute all hashes of the chain anew."""
        changed = self.transactions(channel, number)
        changed[position] = edit(changed[position])
        self.replace(channel, number, *changed)
        self.rechain(channel)

    def append(self, channel: str, *transactions: Transaction) -> None:
        """Add a block of transactions, all marked as valid, and none of their effects."""
        number = self.height(channel)
        header = {"channel": channel, "codes": [Code.VALID] * len(transactions), "data_hash": "", "number": number}
        data = codec.encode({**header, "previous_hash": ""})
        self.sql("INSERT INTO blocks VALUES (?, ?, ?)", channel, number, data)
        for position, one in enumerate(transactions):
            has_event = one.response.event is not None
            row = (channel, number, position, one.id, "VALID", has_event, one.data)
            self.sql("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
        self.rechain(channel)

    def rechain(self, channel: str) -> None:
        """Compute all hashes of a chain anew, from its transactions and codes."""
        genesis = Genesis.decode(self.sql("SELECT value FROM meta WHERE name = 'genesis'")[0][0])
        previous = genesis.hash
        for number, header in self.sql("SELECT number, header FROM blocks WHERE channel = ? ORDER BY number", channel):
            rows = self.sql(
                "SELECT data FROM transactions WHERE channel = ? AND block = ? ORDER BY position", channel, number
            )
            data = block.encode_header(
                channel=channel,
                number=number,
                previous_hash=previous,
                data_hash=block.data_hash([one for (one,) in rows]),
                codes=codec.decode(header)["codes"],
            )
            self.edit_header(channel, number, data)
            previous = codec.content_id(data)

    def header(self, channel: str, number: int) -> bytes:
        return bytes(self.sql("SELECT header FROM blocks WHERE channel = ? AND number = ?", channel, number)[0][0])

    def edit_header(self, channel: str, number: int, data: bytes) -> None:
        self.sql("UPDATE blocks SET header = ? WHERE channel = ? AND number = ?", data, channel, number)

    def sign(
        self,
        proposal: Proposal,
        response: Response,
        *,
        by: str,
        endorsers: Sequence[str] = ORGANISATIONS,
    ) -> Transaction:
        """Return a transaction with the true signatures of its submitter and of colluding organisations."""
        response = replace(response, proposal_hash=proposal.hash)
        message = block.endorser_message(response)
        peers = [self.identity(msp_id, Role.PEER) for msp_id in endorsers]
        return self.submit(
            Transaction(
                proposal=proposal,
                response=response,
                endorsements=tuple(
                    Endorsement(endorser=peer.fingerprint, signature=peer.sign(message)) for peer in peers
                ),
                signature=b"",
            ),
            by=by,
        )

    def submit(self, transaction: Transaction, *, by: str) -> Transaction:
        """Return a transaction with the true signature of its submitter, whatever its endorsements are worth."""
        message = block.submitter_message(transaction.response, transaction.endorsements)
        return replace(transaction, signature=self.identity(by, Role.CLIENT).sign(message))
