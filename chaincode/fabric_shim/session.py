"""The chaincode's side of one stream: registration, transactions, and the answers to their requests.

Messages and states follow fabric-chaincode-go shim/handler.go and fabric core/chaincode/handler.go. A session reads on
one thread, runs each transaction on another, and knows nothing of how messages travel.
"""

import logging
import threading
import traceback
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol

from fabric_protos.peer import chaincode_pb2, proposal_response_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2
from google.protobuf.message import DecodeError

from fabric_shim.config import MAX_MESSAGE_BYTES
from fabric_shim.effects import Effects
from fabric_shim.errors import ArgumentError, PeerError, Rejected, ShimError, StreamEnded
from fabric_shim.frames import Status
from fabric_shim.http2 import CallFailed
from fabric_shim.limits import PeerLimits, read_limits
from fabric_shim.proposal import NO_PROPOSAL, Proposal, read_proposal
from fabric_shim.response import ERROR, ERROR_THRESHOLD, Response
from fabric_shim.stub import Stub
from fabric_shim.workers import Workers

log = logging.getLogger("fabric_shim")

_MESSAGE = shim_pb2.ChaincodeMessage
# Characters of an error's message that a client gets to read.
_MAX_REASON = 4096


class Chaincode(Protocol):
    """Contract code; called from many threads at once."""

    def invoke(self, stub: Stub) -> Response:
        """Run one transaction; whatever this raises becomes a response with status 500."""


class Session:
    """One stream with one peer."""

    def __init__(self, chaincode: Chaincode, package_id: str, workers: Workers, send: Callable[[bytes], None]) -> None:
        self._chaincode = chaincode
        self._package_id = package_id
        self._workers = workers
        self._send = send
        self._awaited = _MESSAGE.REGISTERED
        self._limits = PeerLimits()
        self._transactions: dict[tuple[str, str], _Transaction] = {}

    def start(self) -> None:
        """Register; the chaincode speaks first."""
        name = chaincode_pb2.ChaincodeID(name=self._package_id).SerializeToString()
        self._send(_MESSAGE(type=_MESSAGE.REGISTER, payload=name).SerializeToString())

    def receive(self, data: bytes) -> None:
        """Take one message from the peer; always called from the same thread.

        Raises:
            CallFailed: the peer does not take the registration.
        """
        try:
            message = _MESSAGE.FromString(data)
        except DecodeError:
            log.warning("ignored a message of %d bytes that is no ChaincodeMessage", len(data))
            return
        kind = message.type
        if kind == _MESSAGE.KEEPALIVE:
            self._send(data)
        elif self._awaited != _MESSAGE.TRANSACTION:
            self._shake_hands(message)
        elif kind in (_MESSAGE.RESPONSE, _MESSAGE.ERROR):
            transaction = self._transactions.get((message.channel_id, message.txid))
            # An answer that nobody waits for hurts nobody: the peer may have given up on its transaction.
            if transaction is None or not transaction.answer(message):
                log.info("[%s] ignored an answer that nobody waits for", message.txid[:8])
        elif kind in (_MESSAGE.TRANSACTION, _MESSAGE.INIT):
            self._begin(message)
        else:
            log.warning("[%s] ignored a message of type %d", message.txid[:8], kind)

    def end(self) -> None:
        """The stream is gone: release whoever waits for an answer."""
        running = list(self._transactions.values())
        log.info("the stream to a peer ended, with %d transactions running", len(running))
        for transaction in running:
            transaction.end()

    def _shake_hands(self, message: Any) -> None:
        if message.type != self._awaited:
            raise CallFailed(
                Status.FAILED_PRECONDITION, f"the registration was answered by a message of type {message.type}"
            )
        if message.type == _MESSAGE.REGISTERED:
            self._awaited = _MESSAGE.READY
            return
        try:
            self._limits = read_limits(message.payload)
        except DecodeError as error:
            raise CallFailed(Status.FAILED_PRECONDITION, "the peer's READY cannot be read") from error
        self._awaited = _MESSAGE.TRANSACTION
        log.info("registered %s: %s", self._package_id, self._limits)

    def _begin(self, message: Any) -> None:
        key = (message.channel_id, message.txid)
        # The peer may have given up on a transaction that still runs here. Its requests and those of a second one
        # could not be told apart, so the client has to wait, or make a new proposal.
        if key in self._transactions:
            self._send(_fault(message, "this transaction is still running"))
            return
        transaction = self._transactions[key] = _Transaction(message.channel_id, message.txid, self._send)
        if not self._workers.submit(partial(self._run, transaction, message)):
            del self._transactions[key]
            self._send(_fault(message, "the chaincode server is stopping"))

    def _run(self, transaction: "_Transaction", message: Any) -> None:
        try:
            call = chaincode_pb2.ChaincodeInput.FromString(message.payload)
            proposal = read_proposal(message.proposal) if message.HasField("proposal") else NO_PROPOSAL
        except (DecodeError, ValueError) as error:
            reply = _fault(message, f"the transaction cannot be read: {error}")
        else:
            reply = self._execute(transaction, call, proposal)
        # The peer may send the same transaction again as soon as it has the reply.
        del self._transactions[message.channel_id, message.txid]
        try:
            self._send(reply)
        except StreamEnded:
            log.warning("[%s] finished, but the stream to the peer is gone", message.txid[:8])

    def _execute(self, transaction: "_Transaction", call: Any, proposal: Proposal) -> bytes:
        """Run the contract and send its writes; the peer hears of a failure as a response, which clients can read."""
        effects = Effects()
        stub = Stub(
            channel=transaction.channel,
            transaction_id=transaction.id,
            call=call,
            proposal=proposal,
            request=transaction.request,
            limits=self._limits,
            effects=effects,
        )
        try:
            response = self._chaincode.invoke(stub)
            if not isinstance(response, Response):
                raise TypeError(f"the chaincode answered with a {type(response).__name__}, not with a Response")  # noqa: TRY301 -- told like any other failure of the contract
            reply = _completed(transaction, response)
            if response.status < ERROR_THRESHOLD:
                for kind, payload in effects.messages(batch_limit=self._limits.write_batch):
                    transaction.request(kind, payload)
                if effects.event is not None:
                    reply.chaincode_event.CopyFrom(effects.event)
            return _check_size(reply)
        except BaseException as error:  # noqa: BLE001 -- SystemExit too: one bad transaction never hurts another
            _log_failure(transaction, error)
            status = error.status if isinstance(error, Rejected) else ERROR
            reply = _completed(transaction, Response(status=status, message=_describe(error)))
            return bytes(reply.SerializeToString())


class _Transaction:
    """A running transaction's line to the peer."""

    def __init__(self, channel: str, transaction_id: str, send: Callable[[bytes], None]) -> None:
        self.channel = channel
        self.id = transaction_id
        self._send = send
        # The peer drops a second request while one is open (core/chaincode/handler.go registerTxid).
        self._turn = threading.Lock()
        self._waits = False
        self._answers: SimpleQueue[Any] = SimpleQueue()

    def request(self, kind: int, payload: bytes) -> bytes:
        """Send one request and return the payload of its answer.

        Raises:
            ArgumentError: it is larger than the peer takes.
            PeerError: the peer refused.
            StreamEnded: there will be no answer.
        """
        message = _MESSAGE(type=kind, payload=payload, txid=self.id, channel_id=self.channel)
        data = _check_size(message)
        with self._turn:
            self._waits = True
            self._send(data)
            answer = self._answers.get()
        if answer is None:
            raise StreamEnded("the stream to the peer ended in the middle of the transaction")
        if answer.type == _MESSAGE.ERROR:
            raise PeerError(answer.payload.decode(errors="replace"))
        result: bytes = answer.payload
        return result

    def answer(self, message: Any) -> bool:
        """Hand over an answer; False if no request is open."""
        waited, self._waits = self._waits, False
        if waited:
            self._answers.put(message)
        return waited

    def end(self) -> None:
        """Make the open request fail."""
        self._waits = False
        self._answers.put(None)


def _fault(message: Any, reason: str) -> bytes:
    """Return the answer to a transaction that did not run; the Gateway then asks another peer."""
    log.warning("[%s] not run: %s", message.txid[:8], reason)
    fault = _MESSAGE(type=_MESSAGE.ERROR, payload=reason.encode(), txid=message.txid, channel_id=message.channel_id)
    return bytes(fault.SerializeToString())


def _completed(transaction: _Transaction, response: Response) -> Any:
    answer = proposal_response_pb2.Response(status=response.status, payload=response.payload, message=response.message)
    return _MESSAGE(
        type=_MESSAGE.COMPLETED,
        payload=answer.SerializeToString(),
        txid=transaction.id,
        channel_id=transaction.channel,
    )


def _check_size(message: Any) -> bytes:
    """Return the bytes of a message; one that the peer does not take would end the stream for all transactions."""
    data: bytes = message.SerializeToString()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ArgumentError(f"a message of {len(data)} bytes is larger than the peer takes, {MAX_MESSAGE_BYTES}")
    return data


def _describe(error: BaseException) -> str:
    """Say what a client may read: the message of an error that was raised for it, and no trace."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 -- an error of the contract's own may be broken, too
        text = ""
    if not isinstance(error, ShimError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:_MAX_REASON].encode(errors="replace").decode()


def _log_failure(transaction: _Transaction, error: BaseException) -> None:
    """Log where a contract failed, without the message, which may hold data of the transaction."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.warning(
        "[%s] %s in %s, %s line %s",
        transaction.id[:8],
        type(error).__name__,
        place.name,
        place.filename,
        place.lineno,
    )
