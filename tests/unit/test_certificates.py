"""The embedded authority: what it certifies, for whom, and what does not hold."""

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from wattpool.ledgers import certificates
from wattpool.ledgers.certificates import ATTRIBUTES_OID, DAY_S, Authority, CertificateRefused, Identity, Role
from wattpool_chaincode.organisations import DSO, MEMBERS
from wattpool_chaincode.records import signing

NOW_UTC = 1_489_996_800


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(DSO, now_utc=NOW_UTC)


def member(pem: bytes, authority: Authority) -> certificates.Member:
    return certificates.read_member(pem, msp_id=authority.msp_id, root=authority.root.certificate)


@pytest.mark.parametrize("role", list(Role))
def test_an_enrolled_member_is_what_its_certificate_says(authority: Authority, role: Role) -> None:
    identity = authority.enrol("anne", role=role, attributes={"wattpool.party": "p1"})
    read = member(identity.pem, authority)
    assert (read.msp_id, read.role) == (DSO, role)
    assert read.attributes == {
        "hf.Affiliation": "",
        "hf.EnrollmentID": "anne",
        "hf.Type": role.value,
        "wattpool.party": "p1",
    }
    assert signing.is_signed(read.public_key, b"message", identity.sign(b"message"))
    assert (read.fingerprint, read.pem) == (identity.fingerprint, identity.pem)


def test_attributes_stand_as_bare_json_where_fabric_puts_them(authority: Authority) -> None:
    certificate = authority.enrol("anne", role=Role.CLIENT).certificate
    extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID)
    assert extension.critical is False
    assert extension.value.public_bytes() == (
        b'{"attrs":{"hf.Affiliation":"","hf.EnrollmentID":"anne","hf.Type":"client"}}'
    )
    assert [one.value for one in certificate.subject] == [DSO, "client", "anne"]


@pytest.mark.parametrize(
    ("time_utc", "is_valid"),
    [
        (NOW_UTC - DAY_S - 1, False),
        (NOW_UTC - DAY_S, True),
        (NOW_UTC, True),
        (NOW_UTC + 20 * 365 * DAY_S, True),
        (NOW_UTC + 20 * 365 * DAY_S + 1, False),
    ],
)
def test_a_certificate_holds_for_its_time(authority: Authority, time_utc: int, *, is_valid: bool) -> None:
    read = member(authority.enrol("anne", role=Role.CLIENT).pem, authority)
    assert read.is_valid_at(time_utc) is is_valid


def test_a_request_is_certified_with_the_attributes_that_the_authority_gives(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority.sign_csr(csr(key), {"role": "prosumer"}, now_utc=NOW_UTC, lifetime_s=DAY_S)
    read = member(certificates.to_pem(certificate), authority)
    assert (read.role, read.attributes["role"]) == (Role.CLIENT, "prosumer")
    assert read.public_key == signing.public_bytes(key)
    assert read.is_valid_at(NOW_UTC + DAY_S)
    assert not read.is_valid_at(NOW_UTC + DAY_S + 1)


def test_a_request_asks_for_a_name_and_gets_nothing_else(authority: Authority) -> None:
    names = [(NameOID.COMMON_NAME, "eve"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "peer")]
    certificate = authority.sign_csr(csr(names=names), {}, now_utc=NOW_UTC)
    assert [one.value for one in certificate.subject] == [DSO, "client", "eve"]


def test_no_certificate_outlives_its_root(authority: Authority) -> None:
    certificate = authority.sign_csr(csr(), {}, now_utc=NOW_UTC, lifetime_s=40 * 365 * DAY_S)
    assert certificate.not_valid_after_utc == authority.root.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    ("request_pem", "match"),
    [
        (lambda: b"hello", "not a certificate request"),
        (lambda: csr(ed25519.Ed25519PrivateKey.generate()), "P-256"),
        (lambda: csr(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (lambda: csr(names=[]), "common name"),
        (lambda: csr(names=[(NameOID.COMMON_NAME, "a"), (NameOID.COMMON_NAME, "b")]), "common name"),
        (lambda: tampered(csr()), "not signed by the key"),
    ],
)
def test_a_bad_request_is_refused(authority: Authority, request_pem: Callable[[], bytes], match: str) -> None:
    with pytest.raises(CertificateRefused, match=match):
        authority.sign_csr(request_pem(), {}, now_utc=NOW_UTC)


def test_another_organisations_certificate_is_refused(authority: Authority) -> None:
    stranger = Authority.create(MEMBERS, now_utc=NOW_UTC).enrol("anne", role=Role.CLIENT)
    with pytest.raises(CertificateRefused):
        member(stranger.pem, authority)


def test_a_root_on_a_curve_that_nobody_knows_is_refused(authority: Authority) -> None:
    p256, unknown = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030207")
    root = x509.load_der_x509_certificate(authority.root.certificate.public_bytes(Encoding.DER).replace(p256, unknown))
    pem = authority.enrol("anne", role=Role.CLIENT).pem
    with pytest.raises(CertificateRefused):
        certificates.read_member(pem, msp_id=DSO, root=root)


def test_a_root_of_the_same_name_is_not_the_root(authority: Authority) -> None:
    impostor = Authority.create(DSO, now_utc=NOW_UTC).enrol("anne", role=Role.CLIENT)
    with pytest.raises(CertificateRefused, match="not signed by the root"):
        member(impostor.pem, authority)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(authority: Authority, pem: bytes) -> None:
    with pytest.raises(CertificateRefused, match="not a certificate"):
        member(pem, authority)


def test_the_root_itself_is_no_member(authority: Authority) -> None:
    with pytest.raises(CertificateRefused):
        member(authority.root.pem, authority)


@pytest.mark.parametrize(
    ("unit", "is_authority", "attributes"),
    [
        ("admin", False, b'{"attrs":{}}'),
        ("client", True, b'{"attrs":{}}'),
        ("client", False, b"not json"),
        ("client", False, b'{"attrs":{"a":1}}'),
        ("client", False, b'{"attrs":[]}'),
    ],
)
def test_a_certificate_that_the_authority_would_not_make_is_refused(
    authority: Authority, unit: str, *, is_authority: bool, attributes: bytes
) -> None:
    with pytest.raises(CertificateRefused):
        member(odd_certificate(authority, unit, is_authority=is_authority, attributes=attributes), authority)


def test_a_certificate_without_attributes_has_none(authority: Authority) -> None:
    pem = odd_certificate(authority, "client", is_authority=False, attributes=None)
    assert member(pem, authority).attributes == {}


def test_an_identity_is_kept_in_two_files_the_key_for_its_owner_alone(authority: Authority, tmp_path: Path) -> None:
    identity = authority.enrol("anne", role=Role.CLIENT)
    identity.save(tmp_path, "anne")
    assert stat.S_IMODE((tmp_path / "anne.key").stat().st_mode) == 0o600
    loaded = Identity.load(tmp_path, "anne")
    assert (loaded.pem, loaded.sign(b"message")) == (identity.pem, identity.sign(b"message"))
    with pytest.raises(FileExistsError):
        identity.save(tmp_path, "anne")


def csr(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None = None,
    names: list[tuple[x509.ObjectIdentifier, str]] | None = None,
) -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    named = [(NameOID.COMMON_NAME, "anne")] if names is None else names
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in named])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm).public_bytes(Encoding.PEM)


def tampered(pem: bytes) -> bytes:
    """Return the request with another name under the same signature."""
    der = x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)
    assert der.count(b"anne") == 1
    return x509.load_der_x509_csr(der.replace(b"anne", b"adam")).public_bytes(Encoding.PEM)


def odd_certificate(authority: Authority, unit: str, *, is_authority: bool, attributes: bytes | None) -> bytes:
    moment = datetime.fromtimestamp(NOW_UTC, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)]))
        .issuer_name(authority.root.certificate.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment)
        .not_valid_after(moment + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(certificates.key_usage(authority=is_authority), critical=True)
    )
    if attributes is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(ATTRIBUTES_OID, attributes), critical=False)
    return certificates.to_pem(builder.sign(authority.root.key, hashes.SHA256()))
