"""Issuing a receipt: collecting from a ledger what proves one connection's part of one period."""

from collections.abc import Callable
from typing import Any

from wattpool.client import Chain
from wattpool.readings import find_reading
from wattpool.receipts.envelope import seal_up
from wattpool.receipts.evidence import to_text
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.period import Period

# Returns the evidence of a transaction, by its id, and the argument it was called with.
FindEvidence = Callable[[str], tuple[dict[str, Any], bytes]]


class NoReceipt(Exception):
    """There is nothing to give a receipt for."""


def issue(  # noqa: PLR0913 -- what a receipt is about
    chain: Chain,
    find_evidence: FindEvidence,
    *,
    period_start_utc: int,
    connection: str,
    version: int = 0,
    with_record: bool = True,
) -> bytes:
    """Return the receipt for what a sealed period did to a connection; `check` says what stands in it.

    Args:
        chain: the ledger chain.
        find_evidence: looks into the same chain.
        period_start_utc: the market period.
        connection: the pseudonym of the connection point.
        version: of the period; 0 for the latest.
        with_record: whether the meter's signed record is put in, where there is one.

    Raises:
        NoReceipt: if the period had no such connection.
        EndorseError: if the version is not sealed, in the contract's words.
    """
    sealed = chain.evaluate("sealed_by", by=AGGREGATOR, period=period_start_utc, version=version)
    version = sealed["version"]
    settled = chain.evaluate("correction", by=AGGREGATOR, period=period_start_utc, version=version)
    leaves, statement = _statement(chain, period_start_utc, version, sealed["pages"], connection)
    evidence, argument = find_evidence(sealed["transaction"])
    record = None
    if with_record and statement["record"] is not None:
        period = Period(period_start_utc, sealed["length_s"])
        record = find_reading(chain, statement["record"], first=period, by=AGGREGATOR)["record"]
    index = statement["slot"]
    path = merkle.inclusion_path(leaves, index)
    return seal_up(
        {
            "evidence": evidence,
            "period": {
                "result": settled["result"],
                "seal": codec.decode(argument)["seal"][0],
            },
            "place": {"index": index, "path": [to_text(one) for one in path], "size": len(leaves)},
            "record": record,
            "statement": statement,
        }
    )


def _statement(
    chain: Chain, period_start_utc: int, version: int, pages: int, connection: str
) -> tuple[list[bytes], dict[str, Any]]:
    """Return all leaves of a version's tree, and the statement of the connection."""
    leaves: list[bytes] = []
    found: list[dict[str, Any]] = []
    for page in range(pages):
        asked = {"period": period_start_utc, "version": version, "page": page}
        settled = chain.evaluate("corrected_page", by=AGGREGATOR, **asked)
        leaves += [bytes.fromhex(leaf) for leaf in settled["leaves"]]
        statements = chain.evaluate("corrected_statements", by=AGGREGATOR, **asked)
        found += [one for one in statements if one["connection"] == connection]
    if not found:
        raise NoReceipt(f"no connection {connection} took part in the period at {period_start_utc}")
    return leaves, found[0]
