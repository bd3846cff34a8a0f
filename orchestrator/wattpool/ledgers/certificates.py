"""The embedded certificate authority: one self-signed root per organisation, which certifies its own people and nodes.

Certificates look as Fabric CA makes them: the role (`client`, `peer`) is the OU of the subject, attributes are JSON in
the extension 1.2.3.4.5.6.7.8.1 (fabric-ca lib/attrmgr). Private keys are PKCS #8 files that only their owner reads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wattpool_chaincode.records import codec, signing

ATTRIBUTES_OID = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
DAY_S = 86_400
ROOT_LIFETIME_S = 20 * 365 * DAY_S
ENROLLED_LIFETIME_S = 365 * DAY_S
# What the library raises for certificates that are none, or none of ours.
_UNREADABLE = (
    IndexError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class Role(StrEnum):
    """What a certificate is for: submitting transactions, or endorsing them."""

    CLIENT = "client"
    PEER = "peer"


class CertificateRefused(ValueError):
    """A certificate, or a request for one, that does not hold."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """What a valid certificate says of its holder; the times are in seconds since 1970, both included."""

    msp_id: str
    role: Role
    attributes: Mapping[str, str]
    public_key: bytes
    fingerprint: str
    pem: bytes
    not_before_utc: int
    not_after_utc: int

    def is_valid_at(self, time_utc: int) -> bool:
        return self.not_before_utc <= time_utc <= self.not_after_utc


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @cached_property
    def pem(self) -> bytes:
        return to_pem(self.certificate)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)

    @cached_property
    def public_key(self) -> bytes:
        """The compressed point of the private key, whatever the certificate states."""
        return signing.public_bytes(self.key)

    def sign(self, message: bytes) -> bytes:
        return signing.sign(self.key, message)

    def save(self, directory: Path, name: str) -> None:
        """Write `name`.pem and `name`.key; the latter is readable by the owner of the process alone."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (directory / f"{name}.pem").write_bytes(self.pem)
        file = directory / f"{name}.key"
        file.touch(mode=0o600, exist_ok=False)
        file.write_bytes(key)

    @classmethod
    def load(cls, directory: Path, name: str) -> "Identity":
        """Read what `save` wrote.

        Raises:
            OSError: if a file is missing or unreadable.
            ValueError: if a file is no certificate or no P-256 key.
        """
        key = serialization.load_pem_private_key((directory / f"{name}.key").read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{name}.key holds no elliptic-curve key")
        return cls(certificate=x509.load_pem_x509_certificate((directory / f"{name}.pem").read_bytes()), key=key)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """The certificate authority of one organisation."""

    msp_id: str
    root: Identity

    @classmethod
    def create(cls, msp_id: str, *, now_utc: int) -> "Authority":
        """Make a new root, valid for twenty years from a day before `now_utc` (clocks differ)."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(msp_id, f"ca.{msp_id}", "ca")
        builder = _builder(name, key.public_key(), from_utc=now_utc - DAY_S, to_utc=now_utc + ROOT_LIFETIME_S)
        builder = builder.issuer_name(name).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(key_usage(authority=True), critical=True)
        return cls(msp_id=msp_id, root=Identity(certificate=builder.sign(key, hashes.SHA256()), key=key))

    def enrol(self, name: str, *, role: Role, attributes: Mapping[str, str] | None = None) -> Identity:
        """Make a key and a certificate for one of the organisation's own, valid as long as the root."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._issue(
            name,
            key.public_key(),
            role=role,
            attributes=attributes or {},
            from_utc=_seconds(self.root.certificate.not_valid_before_utc),
            to_utc=_seconds(self.root.certificate.not_valid_after_utc),
        )
        return Identity(certificate=certificate, key=key)

    def sign_csr(
        self, csr_pem: bytes, attributes: Mapping[str, str], *, now_utc: int, lifetime_s: int = ENROLLED_LIFETIME_S
    ) -> x509.Certificate:
        """Certify the key of a request as a client; of its subject only the common name is taken over.

        Raises:
            CertificateRefused: if the request is malformed, not signed by its own key, not of P-256 or without name.
        """
        try:
            csr = x509.load_pem_x509_csr(csr_pem)
            key = csr.public_key()
            is_own = csr.is_signature_valid
        except ValueError as error:
            raise CertificateRefused(f"not a certificate request: {error}") from error
        if not is_own:
            raise CertificateRefused("the request is not signed by the key it names")
        if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
            raise CertificateRefused("the key is not of the curve P-256")
        names = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(names) != 1:
            raise CertificateRefused("the request does not name one common name")
        return self._issue(
            str(names[0].value),
            key,
            role=Role.CLIENT,
            attributes=attributes,
            from_utc=now_utc - DAY_S,
            to_utc=min(now_utc + lifetime_s, _seconds(self.root.certificate.not_valid_after_utc)),
        )

    def _issue(  # noqa: PLR0913 -- what a certificate states
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        *,
        role: Role,
        attributes: Mapping[str, str],
        from_utc: int,
        to_utc: int,
    ) -> x509.Certificate:
        stated = {"hf.Affiliation": "", "hf.EnrollmentID": name, "hf.Type": role.value, **attributes}
        builder = _builder(_name(self.msp_id, name, role.value), key, from_utc=from_utc, to_utc=to_utc)
        builder = builder.issuer_name(self.root.certificate.subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(key_usage(authority=False), critical=True)
        # The attributes stand there as bare JSON, not wrapped in an ASN.1 string.
        extension = x509.UnrecognizedExtension(ATTRIBUTES_OID, codec.encode({"attrs": stated}))
        return builder.add_extension(extension, critical=False).sign(self.root.key, hashes.SHA256())


def read_member(pem: bytes, *, msp_id: str, root: x509.Certificate) -> Member:
    """Check a certificate against its organisation's root, and return what it says; its time is the caller's to check.

    Raises:
        CertificateRefused: if it is malformed, not issued by the root, an authority itself, or without a known role.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.verify_directly_issued_by(root)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        key = certificate.public_key()
        units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        role = Role(str(units[0].value))
        stated = read_attributes(certificate)
    except InvalidSignature as error:
        raise CertificateRefused(f"the certificate is not signed by the root of {msp_id}") from error
    except _UNREADABLE as error:
        raise CertificateRefused(f"not a certificate of a member of {msp_id}: {error}") from error
    if constraints.ca or not usage.digital_signature:
        raise CertificateRefused("the certificate is not one that signs transactions")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CertificateRefused("the key is not of an elliptic curve")
    return Member(
        msp_id=msp_id,
        role=role,
        attributes=stated,
        public_key=signing.public_bytes(key),
        fingerprint=fingerprint(certificate),
        pem=to_pem(certificate),
        not_before_utc=max(_seconds(certificate.not_valid_before_utc), _seconds(root.not_valid_before_utc)),
        not_after_utc=min(_seconds(certificate.not_valid_after_utc), _seconds(root.not_valid_after_utc)),
    )


def read_attributes(certificate: x509.Certificate) -> dict[str, str]:
    """Return the certified attributes, none if there is no such extension.

    Raises:
        ValueError: if the extension is not the JSON of attributes.
    """
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID).value
    except x509.ExtensionNotFound:
        return {}
    value: Any = json.loads(extension.public_bytes())
    match value:
        case {"attrs": dict(stated)} if all(isinstance(text, str) for text in stated.values()):
            return stated
        case _:
            raise ValueError("the extension does not hold attributes")


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER in lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def to_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, *, from_utc: int, to_utc: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(from_utc, UTC))
        .not_valid_after(datetime.fromtimestamp(to_utc, UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(msp_id: str, name: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, msp_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
