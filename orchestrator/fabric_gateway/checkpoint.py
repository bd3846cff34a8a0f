"""Where to go on with events after a restart.

A checkpoint is saved after an event has been dealt with, never before: an event may come twice, none is missed.
"""

import json
import os
from pathlib import Path
from typing import Any, Protocol

from fabric_gateway.errors import Malformed
from fabric_gateway.events import ChaincodeEvent


class Checkpoint(Protocol):
    """A place on a channel: the start of a block or, with a transaction id, right behind that transaction in it."""

    @property
    def block_number(self) -> int | None:
        """The block to go on with; None: nothing was saved yet."""

    @property
    def transaction_id(self) -> str:
        """The last transaction of this block that was dealt with; empty if none was."""


class MemoryCheckpointer:
    """A checkpoint that lasts as long as the process."""

    def __init__(self) -> None:
        self._block_number: int | None = None
        self._transaction_id = ""

    @property
    def block_number(self) -> int | None:
        return self._block_number

    @property
    def transaction_id(self) -> str:
        return self._transaction_id

    def checkpoint_block(self, block_number: int) -> None:
        """Note that all of a block has been dealt with."""
        self._note(block_number + 1, "")

    def checkpoint_transaction(self, block_number: int, transaction_id: str) -> None:
        """Note that a block has been dealt with up to and including a transaction."""
        self._note(block_number, transaction_id)

    def checkpoint_chaincode_event(self, event: ChaincodeEvent) -> None:
        """Note that a chaincode event has been dealt with."""
        self._note(event.block_number, event.transaction_id)

    def _note(self, block_number: int, transaction_id: str) -> None:
        self._block_number = block_number
        self._transaction_id = transaction_id


class FileCheckpointer(MemoryCheckpointer):
    """A checkpoint in a file, whole after a crash at any moment; one consumer per file.

    The content is that of the official clients: {"blockNumber": decimal text, "transactionId": text}.

    Raises:
        Malformed: if the file is there and holds no checkpoint.
        OSError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        if path.exists():
            super()._note(*_decode(path))

    def _note(self, block_number: int, transaction_id: str) -> None:
        # The new content is on the disk before the name points to it, so the name leads to one or the other whole.
        beside = self._path.with_name(self._path.name + ".new")
        with beside.open("w") as file:
            json.dump({"blockNumber": str(block_number), "transactionId": transaction_id}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        super()._note(block_number, transaction_id)


def _decode(path: Path) -> tuple[int, str]:
    try:
        content: Any = json.loads(path.read_bytes())
        block_number = int(content["blockNumber"])
        transaction_id = content.get("transactionId") or ""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # To begin anew instead would deal with every event once more, or skip some.
        raise Malformed(f"{path} holds no checkpoint: {error}; restore it, or remove it to begin anew") from error
    if block_number < 0 or not isinstance(transaction_id, str):
        raise Malformed(f"{path} holds no checkpoint: block {block_number}, transaction {transaction_id!r}")
    return block_number, transaction_id
