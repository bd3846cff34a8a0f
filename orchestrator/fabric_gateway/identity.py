"""Who signs, and how: identities, digests, signers."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from fabric_protos.msp import identities_pb2

from fabric_gateway.errors import Malformed

Hash = Callable[[bytes], bytes]
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def sha256(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


def sha384(message: bytes) -> bytes:
    return hashlib.sha384(message).digest()


def sha3_256(message: bytes) -> bytes:
    return hashlib.sha3_256(message).digest()


def sha3_384(message: bytes) -> bytes:
    return hashlib.sha3_384(message).digest()


def unhashed(message: bytes) -> bytes:
    """Return the message itself, for keys that sign messages and not digests."""
    return message


class Signer(Protocol):
    """The private key of an identity, wherever it is kept."""

    def sign(self, digest: bytes) -> bytes | Awaitable[bytes]:
        """Return the signature of `digest`; a slow device answers with an awaitable, so that other calls go on.

        An ECDSA signature is DER with the lower of the two possible s (see `der_signature`); an Ed25519 one is raw.
        """


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate, and the organisation (MSP id) that vouches for it."""

    msp_id: str
    certificate_pem: bytes

    @cached_property
    def creator(self) -> bytes:
        """The identity as Fabric's messages carry it (fabric-protos msp/identities.proto, SerializedIdentity)."""
        identity = identities_pb2.SerializedIdentity(mspid=self.msp_id, id_bytes=self.certificate_pem)
        serialized: bytes = identity.SerializeToString()
        return serialized

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The certificate.

        Raises:
            Malformed: if it is none.
        """
        try:
            return x509.load_pem_x509_certificate(self.certificate_pem)
        except ValueError as error:
            raise Malformed(f"the identity of {self.msp_id} is no PEM certificate: {error}") from error

    @property
    def hash(self) -> Hash:
        """What a peer hashes with before it checks this identity's signatures: SHA-256, nothing for Ed25519."""
        is_ed25519 = isinstance(self.certificate.public_key(), ed25519.Ed25519PublicKey)
        return unhashed if is_ed25519 else sha256


class PrivateKeySigner:
    """Signs with a private key in memory: ECDSA on P-256 or P-384, or Ed25519 (channel capability V3_0)."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @classmethod
    def load(cls, pem: bytes, password: bytes | None = None) -> "PrivateKeySigner":
        """Read a private key.

        Raises:
            Malformed: if it is no private key of these kinds, or the password is wrong.
        """
        try:
            key = serialization.load_pem_private_key(pem, password)
        except (ValueError, TypeError) as error:
            raise Malformed(f"not a readable PEM private key: {error}") from error
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls(key)
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
            return cls(key)
        raise Malformed("the private key is not of P-256, P-384 or Ed25519")

    def is_of(self, identity: Identity) -> bool:
        """Tell whether this is the key that an identity's certificate is for.

        Raises:
            Malformed: if the identity's certificate is none.
        """
        return identity.certificate.public_key() == self._key.public_key()

    def sign(self, digest: bytes) -> bytes:
        """Sign a digest of 32 or 48 bytes, with Ed25519 a message.

        Raises:
            ValueError: if the digest has another length.
        """
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(digest)
        algorithm = _ALGORITHMS.get(len(digest))
        if algorithm is None:
            raise ValueError(f"an ECDSA key signs digests of 32 or 48 bytes, not {len(digest)}")
        signature = self._key.sign(digest, ec.ECDSA(Prehashed(algorithm)))
        return _low_s(*decode_dss_signature(signature), self._key.curve)


# For a digest already made, ECDSA is told no more than its length.
_ALGORITHMS: dict[int, hashes.HashAlgorithm] = {32: hashes.SHA256(), 48: hashes.SHA384()}


def der_signature(raw: bytes, curve: ec.EllipticCurve) -> bytes:
    """Turn r || s, as PKCS #11's CKM_ECDSA returns it, into what Fabric takes: DER with the lower s."""
    half = len(raw) // 2
    return _low_s(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]), curve)


def _low_s(r: int, s: int, curve: ec.EllipticCurve) -> bytes:
    # Of s and order - s both verify; Fabric takes the lower, so that nobody can make a second valid signature.
    return encode_dss_signature(r, min(s, curve.group_order - s))
