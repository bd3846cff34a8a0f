"""Fabric's messages, made and read; nothing here signs, sends or asks the time.

Layouts: fabric-protos common/common.proto, peer/proposal.proto, peer/transaction.proto, orderer/ab.proto.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from fabric_gateway.errors import Malformed

NONCE_BYTES = 24
# A stream of blocks that ends never asks for the last block there can be.
LAST_BLOCK = 2**64 - 1

Message = TypeVar("Message")


def parse(message_type: type[Message], data: bytes) -> Message:
    """Read a message.

    Raises:
        Malformed: if `data` is none of this type.
    """
    reader: Any = message_type
    try:
        message: Message = reader.FromString(data)
    except DecodeError as error:
        raise Malformed(f"not a serialized {message_type.__name__}: {error}") from error
    return message


def transaction_id(nonce: bytes, creator: bytes) -> str:
    """Return the id that Fabric derives from who proposes and a nonce; always by SHA-256."""
    return sha256(nonce + creator).hexdigest()


def proposed_transaction(  # noqa: PLR0913 -- what a proposal states
    *,
    channel: str,
    chaincode: str,
    arguments: Sequence[str | bytes],
    transient: Mapping[str, bytes],
    endorsing_organisations: Iterable[str],
    creator: bytes,
    nonce: bytes,
    time_ns: int,
) -> gateway_pb2.ProposedTransaction:
    """Make a proposal without signature; the first argument is the name of the function."""
    tx_id = transaction_id(nonce, creator)
    chaincode_id = chaincode_pb2.ChaincodeID(name=chaincode)
    header = common_pb2.Header(
        channel_header=common_pb2.ChannelHeader(
            type=common_pb2.ENDORSER_TRANSACTION,
            tx_id=tx_id,
            timestamp=_timestamp(time_ns),
            channel_id=channel,
            extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_id).SerializeToString(),
        ).SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString(),
    )
    specification = chaincode_pb2.ChaincodeSpec(
        # The peer goes by the definition on the channel; the official clients write NODE for any language.
        type=chaincode_pb2.ChaincodeSpec.NODE,
        chaincode_id=chaincode_id,
        input=chaincode_pb2.ChaincodeInput(args=[_bytes(argument) for argument in arguments]),
    )
    payload = proposal_pb2.ChaincodeProposalPayload(
        input=chaincode_pb2.ChaincodeInvocationSpec(chaincode_spec=specification).SerializeToString(),
        TransientMap=transient,
    )
    proposal = proposal_pb2.Proposal(header=header.SerializeToString(), payload=payload.SerializeToString())
    return gateway_pb2.ProposedTransaction(
        transaction_id=tx_id,
        proposal=proposal_pb2.SignedProposal(proposal_bytes=proposal.SerializeToString()),
        endorsing_organizations=endorsing_organisations,
    )


def channel_of_proposal(proposal_bytes: bytes) -> str:
    """Return the name of the channel that a serialized proposal is for.

    Raises:
        Malformed: if it is none.
    """
    header = parse(common_pb2.Header, parse(proposal_pb2.Proposal, proposal_bytes).header)
    return _channel(header)


def channel_and_result(envelope: common_pb2.Envelope) -> tuple[str, bytes]:
    """Return the channel of an endorsed transaction, and what the chaincode returned.

    Raises:
        Malformed: if the envelope holds no endorsed transaction.
    """
    payload = parse(common_pb2.Payload, envelope.payload)
    transaction = parse(transaction_pb2.Transaction, payload.data)
    if not transaction.actions:
        raise Malformed("the envelope holds no endorsed transaction")
    action = parse(transaction_pb2.ChaincodeActionPayload, transaction.actions[0].payload).action
    response = parse(proposal_response_pb2.ProposalResponsePayload, action.proposal_response_payload)
    result: bytes = parse(proposal_pb2.ChaincodeAction, response.extension).response.payload
    return _channel(payload.header), result


def seek_position(block_number: int | None) -> ab_pb2.SeekPosition:
    """Return the position of a block, the next one to come if None."""
    if block_number is None:
        return ab_pb2.SeekPosition(next_commit=ab_pb2.SeekNextCommit())
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=block_number))


def seek_envelope(  # noqa: PLR0913 -- what a request for blocks states
    *,
    channel: str,
    start_block: int | None,
    stop_block: int | None,
    creator: bytes,
    time_ns: int,
    client_certificate_hash: bytes,
) -> common_pb2.Envelope:
    """Make a request for blocks, without signature; `stop_block` is the last one, None: go on for ever."""
    header = common_pb2.Header(
        channel_header=common_pb2.ChannelHeader(
            type=common_pb2.DELIVER_SEEK_INFO,
            channel_id=channel,
            timestamp=_timestamp(time_ns),
            tls_cert_hash=client_certificate_hash,
        ).SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=creator).SerializeToString(),
    )
    seek = ab_pb2.SeekInfo(
        start=seek_position(start_block), stop=seek_position(LAST_BLOCK if stop_block is None else stop_block)
    )
    payload = common_pb2.Payload(header=header, data=seek.SerializeToString())
    return common_pb2.Envelope(payload=payload.SerializeToString())


def _channel(header: common_pb2.Header) -> str:
    channel: str = parse(common_pb2.ChannelHeader, header.channel_header).channel_id
    return channel


def _timestamp(time_ns: int) -> Timestamp:
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return Timestamp(seconds=seconds, nanos=nanos)


def _bytes(argument: str | bytes) -> bytes:
    return argument.encode() if isinstance(argument, str) else argument
