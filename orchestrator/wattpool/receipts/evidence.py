"""Evidence: a transaction's answer with the endorsements over it, cut out of the ledger it stands in.

Each ledger signs in its own form; both come down to what was read, written and returned, and who vouches for it.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from wattpool.ledgers import block
from wattpool.ledgers.block import Malformed, Response, Transaction
from wattpool.ledgers.certificates import CertificateRefused, Member, Role, read_member, to_pem
from wattpool.receipts.reason import ReceiptReason, ReceiptRefused
from wattpool_chaincode.records import codec, signing

EMBEDDED = "embedded"


@dataclass(frozen=True, kw_only=True)
class Proven:
    """What endorsers vouch for.

    Attributes:
        endorsers: MSP ids of those whose signatures hold.
        result: what the chaincode returned.
        reads: the keys that were read and were there.
    """

    endorsers: frozenset[str]
    result: bytes
    reads: frozenset[str]


def of_embedded(transaction: Transaction, endorsers: Sequence[Member]) -> dict[str, Any]:
    """Return the evidence of a transaction of the embedded ledger.

    Args:
        transaction: endorsed, in a block.
        endorsers: in the order of its endorsements.
    """
    return {
        "endorsements": [
            [to_text(_der(endorser.pem)), to_text(one.signature)]
            for endorser, one in zip(endorsers, transaction.endorsements, strict=True)
        ],
        "ledger": EMBEDDED,
        "response": transaction.response.data.decode(),
    }


def prove(evidence: Mapping[str, Any], roots: Mapping[str, x509.Certificate]) -> Proven:
    """Check the signatures of evidence against the organisations' root certificates.

    When a certificate was valid is not compared: nothing in a transaction tells a time that its endorsers could not
    choose.

    Raises:
        ReceiptRefused: malformed, not_certified, wrongly_endorsed.
    """
    match evidence:
        case {"endorsements": [*endorsements], "ledger": "embedded", "response": str(text)} if len(evidence) == 3:  # noqa: PLR2004
            return _prove_embedded(text.encode(), endorsements, roots)
        case _:
            raise ReceiptRefused(ReceiptReason.MALFORMED, "the evidence is not of an embedded ledger")


def to_text(data: bytes) -> str:
    return b64encode(data).decode()


def from_text(text: object) -> bytes:
    """Read what `to_text` gave, and nothing else: base64 has several texts for some bytes.

    Raises:
        ReceiptRefused: malformed.
    """
    try:
        if isinstance(text, str):
            data = b64decode(text, validate=True)
            if to_text(data) == text:
                return data
    except ValueError as error:
        raise ReceiptRefused(ReceiptReason.MALFORMED, f"not base64: {error}") from error
    raise ReceiptRefused(ReceiptReason.MALFORMED, "not base64")


def read_endorser(der: bytes, roots: Mapping[str, x509.Certificate]) -> Member:
    """Return whose peer holds a certificate.

    Raises:
        ReceiptRefused: not_certified.
    """
    problems = []
    pem = _pem(der)
    for msp_id, root in roots.items():
        try:
            member = read_member(pem, msp_id=msp_id, root=root)
        except CertificateRefused as error:
            problems.append(str(error))
            continue
        if member.role is Role.PEER:
            return member
        problems.append(f"the certificate is that of a {member.role}")
    raise ReceiptRefused(ReceiptReason.NOT_CERTIFIED, "; ".join(problems))


def _prove_embedded(data: bytes, endorsements: Sequence[object], roots: Mapping[str, x509.Certificate]) -> Proven:
    try:
        response = Response.from_json(codec.decode(data))
    except (ValueError, LookupError, TypeError, AttributeError, Malformed) as error:
        raise ReceiptRefused(ReceiptReason.MALFORMED, f"not a response: {error}") from error
    if response.data != data:
        raise ReceiptRefused(ReceiptReason.MALFORMED, "not a response: encoding it again gives other bytes")
    message = block.endorser_message(response)
    endorsers = set()
    for endorsement in endorsements:
        match endorsement:
            case [certificate, signature]:
                member = read_endorser(from_text(certificate), roots)
            case _:
                raise ReceiptRefused(ReceiptReason.MALFORMED, "an endorsement is a certificate and a signature")
        if not signing.is_signed(member.public_key, message, from_text(signature)):
            raise ReceiptRefused(ReceiptReason.WRONGLY_ENDORSED, f"the signature of {member.msp_id} does not hold")
        endorsers.add(member.msp_id)
    reads = frozenset(key for key, version in response.reads.items() if version is not None)
    return Proven(endorsers=frozenset(endorsers), result=response.result, reads=reads)


def _der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def _pem(der: bytes) -> bytes:
    """Return a certificate as PEM.

    Raises:
        ReceiptRefused: not_certified, if the bytes are not exactly one certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        # No signature covers the byte before the signature, the number of its bits that do not count.
        is_whole = certificate.public_bytes(Encoding.DER) == der and der.endswith(b"\0" + certificate.signature)
    except (ValueError, x509.InvalidVersion) as error:
        raise ReceiptRefused(ReceiptReason.NOT_CERTIFIED, f"not a certificate: {error}") from error
    if not is_whole:
        raise ReceiptRefused(ReceiptReason.NOT_CERTIFIED, "not a certificate alone")
    return to_pem(certificate)
