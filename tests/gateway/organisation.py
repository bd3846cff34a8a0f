"""An organisation for tests: a certificate authority and the identities it issues."""

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from fabric_gateway.identity import Identity, PrivateKey, PrivateKeySigner

HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A certificate, its key and what signs with it."""

    identity: Identity
    key: PrivateKey

    @property
    def signer(self) -> PrivateKeySigner:
        return PrivateKeySigner(self.key)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


class Organisation:
    """One root, valid for an hour around now."""

    def __init__(self, msp_id: str) -> None:
        self.msp_id = msp_id
        # One in 256 begins with a zero byte, as this one does.
        self.key_identifier = b"\0\x0a" + secrets.token_bytes(18)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._certificate(f"ca.{msp_id}", self.key, is_ca=True)
        self.root_pem = self.root.public_bytes(serialization.Encoding.PEM)

    def member(self, name: str, key: PrivateKey | None = None, *, is_expired: bool = False) -> Member:
        """Issue a certificate, for a new P-256 key if none is given."""
        key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
        certificate = self._certificate(name, key, is_expired=is_expired)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return Member(identity=Identity(msp_id=self.msp_id, certificate_pem=pem), key=key)

    def certify(self, name: x509.Name, key: Any, extension: x509.UnrecognizedExtension) -> x509.Certificate:
        """Issue a certificate for a subject, with one extension more."""
        return (
            self._builder(name, key, is_expired=False)
            .add_extension(extension, critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def certificate_with_attributes(self, content: bytes) -> x509.Certificate:
        """Issue a certificate whose Fabric CA attributes are `content`."""
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1"), content)
        return self.certify(self.root.subject, self.key.public_key(), extension)

    def self_signed(self) -> x509.Certificate:
        """Return a certificate without any extension."""
        builder = x509.CertificateBuilder().subject_name(self.root.subject).issuer_name(self.root.subject)
        builder = builder.public_key(self.key.public_key()).serial_number(1)
        builder = builder.not_valid_before(self.root.not_valid_before_utc)
        return builder.not_valid_after(self.root.not_valid_after_utc).sign(self.key, hashes.SHA256())

    def _certificate(
        self, name: str, key: PrivateKey, *, is_ca: bool = False, is_expired: bool = False
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), is_expired=is_expired)
        # Without these Python 3.13 trusts no authority (ssl.VERIFY_X509_STRICT, RFC 5280).
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(is_ca=is_ca), critical=True)
        identifier = (
            x509.SubjectKeyIdentifier(self.key_identifier)
            if is_ca
            else x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        )
        builder = builder.add_extension(identifier, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _builder(self, subject: x509.Name, key: Any, *, is_expired: bool) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ca.{self.msp_id}")])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * HOUR)
            .not_valid_after(now - HOUR if is_expired else now + HOUR)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("peer.example")]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier(self.key_identifier, None, None), critical=False)
        )


def new_p384_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def new_ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
