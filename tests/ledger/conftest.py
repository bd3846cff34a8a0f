"""Ledgers that hold nothing but the toy chaincode."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.toy import CHAINCODES, Clock
from wattpool.ledgers.embedded import EmbeddedLedger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "street"


@pytest.fixture
def ledger(directory: Path, clock: Clock) -> Iterator[EmbeddedLedger]:
    with EmbeddedLedger.create(directory, community="street", chaincodes=CHAINCODES, clock=clock) as ledger:
        yield ledger


@pytest.fixture
def reopen(directory: Path, clock: Clock) -> Callable[[], EmbeddedLedger]:
    return lambda: EmbeddedLedger.open(directory, chaincodes=CHAINCODES, clock=clock)
