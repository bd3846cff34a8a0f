"""Who signs: kinds of keys, digests, and the form of signatures."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from fabric_protos.msp import identities_pb2

from fabric_gateway import Connection, Gateway, Malformed, PrivateKeySigner
from fabric_gateway.identity import (
    Hash,
    PrivateKey,
    der_signature,
    sha3_256,
    sha3_384,
    sha256,
    sha384,
    unhashed,
)
from gateway.clients import connected, contract_of
from gateway.fabric_peer import FabricPeer
from gateway.organisation import Member, Organisation, new_ed25519_key, new_p384_key

P256_KEY = ec.generate_private_key(ec.SECP256R1())
P384_KEY = new_p384_key()


def pem_of(key: PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    "new_key", [lambda: P256_KEY, new_p384_key, new_ed25519_key], ids=["P-256", "P-384", "Ed25519"]
)
async def test_a_peer_accepts_every_kind_of_key(
    peer: FabricPeer, organisation: Organisation, new_key: Callable[[], PrivateKey]
) -> None:
    async with connected(peer, organisation.member("anne", new_key())) as gateway:
        assert (await contract_of(gateway).submit("write", "a")).result == b"wrote a"


@pytest.mark.parametrize("hash_", [sha256, sha384, sha3_256, sha3_384])
async def test_a_peer_accepts_the_digest_it_is_configured_for(peer: FabricPeer, member: Member, hash_: Hash) -> None:
    peer.hash = hash_
    async with connected(peer, member, hash=hash_) as gateway:
        committed = await contract_of(gateway).submit("write", "a")
    # The transaction id is by SHA-256 whatever the digest; the peer has checked it.
    assert len(committed.transaction_id) == 64


@pytest.mark.parametrize("key", [P256_KEY, P384_KEY], ids=["P-256", "P-384"])
def test_signatures_have_the_lower_s(key: ec.EllipticCurvePrivateKey) -> None:
    signer = PrivateKeySigner(key)
    for n in range(40):
        digest = sha256(bytes([n]))
        signature = signer.sign(digest)
        key.public_key().verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        assert decode_dss_signature(signature)[1] <= key.curve.group_order // 2


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_a_devices_raw_signature_becomes_der_with_the_lower_s(curve: ec.EllipticCurve) -> None:
    size = curve.key_size // 8
    order = curve.group_order
    assert der_signature((5).to_bytes(size) + (7).to_bytes(size), curve) == encode_dss_signature(5, 7)
    assert der_signature((5).to_bytes(size) + (order - 7).to_bytes(size), curve) == encode_dss_signature(5, 7)


def test_an_identity_names_its_digest(organisation: Organisation) -> None:
    assert organisation.member("anne").identity.hash is sha256
    assert organisation.member("anne", P384_KEY).identity.hash is sha256
    assert organisation.member("anne", new_ed25519_key()).identity.hash is unhashed


def test_an_identity_is_written_as_fabric_reads_it(member: Member) -> None:
    identity = identities_pb2.SerializedIdentity.FromString(member.identity.creator)
    assert (identity.mspid, identity.id_bytes) == ("Org1MSP", member.identity.certificate_pem)


@pytest.mark.parametrize("key", [P256_KEY, P384_KEY, new_ed25519_key()], ids=["P-256", "P-384", "Ed25519"])
def test_a_key_is_read_from_pem(key: PrivateKey) -> None:
    digest = sha256(b"message")
    signature = PrivateKeySigner.load(pem_of(key, b"secret"), b"secret").sign(digest)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        key.public_key().verify(signature, digest)
    else:
        key.public_key().verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.mark.parametrize(
    ("pem", "password"),
    [
        pytest.param(b"nothing", None, id="no PEM"),
        pytest.param(pem_of(P256_KEY, b"secret"), b"guess", id="wrong password"),
        pytest.param(pem_of(P256_KEY, b"secret"), None, id="no password"),
        pytest.param(pem_of(rsa.generate_private_key(65537, 2048)), None, id="RSA"),
        pytest.param(pem_of(ec.generate_private_key(ec.SECP256K1())), None, id="another curve"),
    ],
)
def test_what_is_no_usable_key_is_refused(pem: bytes, password: bytes | None) -> None:
    with pytest.raises(Malformed):
        PrivateKeySigner.load(pem, password)


def test_a_digest_of_another_length_is_not_signed() -> None:
    with pytest.raises(ValueError, match="32 or 48 bytes, not 5"):
        PrivateKeySigner(P256_KEY).sign(b"short")


async def test_a_slow_device_may_sign_later(peer: FabricPeer, member: Member) -> None:
    class Device:
        async def sign(self, digest: bytes) -> bytes:
            return member.signer.sign(digest)

    async with Connection.open(peer.address) as connection:
        gateway = Gateway(connection, member.identity, Device())
        assert (await contract_of(gateway).submit("write", "a")).result == b"wrote a"


def test_a_key_is_told_from_another_ones(organisation: Organisation) -> None:
    one, other = organisation.member("one"), organisation.member("other", new_ed25519_key())
    assert one.signer.is_of(one.identity)
    assert not one.signer.is_of(other.identity)
