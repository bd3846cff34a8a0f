"""What a Fabric CA's caller signs, certificate requests and tokens, and the attributes that a certificate carries."""

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from fabric_gateway.errors import Malformed
from fabric_gateway.identity import PrivateKey

ATTRIBUTES_OID = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")


def certificate_request(key: PrivateKey, name: str, hosts: Sequence[str] = ()) -> bytes:
    """Return a certificate request in PEM; `hosts` are DNS names and addresses, for a TLS certificate.

    Raises:
        Malformed: if the name is empty or longer than the 64 characters that X.509 allows.
    """
    try:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        raise Malformed(f"the name {name!r} does not fit a certificate: {error}") from error
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def token_digest(method: str, uri: str, body: bytes, certificate_pem: bytes) -> bytes:
    """Return what the caller of a CA signs: SHA-256 of method, URI with query, body and certificate.

    Source: fabric-ca util/util.go, GenECDSAToken.
    """
    parts = (method.encode(), b64encode(uri.encode()), b64encode(body), b64encode(certificate_pem))
    return sha256(b".".join(parts)).digest()


def token(certificate_pem: bytes, signature: bytes) -> str:
    """Return the authorization header's value, which has no scheme word."""
    return f"{b64encode(certificate_pem).decode()}.{b64encode(signature).decode()}"


def read_attributes(certificate: x509.Certificate) -> dict[str, str]:
    """Return the attributes that a Fabric CA certified, none if there are none (fabric-ca lib/attrmgr).

    Raises:
        Malformed: if the extension is there and is not the JSON of attributes.
    """
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID).value
    except x509.ExtensionNotFound:
        return {}
    try:
        attributes: Any = json.loads(extension.public_bytes())["attrs"]
        return {str(name): str(value) for name, value in attributes.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"the certificate's attributes are not readable: {error}") from error


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
