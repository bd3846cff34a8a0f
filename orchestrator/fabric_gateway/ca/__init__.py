"""A client of the Fabric CA: enrolment, registration, revocation, and what the CA knows of identities."""

from fabric_gateway.ca.client import CaClient, CaInfo, CaSession, Enrollment
from fabric_gateway.ca.errors import CaCode, CaError, CaRefused, CaUnreachable
from fabric_gateway.ca.records import (
    Affiliation,
    Attribute,
    AttributeRequest,
    CertificateId,
    Registered,
    RevocationReason,
    Revoked,
)
from fabric_gateway.ca.signing import certificate_request, read_attributes

__all__ = [
    "Affiliation",
    "Attribute",
    "AttributeRequest",
    "CaClient",
    "CaCode",
    "CaError",
    "CaInfo",
    "CaRefused",
    "CaSession",
    "CaUnreachable",
    "CertificateId",
    "Enrollment",
    "Registered",
    "RevocationReason",
    "Revoked",
    "certificate_request",
    "read_attributes",
]
