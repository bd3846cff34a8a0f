"""Publishing the roster: what the contract chain has admitted becomes what the ledger chain trades by."""

from collections.abc import Sequence
from typing import Any

from wattpool.client import Chain, Step
from wattpool.ledgers.port import EndorseError
from wattpool_chaincode.contract.refusals import ContractRefusal


def publish(contract: Chain, ledger: Chain, *, by: str) -> int:
    """Publish rules, parties and devices as they are now, however many; return the roster's version.

    Raises:
        EndorseError: in the contract's words, page_unknown if no connection has a slot yet.
    """
    published: list[Any] = []
    while True:
        try:
            published.append(contract.submit("publish_page", by=by, page=len(published)))
        except EndorseError as error:
            if error.reason != ContractRefusal.PAGE_UNKNOWN or not published:
                raise
            return release(contract, ledger, published, by=by)


def release(contract: Chain, ledger: Chain, published: Sequence[Any], *, by: str) -> int:
    """Make published pages a version of the roster, and have the ledger chain adopt it; return the version."""
    copies = [Step(function="adopt_page", argument=page) for page in published]
    ledger.submit_together(copies, by=by)
    version: int = contract.submit("publish_roster", by=by)["version"]
    ledger.submit("adopt_roster", by=by, version=version)
    return version
