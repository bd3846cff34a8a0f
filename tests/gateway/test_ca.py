"""The CA client does its work on a CA of ours and, where there is one, on the official fabric-ca-server."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabric_gateway import Identity, PrivateKeySigner
from fabric_gateway.ca import (
    Attribute,
    AttributeRequest,
    CaClient,
    CaCode,
    CaRefused,
    CaSession,
    CertificateId,
    RevocationReason,
    certificate_request,
    read_attributes,
)
from fabric_gateway.ca.client import TLS_PROFILE
from gateway.fabric_ca import FabricCa
from gateway.organisation import Organisation
from gateway.real_fabric_ca import PROGRAM, RealFabricCa, find_program

KEY = ec.generate_private_key(ec.SECP256R1())
WORD, OTHER_WORD = "sesame", "open"
P384_KEY = ec.generate_private_key(ec.SECP384R1())
SUPPLIER = Attribute(name="supplier", value="north", is_certified=True)
SECRET_NOTE = Attribute(name="note", value="pays late")


OFFICIAL = find_program()


@pytest.fixture(scope="module", params=["ours", "official"] if OFFICIAL else ["ours"])
def ca(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaClient]:
    if request.param == "ours":
        ours = FabricCa(Organisation("Org1MSP"))
        yield CaClient(ours.url)
        ours.stop()
        return
    assert OFFICIAL is not None
    official = RealFabricCa(OFFICIAL, tmp_path_factory.mktemp("ca"))
    yield CaClient(official.url, tls=official.tls)
    official.stop()


@pytest.fixture(scope="module")
def registrar(ca: CaClient) -> CaSession:
    return session(ca, "admin", "adminpw")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test registers; with what needs quoting in an address."""
    return f"{request.node.originalname.removeprefix('test_')[:36]} &"


def session(ca: CaClient, name: str, secret: str, key: ec.EllipticCurvePrivateKey = KEY) -> CaSession:
    pem = ca.enroll(name, secret, certificate_request(key, name)).certificate_pem
    return ca.session(Identity(msp_id="Org1MSP", certificate_pem=pem), PrivateKeySigner(key))


def certificate_of(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_the_official_server_is_at_hand() -> None:
    if OFFICIAL is None:
        pytest.skip(f"{PROGRAM} is neither in $FABRIC_BIN nor on the PATH: the tests of the CA client run on ours only")
    assert Path(OFFICIAL).is_file()


def test_anybody_may_ask_who_the_ca_is(ca: CaClient) -> None:
    info = ca.info()
    assert info.version
    assert certificate_of(info.chain_pem).subject


@pytest.mark.parametrize("key", [KEY, P384_KEY], ids=["P-256", "P-384"])
def test_a_registered_identity_enrolls_with_the_secret_it_was_given(
    ca: CaClient, registrar: CaSession, name: str, key: ec.EllipticCurvePrivateKey
) -> None:
    name = f"{name}{key.curve.name}"
    secret = registrar.register(name, affiliation="org1.department1", attributes=[SUPPLIER, SECRET_NOTE])
    enrollment = ca.enroll(name, secret, certificate_request(key, name))
    certificate = certificate_of(enrollment.certificate_pem)
    certificate.verify_directly_issued_by(certificate_of(enrollment.ca.chain_pem))
    assert certificate.public_key() == key.public_key()
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    assert {str(unit.value) for unit in units} == {"client", "org1", "department1"}
    assert read_attributes(certificate) == {
        "hf.Affiliation": "org1.department1",
        "hf.EnrollmentID": name,
        "hf.Type": "client",
        "supplier": "north",
    }
    again = ca.session(Identity(msp_id="Org1MSP", certificate_pem=enrollment.certificate_pem), PrivateKeySigner(key))
    assert again.reenroll(certificate_request(key, name)).certificate_pem != enrollment.certificate_pem


def test_a_certificate_carries_the_attributes_asked_for(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, secret=WORD, attributes=[SUPPLIER, SECRET_NOTE])
    asked = [AttributeRequest(name="note"), AttributeRequest(name="colour", is_optional=True)]
    enrollment = ca.enroll(name, WORD, certificate_request(KEY, name), attributes=asked)
    assert read_attributes(certificate_of(enrollment.certificate_pem)) == {"note": "pays late"}
    with pytest.raises(CaRefused, match="colour"):
        ca.enroll(name, WORD, certificate_request(KEY, name), attributes=[AttributeRequest(name="colour")])


def test_the_tls_profile_gives_a_certificate_for_hosts(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, secret=WORD, type="peer")
    request = certificate_request(KEY, name, ["peer.example", "127.0.0.1"])
    certificate = certificate_of(ca.enroll(name, WORD, request, profile=TLS_PROFILE).certificate_pem)
    assert "peer.example" in certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value.get_values_for_type(x509.DNSName)


def test_an_identity_reenrolls_with_another_key(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, secret=WORD)
    renewed = session(ca, name, WORD).reenroll(certificate_request(P384_KEY, name)).certificate_pem
    assert certificate_of(renewed).public_key() == P384_KEY.public_key()


def test_a_revoked_identity_is_listed_and_let_in_no_more(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, secret=WORD)
    pem = ca.enroll(name, WORD, certificate_request(KEY, name)).certificate_pem
    revoked = registrar.revoke(name, reason=RevocationReason.KEY_COMPROMISE, with_crl=True)
    assert revoked.certificates == (CertificateId.of(certificate_of(pem)),)
    serial = certificate_of(pem).serial_number
    for crl_pem in (revoked.crl_pem, registrar.generate_crl()):
        crl = x509.load_pem_x509_crl(crl_pem)
        assert crl.get_revoked_certificate_by_serial_number(serial) is not None
        assert crl.is_signature_valid(certificate_of(ca.info().chain_pem).public_key())  # type: ignore[arg-type]
    with pytest.raises(CaRefused) as refused:
        ca.enroll(name, WORD, certificate_request(KEY, name))
    assert (refused.value.code, refused.value.http_status) == (CaCode.AUTHENTICATION, 401)
    barred = ca.session(Identity(msp_id="Org1MSP", certificate_pem=pem), PrivateKeySigner(KEY))
    with pytest.raises(CaRefused) as refused:
        barred.reenroll(certificate_request(KEY, name))
    assert refused.value.code is CaCode.AUTHENTICATION


def test_one_certificate_is_revoked_once_and_its_owner_enrolls_again(
    ca: CaClient, registrar: CaSession, name: str
) -> None:
    registrar.register(name, secret=WORD)
    first = certificate_of(ca.enroll(name, WORD, certificate_request(KEY, name)).certificate_pem)
    assert registrar.revoke_certificate(CertificateId.of(first)).crl_pem == b""
    second = certificate_of(ca.enroll(name, WORD, certificate_request(KEY, name)).certificate_pem)
    assert len(registrar.certificates(name)) == 2
    assert [certificate_of(pem) for pem in registrar.certificates(name, only_not_revoked=True)] == [second]
    assert [certificate_of(pem) for pem in registrar.certificates(certificate=CertificateId.of(first))] == [first]
    assert len(registrar.certificates(name, only_not_expired=True)) == 2
    with pytest.raises(CaRefused) as refused:
        registrar.revoke_certificate(CertificateId.of(first))
    assert refused.value.code is CaCode.ALREADY_REVOKED


def test_a_list_of_revoked_certificates_is_made_for_a_span_of_time(registrar: CaSession) -> None:
    now = dt.datetime.now(dt.UTC)
    pem = registrar.generate_crl(revoked_after=now - dt.timedelta(days=1), revoked_before=now + dt.timedelta(days=1))
    assert x509.load_pem_x509_crl(pem).issuer


def test_identities_are_listed_changed_and_removed(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, affiliation="org2", attributes=[SUPPLIER, SECRET_NOTE], max_enrollments=3)
    found = registrar.identity(name)
    assert (found.enrollment_id, found.type, found.affiliation, found.max_enrollments) == (name, "client", "org2", 3)
    assert {SUPPLIER, SECRET_NOTE} <= set(found.attributes)
    assert name in {one.enrollment_id for one in registrar.identities()}
    changed = registrar.modify_identity(
        name,
        type="peer",
        affiliation="org1",
        secret=OTHER_WORD,
        attributes=[Attribute(name="note", value="")],
        max_enrollments=5,
    )
    assert (changed.type, changed.affiliation, changed.max_enrollments) == ("peer", "org1", 5)
    assert SECRET_NOTE.name not in {attribute.name for attribute in changed.attributes}
    assert ca.enroll(name, OTHER_WORD, certificate_request(KEY, name)).certificate_pem
    assert registrar.remove_identity(name).enrollment_id == name
    with pytest.raises(CaRefused) as refused:
        registrar.identity(name)
    assert refused.value.code is CaCode.DATABASE_READ


def test_affiliations_are_added_renamed_and_removed(registrar: CaSession) -> None:
    assert registrar.add_affiliation("street.house", force=True).name == "street.house"
    assert [child.name for child in registrar.affiliation("street").children] == ["street.house"]
    registrar.rename_affiliation("street", "road", force=True)
    assert "road" in {child.name for child in registrar.affiliations().children}
    assert [child.name for child in registrar.affiliation("road").children] == ["road.house"]
    registrar.remove_affiliation("road", force=True)
    with pytest.raises(CaRefused) as refused:
        registrar.affiliation("road")
    assert refused.value.http_status == 404


@pytest.mark.parametrize(
    ("secret", "subject", "code"),
    [
        pytest.param("wrong", "eve", CaCode.AUTHENTICATION, id="wrong secret"),
        pytest.param(WORD, "bob", CaCode.NAME_MISMATCH, id="another's name"),
    ],
)
def test_an_enrolment_is_refused(  # noqa: PLR0913 -- three columns of the table
    ca: CaClient, registrar: CaSession, name: str, *, secret: str, subject: str, code: CaCode
) -> None:
    eve = name + code.name
    registrar.register(eve, secret=WORD)
    with pytest.raises(CaRefused) as refused:
        ca.enroll(eve, secret, certificate_request(KEY, eve if subject == "eve" else subject))
    assert refused.value.code is code


def test_who_is_not_registered_does_not_enroll(ca: CaClient) -> None:
    with pytest.raises(CaRefused, match="wrong secret"):
        ca.enroll("nobody", "s", certificate_request(KEY, "nobody"))


def test_a_secret_is_good_for_as_many_enrolments_as_registered(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, secret=WORD, max_enrollments=1)
    ca.enroll(name, WORD, certificate_request(KEY, name))
    with pytest.raises(CaRefused) as refused:
        ca.enroll(name, WORD, certificate_request(KEY, name))
    assert refused.value.code is CaCode.AUTHENTICATION


def test_many_wrong_secrets_lock_an_identity(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, secret=WORD)
    codes = []
    for _ in range(11):
        with pytest.raises(CaRefused) as refused:
            ca.enroll(name, "wrong", certificate_request(KEY, name))
        codes.append(refused.value.code)
    assert codes == [CaCode.AUTHENTICATION] * 10 + [CaCode.LOCKED]


def test_a_name_is_registered_once(registrar: CaSession, name: str) -> None:
    registrar.register(name)
    with pytest.raises(CaRefused, match="enroll it or choose another name") as refused:
        registrar.register(name)
    assert (refused.value.code, refused.value.http_status) == (CaCode.ALREADY_REGISTERED, 409)


def test_only_a_registrar_registers_and_revokes(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, secret=WORD)
    nobody = session(ca, name, WORD)
    for refused_call in (lambda: nobody.register("friend"), lambda: nobody.revoke("admin")):
        with pytest.raises(CaRefused) as refused:
            refused_call()
        assert refused.value.code is CaCode.AUTHORISATION


def test_a_key_that_is_not_the_certificates_is_not_believed(ca: CaClient, registrar: CaSession, name: str) -> None:
    registrar.register(name, secret=WORD)
    pem = ca.enroll(name, WORD, certificate_request(KEY, name)).certificate_pem
    thief = ca.session(Identity(msp_id="Org1MSP", certificate_pem=pem), PrivateKeySigner(P384_KEY))
    with pytest.raises(CaRefused) as refused:
        thief.identities()
    assert refused.value.code is CaCode.AUTHENTICATION
