"""ECDSA P-256 with SHA-256, DER, low-S: the one signature of everything except what OCMF prescribes otherwise.

A signature (r, s) is as good as (r, n - s); only the lower s is accepted, so that nobody can make a second
signature from a first one (Fabric does the same: bccsp/utils/ecdsa.go).
"""

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HALF_ORDER = ORDER // 2
_VERIFY = ec.ECDSA(hashes.SHA256())
# Repeatable signatures (RFC 6979): signing the same bytes again tells a relay nothing new, and a run repeats.
_SIGN = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return the DER signature of `message`, low-S."""
    signature = key.sign(message, _SIGN)
    r, s = decode_dss_signature(signature)
    return signature if s <= HALF_ORDER else encode_dss_signature(r, ORDER - s)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is the low-S DER signature of `message` by `public_key` (compressed point)."""
    try:
        _, s = decode_dss_signature(signature)
        if s > HALF_ORDER:
            return False
        load_public_key(public_key).verify(signature, message, _VERIFY)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=65_536)
def load_public_key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key of a compressed point (33 bytes).

    Raises:
        ValueError: if the bytes are no compressed point of the curve.
    """
    if len(public_key) != 33:  # noqa: PLR2004 -- SEC 1 section 2.3.3: one byte of sign, 32 of x
        raise ValueError(f"a compressed P-256 point has 33 bytes, not {len(public_key)}")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)


def public_bytes(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> bytes:
    """Return the compressed point of a key's public part."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    return public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
