"""Getting through to a CA: addresses, TLS, strange answers, and what a token covers."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fabric_gateway import FabricError, Identity, Malformed, NoSigner, Tls
from fabric_gateway.ca import (
    CaClient,
    CaCode,
    CaError,
    CaRefused,
    CaSession,
    CaUnreachable,
    CertificateId,
    certificate_request,
    read_attributes,
)
from fabric_gateway.ca.signing import token, token_digest
from gateway.fabric_ca import FabricCa
from gateway.organisation import Member, Organisation, new_ed25519_key

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def ca(organisation: Organisation) -> Iterator[FabricCa]:
    ca = FabricCa(organisation)
    yield ca
    ca.stop()


@pytest.fixture
def registrar(ca: FabricCa, organisation: Organisation) -> CaSession:
    admin = organisation.member("admin")
    return CaClient(ca.url).session(admin.identity, admin.signer)


@pytest.fixture
def tls_ca(organisation: Organisation, tmp_path: Path) -> Iterator[FabricCa]:
    """A CA that wants a client certificate, and names itself peer.example."""
    server = organisation.member("ca")
    pem = tmp_path / "server.pem"
    pem.write_bytes(server.identity.certificate_pem + server.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=organisation.root_pem.decode())
    context.load_cert_chain(pem)
    context.verify_mode = ssl.CERT_REQUIRED
    ca = FabricCa(organisation, context)
    yield ca
    ca.stop()


def mutual_tls(organisation: Organisation, member: Member, server_name: str = "peer.example") -> Tls:
    return Tls(
        root_pem=organisation.root_pem,
        client_certificate_pem=member.identity.certificate_pem,
        client_key_pem=member.key_pem,
        server_name=server_name,
    )


def test_a_ca_is_reached_over_mutual_tls_under_another_name(
    tls_ca: FabricCa, organisation: Organisation, member: Member
) -> None:
    assert CaClient(tls_ca.url, tls=mutual_tls(organisation, member)).info().name == "ca-fake"


def test_a_server_under_a_wrong_name_is_not_trusted(
    tls_ca: FabricCa, organisation: Organisation, member: Member
) -> None:
    with pytest.raises(CaUnreachable, match="mismatch"):
        CaClient(tls_ca.url, tls=mutual_tls(organisation, member, "other.example")).info()


def test_a_server_of_another_root_is_not_trusted(tls_ca: FabricCa) -> None:
    stranger = Tls(root_pem=Organisation("Org2MSP").root_pem, server_name="peer.example")
    with pytest.raises(CaUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        CaClient(tls_ca.url, tls=stranger).info()


def test_a_client_without_certificate_is_not_let_in_by_mutual_tls(tls_ca: FabricCa, organisation: Organisation) -> None:
    with pytest.raises(CaUnreachable):
        CaClient(tls_ca.url, tls=Tls(root_pem=organisation.root_pem, server_name="peer.example")).info()


@pytest.mark.parametrize(
    "url", ["ftp://localhost", "localhost:7054", "https://", "http://", pytest.param("https://a", id="https, no root")]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Malformed):
        CaClient(url)


def test_a_server_that_is_not_there_is_unreachable(ca: FabricCa) -> None:
    client = CaClient(ca.url)
    ca.stop()
    with pytest.raises(CaUnreachable, match="no answer from the Fabric CA at 127"):
        client.info()


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (502, b"<html>Bad gateway</html>"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"success": true}'),
        (200, b'{"success": false}'),
        (200, b'{"success": true, "result": {"Cert": "AA=="}}'),
        (200, b'{"success": true, "result": null}'),
        (200, b'{"success": true, "result": {"Cert": "A", "ServerInfo": {}}}'),
    ],
)
def test_an_answer_that_is_not_a_cas_is_told_apart(ca: FabricCa, status: int, content: bytes) -> None:
    ca.answer_instead = status, content
    with pytest.raises(CaUnreachable):
        CaClient(ca.url).enroll("admin", "adminpw", certificate_request(KEY, "admin"))


def test_a_refusal_carries_the_cas_own_code_even_if_unknown(ca: FabricCa) -> None:
    answer = {"success": False, "result": None, "errors": [{"code": 4711, "message": "one"}], "messages": []}
    ca.answer_instead = 418, json.dumps(answer).encode()
    with pytest.raises(CaRefused, match="refused GET /api/v1/cainfo with HTTP 418, code 4711: one") as refused:
        CaClient(ca.url).info()
    error = refused.value
    assert (error.code, error.number, error.http_status, error.message) == (CaCode.UNKNOWN, 4711, 418, "one")
    assert isinstance(error, CaError)
    assert isinstance(error, FabricError)


def test_a_server_may_hold_several_cas(ca: FabricCa) -> None:
    assert CaClient(ca.url, ca_name="ca-fake").info().name == "ca-fake"
    with pytest.raises(CaRefused, match="no CA of this name") as refused:
        CaClient(ca.url, ca_name="other").info()
    assert refused.value.code is CaCode.CA_NOT_FOUND


@pytest.mark.parametrize(
    ("method", "uri", "body"),
    [
        ("PUT", "/api/v1/identities?ca=x", b""),
        ("GET", "/api/v1/identities?ca=y", b""),
        ("GET", "/api/v1/identities?ca=x", b"{}"),
    ],
)
def test_a_token_covers_method_address_and_body(method: str, uri: str, body: bytes) -> None:
    assert token_digest("GET", "/api/v1/identities?ca=x", b"", b"PEM") != token_digest(method, uri, body, b"PEM")


def test_a_token_is_what_fabric_ca_expects() -> None:
    # SHA-256 of "POST.L2FwaS92MS9yZWdpc3Rlcg==.e30=.UEVN", worked out by hand from fabric-ca's util.GenECDSAToken.
    digest = token_digest("POST", "/api/v1/register", b"{}", b"PEM")
    assert digest.hex() == "b43bee1fcdbd7e0286dc80a94f15ef2958ee67f64a0370c5e9be1140d479d6f0"
    assert token(b"PEM", b"signature") == "UEVN.c2lnbmF0dXJl"


def test_a_signer_that_answers_later_is_refused(registrar: CaSession, organisation: Organisation, ca: FabricCa) -> None:
    class Slow:
        def sign(self, digest: bytes) -> bytes:
            return memoryview(digest)  # type: ignore[return-value]

    with pytest.raises(NoSigner, match="answers at once"):
        CaClient(ca.url).session(organisation.member("admin").identity, Slow()).identities()
    assert registrar.identities()


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_name_that_does_not_fit_a_certificate_is_refused(name: str) -> None:
    with pytest.raises(Malformed, match="does not fit"):
        certificate_request(KEY, name)


def test_a_request_may_be_for_an_ed25519_key() -> None:
    assert certificate_request(new_ed25519_key(), "anne").startswith(b"-----BEGIN CERTIFICATE REQUEST")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"attrs": 1}', b"\xff"])
def test_attributes_that_are_none_are_refused(organisation: Organisation, content: bytes) -> None:
    certificate = organisation.certificate_with_attributes(content)
    with pytest.raises(Malformed, match="attributes"):
        read_attributes(certificate)


def test_a_certificate_without_attributes_has_none(member: Member) -> None:
    assert read_attributes(member.identity.certificate) == {}


def test_a_certificate_that_names_no_authority_has_no_id_to_revoke_it_by(organisation: Organisation) -> None:
    assert CertificateId.of(organisation.member("anne").identity.certificate).aki
    with pytest.raises(Malformed, match="authority"):
        CertificateId.of(organisation.self_signed())


def test_an_identity_that_is_no_certificate_is_refused() -> None:
    identity = Identity(msp_id="Org1MSP", certificate_pem=b"nothing")
    with pytest.raises(Malformed, match="Org1MSP"):
        assert identity.certificate


def test_a_clients_own_certificate_is_checked_before_use(organisation: Organisation, member: Member) -> None:
    other = organisation.member("bob")
    pem, key = member.identity.certificate_pem, member.key_pem
    root = organisation.root_pem
    tls = Tls(root_pem=root, client_certificate_pem=pem, client_key_pem=key)
    assert len(tls.client_certificate_hash) == 32
    assert "PRIVATE" not in repr(tls)
    wrong: tuple[dict[str, Any], ...] = (
        {"root_pem": b"no"},
        {"root_pem": root, "client_certificate_pem": pem},
        {"root_pem": root, "client_key_pem": key},
        {"root_pem": root, "client_certificate_pem": pem, "client_key_pem": b"no"},
        {"root_pem": root, "client_certificate_pem": pem, "client_key_pem": other.key_pem},
    )
    for parts in wrong:
        with pytest.raises(Malformed, match="TLS"):
            Tls(**parts)
