"""A Gateway peer for tests: it checks what Fabric checks, in Fabric's words, orders at once, and fails as told to."""

import datetime as dt
import hashlib
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    events_pb2,
    events_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.rpc import status_pb2

CHANNEL = "channel"
CHAINCODE = "basic"
WINDOW_S = 15 * 60
LIMIT = 500
MEBIBYTE_100 = 100 * 1024 * 1024
VALID, MVCC = transaction_pb2.VALID, transaction_pb2.MVCC_READ_CONFLICT


@dataclass(frozen=True)
class Fault:
    """An answer instead of the real one. `is_done`: the call takes effect before it; `is_silent`: never any answer."""

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    message: str = "connection reset"
    details: tuple[tuple[str, str, str], ...] = ()
    is_done: bool = False
    is_silent: bool = False


@dataclass(frozen=True)
class Block:
    """A block of one transaction."""

    number: int
    envelope: common_pb2.Envelope
    transaction_id: str
    code: int
    event: chaincode_event_pb2.ChaincodeEvent


class Refused(Exception):
    """A call that Fabric refuses."""

    def __init__(self, code: grpc.StatusCode, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = (("peer0:7051", "Org1MSP", detail),) if detail else ()


class FabricPeer:
    """One peer that is Gateway, endorser and orderer at once.

    Attributes:
        faults: by method name, what the next calls answer instead.
        calls: by method name, how many calls came.
        transaction_ids: by method name, those that came, in order.
        codes: validation codes of the next transactions ordered; then VALID.
        lost: how many of the next submitted envelopes an orderer takes and loses.
        blocks: the ledger.
        effects: how often each argument of `write` took effect.
        revoked: creators that are no longer let in.
        most_in_flight: the most calls to the Gateway that ever ran at a time.
    """

    def __init__(self, **credentials: Any) -> None:
        self.hash: Callable[[bytes], bytes] = lambda message: hashlib.sha256(message).digest()
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.calls: Counter[str] = Counter()
        self.transaction_ids: dict[str, list[str]] = defaultdict(list)
        self.codes: deque[int] = deque()
        self.lost = 0
        self.blocks: list[Block] = []
        self.effects: Counter[bytes] = Counter()
        self.revoked: set[bytes] = set()
        self.most_in_flight = 0
        self.limit = LIMIT
        self.requests: list[Any] = []
        self.tls_certificate_hash = b""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.changed = threading.Condition()
        self._in_flight = 0
        self._is_running = True
        options = [
            ("grpc.max_receive_message_length", MEBIBYTE_100),
            ("grpc.max_send_message_length", MEBIBYTE_100),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(ThreadPoolExecutor(64), options=options)
        gateway_pb2_grpc.add_GatewayServicer_to_server(self, self._server)
        events_pb2_grpc.add_DeliverServicer_to_server(self, self._server)
        if credentials:
            port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(**credentials))
        else:
            port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        with self.changed:
            self._is_running = False
            self.changed.notify_all()
        self.may_answer.set()
        self._server.stop(None).wait()

    def fail(self, method: str, *faults: Fault) -> None:
        self.faults[method].extend(faults)

    def wait_for(self, method: str, calls: int = 1) -> None:
        """Wait until a method has been called so often."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.calls[method] >= calls, timeout=10)

    def commit(self, transaction_id: str, argument: bytes = b"") -> None:
        """Put a transaction of somebody else's into the next block."""
        event = chaincode_event_pb2.ChaincodeEvent(
            chaincode_id=CHAINCODE, tx_id=transaction_id, event_name="written", payload=argument
        )
        self._append(common_pb2.Envelope(payload=argument), transaction_id, VALID, event)

    # gateway.Gateway

    def Evaluate(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 -- the name in the protocol
        def answer() -> Any:
            try:
                response = self._run(request).response
            except Refused as refused:
                message = refused.details[0][2] if refused.details else refused.message
                raise Refused(
                    grpc.StatusCode.UNKNOWN if "chaincode response" in message else refused.code,
                    f"evaluate call to endorser returned error: {message}",
                    message,
                ) from refused
            return gateway_pb2.EvaluateResponse(result=response)

        return self._serve("Evaluate", request.transaction_id, request, context, answer)

    def Endorse(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            action = self._run(request)
            proposal = proposal_pb2.Proposal.FromString(request.proposed_transaction.proposal_bytes)
            header = common_pb2.Header.FromString(proposal.header)
            payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
            payload.ClearField("TransientMap")
            response = proposal_response_pb2.ProposalResponsePayload(extension=action.SerializeToString())
            endorsed = transaction_pb2.ChaincodeActionPayload(
                chaincode_proposal_payload=payload.SerializeToString(),
                action=transaction_pb2.ChaincodeEndorsedAction(proposal_response_payload=response.SerializeToString()),
            )
            transaction = transaction_pb2.Transaction(
                actions=[transaction_pb2.TransactionAction(payload=endorsed.SerializeToString())]
            )
            data = common_pb2.Payload(header=header, data=transaction.SerializeToString())
            return gateway_pb2.EndorseResponse(
                prepared_transaction=common_pb2.Envelope(payload=data.SerializeToString())
            )

        return self._serve("Endorse", request.transaction_id, request, context, answer)

    def Submit(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            envelope = request.prepared_transaction
            payload = common_pb2.Payload.FromString(envelope.payload)
            creator = common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator
            if not self._is_signed_by(creator, envelope.payload, envelope.signature):
                message = "received unsuccessful response from orderer: status=FORBIDDEN, info=implicit policy"
                raise Refused(grpc.StatusCode.ABORTED, message)
            if self.lost:
                self.lost -= 1
            else:
                self._order(request.transaction_id, envelope)
            return gateway_pb2.SubmitResponse()

        return self._serve("Submit", request.transaction_id, request, context, answer)

    def CommitStatus(self, signed: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        request = gateway_pb2.CommitStatusRequest.FromString(signed.request)

        def answer() -> Any:
            self._check_reader(request.channel_id, request.identity, signed)
            while True:
                found = [block for block in tuple(self.blocks) if block.transaction_id == request.transaction_id]
                if found:
                    # Of several envelopes with one id the first one counts.
                    return gateway_pb2.CommitStatusResponse(result=found[0].code, block_number=found[0].number)
                self._await_change(context)

        return self._serve("CommitStatus", request.transaction_id, signed, context, answer)

    def ChaincodeEvents(self, signed: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        request = gateway_pb2.ChaincodeEventsRequest.FromString(signed.request)
        next_block = self._note("ChaincodeEvents", request)
        self._enter(context)
        try:
            self._fail_as_told("ChaincodeEvents", context)
            try:
                self._check_reader(request.channel_id, request.identity, signed)
            except Refused as refused:
                _abort(context, refused.code, refused.message, refused.details)
            position = request.start_position
            number = position.specified.number if position.HasField("specified") else next_block
            after = request.after_transaction_id
            for block in self.blocks:
                if after and block.transaction_id == after:
                    number = block.number
            for block in self._blocks_from(number, context):
                if after:
                    after = "" if block.transaction_id == after else after
                elif block.code == VALID and block.event.chaincode_id == request.chaincode_id:
                    yield gateway_pb2.ChaincodeEventsResponse(events=[block.event], block_number=block.number)
        finally:
            self._leave()

    # protos.Deliver

    def Deliver(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        return self._deliver(requests, context, lambda block: {"block": _full(block)})

    def DeliverFiltered(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        def filtered(block: Block) -> dict[str, Any]:
            transaction = events_pb2.FilteredTransaction(txid=block.transaction_id, tx_validation_code=block.code)
            return {
                "filtered_block": events_pb2.FilteredBlock(
                    channel_id=CHANNEL, number=block.number, filtered_transactions=[transaction]
                )
            }

        return self._deliver(requests, context, filtered)

    def DeliverWithPrivateData(  # noqa: N802
        self, requests: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        def with_private_data(block: Block) -> dict[str, Any]:
            data = {0: rwset_pb2.TxPvtReadWriteSet(data_model=rwset_pb2.TxReadWriteSet.KV)}
            both = events_pb2.BlockAndPrivateData(block=_full(block), private_data_map=data)
            return {"block_and_private_data": both}

        return self._deliver(requests, context, with_private_data)

    def _deliver(
        self, requests: Iterator[Any], context: grpc.ServicerContext, form: Callable[[Block], dict[str, Any]]
    ) -> Iterator[Any]:
        for envelope in requests:
            next_block = self._note("Deliver", envelope)
            self._fail_as_told("Deliver", context)
            payload = common_pb2.Payload.FromString(envelope.payload)
            header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
            creator = common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator
            seek = ab_pb2.SeekInfo.FromString(payload.data)
            status = common_pb2.SUCCESS
            is_late = abs(time.time() - header.timestamp.seconds) > WINDOW_S
            if is_late or header.tls_cert_hash != self.tls_certificate_hash:
                status = common_pb2.BAD_REQUEST
            elif header.channel_id != CHANNEL:
                status = common_pb2.NOT_FOUND
            elif not self._is_let_in(creator, envelope.payload, envelope.signature):
                status = common_pb2.FORBIDDEN
            else:
                number = seek.start.specified.number if seek.start.HasField("specified") else next_block
                for block in self._blocks_from(number, context):
                    yield events_pb2.DeliverResponse(**form(block))
                    if block.number == seek.stop.specified.number:
                        break
            yield events_pb2.DeliverResponse(status=status)
            if status != common_pb2.SUCCESS:
                return

    # What they share

    def _serve(
        self, method: str, transaction_id: str, request: Any, context: grpc.ServicerContext, answer: Callable[[], Any]
    ) -> Any:
        self._note(method, request)
        self.transaction_ids[method].append(transaction_id)
        self._enter(context)
        try:
            self.may_answer.wait()
            if self.faults[method] and self.faults[method][0].is_done:
                answer()
            self._fail_as_told(method, context)
            return answer()
        except Refused as refused:
            _abort(context, refused.code, refused.message, refused.details)
        finally:
            self._leave()

    def _note(self, method: str, request: Any) -> int:
        """Count a call; return the number of the next block to come."""
        with self.changed:
            self.calls[method] += 1
            self.requests.append(request)
            self.changed.notify_all()
            return len(self.blocks)

    def _enter(self, context: grpc.ServicerContext) -> None:
        with self.changed:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        if self._in_flight > self.limit:
            self._leave()
            message = f"too many requests for gateway.Gateway, exceeding concurrency limit ({self.limit})"
            _abort(context, grpc.StatusCode.UNKNOWN, message, ())

    def _leave(self) -> None:
        with self.changed:
            self._in_flight -= 1

    def _fail_as_told(self, method: str, context: grpc.ServicerContext) -> None:
        if self.faults[method]:
            fault = self.faults[method].popleft()
            while fault.is_silent:
                self._await_change(context)
            _abort(context, fault.code, fault.message, fault.details)

    def _await_change(self, context: grpc.ServicerContext) -> None:
        with self.changed:
            self.changed.wait(0.05)
        if not (self._is_running and context.is_active()):
            _abort(context, grpc.StatusCode.CANCELLED, "context cancelled", ())

    def _blocks_from(self, number: int, context: grpc.ServicerContext) -> Iterator[Block]:
        while self._is_running and context.is_active():
            if number < len(self.blocks):
                yield self.blocks[number]
                number += 1
            else:
                with self.changed:
                    self.changed.wait(0.05)

    def _run(self, request: Any) -> Any:
        """Check a proposal as an endorser does, and run the chaincode."""
        proposed = request.proposed_transaction
        proposal = proposal_pb2.Proposal.FromString(proposed.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        channel = common_pb2.ChannelHeader.FromString(header.channel_header)
        signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
        payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        specification = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
        extension = proposal_pb2.ChaincodeHeaderExtension.FromString(channel.extension)
        if channel.channel_id != CHANNEL:
            raise Refused(grpc.StatusCode.UNAVAILABLE, f"failed to get config for channel [{channel.channel_id}]")
        if specification.chaincode_id.name != CHAINCODE:
            message = f"no peers available to evaluate chaincode {specification.chaincode_id.name} in channel {CHANNEL}"
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, message)
        assert extension.chaincode_id == specification.chaincode_id
        assert (channel.type, channel.epoch) == (common_pb2.ENDORSER_TRANSACTION, 0)
        assert len(signature_header.nonce) == 24
        assert (request.channel_id, request.transaction_id) == (channel.channel_id, channel.tx_id)
        if abs(time.time() - channel.timestamp.seconds) > WINDOW_S:
            message = f"request unauthorized due to incorrect timestamp {channel.timestamp.seconds}"
            raise Refused(grpc.StatusCode.UNAVAILABLE, "failed to endorse transaction", message)
        if _certificate(signature_header.creator).not_valid_after_utc < dt.datetime.now(dt.UTC):
            raise Refused(grpc.StatusCode.UNAVAILABLE, "failed to endorse", "proposal client identity expired")
        expected = hashlib.sha256(signature_header.nonce + signature_header.creator).hexdigest()
        if channel.tx_id != expected:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"incorrectly computed txid '{channel.tx_id}'")
        if not self._is_let_in(signature_header.creator, proposed.proposal_bytes, proposed.signature):
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                "failed to endorse transaction, see attached details for more info",
                f"access denied: channel [{CHANNEL}] creator org [Org1MSP]",
            )
        if any(block.transaction_id == channel.tx_id for block in self.blocks):
            raise Refused(grpc.StatusCode.ABORTED, "failed", f"duplicate transaction found [{channel.tx_id}]")
        return self._chaincode(channel.tx_id, list(specification.input.args), dict(payload.TransientMap))

    def _chaincode(self, transaction_id: str, arguments: list[bytes], transient: dict[str, bytes]) -> Any:
        event = chaincode_event_pb2.ChaincodeEvent()
        match arguments:
            case [b"refuse", message]:
                raise Refused(
                    grpc.StatusCode.ABORTED,
                    "failed to endorse transaction, see attached details for more info",
                    f"chaincode response 500, {message.decode()}",
                )
            case [b"write", value]:
                result = b"wrote " + value
                event = chaincode_event_pb2.ChaincodeEvent(
                    chaincode_id=CHAINCODE, tx_id=transaction_id, event_name="written", payload=value
                )
            case [b"CreateAsset", b"taken", *_]:
                return self._chaincode(transaction_id, [b"refuse", b"taken exists"], transient)
            case [b"CreateAsset", name, *_]:
                result = b""
                event = chaincode_event_pb2.ChaincodeEvent(
                    chaincode_id=CHAINCODE, tx_id=transaction_id, event_name="CreateAsset", payload=name
                )
            case [b"ReadAsset", name]:
                result = b'{"ID": "%s"}' % name
            case [b"transient"]:
                result = b"".join(key.encode() + value for key, value in sorted(transient.items()))
            case [b"size", value]:
                result = str(len(value)).encode()
            case _:
                result = b"|".join(arguments)
        return proposal_pb2.ChaincodeAction(
            response=proposal_response_pb2.Response(status=200, payload=result), events=event.SerializeToString()
        )

    def _order(self, transaction_id: str, envelope: common_pb2.Envelope) -> None:
        payload = common_pb2.Payload.FromString(envelope.payload)
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        endorsed = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload).action
        response = proposal_response_pb2.ProposalResponsePayload.FromString(endorsed.proposal_response_payload)
        action = proposal_pb2.ChaincodeAction.FromString(response.extension)
        event = chaincode_event_pb2.ChaincodeEvent.FromString(action.events)
        with self.changed:
            is_repeated = any(block.transaction_id == transaction_id for block in self.blocks)
            code = transaction_pb2.DUPLICATE_TXID if is_repeated else self.codes.popleft() if self.codes else VALID
        self._append(envelope, transaction_id, code, event)

    def _append(self, envelope: Any, transaction_id: str, code: int, event: Any) -> None:
        with self.changed:
            self.blocks.append(Block(len(self.blocks), envelope, transaction_id, code, event))
            if code == VALID:
                self.effects[event.payload] += 1
            self.changed.notify_all()

    def _check_reader(self, channel: str, creator: bytes, signed: Any) -> None:
        if channel != CHANNEL:
            message = f"Failed to get policy manager for channel [{channel}]"
            raise Refused(grpc.StatusCode.PERMISSION_DENIED, message)
        if not self._is_let_in(creator, signed.request, signed.signature):
            raise Refused(grpc.StatusCode.PERMISSION_DENIED, "failed evaluating policy on signed data")

    def _is_let_in(self, creator: bytes, message: bytes, signature: bytes) -> bool:
        is_expired = _certificate(creator).not_valid_after_utc < dt.datetime.now(dt.UTC)
        return creator not in self.revoked and not is_expired and self._is_signed_by(creator, message, signature)

    def _is_signed_by(self, creator: bytes, message: bytes, signature: bytes) -> bool:
        key = _certificate(creator).public_key()
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
                return True
            assert isinstance(key, ec.EllipticCurvePublicKey)
            digest = self.hash(message)
            algorithm = hashes.SHA256() if len(digest) == 32 else hashes.SHA384()
            key.verify(signature, digest, ec.ECDSA(Prehashed(algorithm)))
            return decode_dss_signature(signature)[1] <= key.curve.group_order // 2
        except InvalidSignature:
            return False


def _certificate(creator: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identities_pb2.SerializedIdentity.FromString(creator).id_bytes)


def _full(block: Block) -> Any:
    return common_pb2.Block(
        header=common_pb2.BlockHeader(number=block.number),
        data=common_pb2.BlockData(data=[block.envelope.SerializeToString()]),
    )


def _abort(
    context: grpc.ServicerContext, code: grpc.StatusCode, message: str, details: tuple[tuple[str, str, str], ...]
) -> NoReturn:
    if details:
        status = status_pb2.Status(code=code.value[0], message=message)
        for address, msp_id, text in details:
            status.details.add().Pack(gateway_pb2.ErrorDetail(address=address, msp_id=msp_id, message=text))
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)
    raise AssertionError("abort returns never")
