"""What can go wrong with a Fabric CA."""

from enum import IntEnum

from fabric_gateway.errors import FabricError


class CaCode(IntEnum):
    """Why a CA refuses, as far as a caller can do something about it (fabric-ca lib/caerrors/servererror.go)."""

    UNKNOWN = 0
    NO_AUTHORISATION_HEADER = 2
    BAD_REQUEST_BODY = 5
    CERTIFICATE_TO_REVOKE_NOT_FOUND = 8
    IDENTITY_TO_REVOKE_NOT_FOUND = 10
    CA_NOT_FOUND = 19
    AUTHENTICATION = 20
    CERTIFICATE_NOT_FOUND = 30
    BAD_CERTIFICATE_REQUEST = 31
    NO_RIGHT_TO_GENERATE_CRL = 35
    IDENTITY_NOT_ADDED = 52
    IDENTITY_REMOVAL_DISABLED = 56
    IDENTITY_NOT_MODIFIED = 58
    AFFILIATION_NOT_ADDED = 60
    AFFILIATION_REMOVAL_DISABLED = 61
    DATABASE_READ = 63
    ALREADY_REVOKED = 66
    IDENTITY_REVOKED = 70
    AUTHORISATION = 71
    LOCKED = 73
    ALREADY_REGISTERED = 74
    NAME_MISMATCH = 77
    BAD_CERTIFICATE_REQUEST_INPUT = 80
    MAX_ENROLLMENTS = 82

    @classmethod
    def _missing_(cls, value: object) -> "CaCode | None":
        """Take any other code for `UNKNOWN`; the message tells."""
        return cls.UNKNOWN if isinstance(value, int) else None


_ADVICE = {
    CaCode.AUTHENTICATION: "wrong secret, or the caller's certificate is revoked, expired or of another CA",
    CaCode.AUTHORISATION: "the caller's identity lacks the right; see its hf.* attributes and affiliation",
    CaCode.ALREADY_REGISTERED: "an identity of this name exists; enroll it or choose another name",
    CaCode.NAME_MISMATCH: "the common name of the certificate request must be the enrollment id",
    CaCode.LOCKED: "too many wrong secrets; an administrator has to set a new one",
    CaCode.IDENTITY_REMOVAL_DISABLED: "the CA is configured without cfg.identities.allowremove, or removal failed",
    CaCode.AFFILIATION_REMOVAL_DISABLED: "the CA is configured without cfg.affiliations.allowremove, or removal failed",
    CaCode.CA_NOT_FOUND: "the server has no CA of this name",
}


class CaError(FabricError):
    """A call to a Fabric CA failed."""


class CaUnreachable(CaError):
    """No answer, an answer that is not a Fabric CA's, or TLS could not be agreed: check address, port and roots."""


class CaRefused(CaError):
    """The CA refused.

    Args:
        method: with `path`, what was asked.
        http_status: of the answer.
        number: the CA's own code, `code` if it is one that this package knows.
        message: the CA's words.
    """

    def __init__(self, method: str, path: str, *, http_status: int, number: int, message: str) -> None:
        self.code = CaCode(number)
        self.http_status = http_status
        self.number = number
        self.message = message
        advice = f"; {_ADVICE[self.code]}" if self.code in _ADVICE else ""
        super().__init__(f"the CA refused {method} {path} with HTTP {http_status}, code {number}: {message}{advice}")
