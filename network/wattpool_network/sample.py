"""Fabric's two sample networks as data: where their nodes are, who they belong to, and where their keys lie.

Sources, in fabric-samples: `test-network` (compose/compose-*.yaml, scripts/envVar.sh, addOrg3/) and
`test-network-nano-bash` (orderer*.sh, peer*.sh, org*ca.sh).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from wattpool_chaincode.context import Policy
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_network.community import CONTRACT, LEDGER, METER_DATA, WATTPOOL, signature_policy
from wattpool_network.errors import NetworkError
from wattpool_network.topology import (
    Authority,
    Chaincode,
    ChaincodeServer,
    Channel,
    Collection,
    Orderer,
    Organisation,
    Peer,
    Topology,
)

ROLES = (AGGREGATOR, DSO, MEMBERS)
_DOMAIN = "example.com"
_ENDORSEMENTS = 2


@dataclass(frozen=True, kw_only=True)
class ChaincodeContainer(ChaincodeServer):
    """A chaincode process in a container, which the peers' containers find by its name."""

    @property
    def address(self) -> str:
        return f"{self.name}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class SampleTopology(Topology):
    """A topology whose orderers and peers are another's and stand where he put them; the chaincode is ours."""

    foreign_orderers: tuple[Orderer, ...]
    foreign_peers: tuple[Peer, ...]
    in_containers: bool

    @property
    def authorities(self) -> tuple[Authority, ...]:
        return ()

    @property
    def orderers(self) -> tuple[Orderer, ...]:
        return self.foreign_orderers

    @property
    def peers(self) -> tuple[Peer, ...]:
        return self.foreign_peers

    @property
    def chaincode_servers(self) -> tuple[ChaincodeServer, ...]:
        servers = super().chaincode_servers
        if not self.in_containers:
            return servers
        return tuple(
            ChaincodeContainer(**{field.name: getattr(server, field.name) for field in fields(server)})
            for server in servers
        )


@dataclass(frozen=True, kw_only=True)
class SampleAuthority:
    """An organisation's Fabric CA, which the sample starts with `-ca`."""

    url: str
    name: str
    tls_root: Path


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample network that runs.

    Attributes:
        directory: of the sample, which is where its scripts have to be run.
        crypto: where the certificates of all organisations lie, as `cryptogen` lays them out.
        topology: its nodes, and the chaincode to be deployed on them.
        authorities: by the name of the organisation; those of a sample started without them do not answer.
    """

    directory: Path
    crypto: Path
    topology: SampleTopology
    authorities: Mapping[str, SampleAuthority]

    @property
    def in_containers(self) -> bool:
        return self.topology.in_containers

    @property
    def ordering_organisation(self) -> Organisation:
        return self.topology.orderers[0].organisation

    @property
    def roles(self) -> dict[str, Organisation]:
        """Which organisation plays which of those that the chaincode knows."""
        return _roles(self.topology.organisations)

    def home(self, organisation: Organisation) -> Path:
        """The directory of an organisation's certificates and keys."""
        return _home(self.crypto, organisation)

    def domain(self, organisation: Organisation) -> str:
        return f"{organisation.name}.{_DOMAIN}"


def open_sample(directory: Path, *, port_base: int) -> Sample:
    """Return the sample network of a directory; its chaincode is to listen from `port_base` + 80 on.

    Raises:
        NetworkError: if the directory holds neither sample, or the sample has not been started.
        InvalidTopology: if there are no such ports.
    """
    directory = directory.resolve()
    if (directory / "peer1admin.sh").is_file():
        sample, start = _nano_bash(directory, port_base), "./network.sh start"
    elif (directory / "setOrgEnv.sh").is_file():
        sample, start = _test_network(directory, port_base), "./network.sh up -ca"
    else:
        raise NetworkError(f"{directory} is neither Fabric's test-network nor its test-network-nano-bash")
    for organisation in (*sample.topology.organisations, sample.ordering_organisation):
        if not sample.home(organisation).is_dir():
            raise NetworkError(f"{directory} has no certificates of {organisation.name}; start it with {start}")
    return sample


def _nano_bash(directory: Path, port_base: int) -> Sample:
    ordering = Organisation(name="orderer", msp_id="OrdererMSP", slot=0, orderers=3)
    organisations = tuple(
        Organisation(name=f"org{number}", msp_id=f"Org{number}MSP", slot=number - 1, peers=2) for number in (1, 2)
    )
    orderers = tuple(
        Orderer(
            organisation=ordering, index=index, port=6050 + index, admin_port=9443 + index, operations_port=8443 + index
        )
        for index in range(ordering.orderers)
    )
    peers = tuple(
        Peer(
            organisation=organisation,
            index=place % organisation.peers,
            port=7051 + 2 * place,
            chaincode_port=7052 + 2 * place,
            operations_port=8446 + place,
        )
        for place, organisation in enumerate(one for one in organisations for _ in range(one.peers))
    )
    return Sample(
        directory=directory,
        crypto=directory / "crypto-config",
        topology=_topology(organisations, orderers, peers, port_base, in_containers=False),
        authorities={
            organisation.name: SampleAuthority(
                url=f"https://localhost:{5053 + organisation.slot}",
                name="ca",
                tls_root=directory / "data_ca" / f"{organisation.name}ca" / "ca" / "ca-cert.pem",
            )
            for organisation in organisations
        },
    )


def _test_network(directory: Path, port_base: int) -> Sample:
    ordering = Organisation(name="orderer", msp_id="OrdererMSP", slot=0, host="localhost")
    crypto = directory / "organizations"
    # The third organisation is there once addOrg3.sh has made its certificates.
    places = tuple(
        (Organisation(name=f"org{number}", msp_id=f"Org{number}MSP", slot=number - 1, host="localhost"), port, ca_port)
        for number, port, ca_port in ((1, 7051, 7054), (2, 9051, 8054), (3, 11051, 11054))
        if number <= _ENDORSEMENTS or (crypto / "peerOrganizations" / f"org{number}.{_DOMAIN}").is_dir()
    )
    peers = tuple(
        Peer(
            organisation=organisation,
            index=0,
            port=port,
            chaincode_port=port + 1,
            operations_port=9444 + organisation.slot,
        )
        for organisation, port, _ in places
    )
    orderer = Orderer(organisation=ordering, index=0, port=7050, admin_port=7053, operations_port=9443)
    return Sample(
        directory=directory,
        crypto=crypto,
        topology=_topology(tuple(one for one, _, _ in places), (orderer,), peers, port_base, in_containers=True),
        authorities={
            organisation.name: SampleAuthority(
                url=f"https://localhost:{ca_port}",
                name=f"ca-{organisation.name}",
                tls_root=_ca_home(directory, organisation) / "ca-cert.pem",
            )
            for organisation, _, ca_port in places
        },
    )


def _ca_home(directory: Path, organisation: Organisation) -> Path:
    base = directory / "addOrg3" if organisation.name == "org3" else directory / "organizations"
    return base / "fabric-ca" / organisation.name


def _topology(
    organisations: tuple[Organisation, ...],
    orderers: tuple[Orderer, ...],
    peers: tuple[Peer, ...],
    port_base: int,
    *,
    in_containers: bool,
) -> SampleTopology:
    msp_ids = tuple(organisation.msp_id for organisation in organisations)
    played = ",".join(f"{role}={organisation.msp_id}" for role, organisation in _roles(organisations).items())
    collection = Collection(
        name=METER_DATA.name,
        members=msp_ids,
        required_peers=METER_DATA.required_peers,
        max_peers=METER_DATA.max_peers,
    )
    endorsement = signature_policy(Policy(required=_ENDORSEMENTS, rules=msp_ids))
    channels = tuple(
        Channel(
            name=name,
            chaincodes=(
                Chaincode(
                    name=name,
                    command=(*WATTPOOL, name, "--organisations", played),
                    endorsement=endorsement,
                    collections=collections,
                ),
            ),
        )
        for name, collections in ((CONTRACT, ()), (LEDGER, (collection,)))
    )
    return SampleTopology(
        organisations=organisations,
        channels=channels,
        port_base=port_base,
        # The samples' peers have no certificates for their chaincode.
        chaincode_tls=False,
        foreign_orderers=orderers,
        foreign_peers=peers,
        in_containers=in_containers,
    )


def _roles(organisations: tuple[Organisation, ...]) -> dict[str, Organisation]:
    # Of two organisations, the second plays the members too.
    return dict(zip(ROLES, (*organisations, organisations[-1]), strict=False))


def _home(crypto: Path, organisation: Organisation) -> Path:
    if organisation.msp_id == "OrdererMSP":
        return crypto / "ordererOrganizations" / _DOMAIN
    return crypto / "peerOrganizations" / f"{organisation.name}.{_DOMAIN}"
