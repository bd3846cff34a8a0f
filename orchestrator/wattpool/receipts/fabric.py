"""Evidence and published roots of a community on Fabric.

The evidence is what peers signed, and what a signature of theirs means: the response (peer.ProposalResponsePayload),
which holds result, reads and the hash of the proposal; the proposal's three parts, of which the first names the
channel; and the endorsements, each over the response and the endorser's identity. The block is left out: its hash is
over whole transactions, so that it would have to come with all of them, and orderers do not judge what they order.
Nor is it needed: that a peer read the period record at a version says that this was committed, and a record that
is, is never changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fabric_protos.common import common_pb2

from wattpool.client import Chain
from wattpool.ledgers.fabric import FabricLedger
from wattpool.ledgers.fabric_blocks import (
    CALL,
    Called,
    Undecodable,
    decode,
    decode_call,
    decode_effects,
    decode_envelope,
    decode_response,
)
from wattpool.ledgers.port import LedgerError
from wattpool.receipts.evidence import Proven, from_text, to_text
from wattpool.receipts.issue import FindEvidence
from wattpool.receipts.reason import ReceiptReason, ReceiptRefused
from wattpool.verify.fabric.configuration import Configuration
from wattpool.verify.fabric.membership import Members, Msp, NotMember
from wattpool_chaincode.contract import CHANNEL as CONTRACT
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.organisations import AGGREGATOR, ORGANISATIONS
from wattpool_chaincode.records import codec

FABRIC = "fabric"
_PEER = "PEER"
# The organisational unit by which an MSP tells peers from others, as Fabric's own tools set it.
_PEER_UNIT = "peer"


@dataclass(frozen=True, kw_only=True)
class PublishedMsp:
    """An MSP of the network: which of the rules' organisations it plays, and whose certificates are its members'."""

    plays: Sequence[str]
    roots: Sequence[str]
    intermediates: Sequence[str]

    @classmethod
    def from_json(cls, value: Any) -> "PublishedMsp":
        """Read what stands in a published file.

        Raises:
            ValueError: if it is anything else.
        """
        match value:
            case {"intermediates": [*intermediates], "plays": [*plays], "roots": [*roots], **rest} if (
                all(isinstance(one, str) for one in (*intermediates, *plays, *roots)) and not rest
            ):
                return cls(plays=plays, roots=roots, intermediates=intermediates)
            case _:
                raise ValueError("an MSP has intermediates, plays, roots")

    def read(self, msp_id: str) -> Msp:
        """Return the MSP.

        Raises:
            ValueError: if a certificate cannot be read.
        """
        return Msp(
            id=msp_id,
            roots=[x509.load_pem_x509_certificate(one.encode()) for one in self.roots],
            intermediates=[x509.load_pem_x509_certificate(one.encode()) for one in self.intermediates],
            admins=(),
            revoked=(),
            roles={_PEER: _PEER_UNIT},
            units=frozenset(),
        )


@dataclass(frozen=True)
class FabricRoots:
    """What one has to trust, and to have got from somewhere else than a receipt.

    Attributes:
        community: its name.
        channel: what the network calls its ledger chain.
        msps: by MSP id, as the network has them.
    """

    community: str
    channel: str
    msps: Mapping[str, PublishedMsp]

    @cached_property
    def members(self) -> Members:
        return Members({msp_id: one.read(msp_id) for msp_id, one in self.msps.items()})

    def encode(self) -> bytes:
        """Return the canonical JSON that is published."""
        msps = {
            msp_id: {"intermediates": one.intermediates, "plays": one.plays, "roots": one.roots}
            for msp_id, one in self.msps.items()
        }
        return codec.encode({"channel": self.channel, "community": self.community, "msps": msps})

    @classmethod
    def from_json(cls, value: Any) -> "FabricRoots":
        """Read what stands in a published file.

        Raises:
            ValueError: if it is anything else, or a certificate in it cannot be read.
        """
        match value:
            case {"channel": str(channel), "community": str(community), "msps": dict(msps), **rest} if not rest:
                roots = cls(community, channel, {name: PublishedMsp.from_json(one) for name, one in msps.items()})
            case _:
                raise ValueError("not the published roots of a community: channel, community, msps")
        played = [name for one in roots.msps.values() for name in one.plays]
        if sorted(played) != sorted(ORGANISATIONS):
            raise ValueError(f"the MSPs play {', '.join(played)}; {', '.join(ORGANISATIONS)} were expected")
        roots.members  # noqa: B018 -- reads them
        return roots

    def prove(self, evidence: Mapping[str, Any]) -> Proven:
        """Check the signatures of evidence, and that it is of the community's ledger chain.

        Raises:
            ReceiptRefused: malformed, foreign_community, not_certified, wrongly_endorsed.
        """
        match evidence:
            case {
                "endorsements": [*endorsements],
                "ledger": "fabric",
                "proposal": [header, signer, payload],
                "response": response,
            } if len(evidence) == 4:  # noqa: PLR2004
                proposal = (_from_text(header), _from_text(signer), _from_text(payload))
                signed = _from_text(response)
            case _:
                raise ReceiptRefused(ReceiptReason.MALFORMED, "the evidence is not of a Fabric network")
        try:
            return self._prove(proposal, signed, endorsements)
        except Undecodable as error:
            raise ReceiptRefused(ReceiptReason.MALFORMED, f"the evidence: {error}") from error

    def _prove(self, proposal: tuple[bytes, bytes, bytes], signed: bytes, endorsements: Sequence[object]) -> Proven:
        answered, answer = decode_response(signed)
        channel = decode(common_pb2.ChannelHeader, proposal[0])
        signer = decode(common_pb2.SignatureHeader, proposal[1])
        # Says where one part ends and the next begins, which the hash over all of them does not.
        if channel.type != CALL or channel.tx_id != sha256(signer.nonce + signer.creator).hexdigest():
            raise ReceiptRefused(ReceiptReason.MALFORMED, "the proposal is none of a transaction under its own id")
        if (channel.channel_id, answer.chaincode_id.name) != (self.channel, LEDGER.name):
            detail = f"chaincode {answer.chaincode_id.name!r} on channel {channel.channel_id!r} answered"
            raise ReceiptRefused(ReceiptReason.FOREIGN_COMMUNITY, detail)
        endorsers = self._endorsers(signed, endorsements)
        if answered != sha256(b"".join(proposal)).digest():
            raise ReceiptRefused(ReceiptReason.WRONGLY_ENDORSED, "the response answers another proposal")
        own = [effect for effect in decode_effects(answer) if effect.namespace == LEDGER.name]
        reads = {key for effect in own for key, version in effect.reads.items() if version is not None}
        return Proven(endorsers=endorsers, result=answer.response.payload, reads=frozenset(reads))

    def _endorsers(self, signed: bytes, endorsements: Sequence[object]) -> frozenset[str]:
        """Return which of the rules' organisations vouch for a response.

        An MSP that plays two of them does so by two peers; the policy of the ledger chain counts organisations, and
        does not tell them apart.
        """
        certificates: dict[str, set[x509.Certificate]] = {msp_id: set() for msp_id in self.msps}
        for endorsement in endorsements:
            match endorsement:
                case [identity, signature]:
                    serialized = _from_text(identity)
                    mark = from_text(signature)
                case _:
                    raise ReceiptRefused(ReceiptReason.MALFORMED, "an endorsement is an identity and a signature")
            try:
                endorser = self.members.require(serialized)
            except NotMember as error:
                raise ReceiptRefused(ReceiptReason.NOT_CERTIFIED, str(error)) from error
            if not endorser.has_signed(signed + serialized, mark):
                detail = f"the signature of {endorser.msp_id} does not hold"
                raise ReceiptRefused(ReceiptReason.WRONGLY_ENDORSED, detail)
            certificates[endorser.msp_id].add(endorser.certificate)
        return frozenset(name for msp_id, one in self.msps.items() for name in one.plays[: len(certificates[msp_id])])


def evidence_on(ledger: FabricLedger, channel: str) -> FindEvidence:
    """Return what finds evidence on a channel of `ledger`.

    Raises (when called):
        LedgerError: if there is no such transaction, or it is no call.
    """

    def find(transaction_id: str) -> tuple[dict[str, Any], bytes]:
        envelope = ledger.transaction(channel, transaction_id).transactionEnvelope.SerializeToString()
        try:
            call = decode_call(decode_envelope(envelope))
        except Undecodable as error:
            raise LedgerError(f"transaction {transaction_id} cannot be read: {error}") from error
        return of_call(call), call.arguments[1]

    return find


def published_roots(ledger: FabricLedger) -> FabricRoots:
    """Return what a community publishes of the organisations on its ledger chain, as that is configured now.

    Raises:
        EndorseError: not_founded.
        LedgerError: if an organisation's MSP is not there, or tells peers from others in its own way.
    """
    rules = Chain(ledger, CONTRACT).evaluate("rules", by=AGGREGATOR, version=1)["rules"]
    channel = ledger.network_name(LEDGER.name)
    envelope = ledger.configuration(LEDGER.name).SerializeToString()
    try:
        members = Configuration.genesis(channel, decode_envelope(envelope)).members
    except Undecodable as error:
        raise LedgerError(f"the configuration of channel {channel!r} cannot be read: {error}") from error
    plays: dict[str, list[str]] = {}
    for name, msp_id in ledger.organisations.items():
        plays.setdefault(msp_id, []).append(name)
    return FabricRoots(
        rules["community"],
        channel,
        {msp_id: _published(members, msp_id, sorted(names)) for msp_id, names in plays.items()},
    )


def of_call(call: Called) -> dict[str, Any]:
    """Return the evidence of a transaction."""
    return {
        "endorsements": [[_to_text(one.endorser), to_text(one.signature)] for one in call.endorsements],
        "ledger": FABRIC,
        "proposal": [_to_text(one) for one in call.proposal],
        "response": _to_text(call.signed_response),
    }


def _published(members: Members, msp_id: str, plays: Sequence[str]) -> PublishedMsp:
    msp = members.msps.get(msp_id)
    if msp is None:
        raise LedgerError(f"the channel has no organisation {msp_id}, which plays {' and '.join(plays)}")
    if msp.roles.get(_PEER) != _PEER_UNIT:
        raise LedgerError(f"{msp_id} does not know its peers by the unit {_PEER_UNIT!r}")
    return PublishedMsp(plays=plays, roots=_pem(msp.roots), intermediates=_pem(msp.intermediates))


def _pem(certificates: Sequence[x509.Certificate]) -> list[str]:
    return [one.public_bytes(Encoding.PEM).decode() for one in certificates]


def _to_text(data: bytes) -> str:
    """Return bytes as text, each the character of its number: what is text in them, as certificates are, stays so."""
    return data.decode("latin-1")


def _from_text(text: object) -> bytes:
    """Read what `_to_text` gave.

    Raises:
        ReceiptRefused: malformed.
    """
    try:
        if isinstance(text, str):
            return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ReceiptRefused(ReceiptReason.MALFORMED, "a character that stands for no byte") from error
    raise ReceiptRefused(ReceiptReason.MALFORMED, "not the text of bytes")
