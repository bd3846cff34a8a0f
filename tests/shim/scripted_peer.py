"""A peer that says what a test tells it to, over a real gRPC connection to a chaincode server."""

import queue
from types import TracebackType
from typing import Any, Self

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2

Message = shim_pb2.ChaincodeMessage
METHOD = "/protos.Chaincode/Connect"
MAX_BYTES = 100 * 1024 * 1024
CHANNEL = "mychannel"
# Fields 1 to 4 of ChaincodeAdditionalParams, as a peer of Fabric 3.1 sends them: batches of 1000 of both kinds.
READY_3_1 = bytes([0x08, 1, 0x10, 0xE8, 0x07, 0x18, 1, 0x20, 0xE8, 0x07])
READY_2_5 = b""
_PATIENCE_S = 10.0


class ScriptedPeer:
    """One stream to a chaincode server; as a context manager it registers the chaincode first."""

    def __init__(
        self, port: int, *, ready: bytes = READY_3_1, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
        ]
        address = f"localhost:{port}"
        self._channel = (
            grpc.secure_channel(address, credentials, options)
            if credentials
            else grpc.insecure_channel(address, options)
        )
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._ready = ready
        self.call: Any = self._channel.stream_stream(METHOD)(iter(self._outbox.get, None), timeout=60)
        self.package_id = ""

    def __enter__(self) -> Self:
        registration = self.receive()
        assert registration.type == Message.REGISTER
        self.package_id = chaincode_pb2.ChaincodeID.FromString(registration.payload).name
        self.send(type=Message.REGISTERED)
        self.send(type=Message.READY, payload=self._ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Cut the stream and the connection."""
        self._outbox.put(None)
        self.call.cancel()
        self._channel.close()

    def send(self, **fields: Any) -> None:
        self._outbox.put(Message(**fields).SerializeToString())

    def send_bytes(self, data: bytes) -> None:
        self._outbox.put(data)

    def receive(self) -> Any:
        return Message.FromString(next(self.call))

    def ended(self) -> grpc.StatusCode:
        """Read to the end of the stream and return its status."""
        try:
            for _ in self.call:
                pass
        except grpc.RpcError:
            pass  # The status says the same.
        code: grpc.StatusCode = self.call.code()
        return code

    def begin(self, *args: bytes, txid: str = "tx", channel: str = CHANNEL, **fields: Any) -> None:
        """Send a transaction, with a proposal unless `proposal` says otherwise."""
        fields.setdefault("proposal", signed_proposal(channel=channel))
        fields.setdefault("type", Message.TRANSACTION)
        fields.setdefault("payload", chaincode_pb2.ChaincodeInput(args=args).SerializeToString())
        self.send(txid=txid, channel_id=channel, **fields)

    def expect(self, kind: int, *, txid: str = "tx", channel: str = CHANNEL) -> bytes:
        """Receive one message of a transaction and return its payload."""
        message = self.receive()
        assert (message.type, message.txid, message.channel_id) == (kind, txid, channel), message
        payload: bytes = message.payload
        return payload

    def respond(self, payload: bytes = b"", *, txid: str = "tx", channel: str = CHANNEL) -> None:
        self.send(type=Message.RESPONSE, payload=payload, txid=txid, channel_id=channel)

    def refuse(self, reason: str, *, txid: str = "tx", channel: str = CHANNEL) -> None:
        self.send(type=Message.ERROR, payload=reason.encode(), txid=txid, channel_id=channel)

    def completed(self, *, txid: str = "tx", channel: str = CHANNEL) -> Any:
        """Receive the end of a transaction and return its Response."""
        return proposal_response_pb2.Response.FromString(self.expect(Message.COMPLETED, txid=txid, channel=channel))


def signed_proposal(  # noqa: PLR0913 -- the parts of a proposal
    *,
    channel: str = CHANNEL,
    creator: bytes = b"",
    nonce: bytes = b"nonce",
    epoch: int = 0,
    seconds: int = 1_700_000_000,
    nanos: int = 5,
    transient: dict[str, bytes] | None = None,
    header_type: int = common_pb2.ENDORSER_TRANSACTION,
) -> Any:
    """Return a proposal as a client makes it; its signature is checked by peers alone."""
    channel_header = common_pb2.ChannelHeader(type=header_type, channel_id=channel, epoch=epoch)
    channel_header.timestamp.seconds = seconds
    channel_header.timestamp.nanos = nanos
    signature_header = common_pb2.SignatureHeader(creator=creator, nonce=nonce)
    header = common_pb2.Header(
        channel_header=channel_header.SerializeToString(), signature_header=signature_header.SerializeToString()
    )
    payload = proposal_pb2.ChaincodeProposalPayload(TransientMap=transient or {})
    proposal = proposal_pb2.Proposal(header=header.SerializeToString(), payload=payload.SerializeToString())
    return proposal_pb2.SignedProposal(proposal_bytes=proposal.SerializeToString(), signature=b"signature")


def serialized_identity(msp_id: str, pem: bytes) -> bytes:
    """Return a creator."""
    return bytes(identities_pb2.SerializedIdentity(mspid=msp_id, id_bytes=pem).SerializeToString())


def query_response(*results: Any, more: bool = False, bookmark: str = "") -> bytes:
    """Return one message's worth of a query's results, of the query "q"."""
    metadata = shim_pb2.QueryResponseMetadata(fetched_records_count=len(results), bookmark=bookmark)
    response = shim_pb2.QueryResponse(
        results=[shim_pb2.QueryResultBytes(resultBytes=result.SerializeToString()) for result in results],
        has_more=more,
        id="q",
        metadata=metadata.SerializeToString(),
    )
    return bytes(response.SerializeToString())


def key_value(key: str, value: bytes) -> Any:
    """Return one result of a range."""
    return kv_query_result_pb2.KV(namespace="cc", key=key, value=value)
