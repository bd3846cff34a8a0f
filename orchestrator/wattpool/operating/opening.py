"""Opening the ledger that a command names, to read or to write, as the community's clock has it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.places import fabric_path, open_fabric
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.contract import CHANNEL as CONTRACT_CHANNEL
from wattpool_chaincode.organisations import AGGREGATOR

if TYPE_CHECKING:
    from wattpool.ledgers.fabric import FabricLedger


@contextmanager
def open_place(place: str, *, to_write: bool) -> Iterator["EmbeddedLedger | FabricLedger"]:
    """Open the ledger of a founded community, to read or also to write.

    Raises:
        BadInput: if the place cannot be used.
        LedgerError: likewise, in the ledger's words; not_founded if there is no community on it.
    """
    path = fabric_path(place)
    if path is not None:
        with open_fabric(*path) as fabric:
            yield fabric
        return
    directory = Path(place)
    with EmbeddedLedger.read(directory, chaincodes=CHAINCODES) as reader:
        if not to_write:
            yield reader
            return
        clock = _clock_of(reader)
    with EmbeddedLedger.open(directory, chaincodes=CHAINCODES, clock=clock) as writer:
        yield writer


def _clock_of(ledger: EmbeddedLedger) -> Callable[[], int]:
    """Return the community's clock: that of a simulated one stands at its last transaction."""
    rules = Chain(ledger, CONTRACT_CHANNEL).evaluate("rules", by=AGGREGATOR, version=0)["rules"]
    if rules["clock"] != "simulated":
        return lambda: int(time.time())
    tips = [ledger.block(channel, ledger.height(channel) - 1) for channel in CHAINCODES if ledger.height(channel)]
    stopped_utc = max(transaction.proposal.time_utc for tip in tips for transaction in tip.transactions)
    return lambda: stopped_utc
