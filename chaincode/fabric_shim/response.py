"""What a chaincode answers."""

from dataclasses import dataclass

OK = 200
# The peer endorses nothing from here on (fabric core/endorser/endorser.go).
ERROR_THRESHOLD = 400
ERROR = 500


@dataclass(frozen=True, kw_only=True)
class Response:
    """The outcome of a transaction.

    Attributes:
        status: 200 to 399 is endorsed, from 400 on nothing is, and what was written is dropped.
        payload: the result; the client gets none with a status of 400 to 499.
        message: why, if there is no result.
    """

    status: int = OK
    payload: bytes = b""
    message: str = ""
