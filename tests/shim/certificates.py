"""Certificates made in the tests: a CA, and what it signs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

_FABRIC_ATTRIBUTES = ObjectIdentifier("1.2.3.4.5.6.7.8.1")


def name(*parts: tuple[ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


@dataclass(frozen=True)
class Issued:
    """A key and its certificate, in PEM."""

    certificate: bytes
    private_key: bytes

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both as files and return their paths."""
        paths = folder / "certificate.pem", folder / "key.pem"
        folder.mkdir()
        paths[0].write_bytes(self.certificate)
        paths[1].write_bytes(self.private_key)
        return paths


class TestAuthority:
    """A CA of one test."""

    __test__ = False

    def __init__(self, subject: x509.Name | None = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = subject or name((NameOID.COMMON_NAME, "ca"))
        self.certificate = _pem(_sign(self._subject, self._key, self._subject, self._key, is_ca=True))

    def issue(self, subject: x509.Name, *, attributes: bytes | None = None, password: bytes | None = None) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(subject, key, self._subject, self._key, attributes=attributes)
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=encryption
        )
        return Issued(_pem(certificate), private)

    def revoke(self, certificate: x509.Certificate) -> bytes:
        """Return a list of revoked certificates with this one."""
        now = datetime.now(UTC)
        revoked = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._subject).last_update(now)
        whole = builder.next_update(now + timedelta(days=1)).add_revoked_certificate(revoked)
        return whole.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _sign(  # noqa: PLR0913 -- the parts of a certificate
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool = False,
    attributes: bytes | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    if attributes is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(_FABRIC_ATTRIBUTES, attributes), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
