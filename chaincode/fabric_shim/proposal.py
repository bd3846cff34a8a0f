"""What the client's signed proposal says of a transaction."""

from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import proposal_pb2

_HEADER_TYPES = (common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG)


class Proposal:
    """The parts of a proposal that a chaincode may ask for; all are empty in the peer's own calls, which have none.

    Most contracts ask for few of them, so each is made when it is asked for.

    Args:
        signed: the peer.SignedProposal.
        channel_header: the common.ChannelHeader in it.
        signature_header: the common.SignatureHeader in it.
        payload: the peer.ChaincodeProposalPayload in it.
    """

    def __init__(self, signed: Any, channel_header: Any, signature_header: Any, payload: Any) -> None:
        self._signed = signed
        self._channel_header = channel_header
        self._signature_header = signature_header
        self._payload = payload

    @property
    def signed(self) -> bytes:
        """The whole SignedProposal."""
        return bytes(self._signed.SerializeToString())

    @property
    def creator(self) -> bytes:
        """The client's serialized identity."""
        return bytes(self._signature_header.creator)

    @cached_property
    def transient(self) -> Mapping[str, bytes]:
        """Data for the endorsers alone."""
        return MappingProxyType(dict(self._payload.TransientMap))

    @property
    def binding(self) -> bytes:
        """SHA-256 over nonce, creator and epoch: ties other messages to this proposal."""
        if not self.creator:
            return b""
        epoch = self._channel_header.epoch.to_bytes(8, "little")
        return sha256(self._signature_header.nonce + self.creator + epoch).digest()

    @property
    def timestamp_ns(self) -> int:
        """The client's clock, nanoseconds since 1970 UTC; equal for all endorsers."""
        return int(self._channel_header.timestamp.ToNanoseconds())


NO_PROPOSAL = Proposal(
    proposal_pb2.SignedProposal(),
    common_pb2.ChannelHeader(),
    common_pb2.SignatureHeader(),
    proposal_pb2.ChaincodeProposalPayload(),
)


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
    return Proposal(signed, channel_header, signature_header, payload)
