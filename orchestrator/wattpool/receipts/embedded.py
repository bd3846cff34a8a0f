"""Evidence and published roots of the embedded ledger."""

from typing import Any

from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import LedgerDamaged
from wattpool.receipts.evidence import of_embedded
from wattpool.receipts.issue import FindEvidence
from wattpool.receipts.roots import Roots


def evidence_on(ledger: EmbeddedLedger, channel: str) -> FindEvidence:
    """Return what finds evidence on a channel of `ledger`.

    Raises (when called):
        LedgerDamaged: if a certificate is not there.
        LedgerError: if there is no such transaction.
    """

    def find(transaction_id: str) -> tuple[dict[str, Any], bytes]:
        transaction = ledger.transaction(channel, transaction_id)
        endorsers = []
        for endorsement in transaction.endorsements:
            member = ledger.member(endorsement.endorser)
            if member is None:
                raise LedgerDamaged(f"certificate {endorsement.endorser} is not there")
            endorsers.append(member)
        return of_embedded(transaction, endorsers), transaction.proposal.argument

    return find


def published_roots(ledger: EmbeddedLedger) -> Roots:
    """Return what the community publishes of its organisations."""
    return Roots(ledger.genesis.community, ledger.genesis.organisations)
