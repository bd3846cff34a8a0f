"""Why the contract chain refuses a call, in the order in which a rule checks."""

from enum import StrEnum


class ContractRefusal(StrEnum):
    """The closed list of the contract chain; what is wrong with a signed payload itself is a `PayloadRefusal`."""

    NOT_AUTHORISED = "not_authorised"
    NOT_FOUNDED = "not_founded"
    ALREADY_FOUNDED = "already_founded"
    RULES_FIXED = "rules_fixed"
    RULES_OUT_OF_ORDER = "rules_out_of_order"
    TARIFF_UNKNOWN = "tariff_unknown"
    CONNECTION_UNKNOWN = "connection_unknown"
    POINT_UNKNOWN = "point_unknown"
    PARTY_UNKNOWN = "party_unknown"
    DEVICE_UNKNOWN = "device_unknown"
    MANDATE_FOR_ANOTHER = "mandate_for_another"
    RECORD_FOR_ANOTHER = "record_for_another"
    EXISTS_WITH_OTHER_CONTENT = "exists_with_other_content"
    DEVICE_VOID = "device_void"
    CONNECTION_TAKEN = "connection_taken"
    ROSTER_UNKNOWN = "roster_unknown"
    PAGE_UNKNOWN = "page_unknown"
    PAGE_MISSING = "page_missing"
    CHECKPOINT_DISPUTED = "checkpoint_disputed"
    CHECKPOINT_NOT_NEXT = "checkpoint_not_next"
    CHECKPOINT_BEHIND = "checkpoint_behind"
