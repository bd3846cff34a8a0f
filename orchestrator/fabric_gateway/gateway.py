"""The entrance: an identity's view of a Fabric network through one Gateway peer."""

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2

from fabric_gateway import messages
from fabric_gateway.connection import Connection
from fabric_gateway.events import BlockEventsRequest, ChaincodeEventsRequest
from fabric_gateway.identity import Hash, Identity, Signer
from fabric_gateway.network import FILTERED, FULL, WITH_PRIVATE_DATA, Network
from fabric_gateway.retry import Backoff
from fabric_gateway.session import Session, Timeouts
from fabric_gateway.transaction import Commit, Proposal, Transaction

DEFAULT_TIMEOUTS = Timeouts()
DEFAULT_RETRY = Backoff()


class Gateway:
    """What an identity can do over a connection, which several gateways may share and none closes.

    The methods that take bytes rebuild what `to_bytes` returned, here or on another machine, with the signature if
    one was made elsewhere; they raise `Malformed` if the bytes are something else.

    Args:
        signer: None if everything is signed elsewhere.
        hash: what makes digests of messages; None: SHA-256, or nothing for an Ed25519 certificate.
        retry: the pauses before what failed in passing is tried again; None: nothing is tried again.
        clock_ns: the time in nanoseconds since 1970, for proposals and requests.

    Raises:
        Malformed: if the identity's certificate is none.
    """

    def __init__(  # noqa: PLR0913 -- the settings of a client
        self,
        connection: Connection,
        identity: Identity,
        signer: Signer | None = None,
        *,
        hash: Hash | None = None,  # noqa: A002 -- what Fabric calls it
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        retry: Backoff | None = DEFAULT_RETRY,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.identity = identity
        self._session = Session(
            connection=connection,
            identity=identity,
            signer=signer,
            hash=identity.hash if hash is None else hash,
            timeouts=timeouts,
            retry=retry,
            clock_ns=clock_ns,
        )

    def network(self, channel: str) -> Network:
        """Return a channel."""
        return Network(self._session, channel)

    def proposal(self, data: bytes, *, signature: bytes = b"") -> Proposal:
        """Rebuild a proposal."""
        proposed = messages.parse(gateway_pb2.ProposedTransaction, data)
        if signature:
            proposed.proposal.signature = signature
        return Proposal(self._session, proposed)

    def transaction(self, data: bytes, *, signature: bytes = b"") -> Transaction:
        """Rebuild an endorsed transaction.

        Without a `signature` made just now it may have been submitted before whoever kept it crashed, so that an
        orderer's refusal leaves its fate unknown.
        """
        prepared = messages.parse(gateway_pb2.PreparedTransaction, data)
        _sign(prepared.envelope, signature)
        return Transaction(self._session, prepared, is_perhaps_ordered=not signature)

    def commit(self, data: bytes, *, signature: bytes = b"") -> Commit:
        """Rebuild a question for the commit status."""
        return Commit(self._session, _sign(messages.parse(gateway_pb2.SignedCommitStatusRequest, data), signature))

    def chaincode_events_request(self, data: bytes, *, signature: bytes = b"") -> ChaincodeEventsRequest:
        """Rebuild a request for chaincode events."""
        signed = _sign(messages.parse(gateway_pb2.SignedChaincodeEventsRequest, data), signature)
        return ChaincodeEventsRequest(self._session, signed)

    def block_events_request(self, data: bytes, *, signature: bytes = b"") -> BlockEventsRequest[common_pb2.Block]:
        """Rebuild a request for whole blocks."""
        return BlockEventsRequest(self._session, _envelope(data, signature), FULL)

    def filtered_block_events_request(
        self, data: bytes, *, signature: bytes = b""
    ) -> BlockEventsRequest[events_pb2.FilteredBlock]:
        """Rebuild a request for filtered blocks."""
        return BlockEventsRequest(self._session, _envelope(data, signature), FILTERED)

    def block_and_private_data_events_request(
        self, data: bytes, *, signature: bytes = b""
    ) -> BlockEventsRequest[events_pb2.BlockAndPrivateData]:
        """Rebuild a request for blocks with private data."""
        return BlockEventsRequest(self._session, _envelope(data, signature), WITH_PRIVATE_DATA)


class _Signed(Protocol):
    signature: bytes


Signed = TypeVar("Signed", bound=_Signed)


def _sign(message: Signed, signature: bytes) -> Signed:
    if signature:
        message.signature = signature
    return message


def _envelope(data: bytes, signature: bytes) -> Any:
    return _sign(messages.parse(common_pb2.Envelope, data), signature)
