"""Where a ledger is, as a command names it: a directory, or `fabric:CONNECTION.yaml[,...][#COMMUNITY]`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from wattpool.bad_input import BadInput

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
