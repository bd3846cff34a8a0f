"""Signed payloads: what a device or an owner tells the ledgers, as one canonical byte string and its signature.

The bytes are `wattpool/<kind>/1 ` and the canonical JSON of community, content, counter, period and signer. The
tag separates the kinds from each other and from OCMF records, which begin with `{"FV":`. A relay can drop or delay
a payload, never change it, use it in another community or period, or use it twice.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from wattpool_chaincode.records import codec, signing

MAX_PAYLOAD_BYTES = 4_096
_ENVELOPE = {"community", "content", "counter", "period", "signer"}


class Malformed(ValueError):
    """Bytes that are no payload of the expected kind."""


@dataclass(frozen=True, kw_only=True)
class Payload:
    """One statement.

    Attributes:
        kind: what it is (`request`, `state`, `limits`, ...).
        community: the community it is for.
        signer: id of the device or party that signs.
        period_start_utc: the market period it is for; 0 if it is for none.
        counter: strictly increasing over what this signer signs of this kind.
        content: the statement itself, JSON of integers and text.
    """

    kind: str
    community: str
    signer: str
    period_start_utc: int
    counter: int
    content: dict[str, Any]

    def encode(self) -> bytes:
        body = {
            "community": self.community,
            "content": self.content,
            "counter": self.counter,
            "period": self.period_start_utc,
            "signer": self.signer,
        }
        return _tag(self.kind) + codec.encode(body)

    @classmethod
    def decode(cls, kind: str, data: bytes) -> "Payload":
        """Read the canonical bytes of a payload of `kind`; the signature is not looked at.

        Raises:
            Malformed: naming what is wrong.
        """
        if len(data) > MAX_PAYLOAD_BYTES:
            raise Malformed(f"{len(data)} bytes, at most {MAX_PAYLOAD_BYTES} are allowed")
        tag = _tag(kind)
        if not data.startswith(tag):
            raise Malformed(f"does not begin with {tag.decode()!r}")
        try:
            body = codec.decode(data[len(tag) :])
        except codec.NotCanonical as error:
            raise Malformed(str(error)) from error
        if not isinstance(body, dict) or set(body) != _ENVELOPE:
            raise Malformed(f"the fields are not {', '.join(sorted(_ENVELOPE))}")
        if not (isinstance(body["community"], str) and isinstance(body["signer"], str)):
            raise Malformed("community and signer are not text")
        if not (is_count(body["counter"]) and is_count(body["period"]) and isinstance(body["content"], dict)):
            raise Malformed("counter and period are not counts, or content is no object")
        return cls(
            kind=kind,
            community=body["community"],
            signer=body["signer"],
            period_start_utc=body["period"],
            counter=body["counter"],
            content=body["content"],
        )


@dataclass(frozen=True)
class Signed:
    """A payload's exact bytes, and the signature over them (DER, low-S)."""

    payload: bytes
    signature: bytes

    def to_json(self) -> list[str]:
        """Return the pair as it stands in chunks and arguments: payload text, signature in base64."""
        return [self.payload.decode(), b64encode(self.signature).decode()]

    @classmethod
    def from_json(cls, value: object) -> "Signed":
        """Read what `to_json` wrote.

        Raises:
            Malformed: if it is no pair of texts, or the second is not the one base64 of its bytes.
        """
        match value:
            case [str(text), str(signature)]:
                try:
                    signed = cls(text.encode(), b64decode(signature, validate=True))
                except ValueError as error:
                    raise Malformed(f"the signature is not base64, or the text not UTF-8: {error}") from error
                # Spare bits and padding would let a relay write one statement in several ways.
                if b64encode(signed.signature).decode() != signature:
                    raise Malformed("the signature is not canonical base64")
                return signed
            case _:
                raise Malformed("not a pair of payload text and base64 signature")

    def is_signed_by(self, public_key: bytes) -> bool:
        return signing.is_signed(public_key, self.payload, self.signature)


def sign(payload: Payload, key: ec.EllipticCurvePrivateKey) -> Signed:
    """Return `payload` with the signature of `key`."""
    data = payload.encode()
    return Signed(data, signing.sign(key, data))


def signer_id(public_key: bytes) -> str:
    """Return the id of a device or party: the first 20 bytes of the SHA-256 of its public key, in hex."""
    return codec.content_id(public_key)[:40]


def is_count(value: object) -> bool:
    """Tell whether `value` is an integer from 0 to 2^53 - 1, which every JSON reader keeps exactly."""
    return type(value) is int and 0 <= value < 1 << 53


def _tag(kind: str) -> bytes:
    return f"wattpool/{kind}/1 ".encode()
