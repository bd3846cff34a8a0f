"""Where a ledger is, as a command names it: a directory, or `fabric:CONNECTION.yaml[,...][#COMMUNITY]`."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wattpool.bad_input import BadInput
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Ledger
from wattpool.simulation.engine import CHAINCODES
from wattpool_chaincode.contract import CHANNEL as CONTRACT_CHANNEL
from wattpool_chaincode.organisations import AGGREGATOR

if TYPE_CHECKING:
    from wattpool.ledgers.fabric import FabricLedger


def fabric_path(place: str) -> tuple[list[Path], str | None] | None:
    """Return files and community that `fabric:FILE[,FILE...][#COMMUNITY]` names, None if a place is anything else."""
    kind, colon, path = place.partition(":")
    if (kind, colon) != ("fabric", ":"):
        return None
    files, hash_sign, community = path.partition("#")
    return [Path(file) for file in files.split(",")], community if hash_sign else None


def open_fabric(files: list[Path], community: str | None) -> "FabricLedger":
    """Open the ledger of a community on a Fabric network.

    Raises:
        BadInput: if a file cannot be used, there is no such community, or the extra is not installed.
        LedgerError: if certificates or keys that the files name cannot be used.
    """
    # What gRPC itself would log, such as a TLS handshake that failed, comes back as an error, too.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from wattpool.ledgers.fabric import FabricLedger, read_connection  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError as error:
        raise BadInput("--ledger", None, f"fabric: needs the extra wattpool[fabric]: {error}") from error
    return FabricLedger(read_connection(*files), community)


@contextmanager
def open_place(place: str, *, to_write: bool) -> Iterator[Ledger]:
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
