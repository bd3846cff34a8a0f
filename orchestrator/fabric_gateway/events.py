"""Streams of chaincode events and blocks.

A request is an object that can be written to bytes, signed elsewhere and rebuilt, like the steps of a transaction.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc
import grpc.aio
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2

from fabric_gateway import messages
from fabric_gateway.errors import Failure, GatewayError, Reason
from fabric_gateway.session import Session

Event = TypeVar("Event")
# Turns a response into events; None ends the stream.
Decode = Callable[[Any], Iterable[Event] | None]

# What a peer answers to a refused request for blocks (common/deliver/deliver.go), in gRPC's words.
_REFUSED = {
    common_pb2.BAD_REQUEST: (grpc.StatusCode.INVALID_ARGUMENT, Reason.REQUEST_REFUSED),
    common_pb2.FORBIDDEN: (grpc.StatusCode.PERMISSION_DENIED, Reason.ACCESS_DENIED),
    common_pb2.NOT_FOUND: (grpc.StatusCode.NOT_FOUND, Reason.CHANNEL_UNKNOWN),
    common_pb2.SERVICE_UNAVAILABLE: (grpc.StatusCode.UNAVAILABLE, Reason.UNREACHABLE),
}


@dataclass(frozen=True, kw_only=True)
class ChaincodeEvent:
    """What a valid transaction emitted."""

    block_number: int
    transaction_id: str
    chaincode: str
    name: str
    payload: bytes


class EventStream(Generic[Event]):
    """Events as they come, until `close`; made by the requests below.

    To cancel the wait for an event ends the stream, too.
    """

    def __init__(self, session: Session, call: Any, decode: Decode[Event], release: Callable[[], None]) -> None:
        self._session = session
        self._call = call
        self._release = release
        self._is_open = True
        self._events = self._read(decode)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            GatewayError: if the stream broke; open another one from the last checkpoint.
        """
        try:
            return await anext(self._events)
        except grpc.aio.AioRpcError as error:
            self.close()
            failure, reason = self._session.read(error)
            raise GatewayError(failure, reason=reason) from error
        except asyncio.CancelledError:
            # gRPC reports both ways of cancelling alike: ours ends the stream, the caller's own goes on.
            task = asyncio.current_task()
            if self._is_open or (task is not None and task.cancelling()):
                raise
            raise StopAsyncIteration from None

    def close(self) -> None:
        """End the stream; it may be closed again."""
        if self._is_open:
            self._is_open = False
            self._call.cancel()
            self._release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _read(self, decode: Decode[Event]) -> AsyncIterator[Event]:
        try:
            async for response in self._call:
                events = decode(response)
                if events is None:
                    return
                for event in events:
                    yield event
        finally:
            self.close()


class ChaincodeEventsRequest:
    """A request for the events of one chaincode."""

    def __init__(self, session: Session, signed: gateway_pb2.SignedChaincodeEventsRequest) -> None:
        self._session = session
        self._signed = signed
        messages.parse(gateway_pb2.ChaincodeEventsRequest, signed.request)

    @property
    def digest(self) -> bytes:
        return self._session.hash(self._signed.request)

    def to_bytes(self) -> bytes:
        """Return what `Gateway.chaincode_events_request` takes, the signature included if there is one."""
        return bytes(self._signed.SerializeToString())

    async def open(self, *, timeout_s: float | None = None) -> EventStream[ChaincodeEvent]:
        """Open the stream; it counts as a call in flight until it is closed."""
        if not self._signed.signature:
            self._signed.signature = await self._session.sign(self._signed.request)
        connection = self._session.connection
        await connection.begin_waiting()
        call = connection.gateway.ChaincodeEvents(self._signed, timeout=timeout_s or self._session.timeouts.events_s)
        return EventStream(self._session, call, _chaincode_events, connection.end_waiting)


class BlockEventsRequest(Generic[Event]):
    """A request for blocks, in one of the three forms that a peer delivers them in."""

    def __init__(self, session: Session, envelope: common_pb2.Envelope, method: str) -> None:
        self._session = session
        self._envelope = envelope
        self._method = method
        messages.parse(common_pb2.Payload, envelope.payload)

    @property
    def digest(self) -> bytes:
        return self._session.hash(self._envelope.payload)

    def to_bytes(self) -> bytes:
        """Return what the gateway rebuilds the request from, the signature included if there is one."""
        return bytes(self._envelope.SerializeToString())

    async def open(self, *, timeout_s: float | None = None) -> EventStream[Event]:
        """Open the stream.

        Raises:
            GatewayError: if the request could not be sent.
        """
        if not self._envelope.signature:
            self._envelope.signature = await self._session.sign(self._envelope.payload)
        call = getattr(self._session.connection.deliver, self._method)(
            timeout=timeout_s or self._session.timeouts.events_s
        )
        try:
            # The stream stays open on this side, too: a peer takes its end for the end of the interest.
            await call.write(self._envelope)
        except grpc.aio.AioRpcError as error:
            failure, reason = self._session.read(error)
            raise GatewayError(failure, reason=reason) from error
        return EventStream(self._session, call, self._blocks, _nothing)

    def _blocks(self, response: events_pb2.DeliverResponse) -> Iterable[Event] | None:
        kind = response.WhichOneof("Type")
        if kind != "status":
            return [getattr(response, kind)]
        if response.status == common_pb2.SUCCESS:
            # The last block asked for was sent; the peer now waits for another request on the same stream.
            return None
        code, reason = _REFUSED.get(response.status, (grpc.StatusCode.INTERNAL, Reason.OTHER))
        name = common_pb2.Status.Name(response.status)
        failure = Failure(code=code, message=f"the request for blocks was answered with {name}")
        raise GatewayError(failure, reason=self._session.refine(reason))


def chaincode_events_request(
    session: Session, *, channel: str, chaincode: str, start_block: int | None, after_transaction_id: str
) -> gateway_pb2.SignedChaincodeEventsRequest:
    """Make a request for chaincode events, without signature."""
    request = gateway_pb2.ChaincodeEventsRequest(
        channel_id=channel,
        chaincode_id=chaincode,
        identity=session.identity.creator,
        start_position=messages.seek_position(start_block),
        after_transaction_id=after_transaction_id,
    )
    return gateway_pb2.SignedChaincodeEventsRequest(request=request.SerializeToString())


def _chaincode_events(response: gateway_pb2.ChaincodeEventsResponse) -> Iterable[ChaincodeEvent]:
    for event in response.events:
        yield ChaincodeEvent(
            block_number=response.block_number,
            transaction_id=event.tx_id,
            chaincode=event.chaincode_id,
            name=event.event_name,
            payload=event.payload,
        )


def _nothing() -> None:
    """Release nothing: the peer counts block streams apart from calls to the Gateway."""
