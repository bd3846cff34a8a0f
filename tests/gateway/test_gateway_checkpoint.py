"""A checkpoint in a file is whole after a crash at any moment."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fabric_gateway import ChaincodeEvent, FileCheckpointer, Malformed, MemoryCheckpointer


class Crash(BaseException):
    """The power went off."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


def place(checkpointer: MemoryCheckpointer) -> tuple[int | None, str]:
    return checkpointer.block_number, checkpointer.transaction_id


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_checkpoint_is_the_next_block_or_the_last_transaction(kind: str, path: Path) -> None:
    checkpointer = MemoryCheckpointer() if kind == "memory" else FileCheckpointer(path)
    assert place(checkpointer) == (None, "")
    checkpointer.checkpoint_transaction(7, "tx")
    assert place(checkpointer) == (7, "tx")
    checkpointer.checkpoint_block(7)
    assert place(checkpointer) == (8, "")
    event = ChaincodeEvent(block_number=8, transaction_id="other", chaincode="basic", name="e", payload=b"")
    checkpointer.checkpoint_chaincode_event(event)
    assert place(checkpointer) == (8, "other")


def test_a_file_is_read_back_and_is_that_of_the_official_clients(path: Path) -> None:
    FileCheckpointer(path).checkpoint_transaction(2**60, "tx")
    assert json.loads(path.read_text()) == {"blockNumber": "1152921504606846976", "transactionId": "tx"}
    assert place(FileCheckpointer(path)) == (2**60, "tx")
    path.write_text('{"blockNumber":"5"}')
    assert place(FileCheckpointer(path)) == (5, "")


def test_a_write_torn_at_any_byte_leaves_the_last_checkpoint(path: Path) -> None:
    FileCheckpointer(path).checkpoint_transaction(1, "first")
    whole = path.read_bytes()
    beside = path.with_name("checkpoint.new")
    for length in range(len(whole) + 1):
        # What a power cut leaves: the new file as far as it got, and the old one under the name.
        beside.write_bytes(whole[:length])
        checkpointer = FileCheckpointer(path)
        assert place(checkpointer) == (1, "first")
    checkpointer.checkpoint_transaction(2, "second")
    assert place(FileCheckpointer(path)) == (2, "second")
    assert not beside.exists()


@pytest.mark.parametrize("moment", ["fsync", "replace", "directory"])
def test_a_crash_at_any_moment_leaves_one_checkpoint_or_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    checkpointer = FileCheckpointer(path)
    checkpointer.checkpoint_block(1)

    def crash(*_: Any) -> None:
        raise Crash

    match moment:
        case "fsync":
            monkeypatch.setattr(os, "fsync", crash)
        case "replace":
            monkeypatch.setattr(Path, "replace", crash)
        case "directory":
            monkeypatch.setattr(os, "open", crash)
    with pytest.raises(Crash):
        checkpointer.checkpoint_block(2)
    assert place(checkpointer) == (2, "")
    monkeypatch.undo()
    assert place(FileCheckpointer(path)) == ((3 if moment == "directory" else 2), "")


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_call_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpointer = FileCheckpointer(path)
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        steps.append("fsync")
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    checkpointer.checkpoint_block(1)
    assert steps == ["fsync", "replace", "fsync"]


def test_a_file_torn_by_others_at_any_byte_is_refused(path: Path) -> None:
    FileCheckpointer(path).checkpoint_transaction(1, "first")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(Malformed, match="remove it to begin anew"):
            FileCheckpointer(path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "1",
        "{}",
        '{"blockNumber": null}',
        '{"blockNumber": "x"}',
        '{"blockNumber": "-1"}',
        '{"blockNumber": "1", "transactionId": 5}',
    ],
)
def test_a_file_that_holds_no_checkpoint_is_refused(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(Malformed, match="holds no checkpoint"):
        FileCheckpointer(path)
