"""What all objects of one gateway share: the connection, who signs, and how long to wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import grpc.aio

from fabric_gateway.connection import Connection
from fabric_gateway.errors import Failure, NoSigner, Reason
from fabric_gateway.identity import Hash, Identity, Signer
from fabric_gateway.retry import Backoff


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long each phase may take in seconds, its retries included and the wait for a free slot not.

    Args:
        resubmit_after_s: while the commit is awaited, the same transaction is submitted again at this interval, for
            an orderer may lose what it took (a Raft leader that crashes does); None: never.
        events_s: how long a stream of events or blocks may stay open; None: for ever.
    """

    evaluate_s: float = 5.0
    endorse_s: float = 15.0
    submit_s: float = 5.0
    commit_status_s: float = 60.0
    resubmit_after_s: float | None = 20.0
    events_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Session:
    """One identity's use of a connection."""

    connection: Connection
    identity: Identity
    signer: Signer | None
    hash: Hash
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: Backoff | None = field(default_factory=Backoff)
    clock_ns: Callable[[], int] = time.time_ns

    async def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`.

        Raises:
            NoSigner: if the gateway was made without.
        """
        if self.signer is None:
            raise NoSigner("the gateway has no signer: sign the digest elsewhere and rebuild the signed object")
        signature = self.signer.sign(self.hash(message))
        return signature if isinstance(signature, bytes) else await signature

    def read(self, error: grpc.aio.AioRpcError) -> tuple[Failure, Reason]:
        """Return a failed call and its reason."""
        failure = Failure.of(error)
        return failure, self.refine(failure.reason)

    def refine(self, reason: Reason) -> Reason:
        """Tell why access was denied where Fabric does not: it names an expired certificate in some answers only."""
        if reason is not Reason.ACCESS_DENIED:
            return reason
        now = datetime.fromtimestamp(self.clock_ns() // 1_000_000_000, UTC)
        return Reason.CERTIFICATE_EXPIRED if self.identity.certificate.not_valid_after_utc < now else reason
