"""Each organisation computes what all blocks hash to, and two that agree make a checkpoint."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from community import RULES
from wattpool.checkpoints import vote
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import EndorseError
from wattpool.verify import Violation, ViolationKind, verify
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, OPERATOR_ATTRIBUTES
from wattpool_chaincode.records import merkle


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def ledger(directory: Path) -> Iterator[EmbeddedLedger]:
    with EmbeddedLedger.create(
        directory, community="street", chaincodes=CHAINCODES, client_attributes=OPERATOR_ATTRIBUTES
    ) as ledger:
        Chain(ledger, "contract").submit("found", by=AGGREGATOR, **RULES)
        yield ledger


def hashes(ledger: EmbeddedLedger, channel: str, blocks: int) -> list[bytes]:
    return [bytes.fromhex(ledger.block(channel, number).hash) for number in range(blocks)]


def test_two_organisations_agree_on_all_blocks_of_both_chains(ledger: EmbeddedLedger) -> None:
    assert "votes" in vote(ledger, by=DSO)
    checkpoint = vote(ledger, by=AGGREGATOR)
    roots = [merkle.root(hashes(ledger, channel, checkpoint[channel]["blocks"])) for channel in ("contract", "ledger")]
    assert checkpoint["root"] == merkle.root(roots).hex()


def test_the_next_one_counts_the_blocks_since(ledger: EmbeddedLedger) -> None:
    for number in (1, 2, 3):
        vote(ledger, by=DSO)
        vote(ledger, by=MEMBERS)
        checkpoint = Chain(ledger, "contract").evaluate("checkpoint", by=DSO, number=0)
        assert checkpoint["number"] == number
        blocks = checkpoint["contract"]["blocks"]
        roots = [merkle.root(hashes(ledger, "contract", blocks)), merkle.root(hashes(ledger, "ledger", 0))]
        assert checkpoint["root"] == merkle.root(roots).hex()


def test_a_node_with_other_blocks_agrees_with_nobody(ledger: EmbeddedLedger) -> None:
    vote(ledger, by=DSO)
    with patch.object(EmbeddedLedger, "block_hashes", lambda *_, **__: [bytes(32)]):
        assert "votes" in vote(ledger, by=AGGREGATOR)
    said = vote(ledger, by=MEMBERS)
    assert said["contract"]["blocks"] == 1
    assert "root" in said


def test_without_a_new_block_there_is_no_checkpoint(ledger: EmbeddedLedger) -> None:
    with patch.object(EmbeddedLedger, "height", lambda *_: 0), pytest.raises(EndorseError, match="checkpoint_behind"):
        vote(ledger, by=MEMBERS)


def test_verify_finds_that_checkpoints_are_what_the_blocks_hash_to(ledger: EmbeddedLedger, directory: Path) -> None:
    for _ in range(3):
        vote(ledger, by=DSO)
        vote(ledger, by=MEMBERS)
    assert verify(directory).violation is None


def violation_after_agreeing(ledger: EmbeddedLedger, directory: Path) -> Violation:
    vote(ledger, by=DSO)
    assert "root" in vote(ledger, by=AGGREGATOR)
    found = verify(directory).violation
    assert found is not None
    return found


def test_verify_names_a_checkpoint_over_other_blocks_that_two_agreed_on(
    ledger: EmbeddedLedger, directory: Path
) -> None:
    with patch.object(EmbeddedLedger, "block_hashes", lambda *_, **__: [bytes(32)]):
        found = violation_after_agreeing(ledger, directory)
    assert (found.what, found.channel, found.block) == (ViolationKind.CHECKPOINT, "contract", 2)


def test_verify_names_a_checkpoint_over_more_blocks_than_there_are(ledger: EmbeddedLedger, directory: Path) -> None:
    with (
        patch.object(EmbeddedLedger, "height", lambda *_: 5),
        patch.object(EmbeddedLedger, "block_hashes", lambda *_, **__: [bytes(32)] * 5),
    ):
        found = violation_after_agreeing(ledger, directory)
    assert found.what is ViolationKind.CHECKPOINT
    assert "over 5 blocks of 'contract'; there are 3" in found.detail
