"""Why the ledger chain refuses a call, in the order in which a rule checks."""

from enum import StrEnum


class LedgerRefusal(StrEnum):
    """The closed list of the ledger chain's calls; single requests and records in a chunk have their own lists."""

    NOT_AUTHORISED = "not_authorised"
    ROSTER_UNKNOWN = "roster_unknown"
    ROSTER_OUTDATED = "roster_outdated"
    NOT_A_PERIOD = "not_a_period"
    PERIOD_UNKNOWN = "period_unknown"
    PERIOD_NOT_NEXT = "period_not_next"
    LATE = "late"
    TOO_EARLY = "too_early"
    PREVIOUS_NOT_READY = "previous_not_ready"
    PAGE_UNKNOWN = "page_unknown"
    PAGE_MISSING = "page_missing"
    RECORD_UNKNOWN = "record_unknown"
    CHUNK_ABSENT = "chunk_absent"
    CHUNK_MALFORMED = "chunk_malformed"
    SEAL_FOR_ANOTHER = "seal_for_another"
    REFERENCE_REUSED = "reference_reused"
    PAYER_IS_PAYEE = "payer_is_payee"
    SLOT_NOT_OWNED = "slot_not_owned"
    BALANCE_TOO_LOW = "balance_too_low"
    BALANCE_TOO_HIGH = "balance_too_high"
