"""Taking in signed payloads: the checks that every kind has in common, in one order of precedence."""

from collections.abc import Mapping
from enum import StrEnum

from wattpool_chaincode import fields
from wattpool_chaincode.records.payload import Malformed, Payload, Signed
from wattpool_chaincode.refusal import Refused


class PayloadRefusal(StrEnum):
    """Why a signed payload is refused, whatever it says, in the order in which it is checked."""

    UNSIGNED = "unsigned"
    MALFORMED = "malformed"
    FOREIGN_COMMUNITY = "foreign_community"
    LATE = "late"
    EARLY = "early"
    SIGNER_UNKNOWN = "signer_unknown"
    WRONGLY_SIGNED = "wrongly_signed"
    REPLAYED = "replayed"


def decode(value: object, *, kind: str, community: str, content: Mapping[str, fields.Check]) -> tuple[Payload, Signed]:
    """Read a pair of payload and signature; the signature itself is checked by `authenticate`.

    Raises:
        Refused: unsigned, malformed, foreign_community.
    """
    try:
        signed = Signed.from_json(value)
    except Malformed as error:
        raise Refused(PayloadRefusal.MALFORMED, str(error)) from error
    if not signed.signature:
        raise Refused(PayloadRefusal.UNSIGNED)
    try:
        payload = Payload.decode(kind, signed.payload)
    except Malformed as error:
        raise Refused(PayloadRefusal.MALFORMED, str(error)) from error
    problem = fields.mismatch(payload.content, content)
    if problem is not None:
        raise Refused(PayloadRefusal.MALFORMED, problem)
    if payload.community != community:
        raise Refused(PayloadRefusal.FOREIGN_COMMUNITY, f"for {payload.community!r}; this is {community!r}")
    return payload, signed


def require_period(payload_period_utc: int, period_start_utc: int) -> None:
    """Refuse what is for an earlier or a later period.

    Raises:
        Refused: late, early.
    """
    if payload_period_utc < period_start_utc:
        raise Refused(PayloadRefusal.LATE, f"for the period {payload_period_utc}, which is past")
    if payload_period_utc > period_start_utc:
        raise Refused(PayloadRefusal.EARLY, f"for the period {payload_period_utc}, which is to come")


def authenticate(signed: Signed, public_key: bytes) -> None:
    """Refuse a signature that `public_key` did not make.

    Raises:
        Refused: wrongly_signed.
    """
    if not signed.is_signed_by(public_key):
        raise Refused(PayloadRefusal.WRONGLY_SIGNED)


def require_counter(counter: int, last: int) -> None:
    """Refuse a counter that is not above the last one.

    Raises:
        Refused: replayed.
    """
    if counter <= last:
        raise Refused(PayloadRefusal.REPLAYED, f"counter {counter}; above {last} was expected")
