"""Time what a member does with a receipt: check it, offline."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench_suite.results import Bar, seconds
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.receipts.check import check
from wattpool.receipts.embedded import evidence_on, published_roots
from wattpool.receipts.issue import issue
from wattpool_chaincode.ledger import CHANNEL
from wattpool_chaincode.records.period import Period

REPETITIONS = 50
MOST_BYTES = 4_096
MOST_MS = 5.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How large a receipt is, and how long its check takes."""

    size: int
    check_s: float

    def bars(self, meters: int) -> Sequence[Bar]:
        """Return what it has to keep to in a community of so many meters."""
        return [
            Bar(what=f"bytes of a receipt among {meters} meters", measured=self.size, bound=MOST_BYTES),
            Bar(what=f"ms to check it, among {meters} meters", measured=1e3 * self.check_s, bound=MOST_MS),
        ]


def measure(ledger: EmbeddedLedger, connection: str, period: Period) -> Measured:
    """Issue a connection's receipt for a sealed period, with the meter's record, and check it again and again."""
    chain = Chain(ledger, CHANNEL)
    data = issue(chain, evidence_on(ledger, CHANNEL), period_start_utc=period.start_utc, connection=connection)
    roots = published_roots(ledger)
    check_s = statistics.median(seconds(lambda: check(data, roots)) for _ in range(REPETITIONS))
    return Measured(size=len(data), check_s=check_s)
