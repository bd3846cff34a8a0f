"""Fabric's blocks and transactions, decoded as far as ledger, check and receipts need them.

Layouts: fabric-protos common/common.proto, peer/transaction.proto, peer/proposal.proto, ledger/rwset/*.proto. What is
signed or hashed is never decoded and encoded again, but taken as it lies there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    events_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)

from fabric_gateway import messages
from fabric_gateway.errors import Malformed
from wattpool.ledgers.block import Emitted, PrivateWrite, Version

CONFIG = common_pb2.CONFIG
CALL = common_pb2.ENDORSER_TRANSACTION
# Under this name lies a key's own endorsement policy (fabric-protos peer/metadata.proto).
POLICY = "VALIDATION_PARAMETER"
_NO_PRIVATE: Mapping[tuple[int, str, str], bytes] = {}
_Decoded = TypeVar("_Decoded")


class Undecodable(ValueError):
    """Bytes that are no message of the kind expected."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """A block's header; `data` is what orderers sign and the next block names by its hash (protoutil/blockutils.go)."""

    number: int
    previous_hash: bytes
    data_hash: bytes

    @property
    def data(self) -> bytes:
        parts = _integer(self.number) + _tagged(0x04, self.previous_hash) + _tagged(0x04, self.data_hash)
        return _tagged(0x30, parts)

    @property
    def hash(self) -> bytes:
        return sha256(self.data).digest()


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One orderer's signature of a block; `header` stands between the block's signed metadata and its header.

    Attributes:
        creator: the orderer's serialized identity; empty if `consenter` names it.
        consenter: its number in the channel's configuration (BFT); 0 if `creator` names it.
    """

    header: bytes
    creator: bytes
    consenter: int
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block as a peer keeps it.

    Attributes:
        transactions: envelopes, encoded.
        signed_metadata: what the orderers' signatures cover beside the header.
        signatures: of the orderers.
        last_config: number of the last block of configuration, as the orderers signed it.
        stated_last_config: the same, unsigned, where older orderers put it.
        codes: the peer's validation codes.
        commit_hash: the peer's hash over all its commits; empty on the first block.
        private: private write sets by position, namespace and collection, encoded.
    """

    header: Header
    transactions: Sequence[bytes]
    signed_metadata: bytes
    signatures: Sequence[Signature]
    last_config: int
    stated_last_config: int
    codes: bytes
    commit_hash: bytes
    private: Mapping[tuple[int, str, str], bytes]


@dataclass(frozen=True, kw_only=True)
class RangeQuery:
    """A range that was read, as far as it was read.

    Attributes:
        start: the first key that could be in it.
        end: before which it ended; if not `exhausted`, the last key seen, which belongs to it.
        exhausted: it was read to its end.
        reads: keys found and their versions; None if there is a summary of them.
        max_degree: of the Merkle tree over what was found, if it was too much (0 if not).
        max_level: the tree's highest level.
        hashes: on that level.
    """

    start: str
    end: str
    exhausted: bool
    reads: Sequence[tuple[str, Version | None]] | None
    max_degree: int = 0
    max_level: int = 0
    hashes: Sequence[bytes] = ()


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What a transaction read and wrote of one private collection, all of it as hashes."""

    name: str
    reads: Mapping[str, Version | None]
    writes: Mapping[str, str | None]
    policies: Mapping[str, bytes]
    purges: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a transaction read and wrote in one namespace.

    Attributes:
        policies: for each key whose metadata is set, its own policy, a SignaturePolicyEnvelope; empty for none.
    """

    namespace: str
    reads: Mapping[str, Version | None]
    ranges: Sequence[RangeQuery]
    writes: Mapping[str, bytes | None]
    policies: Mapping[str, bytes]
    collections: Sequence[Collection]

    @property
    def private_writes(self) -> Sequence[PrivateWrite]:
        return [
            PrivateWrite(collection=one.name, key_hash=key_hash, value_hash=value_hash)
            for one in self.collections
            for key_hash, value_hash in one.writes.items()
        ]

    @property
    def has_writes(self) -> bool:
        private = any(one.writes or one.policies for one in self.collections)
        return bool(self.writes or self.policies or private)


@dataclass(frozen=True, kw_only=True)
class Endorsement:
    """A peer's signature over the response; `endorser` is its serialized identity."""

    endorser: bytes
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class Called:
    """A call of a chaincode: what was asked, what came of it, and who endorsed it.

    Attributes:
        chaincode: whose call was asked for.
        arguments: the function and its arguments.
        proposal: its three parts as they lie in the transaction: two headers, and what was called.
        answered_hash: of the proposal that the response answers.
        responded: name and version of the chaincode that answered.
        signed_response: the bytes that endorsers signed, before their own identity.
        status: of the response.
        result: its payload.
        effects: by namespace, in their order; a namespace may wrongly come twice.
    """

    chaincode: str
    arguments: Sequence[bytes]
    proposal: tuple[bytes, bytes, bytes]
    answered_hash: bytes
    responded: tuple[str, str]
    signed_response: bytes
    endorsements: Sequence[Endorsement]
    status: int
    result: bytes
    event: Emitted | None
    event_chaincode: str
    effects: Sequence[Effect]

    @property
    def proposal_hash(self) -> bytes:
        return sha256(b"".join(self.proposal)).digest()

    def effect(self, namespace: str) -> Effect:
        """Return what it did in a namespace."""
        return next((one for one in self.effects if one.namespace == namespace), _nothing(namespace))


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A transaction: who sent it, what kind it is.

    Attributes:
        payload: the bytes that its sender signed.
        data: what is in it; `call` or `configuration` decode it.
        channel_header: encoded.
    """

    payload: bytes
    signature: bytes
    kind: int
    channel: str
    id: str
    time_utc: int
    epoch: int
    creator: bytes
    nonce: bytes
    chaincode: str
    channel_header: bytes
    data: bytes = field(repr=False)


def decode(kind: type[_Decoded], data: bytes) -> _Decoded:
    """Return the message in `data`.

    Raises:
        Undecodable: there is none.
    """
    try:
        return messages.parse(kind, data)
    except Malformed as error:
        raise Undecodable(f"no {kind.__name__}") from error


def decode_block(data: bytes) -> Block:
    """Read a peer.BlockAndPrivateData.

    Raises:
        Undecodable: it is none, or it would be encoded otherwise.
    """
    message = _decode_exactly(events_pb2.BlockAndPrivateData, data)
    private: dict[tuple[int, str, str], bytes] = {}
    for position, one in message.private_data_map.items():
        for namespace in one.ns_pvt_rwset:
            for collection in namespace.collection_pvt_rwset:
                private[position, namespace.namespace, collection.collection_name] = collection.rwset
    return read_block(message.block, private)


def header_of(message: common_pb2.BlockHeader) -> Header:
    return Header(number=message.number, previous_hash=message.previous_hash, data_hash=message.data_hash)


def decode_tip(data: bytes) -> tuple[Header, bytes]:
    """Read the header and the commit hash of a common.Block.

    Raises:
        Undecodable: it is none.
    """
    block = read_block(decode(common_pb2.Block, data))
    return block.header, block.commit_hash


def read_block(message: common_pb2.Block, private: Mapping[tuple[int, str, str], bytes] = _NO_PRIVATE) -> Block:
    """Read a common.Block, and the private write sets that came with it.

    Raises:
        Undecodable: its metadata is none, or would be encoded otherwise.
    """
    parts = list(message.metadata.metadata)
    if len(parts) != len(common_pb2.BlockMetadataIndex.values()):
        raise Undecodable(f"a block with {len(parts)} parts of metadata")
    if parts[common_pb2.ORDERER]:
        raise Undecodable("a block with metadata where only old orderers had some")
    signed = _decode_exactly(common_pb2.Metadata, parts[common_pb2.SIGNATURES])
    stated = _decode_exactly(common_pb2.Metadata, parts[common_pb2.LAST_CONFIG])
    committed = _decode_exactly(common_pb2.Metadata, parts[common_pb2.COMMIT_HASH])
    if stated.signatures or committed.signatures:
        raise Undecodable("a block with signatures where none belong")
    return Block(
        header=header_of(message.header),
        transactions=list(message.data.data),
        signed_metadata=signed.value,
        signatures=[_signature(one) for one in signed.signatures],
        last_config=decode(common_pb2.OrdererBlockMetadata, signed.value).last_config.index,
        stated_last_config=_decode_exactly(common_pb2.LastConfig, stated.value).index,
        codes=parts[common_pb2.TRANSACTIONS_FILTER],
        commit_hash=committed.value,
        private=private,
    )


def decode_envelope(data: bytes) -> Envelope:
    """Read a transaction down to its headers.

    Raises:
        Undecodable: it is none.
    """
    envelope = decode(common_pb2.Envelope, data)
    payload = decode(common_pb2.Payload, envelope.payload)
    channel = decode(common_pb2.ChannelHeader, payload.header.channel_header)
    signer = decode(common_pb2.SignatureHeader, payload.header.signature_header)
    extension = decode(proposal_pb2.ChaincodeHeaderExtension, channel.extension)
    return Envelope(
        payload=envelope.payload,
        signature=envelope.signature,
        kind=channel.type,
        channel=channel.channel_id,
        id=channel.tx_id,
        time_utc=channel.timestamp.seconds,
        epoch=channel.epoch,
        creator=signer.creator,
        nonce=signer.nonce,
        chaincode=extension.chaincode_id.name,
        channel_header=payload.header.channel_header,
        data=payload.data,
    )


def decode_call(envelope: Envelope) -> Called:
    """Read the call in a transaction.

    Raises:
        Undecodable: there is none, or more than one.
    """
    transaction = decode(transaction_pb2.Transaction, envelope.data)
    if len(transaction.actions) != 1:
        raise Undecodable(f"a transaction with {len(transaction.actions)} calls")
    (action,) = transaction.actions
    signer = decode(common_pb2.SignatureHeader, action.header)
    if not signer.nonce or not signer.creator:
        raise Undecodable("a call without nonce or creator")
    whole = decode(transaction_pb2.ChaincodeActionPayload, action.payload)
    proposal = decode(proposal_pb2.ChaincodeProposalPayload, whole.chaincode_proposal_payload)
    invocation = decode(chaincode_pb2.ChaincodeInvocationSpec, proposal.input)
    answered, answer = decode_response(whole.action.proposal_response_payload)
    event = decode(chaincode_event_pb2.ChaincodeEvent, answer.events)
    return Called(
        chaincode=envelope.chaincode,
        arguments=list(invocation.chaincode_spec.input.args),
        proposal=(envelope.channel_header, action.header, whole.chaincode_proposal_payload),
        answered_hash=answered,
        responded=(answer.chaincode_id.name, answer.chaincode_id.version),
        signed_response=whole.action.proposal_response_payload,
        endorsements=[Endorsement(endorser=one.endorser, signature=one.signature) for one in whole.action.endorsements],
        status=answer.response.status,
        result=answer.response.payload,
        event=Emitted(name=event.event_name, payload=event.payload) if answer.events else None,
        event_chaincode=event.chaincode_id,
        effects=decode_effects(answer),
    )


def decode_response(data: bytes) -> tuple[bytes, proposal_pb2.ChaincodeAction]:
    """Read what endorsers sign: the hash of the proposal that it answers, and the chaincode's answer.

    Raises:
        Undecodable: it is anything else.
    """
    response = decode(proposal_response_pb2.ProposalResponsePayload, data)
    return response.proposal_hash, decode(proposal_pb2.ChaincodeAction, response.extension)


def decode_effects(answer: proposal_pb2.ChaincodeAction) -> list[Effect]:
    """Read what a chaincode read and wrote, by namespace.

    Raises:
        Undecodable: it says something else.
    """
    return [_effect(one) for one in decode(rwset_pb2.TxReadWriteSet, answer.results).ns_rwset]


def code_name(code: int) -> str:
    """Return what a peer calls a validation code."""
    codes = transaction_pb2.TxValidationCode
    return str(codes.Name(code)) if code in codes.values() else f"code {code}"


def decode_private_writes(data: bytes) -> dict[str, bytes | None]:
    """Read a collection's private write set: its keys, and their values or None for a deletion.

    Raises:
        Undecodable: it is none.
    """
    writes = decode(kv_rwset_pb2.KVRWSet, data).writes
    return {one.key: None if one.is_delete else one.value for one in writes}


def _decode_exactly(kind: type[_Decoded], data: bytes) -> _Decoded:
    """Return the message in what no hash and no signature covers: nothing may hide in it."""
    message = decode(kind, data)
    known: Any = decode(kind, data)
    whole = known.ByteSize()
    known.DiscardUnknownFields()
    if not known.ByteSize() == whole == len(data):
        raise Undecodable(f"a {kind.__name__} with more in it than belongs there")
    return message


def _signature(message: common_pb2.MetadataSignature) -> Signature:
    if message.signature_header:
        creator = decode(common_pb2.SignatureHeader, message.signature_header).creator
        return Signature(header=message.signature_header, creator=creator, consenter=0, signature=message.signature)
    header = message.identifier_header
    consenter = decode(common_pb2.IdentifierHeader, header).identifier
    return Signature(header=header, creator=b"", consenter=consenter, signature=message.signature)


def _effect(message: rwset_pb2.NsReadWriteSet) -> Effect:
    public = decode(kv_rwset_pb2.KVRWSet, message.rwset)
    return Effect(
        namespace=message.namespace,
        reads={one.key: _version(one) for one in public.reads},
        ranges=[_range(one) for one in public.range_queries_info],
        writes={one.key: None if one.is_delete else one.value for one in public.writes},
        policies={one.key: _policy(one) for one in public.metadata_writes},
        collections=[_collection(one) for one in message.collection_hashed_rwset],
    )


def _collection(message: rwset_pb2.CollectionHashedReadWriteSet) -> Collection:
    hashed = decode(kv_rwset_pb2.HashedRWSet, message.hashed_rwset)
    return Collection(
        name=message.collection_name,
        reads={one.key_hash.hex(): _version(one) for one in hashed.hashed_reads},
        writes={one.key_hash.hex(): None if one.is_delete else one.value_hash.hex() for one in hashed.hashed_writes},
        policies={one.key_hash.hex(): _policy(one) for one in hashed.metadata_writes},
        purges=frozenset(one.key_hash.hex() for one in hashed.hashed_writes if one.is_purge),
    )


def _range(message: kv_rwset_pb2.RangeQueryInfo) -> RangeQuery:
    summarised = message.HasField("reads_merkle_hashes")
    return RangeQuery(
        start=message.start_key,
        end=message.end_key,
        exhausted=message.itr_exhausted,
        reads=None if summarised else [(one.key, _version(one)) for one in message.raw_reads.kv_reads],
        max_degree=message.reads_merkle_hashes.max_degree,
        max_level=message.reads_merkle_hashes.max_level,
        hashes=list(message.reads_merkle_hashes.max_level_hashes),
    )


def _policy(message: kv_rwset_pb2.KVMetadataWrite | kv_rwset_pb2.KVMetadataWriteHash) -> bytes:
    entries = {entry.name: entry.value for entry in message.entries}
    return bytes(entries.get(POLICY, b""))


def _version(message: kv_rwset_pb2.KVRead | kv_rwset_pb2.KVReadHash) -> Version | None:
    return (message.version.block_num, message.version.tx_num) if message.HasField("version") else None


def _nothing(namespace: str) -> Effect:
    return Effect(namespace=namespace, reads={}, ranges=(), writes={}, policies={}, collections=())


def _integer(number: int) -> bytes:
    return _tagged(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _tagged(tag: int, content: bytes) -> bytes:
    """Encode one ASN.1 element in DER (X.690 8.1)."""
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 -- X.690 8.1.3.4: a length below it is its own encoding
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
