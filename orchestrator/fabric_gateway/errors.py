"""What can go wrong, named after the phase of the transaction, with a reason that says what to do.

Fabric reports most failures as text; the fragments by which they are told apart are those of Fabric 2.5 and 3.1
(internal/pkg/gateway, core/endorser, core/handlers/auth/filter, internal/peer/node/grpc_limiters.go).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import grpc
import grpc.aio
from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

DETAILS_KEY = "grpc-status-details-bin"


class FabricError(Exception):
    """The base of all errors of this package."""


class Malformed(FabricError, ValueError):
    """Bytes, a certificate, a key or a file that are not what they should be."""


class NoSigner(FabricError):
    """Something must be signed and the gateway has no signer: sign `digest` elsewhere and rebuild the signed object."""


class Reason(StrEnum):
    """Why a call failed, as far as Fabric's answer tells."""

    CHAINCODE_REFUSED = "chaincode_refused"
    CLOCK_SKEW = "clock_skew"
    CERTIFICATE_EXPIRED = "certificate_expired"
    TOO_MANY_REQUESTS = "too_many_requests"
    TOO_LARGE = "too_large"
    CHANNEL_UNKNOWN = "channel_unknown"
    CHAINCODE_UNKNOWN = "chaincode_unknown"
    CHAINCODE_STOPPED = "chaincode_stopped"
    ORGANISATION_UNKNOWN = "organisation_unknown"
    ENDORSEMENTS_DIFFER = "endorsements_differ"
    POLICY_NOT_SATISFIABLE = "policy_not_satisfiable"
    TRANSIENT_UNPROTECTED = "transient_unprotected"
    ALREADY_COMMITTED = "already_committed"
    ACCESS_DENIED = "access_denied"
    TLS_REFUSED = "tls_refused"
    REQUEST_REFUSED = "request_refused"
    ORDERER_REFUSED = "orderer_refused"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    OTHER = "other"

    @property
    def advice(self) -> str:
        """One sentence for the person who has to deal with it."""
        return _ADVICE[self]


_ADVICE = {
    Reason.CHAINCODE_REFUSED: "the chaincode refused the call; its message says why",
    Reason.CLOCK_SKEW: "this machine's clock and the peer's are too far apart; set the clock (time synchronisation)",
    Reason.CERTIFICATE_EXPIRED: "the identity's certificate has expired; reenroll it with the Fabric CA",
    Reason.TOO_MANY_REQUESTS: "the peer is at its concurrency limit; have fewer calls in flight, or raise the peer's "
    "limits.concurrency.gatewayService",
    Reason.TOO_LARGE: "the message is larger than the network takes; split it into several transactions",
    Reason.CHANNEL_UNKNOWN: "the peer has not joined this channel; check the channel's name",
    Reason.CHAINCODE_UNKNOWN: "no peer within reach has this chaincode committed and installed on this channel; "
    "check both names",
    Reason.CHAINCODE_STOPPED: "the chaincode's process went away, or its peer cannot reach it; see that it runs, and "
    "try again with a new proposal",
    Reason.ORGANISATION_UNKNOWN: "an organisation asked for has no endorsing peer; check the MSP ids",
    Reason.ENDORSEMENTS_DIFFER: "the endorsers computed different results; the chaincode uses a clock, chance or "
    "unordered data, or their versions differ",
    Reason.POLICY_NOT_SATISFIABLE: "not enough organisations can endorse; start their peers or change the policy",
    Reason.TRANSIENT_UNPROTECTED: "name the endorsing organisations that may see the transient data",
    Reason.ALREADY_COMMITTED: "a transaction of this id is on the ledger already; ask for its commit status",
    Reason.ACCESS_DENIED: "the certificate is revoked, of another authority, does not belong to the signing key, or "
    "lacks the right",
    Reason.TLS_REFUSED: "TLS could not be agreed; check root certificate, server name and client certificate",
    Reason.REQUEST_REFUSED: "the peer takes the request for wrong; check this machine's clock, the range of "
    "blocks and, with mutual TLS, the hash of the client certificate",
    Reason.ORDERER_REFUSED: "the ordering service refused the transaction; it will not be on the ledger, unless "
    "another orderer took it",
    Reason.TIMED_OUT: "no answer in time",
    Reason.UNREACHABLE: "a node is not within reach; check that it runs, and its address",
    Reason.OTHER: "see the message",
}

# The first fragment found in the message or in a detail decides, so what is more telling stands first.
_FRAGMENTS = (
    ("incorrect timestamp", Reason.CLOCK_SKEW),
    ("identity expired", Reason.CERTIFICATE_EXPIRED),
    ("certificate has expired", Reason.CERTIFICATE_EXPIRED),
    ("too many requests for", Reason.TOO_MANY_REQUESTS),
    ("larger than max", Reason.TOO_LARGE),
    ("exceeds maximum allowed", Reason.TOO_LARGE),
    ("failed to get config for channel", Reason.CHANNEL_UNKNOWN),
    ("ailed to get policy manager for channel", Reason.CHANNEL_UNKNOWN),
    ("Channel does not exist", Reason.CHANNEL_UNKNOWN),
    ("no peers available to evaluate chaincode", Reason.CHAINCODE_UNKNOWN),
    ("No metadata was found for chaincode", Reason.CHAINCODE_UNKNOWN),
    ("failed constructing descriptor for chaincodes", Reason.CHAINCODE_UNKNOWN),
    ("required chaincodes are not installed", Reason.CHAINCODE_UNKNOWN),
    ("make sure the chaincode", Reason.CHAINCODE_UNKNOWN),
    ("chaincode is not installed", Reason.CHAINCODE_UNKNOWN),
    ("chaincode stream terminated", Reason.CHAINCODE_STOPPED),
    ("could not launch chaincode", Reason.CHAINCODE_STOPPED),
    ("protect transient data", Reason.TRANSIENT_UNPROTECTED),
    ("failed to find any endorsing peers for org", Reason.ORGANISATION_UNKNOWN),
    ("ProposalResponsePayloads do not match", Reason.ENDORSEMENTS_DIFFER),
    ("satisfy the endorsement policy", Reason.POLICY_NOT_SATISFIABLE),
    ("duplicate transaction found", Reason.ALREADY_COMMITTED),
    ("access denied", Reason.ACCESS_DENIED),
    ("CERTIFICATE_VERIFY_FAILED", Reason.TLS_REFUSED),
    ("andshake failed", Reason.TLS_REFUSED),
    ("Hostname Verification Check failed", Reason.TLS_REFUSED),
    ("unsuccessful response from orderer", Reason.ORDERER_REFUSED),
    ("code = Unavailable", Reason.UNREACHABLE),
)
_CODES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.TIMED_OUT,
    grpc.StatusCode.UNAVAILABLE: Reason.UNREACHABLE,
    # Fabric itself answers neither: they are what gRPC makes of a stream that breaks off.
    grpc.StatusCode.INTERNAL: Reason.UNREACHABLE,
    grpc.StatusCode.CANCELLED: Reason.UNREACHABLE,
    grpc.StatusCode.PERMISSION_DENIED: Reason.ACCESS_DENIED,
    grpc.StatusCode.UNAUTHENTICATED: Reason.ACCESS_DENIED,
}
_REFUSAL = re.compile(r"chaincode response (\d+), (.*)", re.DOTALL)

# These pass by themselves: the same intention, asked again, may well succeed.
PASSING = frozenset({Reason.TOO_MANY_REQUESTS, Reason.CHAINCODE_STOPPED, Reason.TIMED_OUT, Reason.UNREACHABLE})

# With these the envelope never reached an orderer, or was refused by it.
_NOT_ORDERED = frozenset(
    {
        Reason.TOO_MANY_REQUESTS,
        Reason.TOO_LARGE,
        Reason.TLS_REFUSED,
        Reason.ORDERER_REFUSED,
        Reason.ACCESS_DENIED,
        Reason.CHANNEL_UNKNOWN,
    }
)
_NOT_ORDERED_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


@dataclass(frozen=True, kw_only=True)
class ErrorDetail:
    """What one node behind the Gateway answered; an error without details is of the Gateway peer itself."""

    address: str
    msp_id: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What the chaincode itself answered: an HTTP-like status from 400 on, and its message."""

    status: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One failed call, read."""

    code: grpc.StatusCode
    message: str
    details: tuple[ErrorDetail, ...] = ()

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Failure":
        """Read a failed call and the details in its trailing metadata."""
        trailing = error.trailing_metadata() or ()
        details = tuple(detail for key, value in trailing if key == DETAILS_KEY for detail in _details(value))
        return cls(code=error.code(), message=error.details() or "", details=details)

    @property
    def refusal(self) -> Refusal | None:
        for text in self._texts():
            if found := _REFUSAL.search(text):
                return Refusal(status=int(found[1]), message=found[2])
        return None

    @property
    def reason(self) -> Reason:
        # A chaincode may say anything, so its words are not searched for Fabric's.
        if self.refusal is not None:
            return Reason.CHAINCODE_REFUSED
        texts = tuple(self._texts())
        for fragment, reason in _FRAGMENTS:
            if any(fragment in text for text in texts):
                return reason
        return _CODES.get(self.code, Reason.OTHER)

    def _texts(self) -> Iterable[str]:
        yield self.message
        yield from (detail.message for detail in self.details)

    def __str__(self) -> str:
        details = "".join(f"; {one.msp_id} {one.address}: {one.message}" for one in self.details)
        return f"{self.code.name}: {self.message}{details}"


def _details(value: str | bytes) -> Iterable[ErrorDetail]:
    try:
        status = status_pb2.Status.FromString(value)
        for item in status.details:
            detail = gateway_pb2.ErrorDetail()
            if item.Unpack(detail):
                yield ErrorDetail(address=detail.address, msp_id=detail.msp_id, message=detail.message)
    except DecodeError as error:
        # The failure itself counts for more than its garbled details.
        yield ErrorDetail(address="", msp_id="", message=f"unreadable details: {error}")


class GatewayError(FabricError):
    """A call to the Gateway failed. Evaluate and the event streams raise this class itself.

    Args:
        failure: what the Gateway answered.
        reason: if more is known than the answer tells.
        transaction_id: if the call was about a transaction.
    """

    phase = "the call"

    def __init__(self, failure: Failure, *, reason: Reason | None = None, transaction_id: str = "") -> None:
        self.reason = failure.reason if reason is None else reason
        self.code = failure.code
        self.message = failure.message
        self.details = failure.details
        self.refusal = failure.refusal
        self.transaction_id = transaction_id
        about = f" of transaction {transaction_id}" if transaction_id else ""
        super().__init__(f"{self.phase}{about} failed, {self.reason}: {self.reason.advice} ({failure})")


class EndorseError(GatewayError):
    """No endorsed transaction came about: nothing is on the ledger, a new proposal may be made."""

    phase = "the endorsement"


class SubmitError(GatewayError):
    """The ordering service was not seen to take the transaction.

    If `is_outcome_unknown`, it may have: submit the same transaction again or ask for its commit status, and never
    make a new one before its fate is known. Otherwise it will not be on the ledger.
    """

    phase = "the submission"

    def __init__(self, failure: Failure, *, reason: Reason | None = None, transaction_id: str = "") -> None:
        super().__init__(failure, reason=reason, transaction_id=transaction_id)
        # Asked one after the other or, with BFT, all at once, some orderers may have taken what others refused, and the
        # Gateway tells of the latter alone (internal/pkg/gateway/submit.go). Its size is the same for all.
        is_of_some = bool(self.code is grpc.StatusCode.UNAVAILABLE and self.details)
        is_refused = self.reason is Reason.TOO_LARGE or (self.reason in _NOT_ORDERED and not is_of_some)
        self.is_outcome_unknown = not is_refused and self.code not in _NOT_ORDERED_CODES


class CommitStatusError(GatewayError):
    """The fate of the transaction is not known: ask again, or submit the same transaction again.

    `transaction` is what `Gateway.transaction` takes to go on from there, empty if only the status was asked for.
    """

    phase = "the commit status"

    def __init__(self, failure: Failure, *, reason: Reason | None = None, transaction_id: str = "") -> None:
        super().__init__(failure, reason=reason, transaction_id=transaction_id)
        self.transaction = b""


class ValidationCode(IntEnum):
    """How a transaction fared at validation (fabric-protos peer/transaction.proto, TxValidationCode)."""

    @classmethod
    def _missing_(cls, value: object) -> "ValidationCode | None":
        """Take a code that is newer than this package for the one that says no more than "invalid"."""
        return cls.INVALID_OTHER_REASON if isinstance(value, int) else None

    VALID = 0
    NIL_ENVELOPE = 1
    BAD_PAYLOAD = 2
    BAD_COMMON_HEADER = 3
    BAD_CREATOR_SIGNATURE = 4
    INVALID_ENDORSER_TRANSACTION = 5
    INVALID_CONFIG_TRANSACTION = 6
    UNSUPPORTED_TX_PAYLOAD = 7
    BAD_PROPOSAL_TXID = 8
    DUPLICATE_TXID = 9
    ENDORSEMENT_POLICY_FAILURE = 10
    MVCC_READ_CONFLICT = 11
    PHANTOM_READ_CONFLICT = 12
    UNKNOWN_TX_TYPE = 13
    TARGET_CHAIN_NOT_FOUND = 14
    MARSHAL_TX_ERROR = 15
    NIL_TXACTION = 16
    EXPIRED_CHAINCODE = 17
    CHAINCODE_VERSION_CONFLICT = 18
    BAD_HEADER_EXTENSION = 19
    BAD_CHANNEL_HEADER = 20
    BAD_RESPONSE_PAYLOAD = 21
    BAD_RWSET = 22
    ILLEGAL_WRITESET = 23
    INVALID_WRITESET = 24
    INVALID_CHAINCODE = 25
    NOT_VALIDATED = 254
    INVALID_OTHER_REASON = 255


# Another transaction was faster; the same intention may succeed on the newer state.
CONFLICTS = frozenset({ValidationCode.MVCC_READ_CONFLICT, ValidationCode.PHANTOM_READ_CONFLICT})

_CODE_ADVICE = {
    ValidationCode.MVCC_READ_CONFLICT: "a key it read was changed meanwhile; endorse anew",
    ValidationCode.PHANTOM_READ_CONFLICT: "a range it read was changed meanwhile; endorse anew",
    ValidationCode.ENDORSEMENT_POLICY_FAILURE: "its endorsements do not satisfy the policies; check the endorsing "
    "organisations, and that all have the committed chaincode",
    ValidationCode.DUPLICATE_TXID: "a transaction of this id was there before",
    ValidationCode.BAD_CREATOR_SIGNATURE: "its signature or certificate did not hold at validation",
}


class CommitError(FabricError):
    """The transaction is in a block, without effect, and will have none."""

    def __init__(self, code: ValidationCode, *, transaction_id: str, block_number: int) -> None:
        advice = _CODE_ADVICE.get(code, "see Fabric's TxValidationCode")
        super().__init__(
            f"transaction {transaction_id} in block {block_number} is without effect, {code.name}: {advice}"
        )
        self.code = code
        self.transaction_id = transaction_id
        self.block_number = block_number
