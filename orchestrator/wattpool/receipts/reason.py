"""Why a receipt does not hold."""

from enum import StrEnum


class ReceiptReason(StrEnum):
    """The closed list, in the order in which a receipt is checked."""

    MALFORMED = "malformed"  # not a receipt of this format
    FOREIGN_COMMUNITY = "foreign_community"  # sealed for another community, or on another chain, than the roots' own
    NOT_CERTIFIED = "not_certified"  # an endorser whom no published root certifies as a peer
    WRONGLY_ENDORSED = "wrongly_endorsed"  # an endorser's signature is not over what stands there
    UNDER_ENDORSED = "under_endorsed"  # too few organisations for the policy
    NOT_SEALED = "not_sealed"  # what was endorsed is not the sealing of this period record
    NOT_INCLUDED = "not_included"  # the statement is not under the root of the period record
    RECORD_FOR_ANOTHER = "record_for_another"  # the meter record is not the statement's
    WRONGLY_SIGNED = "wrongly_signed"  # the meter record is not signed by the meter's key


class ReceiptRefused(Exception):
    """A receipt that does not hold.

    Args:
        reason: the first thing that is wrong.
        detail: what it is, and what was expected.
    """

    def __init__(self, reason: ReceiptReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
