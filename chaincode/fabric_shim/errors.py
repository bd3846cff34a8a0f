"""What can go wrong, by what the chaincode does next."""


class ShimError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(ShimError):
    """The server cannot start: the message names the setting and what it should be."""


class Rejected(ShimError):
    """A contract turns the transaction down; the client reads the message as it is.

    Args:
        message: why.
        status: from 400 on; the peer endorses nothing from there.
    """

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class ArgumentError(ShimError, ValueError):
    """A call that no peer would take, such as an empty key; nothing was sent."""


class PeerError(ShimError):
    """The peer refused a request of this transaction; the message is the peer's."""


class StreamEnded(ShimError):
    """The stream to the peer is gone, and this transaction with it."""
