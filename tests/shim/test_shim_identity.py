"""Who the client is: ids as the Go shim makes them, units, attributes."""

from base64 import b64decode

import pytest
from cryptography.x509.oid import NameOID, ObjectIdentifier

from fabric_shim import ArgumentError
from fabric_shim.identity import ClientIdentity, read_identity
from shim.certificates import TestAuthority, name
from shim.scripted_peer import serialized_identity

CA = name(
    (NameOID.COUNTRY_NAME, "US"),
    (NameOID.STATE_OR_PROVINCE_NAME, "North Carolina"),
    (NameOID.LOCALITY_NAME, "Durham"),
    (NameOID.ORGANIZATION_NAME, "org1.example.com"),
    (NameOID.COMMON_NAME, "ca.org1.example.com"),
)
ISSUER = "CN=ca.org1.example.com,O=org1.example.com,L=Durham,ST=North Carolina,C=US"


def client(*subject: tuple[ObjectIdentifier, str], attributes: bytes | None = None) -> ClientIdentity:
    issued = TestAuthority(CA).issue(name(*subject), attributes=attributes)
    return read_identity(serialized_identity("Org1MSP", issued.certificate))


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ([(NameOID.COMMON_NAME, "user1")], "CN=user1"),
        (
            [
                (NameOID.ORGANIZATIONAL_UNIT_NAME, "client"),
                (NameOID.ORGANIZATIONAL_UNIT_NAME, "org1"),
                (NameOID.COMMON_NAME, "appUser"),
            ],
            "CN=appUser,OU=client+OU=org1",
        ),
        ([(NameOID.COMMON_NAME, "a"), (NameOID.COMMON_NAME, "b")], "CN=b"),
        # The certificate's own order does not count, and kinds that Go does not know are left out.
        (
            [
                (NameOID.COMMON_NAME, "x"),
                (NameOID.EMAIL_ADDRESS, "x@y"),
                (NameOID.SERIAL_NUMBER, "7"),
                (NameOID.COUNTRY_NAME, "BE"),
            ],
            "SERIALNUMBER=7,CN=x,C=BE",
        ),
        (
            [(NameOID.COMMON_NAME, '# a,b+c"d\\e<f>g;h '), (NameOID.ORGANIZATION_NAME, " #")],
            'CN=\\# a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\ ,O=\\ #',
        ),
    ],
)
def test_an_id_is_the_names_as_go_writes_them(subject: list[tuple[ObjectIdentifier, str]], expected: str) -> None:
    assert b64decode(client(*subject).id).decode() == f"x509::{expected}::{ISSUER}"


def test_a_renewed_certificate_keeps_the_id() -> None:
    subject = (NameOID.COMMON_NAME, "user1")
    before, after = client(subject), client(subject)
    assert before.credential != after.credential
    assert before.id == after.id


def test_attributes_and_units_are_read() -> None:
    found = client(
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "client"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "department1"),
        attributes=b'{"attrs":{"role":"auditor","hf.Type":"client"}}',
    )
    assert found.msp_id == "Org1MSP"
    assert dict(found.attributes) == {"role": "auditor", "hf.Type": "client"}
    assert found.organizational_units == ("client", "department1")


def test_a_certificate_without_attributes_has_none() -> None:
    assert dict(client((NameOID.COMMON_NAME, "user1")).attributes) == {}


@pytest.mark.parametrize("attributes", [b"", b"{", b"[]", b"{}", b'{"attrs":[]}', b"\xff"])
def test_malformed_attributes_are_refused(attributes: bytes) -> None:
    found = client((NameOID.COMMON_NAME, "user1"), attributes=attributes)
    with pytest.raises(ArgumentError, match="malformed"):
        _ = found.attributes


def test_a_client_without_a_certificate_has_an_organisation_alone() -> None:
    found = read_identity(serialized_identity("Org1MSP", b"an idemix credential"))
    assert found.msp_id == "Org1MSP"
    with pytest.raises(ArgumentError, match=r"X\.509"):
        _ = found.id


def test_a_creator_that_is_no_identity_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no serialized identity"):
        read_identity(b"\xff\xff")
