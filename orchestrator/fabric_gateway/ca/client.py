"""The Fabric CA's REST interface (fabric-ca swagger/swagger-fabric-ca.json), version 1.5.

A caller is authenticated by a token over method, address, body and certificate. It holds no time and no nonce, so
whoever reads it may repeat the request: use https.
"""

import datetime as dt
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from fabric_gateway.ca.errors import CaUnreachable
from fabric_gateway.ca.records import (
    Affiliation,
    Attribute,
    AttributeRequest,
    CertificateId,
    Registered,
    RevocationReason,
    Revoked,
    attributes_to_json,
)
from fabric_gateway.ca.signing import token, token_digest
from fabric_gateway.ca.transport import Transport
from fabric_gateway.connection import Tls
from fabric_gateway.errors import NoSigner
from fabric_gateway.identity import Identity, Signer

PREFIX = "/api/v1/"
TLS_PROFILE = "tls"
DEFAULT_TIMEOUT_S = 30.0

Record = TypeVar("Record")
Authorization = str | Callable[[str, bytes], str] | None


@dataclass(frozen=True, kw_only=True)
class CaInfo:
    """What a CA tells anybody: its name, version and certificates, its own first and the root last."""

    name: str
    version: str
    chain_pem: bytes
    idemix_issuer_key: bytes = field(default=b"", repr=False)
    idemix_revocation_key: bytes = field(default=b"", repr=False)

    @classmethod
    def from_json(cls, value: Any) -> "CaInfo":
        return cls(
            name=value.get("CAName", ""),
            version=value.get("Version", ""),
            chain_pem=b64decode(value.get("CAChain", "")),
            idemix_issuer_key=b64decode(value.get("IssuerPublicKey", "")),
            idemix_revocation_key=b64decode(value.get("IssuerRevocationPublicKey", "")),
        )


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """A new certificate, and the CA that issued it."""

    certificate_pem: bytes
    ca: CaInfo

    @classmethod
    def from_json(cls, value: Any) -> "Enrollment":
        return cls(certificate_pem=b64decode(value["Cert"]), ca=CaInfo.from_json(value["ServerInfo"]))


class CaClient:
    """A Fabric CA as anybody may use it; `session` is for those who are enrolled.

    Args:
        url: http or https, with host and port (7054 if left out).
        tls: whom to trust, needed for https.
        ca_name: which one of the server's CAs; empty: its default one.

    Raises:
        Malformed: if the address is wrong.
    """

    def __init__(
        self, url: str, *, tls: Tls | None = None, ca_name: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self._transport = Transport(url, tls=tls, timeout_s=timeout_s)
        self._ca_name = ca_name

    def info(self) -> CaInfo:
        """Return what the CA tells anybody.

        Raises:
            CaError: as all calls do.
        """
        return _read(CaInfo.from_json, self._send("GET", "cainfo"))

    def enroll(  # noqa: PLR0913 -- what an enrolment states
        self,
        enrollment_id: str,
        secret: str,
        csr_pem: bytes,
        *,
        profile: str = "",
        attributes: Sequence[AttributeRequest] = (),
        label: str = "",
    ) -> Enrollment:
        """Exchange the secret of a registered identity for a certificate.

        `csr_pem` is a request of `certificate_request` with the enrollment id as name. The profile `TLS_PROFILE` gives
        a certificate for TLS. Without `attributes` it carries those registered as certified, else exactly these.
        """
        body = _request(csr_pem, profile=profile, attributes=attributes, label=label)
        credentials = b64encode(f"{enrollment_id}:{secret}".encode()).decode()
        return _read(Enrollment.from_json, self._send("POST", "enroll", body, authorization=f"Basic {credentials}"))

    def session(self, identity: Identity, signer: Signer) -> "CaSession":
        """Return what an enrolled identity may do; its key signs with ECDSA."""
        return CaSession(self, identity, signer)

    def call(
        self,
        caller: tuple[Identity, Signer],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Make a request in the name of an enrolled identity."""
        identity, signer = caller

        def authorization(uri: str, content: bytes) -> str:
            signature = signer.sign(token_digest(method, uri, content, identity.certificate_pem))
            if not isinstance(signature, bytes):
                raise NoSigner("a CA's caller needs a signer that answers at once")
            return token(identity.certificate_pem, signature)

        return self._send(method, path, body, query, authorization=authorization)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        authorization: Authorization = None,
    ) -> Any:
        # What follows the path is signed as it is sent, so it is put together once.
        asked = {**(query or {}), **({"ca": self._ca_name} if self._ca_name else {})}
        uri = f"{self._transport.base_path}{PREFIX}{path}" + (f"?{urlencode(asked)}" if asked else "")
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization if isinstance(authorization, str) else authorization(uri, content)
        return self._transport.call(method, uri, content, headers)


class CaSession:
    """A Fabric CA as one enrolled identity may use it; all calls raise `CaError`."""

    def __init__(self, client: CaClient, identity: Identity, signer: Signer) -> None:
        self._client = client
        self._caller = (identity, signer)

    def reenroll(
        self,
        csr_pem: bytes,
        *,
        profile: str = "",
        attributes: Sequence[AttributeRequest] = (),
        label: str = "",
    ) -> Enrollment:
        """Get a new certificate for the same identity, with the same key or another; see `CaClient.enroll`."""
        body = _request(csr_pem, profile=profile, attributes=attributes, label=label)
        return _read(Enrollment.from_json, self._call("POST", "reenroll", body))

    def register(  # noqa: PLR0913 -- what a registration states
        self,
        enrollment_id: str,
        *,
        type: str = "client",  # noqa: A002 -- what Fabric calls it
        affiliation: str = "",
        secret: str = "",
        attributes: Sequence[Attribute] = (),
        max_enrollments: int = 0,
    ) -> str:
        """Make an identity known that may then enroll, and return its secret, a random one if none is given.

        `type` is client, peer, orderer or admin. `max_enrollments` 0 is the CA's limit, -1 none.
        """
        body = {
            "id": enrollment_id,
            "type": type,
            "affiliation": affiliation,
            "attrs": attributes_to_json(attributes),
            "max_enrollments": max_enrollments,
            **({"secret": secret} if secret else {}),
        }
        return _read(_secret, self._call("POST", "register", body))

    def revoke(
        self, enrollment_id: str, *, reason: RevocationReason = RevocationReason.UNSPECIFIED, with_crl: bool = False
    ) -> Revoked:
        """Revoke all certificates of an identity, and bar it from enrolling.

        Peers take no notice before the list of revoked certificates is in the channels' configuration.
        """
        return self._revoke({"id": enrollment_id}, reason, with_crl=with_crl)

    def revoke_certificate(
        self,
        certificate: CertificateId,
        *,
        reason: RevocationReason = RevocationReason.UNSPECIFIED,
        with_crl: bool = False,
    ) -> Revoked:
        """Revoke one certificate; the identity may enroll again."""
        return self._revoke({"serial": certificate.serial, "aki": certificate.aki}, reason, with_crl=with_crl)

    def generate_crl(
        self,
        *,
        revoked_after: dt.datetime | None = None,
        revoked_before: dt.datetime | None = None,
        expire_after: dt.datetime | None = None,
        expire_before: dt.datetime | None = None,
    ) -> bytes:
        """Return the list of revoked certificates in PEM, by default of those that have not expired."""
        times = {
            "revokedafter": revoked_after,
            "revokedbefore": revoked_before,
            "expireafter": expire_after,
            "expirebefore": expire_before,
        }
        body = {name: time.isoformat() for name, time in times.items() if time is not None}
        return _read(_crl, self._call("POST", "gencrl", body))

    def identities(self) -> tuple[Registered, ...]:
        """Return the identities within the caller's reach."""
        return _read(_identities, self._call("GET", "identities"))

    def identity(self, enrollment_id: str) -> Registered:
        """Return one identity."""
        return _read(Registered.from_json, self._call("GET", f"identities/{quote(enrollment_id, safe='')}"))

    def modify_identity(  # noqa: PLR0913 -- what may change
        self,
        enrollment_id: str,
        *,
        type: str | None = None,  # noqa: A002 -- what Fabric calls it
        affiliation: str | None = None,
        secret: str | None = None,
        attributes: Sequence[Attribute] | None = None,
        max_enrollments: int | None = None,
    ) -> Registered:
        """Change an identity where something is given; an attribute with an empty value is removed."""
        changes = {
            "type": type,
            "affiliation": affiliation,
            "secret": secret,
            "attrs": None if attributes is None else attributes_to_json(attributes),
            "max_enrollments": max_enrollments,
        }
        body = {name: value for name, value in changes.items() if value is not None}
        return _read(Registered.from_json, self._call("PUT", f"identities/{quote(enrollment_id, safe='')}", body))

    def remove_identity(self, enrollment_id: str, *, force: bool = False) -> Registered:
        """Remove an identity, if the CA is configured to allow it; `force` to remove oneself."""
        path = f"identities/{quote(enrollment_id, safe='')}"
        return _read(Registered.from_json, self._call("DELETE", path, query=_force(force)))

    def affiliations(self) -> Affiliation:
        """Return the tree of affiliations from the caller's downwards."""
        return _read(Affiliation.from_json, self._call("GET", "affiliations"))

    def affiliation(self, name: str) -> Affiliation:
        """Return an affiliation and what is below it."""
        return _read(Affiliation.from_json, self._call("GET", f"affiliations/{quote(name, safe='')}"))

    def add_affiliation(self, name: str, *, force: bool = False) -> Affiliation:
        """Add an affiliation; `force` adds those missing above it."""
        return _read(Affiliation.from_json, self._call("POST", "affiliations", {"name": name}, _force(force)))

    def rename_affiliation(self, name: str, new_name: str, *, force: bool = False) -> Affiliation:
        """Rename an affiliation; `force` if identities belong to it."""
        path = f"affiliations/{quote(name, safe='')}"
        return _read(Affiliation.from_json, self._call("PUT", path, {"name": new_name}, _force(force)))

    def remove_affiliation(self, name: str, *, force: bool = False) -> Affiliation:
        """Remove an affiliation, if the CA is configured to allow it; `force` with all that hangs on it."""
        return _read(
            Affiliation.from_json, self._call("DELETE", f"affiliations/{quote(name, safe='')}", query=_force(force))
        )

    def certificates(
        self,
        enrollment_id: str = "",
        *,
        certificate: CertificateId | None = None,
        only_not_revoked: bool = False,
        only_not_expired: bool = False,
    ) -> tuple[bytes, ...]:
        """Return the certificates within the caller's reach in PEM, of one identity or of one serial number."""
        query = {
            **({"id": enrollment_id} if enrollment_id else {}),
            **({} if certificate is None else {"serial": certificate.serial, "aki": certificate.aki}),
            **({"notrevoked": "true"} if only_not_revoked else {}),
            **({"notexpired": "true"} if only_not_expired else {}),
        }
        return _read(_certificates, self._call("GET", "certificates", query=query))

    def _revoke(self, body: Mapping[str, Any], reason: RevocationReason, *, with_crl: bool) -> Revoked:
        return _read(Revoked.from_json, self._call("POST", "revoke", {**body, "reason": reason, "gencrl": with_crl}))

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        return self._client.call(self._caller, method, path, body, query)


def _request(csr_pem: bytes, *, profile: str, attributes: Sequence[AttributeRequest], label: str) -> dict[str, Any]:
    return {
        "certificate_request": csr_pem.decode(),
        **({"profile": profile} if profile else {}),
        **({"label": label} if label else {}),
        **({"attr_reqs": [one.to_json() for one in attributes]} if attributes else {}),
    }


def _force(force: bool) -> dict[str, str]:  # noqa: FBT001 -- hands on what is a keyword everywhere else
    return {"force": "true"} if force else {}


def _read(decode: Callable[[Any], Record], result: Any) -> Record:
    try:
        return decode(result)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaUnreachable(f"the answer is not that of a Fabric CA: {error!r}") from error


def _secret(result: Any) -> str:
    return str(result["secret"])


def _crl(result: Any) -> bytes:
    return b64decode(result["CRL"])


def _identities(result: Any) -> tuple[Registered, ...]:
    return tuple(Registered.from_json(one) for one in result["identities"] or ())


def _certificates(result: Any) -> tuple[bytes, ...]:
    return tuple(one["PEM"].encode() for one in result["certs"] or ())
