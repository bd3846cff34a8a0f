"""Meter records on the ledger: taken in with their own period or, if they came late, with a later one."""

from typing import Any

from wattpool.client import Chain
from wattpool.ledgers.port import EndorseError
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.records.period import Period


def find_reading(ledger: Chain, digest: str, *, first: Period, by: str) -> dict[str, Any]:
    """Return a meter record by its hash, as `record`, and where it was taken in, as `place`.

    Args:
        ledger: the ledger chain.
        digest: of the record.
        first: the first period that it can have been taken in with.
        by: MSP id of the organisation that asks.

    Raises:
        EndorseError: record_unknown.
    """
    last_utc = ledger.evaluate("last_period", by=by)["period"] or 0
    period = first
    while True:
        try:
            found: dict[str, Any] = ledger.evaluate("reading", by=by, period=period.start_utc, record=digest)
        except EndorseError as error:
            if error.reason != LedgerRefusal.RECORD_UNKNOWN or period.start_utc >= last_utc:
                raise
        else:
            return found
        period = period.next
