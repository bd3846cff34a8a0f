"""What is sent to a Fabric CA and comes back, decoded."""

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography import x509

from fabric_gateway.errors import Malformed


class RevocationReason(StrEnum):
    """Why a certificate is revoked (RFC 5280, 5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keycompromise"
    CA_COMPROMISE = "cacompromise"
    AFFILIATION_CHANGE = "affiliationchange"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationofoperation"
    CERTIFICATE_HOLD = "certificatehold"
    REMOVE_FROM_CRL = "removefromcrl"
    PRIVILEGE_WITHDRAWN = "privilegewithdrawn"
    AA_COMPROMISE = "aacompromise"


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A named value of an identity; `is_certified`: in its certificates unless they are asked for with others."""

    name: str
    value: str
    is_certified: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "ecert": self.is_certified}

    @classmethod
    def from_json(cls, value: Any) -> "Attribute":
        return cls(name=value["name"], value=value["value"], is_certified=value.get("ecert", False))


@dataclass(frozen=True, kw_only=True)
class AttributeRequest:
    """An attribute that a certificate shall carry; without it there is none, unless `is_optional`."""

    name: str
    is_optional: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "optional": self.is_optional}


@dataclass(frozen=True, kw_only=True)
class Registered:
    """An identity as the CA knows it; -1 enrollments: without limit."""

    enrollment_id: str
    type: str
    affiliation: str
    attributes: tuple[Attribute, ...]
    max_enrollments: int

    @classmethod
    def from_json(cls, value: Any) -> "Registered":
        return cls(
            enrollment_id=value["id"],
            type=value["type"],
            affiliation=value["affiliation"],
            attributes=tuple(Attribute.from_json(one) for one in value.get("attrs") or ()),
            max_enrollments=value["max_enrollments"],
        )


@dataclass(frozen=True, kw_only=True)
class Affiliation:
    """A node of the tree of affiliations, by its whole name (`org1.department1`), and what hangs on it."""

    name: str
    children: tuple["Affiliation", ...] = ()
    identities: tuple[Registered, ...] = ()

    @classmethod
    def from_json(cls, value: Any) -> "Affiliation":
        return cls(
            name=value["name"],
            children=tuple(cls.from_json(one) for one in value.get("affiliations") or ()),
            identities=tuple(Registered.from_json(one) for one in value.get("identities") or ()),
        )


@dataclass(frozen=True, kw_only=True)
class CertificateId:
    """A certificate by its serial number and its authority's key identifier, in lower-case hex.

    Neither has leading zeros, for the CA strips them from both (fabric-ca lib/certdbaccessor.go).
    """

    serial: str
    aki: str

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "CertificateId":
        """Return the id of a certificate.

        Raises:
            Malformed: if it does not name its authority's key.
        """
        try:
            authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        except x509.ExtensionNotFound as error:
            raise Malformed("the certificate has no authority key identifier") from error
        return cls(serial=f"{certificate.serial_number:x}", aki=(authority.key_identifier or b"").hex().lstrip("0"))


@dataclass(frozen=True, kw_only=True)
class Revoked:
    """What a revocation revoked, and the new list of all revoked certificates if one was asked for."""

    certificates: tuple[CertificateId, ...]
    crl_pem: bytes = field(repr=False)

    @classmethod
    def from_json(cls, value: Any) -> "Revoked":
        certificates = (CertificateId(serial=one["Serial"], aki=one["AKI"]) for one in value["RevokedCerts"] or ())
        return cls(certificates=tuple(certificates), crl_pem=b64decode(value.get("CRL") or ""))


def attributes_to_json(attributes: Sequence[Attribute]) -> list[dict[str, Any]]:
    return [attribute.to_json() for attribute in attributes]
