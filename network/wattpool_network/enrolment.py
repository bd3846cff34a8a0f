"""Keys and certificates of nodes and people from the organisation's Fabric CA, laid out as MSP and TLS directories.

What was done is not done again, so that an enrolment that was cut off goes on: a key is written before its certificate
is asked for, and every secret follows from the registrar's password.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fabric_gateway.ca import Attribute, CaClient, CaCode, CaError, CaRefused, CaSession, certificate_request
from fabric_gateway.ca.client import TLS_PROFILE
from fabric_gateway.connection import Tls
from fabric_gateway.identity import Identity, PrivateKeySigner
from wattpool_chaincode.organisations import OPERATOR_ATTRIBUTES
from wattpool_network import configuration
from wattpool_network.commands import write_yaml
from wattpool_network.configuration import CA, REGISTRAR, TLS_CA
from wattpool_network.errors import NetworkError
from wattpool_network.layout import Layout
from wattpool_network.topology import Authority, ChaincodeServer, Orderer, Organisation, Peer, Topology

CONFIGURATION = "fabric-ca-server-config.yaml"
_UNLIMITED = -1


def prepare_authority(authority: Authority, layout: Layout) -> None:
    """Write the configuration of an organisation's authorities, with a password for their registrar."""
    home = layout.home(authority)
    password = _password(home)
    tls_file = home / TLS_CA / CONFIGURATION
    for name, others in ((TLS_CA, ()), (CA, (str(tls_file),))):
        value = configuration.authority(authority, name, password=password, others=others)
        file = _private(home / name / CONFIGURATION)
        write_yaml(file, value)


def enrol(topology: Topology, authority: Authority, layout: Layout) -> None:
    """Enrol an organisation's registrar, admin, client and nodes, and make the MSP that channels know it by.

    Raises:
        NetworkError: if the authority refuses.
    """
    organisation = authority.organisation
    people = _Office(authority=authority, layout=layout, name=CA)
    tls = _Office(authority=authority, layout=layout, name=TLS_CA)
    try:
        for name in ("admin", "client"):
            directory = layout.user(organisation, name) / "msp"
            people.enrol(name, role=name, directory=directory, attributes=OPERATOR_ATTRIBUTES)
        tls.enrol("admin", role="admin", directory=layout.user(organisation, "admin") / "tls")
        for node, role in _nodes(topology, organisation):
            people.enrol(node.name, role=role, directory=layout.home(node) / "msp")
            tls.enrol(node.name, role=role, directory=layout.home(node) / "tls")
        for server in topology.chaincode_servers_of(organisation):
            if server.tls:
                tls.enrol(server.name, role="client", directory=layout.home(server) / "tls")
    except CaError as error:
        raise NetworkError(f"{authority.name}: {error}") from error
    _write_roots(layout.msp(organisation), authority, layout)


def registrar(authority: Authority, layout: Layout, name: str = CA) -> CaSession:
    """Return an organisation's authority, `ca` or `tlsca`, as its registrar may use it."""
    return _Office(authority=authority, layout=layout, name=name).registrar


def renew(authority: Authority, node: Orderer | Peer | ChaincodeServer, layout: Layout) -> None:
    """Have all certificates of a node issued anew for the keys it has; they count when it is started again.

    The keys stay, because channels know orderers by the keys of their TLS certificates (orderer/consensus/etcdraft,
    IsConsenterOfChannel).

    Raises:
        NetworkError: if the authority refuses.
    """
    try:
        for name, directory in ((CA, layout.home(node) / "msp"), (TLS_CA, layout.home(node) / "tls")):
            if directory.exists():
                _Office(authority=authority, layout=layout, name=name).renew(node.name, directory=directory)
    except CaError as error:
        raise NetworkError(f"{authority.name}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class _Office:
    """One of an organisation's two authorities, and its registrar."""

    authority: Authority
    layout: Layout
    name: str

    def enrol(
        self, name: str, *, role: str, directory: Path, attributes: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Have `name` certified, with `attributes`; its key and certificate are below `directory`."""
        if self._certificate(directory).exists():
            return
        secret = hmac.new(_password(self._home).encode(), name.encode(), hashlib.sha256).hexdigest()
        try:
            self.registrar.register(
                name,
                type=role,
                secret=secret,
                attributes=[Attribute(name=key, value=value, is_certified=True) for key, value in attributes.items()],
                max_enrollments=_UNLIMITED,
            )
        except CaRefused as error:
            if error.code is not CaCode.ALREADY_REGISTERED:
                raise
        self._certify(name, secret, directory)

    @property
    def _home(self) -> Path:
        return self.layout.home(self.authority)

    @cached_property
    def _client(self) -> CaClient:
        # The server's own TLS certificate is issued by its first authority.
        tls = Tls(root_pem=self.layout.authority_root(self.authority, CA).read_bytes())
        return CaClient(f"https://{self.authority.organisation.host}:{self.authority.port}", tls=tls, ca_name=self.name)

    @cached_property
    def registrar(self) -> CaSession:
        directory = self.layout.user(self.authority.organisation, REGISTRAR) / ("msp" if self.name == CA else "tls")
        self._certify(REGISTRAR, _password(self._home), directory)
        return self._session(directory)

    def renew(self, name: str, *, directory: Path) -> None:
        """Replace a certificate by a new one for the same key; while its holder runs, it goes on with the old one."""
        key = _key(self._key_file(directory))
        request = certificate_request(key, name, self._hosts(name))
        renewed = self._session(directory).reenroll(request, profile=self._profile)
        certificate = self._certificate(directory)
        unfinished = directory / "renewed.pem"
        unfinished.write_bytes(renewed.certificate_pem)
        unfinished.rename(certificate)

    def _session(self, directory: Path) -> CaSession:
        identity = Identity(
            msp_id=self.authority.organisation.msp_id, certificate_pem=self._certificate(directory).read_bytes()
        )
        return self._client.session(identity, PrivateKeySigner(_key(self._key_file(directory))))

    def _hosts(self, name: str) -> list[str]:
        return configuration.tls_hosts(self.authority.organisation, name) if self.name == TLS_CA else []

    @property
    def _profile(self) -> str:
        return TLS_PROFILE if self.name == TLS_CA else ""

    def _certify(self, name: str, secret: str, directory: Path) -> None:
        certificate = self._certificate(directory)
        if certificate.exists():
            return
        request = certificate_request(_key(self._key_file(directory)), name, self._hosts(name))
        enrolled = self._client.enroll(name, secret, request, profile=self._profile)
        if self.name == CA:
            _write_roots(directory, self.authority, self.layout)
        certificate.parent.mkdir(parents=True, exist_ok=True)
        certificate.write_bytes(enrolled.certificate_pem)

    def _certificate(self, directory: Path) -> Path:
        return directory / ("signcerts/cert.pem" if self.name == CA else "server.crt")

    def _key_file(self, directory: Path) -> Path:
        return directory / ("keystore/key.pem" if self.name == CA else "server.key")


def _nodes(topology: Topology, organisation: Organisation) -> Iterable[tuple[Orderer | Peer, str]]:
    yield from ((orderer, "orderer") for orderer in topology.orderers_of(organisation))
    yield from ((peer, "peer") for peer in topology.peers_of(organisation))


def _write_roots(msp: Path, authority: Authority, layout: Layout) -> None:
    for folder, name in (("cacerts", CA), ("tlscacerts", TLS_CA)):
        (msp / folder).mkdir(parents=True, exist_ok=True)
        (msp / folder / f"{name}.pem").write_bytes(layout.authority_root(authority, name).read_bytes())
    write_yaml(msp / "config.yaml", configuration.node_ous())


def _password(home: Path) -> str:
    file = home / "registrar.password"
    if not file.exists():
        _private(file).write_text(secrets.token_urlsafe(24))
    return file.read_text()


def _key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key; make it if there is none."""
    if not file.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _private(file).write_bytes(pem)
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{file} holds no elliptic-curve key")
    return key


def _private(file: Path) -> Path:
    """Make a file that only the owner of this process reads."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    return file
