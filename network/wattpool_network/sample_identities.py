"""Certificates and keys of a sample network, laid out as ours are, and operators certified by its own authorities.

A sample's users cannot submit to Wattpool's chaincode, for their certificates do not say that they may.
"""

import datetime as dt
import json
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabric_gateway.ca import Attribute, CaClient, CaError, certificate_request
from fabric_gateway.ca.signing import ATTRIBUTES_OID
from fabric_gateway.connection import Tls
from fabric_gateway.identity import Identity, PrivateKeySigner
from wattpool_chaincode.organisations import OPERATOR_ATTRIBUTES, ORGANISATION_ATTRIBUTE
from wattpool_network.connection import IdentityFiles
from wattpool_network.errors import NetworkError
from wattpool_network.layout import Layout
from wattpool_network.sample import Sample, SampleAuthority
from wattpool_network.topology import Organisation

ADMIN = "admin"
# Whom the samples' authorities let register others (org1ca.sh, compose-ca.yaml).
_REGISTRAR, _REGISTRAR_PASSWORD = "admin", "adminpw"
_LIFETIME = dt.timedelta(days=365)


def take_over(sample: Sample, layout: Layout) -> None:
    """Copy what acting as the sample's admins takes: their keys and certificates, and the TLS roots of all.

    Raises:
        NetworkError: if one is missing.
    """
    for organisation in (*sample.topology.organisations, sample.ordering_organisation):
        _copy(_only(sample.home(organisation) / "msp" / "tlscacerts"), layout.tls_root(organisation))
    for organisation in sample.topology.organisations:
        there = sample.home(organisation) / "users" / f"Admin@{sample.domain(organisation)}" / "msp"
        here = layout.user(organisation, ADMIN) / "msp"
        authority = _only(there / "cacerts")
        _copy(authority, here / "cacerts" / authority.name)
        _copy(there / "config.yaml", here / "config.yaml")
        _copy(_only(there / "signcerts"), files(here).certificate)
        _write_private(files(here).key, _only(there / "keystore").read_bytes())


def certify_operators(sample: Sample, layout: Layout) -> dict[str, IdentityFiles]:
    """Have an operator certified for each role; return where its certificate and key lie.

    Raises:
        NetworkError: if the organisation's authority is neither one of `cryptogen`, nor a Fabric CA that answers.
    """
    operators = {}
    for role, organisation in sample.roles.items():
        operator = files(layout.user(organisation, role) / "msp")
        attributes = {**OPERATOR_ATTRIBUTES, ORGANISATION_ATTRIBUTE: role}
        key = ec.generate_private_key(ec.SECP256R1())
        # A name of its own, for an authority registers each once and the state directory may have been lost.
        name = f"{role}-{secrets.token_hex(4)}"
        authority = sample.home(organisation) / "ca"
        if (authority / "priv_sk").is_file():
            issuer = x509.load_pem_x509_certificate(_only(authority, "*-cert.pem").read_bytes())
            issuer_key = _key(authority / "priv_sk")
            certificate = issue(key, name, attributes, issuer=issuer, issuer_key=issuer_key)
        else:
            certificate = _enrol(key, name, attributes, organisation, sample.authorities[organisation.name])
        operator.certificate.parent.mkdir(parents=True, exist_ok=True)
        operator.certificate.write_bytes(certificate)
        _write_private(operator.key, _pem(key))
        operators[role] = operator
    return operators


def files(msp: Path) -> IdentityFiles:
    """Return where a person's certificate and key lie in an MSP directory of ours."""
    return IdentityFiles(certificate=msp / "signcerts" / "cert.pem", key=msp / "keystore" / "key.pem")


def issue(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    attributes: Mapping[str, str],
    *,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> bytes:
    """Return a client's certificate in PEM, with attributes as a Fabric CA would certify them (fabric-ca lib/attrmgr).

    `cryptogen` certifies no attributes, but leaves the key of its authority behind.
    """
    issued = max(issuer.not_valid_before_utc, dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "client"),
                    x509.NameAttribute(NameOID.COMMON_NAME, name),
                ]
            )
        )
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issued)
        .not_valid_after(min(issuer.not_valid_after_utc, issued + _LIFETIME))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        .add_extension(
            x509.UnrecognizedExtension(ATTRIBUTES_OID, json.dumps({"attrs": dict(attributes)}).encode()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _enrol(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    attributes: Mapping[str, str],
    organisation: Organisation,
    authority: SampleAuthority,
) -> bytes:
    if not authority.tls_root.is_file():
        raise NetworkError(
            f"{organisation.name} has neither an authority of cryptogen nor a Fabric CA ({authority.tls_root}): nobody "
            "can certify an operator"
        )
    client = CaClient(authority.url, tls=Tls(root_pem=authority.tls_root.read_bytes()), ca_name=authority.name)
    try:
        own = ec.generate_private_key(ec.SECP256R1())
        enrolled = client.enroll(_REGISTRAR, _REGISTRAR_PASSWORD, certificate_request(own, _REGISTRAR))
        registrar = Identity(msp_id=organisation.msp_id, certificate_pem=enrolled.certificate_pem)
        secret = client.session(registrar, PrivateKeySigner(own)).register(
            name,
            type="client",
            attributes=[Attribute(name=one, value=value, is_certified=True) for one, value in attributes.items()],
        )
        return client.enroll(name, secret, certificate_request(key, name)).certificate_pem
    except CaError as error:
        raise NetworkError(f"{authority.name} of {organisation.name}: {error}") from error


def _only(directory: Path, pattern: str = "*") -> Path:
    found = sorted(directory.glob(pattern))
    if not found:
        raise NetworkError(f"{directory} holds no file; is the sample network started?")
    return found[0]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise NetworkError(f"{file} holds no elliptic-curve key")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(content)
