"""The same client for code without an event loop: each call waits for its counterpart in a loop of its own thread.

All objects may be used from several threads at a time.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.peer import events_pb2

from fabric_gateway import connection, contract, events, gateway, network, transaction
from fabric_gateway.connection import MAX_IN_FLIGHT, Tls
from fabric_gateway.events import ChaincodeEvent
from fabric_gateway.identity import Identity, Signer
from fabric_gateway.transaction import Committed, Status

Answer = TypeVar("Answer")
Event = TypeVar("Event")
Run = Callable[[Coroutine[Any, Any, Answer]], Answer]


class Connection:
    """See `connection.Connection`; its loop runs until `close`."""

    def __init__(self, address: str, *, tls: Tls | None = None, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fabric-gateway", daemon=True)
        self._thread.start()

        async def open_here() -> connection.Connection:
            return connection.Connection.open(address, tls=tls, max_in_flight=max_in_flight)

        self.wrapped = self.run(open_here())

    def run(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for a coroutine; it is cancelled if the wait is interrupted."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Close the channel and stop the loop; calls in flight are cancelled."""
        if not self._loop.is_closed():
            self.run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        await self.wrapped.close()
        # What is between two calls would otherwise be waited for by other threads for ever.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Gateway:
    """See `gateway.Gateway`, whose settings it takes."""

    def __init__(
        self, connection: Connection, identity: Identity, signer: Signer | None = None, **settings: Any
    ) -> None:
        self._run = connection.run
        self._wrapped = gateway.Gateway(connection.wrapped, identity, signer, **settings)

    def network(self, channel: str) -> "Network":
        return Network(self._run, self._wrapped.network(channel))

    def proposal(self, data: bytes, *, signature: bytes = b"") -> "Proposal":
        return Proposal(self._run, self._wrapped.proposal(data, signature=signature))

    def transaction(self, data: bytes, *, signature: bytes = b"") -> "Transaction":
        return Transaction(self._run, self._wrapped.transaction(data, signature=signature))

    def commit(self, data: bytes, *, signature: bytes = b"") -> "Commit":
        return Commit(self._run, self._wrapped.commit(data, signature=signature))

    def chaincode_events_request(self, data: bytes, *, signature: bytes = b"") -> "EventsRequest[ChaincodeEvent]":
        return EventsRequest(self._run, self._wrapped.chaincode_events_request(data, signature=signature))

    def block_events_request(self, data: bytes, *, signature: bytes = b"") -> "EventsRequest[common_pb2.Block]":
        return EventsRequest(self._run, self._wrapped.block_events_request(data, signature=signature))

    def filtered_block_events_request(
        self, data: bytes, *, signature: bytes = b""
    ) -> "EventsRequest[events_pb2.FilteredBlock]":
        return EventsRequest(self._run, self._wrapped.filtered_block_events_request(data, signature=signature))

    def block_and_private_data_events_request(
        self, data: bytes, *, signature: bytes = b""
    ) -> "EventsRequest[events_pb2.BlockAndPrivateData]":
        return EventsRequest(self._run, self._wrapped.block_and_private_data_events_request(data, signature=signature))


class Network:
    """See `network.Network`."""

    def __init__(self, run: Run[Any], wrapped: network.Network) -> None:
        self._run = run
        self._wrapped = wrapped

    def contract(self, chaincode: str, contract: str = "") -> "Contract":
        return Contract(self._run, self._wrapped.contract(chaincode, contract))

    def commit(self, transaction_id: str) -> "Commit":
        return Commit(self._run, self._wrapped.commit(transaction_id))

    def chaincode_events_request(self, chaincode: str, **place: Any) -> "EventsRequest[ChaincodeEvent]":
        return EventsRequest(self._run, self._wrapped.chaincode_events_request(chaincode, **place))

    def block_events_request(self, **place: Any) -> "EventsRequest[common_pb2.Block]":
        return EventsRequest(self._run, self._wrapped.block_events_request(**place))

    def filtered_block_events_request(self, **place: Any) -> "EventsRequest[events_pb2.FilteredBlock]":
        return EventsRequest(self._run, self._wrapped.filtered_block_events_request(**place))

    def block_and_private_data_events_request(self, **place: Any) -> "EventsRequest[events_pb2.BlockAndPrivateData]":
        return EventsRequest(self._run, self._wrapped.block_and_private_data_events_request(**place))

    def chaincode_events(self, chaincode: str, **place: Any) -> "EventStream[ChaincodeEvent]":
        return self.chaincode_events_request(chaincode, **place).open()

    def block_events(self, **place: Any) -> "EventStream[common_pb2.Block]":
        return self.block_events_request(**place).open()

    def filtered_block_events(self, **place: Any) -> "EventStream[events_pb2.FilteredBlock]":
        return self.filtered_block_events_request(**place).open()

    def block_and_private_data_events(self, **place: Any) -> "EventStream[events_pb2.BlockAndPrivateData]":
        return self.block_and_private_data_events_request(**place).open()


class Contract:
    """See `contract.Contract`."""

    def __init__(self, run: Run[Any], wrapped: contract.Contract) -> None:
        self._run = run
        self._wrapped = wrapped

    def proposal(self, function: str, *arguments: str | bytes, **options: Any) -> "Proposal":
        return Proposal(self._run, self._wrapped.proposal(function, *arguments, **options))

    def evaluate(self, function: str, *arguments: str | bytes, **options: Any) -> bytes:
        return bytes(self._run(self._wrapped.evaluate(function, *arguments, **options)))

    def endorse(self, function: str, *arguments: str | bytes, **options: Any) -> "Transaction":
        return Transaction(self._run, self._run(self._wrapped.endorse(function, *arguments, **options)))

    def submit(self, function: str, *arguments: str | bytes, **options: Any) -> Committed:
        committed: Committed = self._run(self._wrapped.submit(function, *arguments, **options))
        return committed

    def submit_async(self, function: str, *arguments: str | bytes, **options: Any) -> "SubmittedTransaction":
        submitted = self._run(self._wrapped.submit_async(function, *arguments, **options))
        return SubmittedTransaction(self._run, submitted)


class _Step:
    """What the steps of a transaction have in common."""

    def __init__(self, run: Run[Any], wrapped: Any) -> None:
        self._run = run
        self._wrapped = wrapped

    @property
    def digest(self) -> bytes:
        return bytes(self._wrapped.digest)

    def to_bytes(self) -> bytes:
        return bytes(self._wrapped.to_bytes())


class _TransactionStep(_Step):
    @property
    def transaction_id(self) -> str:
        return str(self._wrapped.transaction_id)


class Proposal(_TransactionStep):
    """See `transaction.Proposal`."""

    _wrapped: transaction.Proposal

    def evaluate(self, *, timeout_s: float | None = None) -> bytes:
        return bytes(self._run(self._wrapped.evaluate(timeout_s=timeout_s)))

    def endorse(self, *, timeout_s: float | None = None) -> "Transaction":
        return Transaction(self._run, self._run(self._wrapped.endorse(timeout_s=timeout_s)))


class Transaction(_TransactionStep):
    """See `transaction.Transaction`."""

    _wrapped: transaction.Transaction

    @property
    def result(self) -> bytes:
        return self._wrapped.result

    def submit(self, *, timeout_s: float | None = None) -> "SubmittedTransaction":
        return SubmittedTransaction(self._run, self._run(self._wrapped.submit(timeout_s=timeout_s)))

    def submit_and_wait(self) -> Committed:
        committed: Committed = self._run(self._wrapped.submit_and_wait())
        return committed


class Commit(_TransactionStep):
    """See `transaction.Commit`."""

    _wrapped: transaction.Commit

    def status(self, *, timeout_s: float | None = None) -> Status:
        status: Status = self._run(self._wrapped.status(timeout_s=timeout_s))
        return status


class SubmittedTransaction(Commit):
    """See `transaction.SubmittedTransaction`."""

    _wrapped: transaction.SubmittedTransaction

    @property
    def result(self) -> bytes:
        return self._wrapped.result


class EventsRequest(_Step, Generic[Event]):
    """See `events.ChaincodeEventsRequest` and `events.BlockEventsRequest`."""

    def open(self, *, timeout_s: float | None = None) -> "EventStream[Event]":
        return EventStream(self._run, self._run(self._wrapped.open(timeout_s=timeout_s)))


class EventStream(Generic[Event]):
    """See `events.EventStream`; another thread may close it."""

    def __init__(self, run: Run[Any], wrapped: events.EventStream[Event]) -> None:
        self._run = run
        self._wrapped = wrapped

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        async def following() -> Event | _End:
            # A coroutine must not raise StopIteration, nor may a future carry it.
            return await anext(self._wrapped, _END)

        event: Event | _End = self._run(following())
        if isinstance(event, _End):
            raise StopIteration
        return event

    def close(self) -> None:
        async def close_there() -> None:
            self._wrapped.close()

        self._run(close_there())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _End:
    """The end of a stream, as a value."""


_END = _End()
