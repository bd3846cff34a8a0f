"""What the client's signed proposal says of a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import proposal_pb2

_HEADER_TYPES = (common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The parts of a proposal that a chaincode may ask for; all are empty in the peer's own calls, which have none.

    Attributes:
        signed: the whole SignedProposal.
        creator: the client's serialized identity.
        transient: data for the endorsers alone.
        binding: SHA-256 over nonce, creator and epoch: ties other messages to this proposal.
        timestamp_ns: the client's clock, nanoseconds since 1970 UTC; equal for all endorsers.
    """

    signed: bytes = b""
    creator: bytes = b""
    transient: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    binding: bytes = b""
    timestamp_ns: int = 0


def read_proposal(signed: Any) -> Proposal:
    """Return the parts of a peer.SignedProposal (fabric-chaincode-go shim/stub.go newChaincodeStub).

    Raises:
        DecodeError: a part is malformed.
        ValueError: the header says that this is no transaction.
    """
    proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
    if channel_header.type not in _HEADER_TYPES:
        raise ValueError(f"the proposal's header has type {channel_header.type}, which is no transaction")
    signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
    creator = signature_header.creator
    epoch = channel_header.epoch.to_bytes(8, "little")
    return Proposal(
        signed=signed.SerializeToString(),
        creator=creator,
        transient=MappingProxyType(dict(payload.TransientMap)),
        binding=sha256(signature_header.nonce + creator + epoch).digest(),
        timestamp_ns=channel_header.timestamp.ToNanoseconds(),
    )
