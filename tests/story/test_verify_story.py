"""A real day is simulated, somebody changes its ledger, and `verify` says what."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from story.bundled_day import run, scenario
from tampering import Tampered
from wattpool.ledgers.block import Transaction
from wattpool.verify import Violation, ViolationKind, verify
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records import codec


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of the bundled day, in periods of an hour."""
    directory = tmp_path_factory.mktemp("story") / "ledger"
    assert len(run(scenario(), directory)) == 24
    return directory


@pytest.fixture
def tampered(original: Path, tmp_path: Path) -> Iterator[Tampered]:
    tampered = Tampered(original, tmp_path / "ledger")
    yield tampered
    tampered.close()


def violation(tampered: Tampered) -> Violation:
    found = verify(tampered.directory).violation
    assert found is not None
    return found


def test_a_simulated_day_holds_and_every_call_was_repeated(original: Path) -> None:
    report = verify(original)
    assert report.violation is None
    assert sorted(report.channels) == ["contract", "ledger"]
    assert [checked.unrepeatable for checked in report.channels.values()] == [0, 0]


def collude(tampered: Tampered, kind: str, change: Callable[[list[int]], None]) -> int:
    """Change the first trade that a stage wrote, and let all organisations sign it; return the block's number."""

    def first_trade(transaction: Transaction) -> tuple[str, list[int]] | None:
        for key, value in transaction.response.writes.items():
            if value is not None and key.startswith(kind):
                page = codec.decode(value)
                for trade in page.get("matches", page.get("trades")):
                    return key, trade
        return None

    def edit(transaction: Transaction) -> Transaction:
        found = first_trade(transaction)
        assert found is not None
        key, trade = found
        before = codec.encode(trade)
        change(trade)
        value = (transaction.response.writes[key] or b"").replace(before, codec.encode(trade), 1)
        response = replace(transaction.response, writes={**transaction.response.writes, key: value})
        return tampered.sign(transaction.proposal, response, by=AGGREGATOR)

    number, position = tampered.find("ledger", lambda transaction: first_trade(transaction) is not None)
    tampered.edit("ledger", number, edit, position=position)
    return number


def raise_by_one(column: int) -> Callable[[list[int]], None]:
    def change(trade: list[int]) -> None:
        trade[column] += 1

    return change


@pytest.mark.parametrize(
    ("kind", "column"),
    [("cleared", 3), ("cleared", 4), ("settled", 4), ("settled", 5), ("settled", 6)],
    ids=["agreed quantity", "price", "settled quantity", "payment", "fee"],
)
def test_a_price_or_quantity_that_all_organisations_signed_is_named(tampered: Tampered, kind: str, column: int) -> None:
    number = collude(tampered, kind, raise_by_one(column))
    found = violation(tampered)
    assert (found.what, found.block) == (ViolationKind.EXECUTION, number)
    assert kind in found.detail


def test_a_price_changed_on_the_block_is_named(tampered: Tampered) -> None:
    number, position = tampered.find("ledger", lambda transaction: transaction.proposal.function == "clear")
    transactions = tampered.transactions("ledger", number)
    response = transactions[position].response
    (key,) = response.writes
    transactions[position] = replace(transactions[position], response=replace(response, writes={key: b"1"}))
    tampered.replace("ledger", number, *transactions)
    found = violation(tampered)
    assert (found.what, found.block) == (ViolationKind.DATA_HASH, number)


def test_a_meters_signature_that_was_changed_is_named(tampered: Tampered) -> None:
    number, _ = tampered.find("ledger", lambda transaction: transaction.proposal.function == "ingest")
    query = "SELECT rowid, value FROM private_data WHERE block = ? AND CAST(key AS TEXT) LIKE 'request/%'"
    ((rowid, value),) = tampered.sql(query, number)
    chunk = codec.decode(value)
    statement, _ = chunk["items"][0]
    chunk["items"][0] = [statement, chunk["items"][1][1]]
    tampered.sql("UPDATE private_data SET value = ? WHERE rowid = ?", codec.encode(chunk), rowid)
    found = violation(tampered)
    assert (found.what, found.block) == (ViolationKind.PRIVATE_DATA, number)
    assert "request/" in found.detail


def test_a_balance_changed_in_the_state_is_named(tampered: Tampered) -> None:
    ((value,),) = tampered.sql("SELECT value FROM state WHERE key = CAST('purse/0000' AS BLOB)")
    purses = codec.decode(value)
    purses[0] += 1
    tampered.sql("UPDATE state SET value = ? WHERE key = CAST('purse/0000' AS BLOB)", codec.encode(purses))
    found = violation(tampered)
    assert found.what is ViolationKind.STATE
    assert "purse/0000" in found.detail


@pytest.mark.parametrize("channel", ["contract", "ledger"])
def test_a_block_that_was_removed_is_named(tampered: Tampered, channel: str) -> None:
    number = tampered.height(channel) // 2
    tampered.sql("DELETE FROM blocks WHERE channel = ? AND number = ?", channel, number)
    tampered.sql("DELETE FROM transactions WHERE channel = ? AND block = ?", channel, number)
    found = violation(tampered)
    assert (found.what, found.channel, found.block) == (ViolationKind.NUMBER, channel, number)


@pytest.mark.parametrize("channel", ["contract", "ledger"])
def test_a_block_that_was_doubled_is_named(tampered: Tampered, channel: str) -> None:
    height = tampered.height(channel)
    tampered.append(channel, *tampered.transactions(channel, height // 2))
    found = violation(tampered)
    assert (found.what, found.channel, found.block) == (ViolationKind.DOUBLED, channel, height)
