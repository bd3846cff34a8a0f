"""Who is a member of an organisation, and in what role, as its MSP in the channel's configuration says.

After fabric msp/mspimplvalidate.go and msp/mspimpl.go, from capability V1_4_3 on. As there, a certificate's own dates
are not looked at here: Fabric checks them when a transaction is sent, not when it is committed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from fabric_protos.msp import identities_pb2, msp_config_pb2

from wattpool.ledgers.fabric_blocks import Undecodable, decode

# A Fabric CA writes {"attrs": {name: value}} there, as plain JSON (fabric-ca lib/attrmgr).
_ATTRIBUTES = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
# The library says so in many ways; a name of a wrong kind is a TypeError.
_UNREADABLE = (
    Undecodable,
    TypeError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_ECDSA = ec.ECDSA(hashes.SHA256())
_ORDERS: Mapping[str, int] = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}


class NotMember(Exception):
    """An identity is not one of the channel's; the message says why, in a clause."""


@dataclass(frozen=True, eq=False)
class Identity:
    """A certificate of an organisation, its `msp_id` as the holder states it."""

    msp_id: str
    certificate: x509.Certificate

    @cached_property
    def units(self) -> Sequence[str]:
        """The organisational units in its subject."""
        found = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        return [str(one.value) for one in found]

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """What the organisation's CA certified.

        Raises:
            NotMember: that cannot be read.
        """
        try:
            extension = self.certificate.extensions.get_extension_for_oid(_ATTRIBUTES)
        except x509.ExtensionNotFound:
            return {}
        try:
            found = json.loads(extension.value.public_bytes())["attrs"]
            return {str(name): str(value) for name, value in found.items()}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise NotMember("its certified attributes cannot be read") from error

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether `signature` of `message` is its own; of ECDSA, only the low-S one counts (bccsp/sw/ecdsa.go)."""
        key = self.certificate.public_key()
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                _, s = decode_dss_signature(signature)
                if s > _ORDERS[key.curve.name] // 2:
                    return False
                key.verify(signature, message, _ECDSA)
            else:
                return False
        except (InvalidSignature, ValueError, KeyError):
            return False
        return True

    def was_valid_at(self, time_utc: int) -> bool:
        """Tell whether its certificate's dates hold at a time."""
        start, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return start.timestamp() <= time_utc <= end.timestamp()


@dataclass(frozen=True, eq=False)
class Msp:
    """An organisation: who vouches for its members, and whom it has revoked."""

    id: str
    roots: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate]
    admins: Sequence[x509.Certificate]
    revoked: Sequence[x509.CertificateRevocationList]
    roles: Mapping[str, str]
    units: frozenset[str]
    _problems: dict[x509.Certificate, str | None] = field(default_factory=dict)

    @classmethod
    def read(cls, data: bytes) -> "Msp":
        """Read a msp.MSPConfig.

        Raises:
            Undecodable: it is none of X.509, or a certificate in it cannot be read.
        """
        outer = decode(msp_config_pb2.MSPConfig, data)
        if outer.type:
            raise Undecodable(f"an MSP of type {outer.type}")
        config = decode(msp_config_pb2.FabricMSPConfig, outer.config)
        ous = config.fabric_node_ous
        named = {
            "CLIENT": ous.client_ou_identifier,
            "PEER": ous.peer_ou_identifier,
            "ADMIN": ous.admin_ou_identifier,
            "ORDERER": ous.orderer_ou_identifier,
        }
        try:
            return cls(
                id=config.name,
                roots=[x509.load_pem_x509_certificate(one) for one in config.root_certs],
                intermediates=[x509.load_pem_x509_certificate(one) for one in config.intermediate_certs],
                admins=[x509.load_pem_x509_certificate(one) for one in config.admins],
                revoked=[x509.load_pem_x509_crl(one) for one in config.revocation_list],
                roles={
                    role: one.organizational_unit_identifier
                    for role, one in named.items()
                    if ous.enable and one.organizational_unit_identifier
                },
                units=frozenset(one.organizational_unit_identifier for one in config.organizational_unit_identifiers),
            )
        except ValueError as error:
            raise Undecodable(f"the MSP {config.name} has a certificate that cannot be read") from error

    def require(self, identity: Identity) -> None:
        """Check that an identity is a member.

        Raises:
            NotMember: it is not.
        """
        certificate = identity.certificate
        if certificate not in self._problems:
            self._problems[certificate] = self._problem(identity)
        problem = self._problems[certificate]
        if problem is not None:
            raise NotMember(problem)

    def has_role(self, identity: Identity, role: str) -> bool:
        """Tell whether a member has a role: MEMBER, ADMIN, CLIENT, PEER or ORDERER."""
        if role == "MEMBER":
            return True
        if role == "ADMIN" and identity.certificate in self.admins:
            return True
        return role in self.roles and self.roles[role] in identity.units

    def _problem(self, identity: Identity) -> str | None:
        certificate = identity.certificate
        if _is_authority(certificate):
            return "its certificate is that of an authority"
        issuer = self._issuer(certificate)
        if issuer is None:
            return f"its certificate was not issued by an authority of {self.id}"
        if self._is_revoked(certificate, issuer):
            return "its certificate has been revoked"
        if self.units and not self.units.intersection(identity.units):
            return f"its certificate names none of the units of {self.id}"
        if self.roles and len([unit for unit in identity.units if unit in self.roles.values()]) != 1:
            return "its certificate does not name one role"
        return None

    def _issuer(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """Return who issued a certificate, if that leads to a root."""
        return _find_issuer(certificate, self.roots, self.intermediates)

    def _is_revoked(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        key = issuer.public_key()
        return any(
            one.issuer == issuer.subject
            and one.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
            and isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)
            and one.is_signature_valid(key)
            for one in self.revoked
        )


class Members:
    """The organisations of a channel, as one configuration has them."""

    def __init__(self, msps: Mapping[str, Msp]) -> None:
        self.msps = msps
        self._read: dict[bytes, Identity] = {}

    def read(self, serialized: bytes) -> Identity:
        """Return the identity in a msp.SerializedIdentity, of a known organisation.

        Raises:
            NotMember: there is none.
        """
        identity = self._read.get(serialized)
        if identity is None:
            identity = self._read[serialized] = self._decode(serialized)
        return identity

    def require(self, serialized: bytes) -> Identity:
        """Return the identity of a member.

        Raises:
            NotMember: it is none.
        """
        identity = self.read(serialized)
        self.msps[identity.msp_id].require(identity)
        return identity

    def _decode(self, serialized: bytes) -> Identity:
        try:
            message = decode(identities_pb2.SerializedIdentity, serialized)
            certificate = x509.load_pem_x509_certificate(message.id_bytes)
            # The library reads these only when asked; what it cannot read must not come up later.
            _ = certificate.public_key(), certificate.subject, certificate.extensions
        except _UNREADABLE as error:
            raise NotMember("it is no certificate that can be read") from error
        if message.mspid not in self.msps:
            raise NotMember(f"{message.mspid!r} is no organisation of the channel")
        return Identity(message.mspid, certificate)


def _find_issuer(
    certificate: x509.Certificate,
    roots: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
) -> x509.Certificate | None:
    for authority in roots:
        if _is_issued(certificate, authority):
            return authority
    for authority in intermediates:
        # Each may serve once on a path, or two that issued each other would never end.
        rest = [one for one in intermediates if one != authority]
        if _is_issued(certificate, authority) and _find_issuer(authority, roots, rest) is not None:
            return authority
    return None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _is_issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
