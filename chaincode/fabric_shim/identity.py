"""The client that signed the proposal: its organisation, certificate and certified attributes.

Ids agree with those of the Go shim (fabric-chaincode-go pkg/cid), so both may guard the same state.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier
from fabric_protos.msp import identities_pb2
from google.protobuf.message import DecodeError

from fabric_shim.errors import ArgumentError

# A Fabric CA writes {"attrs": {name: value}} there, as plain JSON (fabric-ca lib/attrmgr).
_ATTRIBUTES = ObjectIdentifier("1.2.3.4.5.6.7.8.1")
# Go orders a name by kind, whatever its order in the certificate, and leaves out other kinds (crypto/x509/pkix of
# Go 1.26, last first; older releases had them in another order).
_NAME_PARTS = (
    (NameOID.SERIAL_NUMBER, "SERIALNUMBER"),
    (NameOID.COMMON_NAME, "CN"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "OU"),
    (NameOID.ORGANIZATION_NAME, "O"),
    (NameOID.POSTAL_CODE, "POSTALCODE"),
    (NameOID.STREET_ADDRESS, "STREET"),
    (NameOID.LOCALITY_NAME, "L"),
    (NameOID.STATE_OR_PROVINCE_NAME, "ST"),
    (NameOID.COUNTRY_NAME, "C"),
)
# Of these a certificate may repeat the value, but Go keeps the last one alone.
_SINGLE = {NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER}


@dataclass(frozen=True)
class ClientIdentity:
    """The submitter of a transaction.

    Attributes:
        msp_id: of the organisation that vouches for the client.
        credential: the PEM certificate, or an idemix credential.
    """

    msp_id: str
    credential: bytes

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The X.509 certificate.

        Raises:
            ArgumentError: the client is not identified by one.
        """
        try:
            return x509.load_pem_x509_certificate(self.credential)
        except ValueError as error:
            raise ArgumentError("the client is not identified by an X.509 certificate") from error

    @cached_property
    def id(self) -> str:
        """Base64 of the names of subject and issuer; unique in the organisation, stable over renewals."""
        names = (self.certificate.subject, self.certificate.issuer)
        return b64encode("::".join(["x509", *map(_name, names)]).encode()).decode()

    @cached_property
    def organizational_units(self) -> tuple[str, ...]:
        """The OU values; with NodeOUs they name the role (client, peer, admin, orderer)."""
        units = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        return tuple(str(unit.value) for unit in units)

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """What the organisation's CA certified of the client, by name.

        Raises:
            ArgumentError: the certificate's extension is malformed.
        """
        try:
            extension = self.certificate.extensions.get_extension_for_oid(_ATTRIBUTES)
        except x509.ExtensionNotFound:
            return MappingProxyType({})
        try:
            found = json.loads(extension.value.public_bytes())["attrs"]
            return MappingProxyType({str(name): str(value) for name, value in found.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArgumentError("the attributes in the client's certificate are malformed") from error


@lru_cache(maxsize=4096)
def read_identity(creator: bytes) -> ClientIdentity:
    """Return the identity in a msp.SerializedIdentity; the same clients come again and again, so it is kept.

    Raises:
        ArgumentError: the bytes are none.
    """
    try:
        identity = identities_pb2.SerializedIdentity.FromString(creator)
    except DecodeError as error:
        raise ArgumentError("the creator of the proposal is no serialized identity") from error
    return ClientIdentity(identity.mspid, identity.id_bytes)


def _name(name: x509.Name) -> str:
    return ",".join(_relative_names(name))


def _relative_names(name: x509.Name) -> Iterator[str]:
    for oid, short in _NAME_PARTS:
        values = [str(attribute.value) for attribute in name.get_attributes_for_oid(oid)]
        if oid in _SINGLE:
            values = values[-1:]
        if values and values != [""]:
            yield "+".join(f"{short}={_escaped(value)}" for value in values)


def _escaped(value: str) -> str:
    """Escape as RFC 2253 section 2.4 asks."""
    last = len(value) - 1
    return "".join(
        f"\\{character}"
        if character in ',+"\\<>;' or (place == 0 and character in " #") or (place == last and character == " ")
        else character
        for place, character in enumerate(value)
    )
