"""Fabric's sample networks as they are described: made-up directories, and no network."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabric_gateway.ca import read_attributes
from wattpool_chaincode.fabric import parse_organisations
from wattpool_network import deployment, package, sample_identities
from wattpool_network.errors import NetworkError
from wattpool_network.layout import Layout
from wattpool_network.sample import open_sample

PORT_BASE = 13_000
NANO_BASH, TEST_NETWORK = "peer1admin.sh", "setOrgEnv.sh"
CRYPTO = {NANO_BASH: "crypto-config", TEST_NETWORK: "organizations"}


def made_up(directory: Path, kind: str, *, organisations: int = 2) -> Path:
    """Return a sample with the certificates that `cryptogen` would have made, as far as they are looked at."""
    directory.mkdir(exist_ok=True)
    (directory / kind).touch()
    crypto = directory / CRYPTO[kind]
    homes = {f"org{number}.example.com": crypto / "peerOrganizations" for number in range(1, organisations + 1)}
    for domain, parent in {"example.com": crypto / "ordererOrganizations", **homes}.items():
        home = parent / domain
        admin = home / "users" / f"Admin@{domain}" / "msp"
        for file in (
            home / "msp" / "tlscacerts" / f"tlsca.{domain}-cert.pem",
            admin / "cacerts" / f"ca.{domain}-cert.pem",
            admin / "signcerts" / f"Admin@{domain}-cert.pem",
            admin / "keystore" / "priv_sk",
            admin / "config.yaml",
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{domain} {file.name}")
        found_authority(home / "ca", domain)
    return directory


def found_authority(directory: Path, domain: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ca.{domain}")])
    now = dt.datetime.now(dt.UTC)
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir(parents=True)
    (directory / f"ca.{domain}-cert.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (directory / "priv_sk").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "state")


def test_nano_bash_has_three_orderers_and_two_organisations_of_two_peers(tmp_path: Path) -> None:
    topology = open_sample(made_up(tmp_path, NANO_BASH), port_base=PORT_BASE).topology
    assert [orderer.address for orderer in topology.orderers] == [f"127.0.0.1:{port}" for port in (6050, 6051, 6052)]
    assert [orderer.admin_port for orderer in topology.orderers] == [9443, 9444, 9445]
    assert {peer.name: peer.address for peer in topology.peers} == {
        "peer0.org1": "127.0.0.1:7051",
        "peer1.org1": "127.0.0.1:7053",
        "peer0.org2": "127.0.0.1:7055",
        "peer1.org2": "127.0.0.1:7057",
    }
    assert {server.name: server.address for server in topology.chaincode_servers} == {
        "contract-1.org1": "127.0.0.1:13081",
        "ledger-1.org1": "127.0.0.1:13083",
        "contract-1.org2": "127.0.0.1:13181",
        "ledger-1.org2": "127.0.0.1:13183",
    }


@pytest.mark.parametrize(
    ("organisations", "endorsement", "played"),
    [
        (
            2,
            "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer')",
            {"AggregatorMSP": "Org1MSP", "DsoMSP": "Org2MSP", "MembersMSP": "Org2MSP"},
        ),
        (
            3,
            "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')",
            {"AggregatorMSP": "Org1MSP", "DsoMSP": "Org2MSP", "MembersMSP": "Org3MSP"},
        ),
    ],
)
def test_two_organisations_endorse_and_the_third_plays_the_members_if_there_is_one(
    tmp_path: Path, organisations: int, endorsement: str, played: dict[str, str]
) -> None:
    sample = open_sample(made_up(tmp_path, TEST_NETWORK, organisations=organisations), port_base=PORT_BASE)
    addresses = ["localhost:7051", "localhost:9051", "localhost:11051"]
    assert [peer.address for peer in sample.topology.peers] == addresses[:organisations]
    urls = ["https://localhost:7054", "https://localhost:8054", "https://localhost:11054"]
    assert [authority.url for authority in sample.authorities.values()] == urls[:organisations]
    for channel in sample.topology.channels:
        (chaincode,) = channel.chaincodes
        assert chaincode.endorsement == endorsement
        # What the process is told is what the chaincode's door reads.
        assert parse_organisations(chaincode.command[-1]) == played
    (collection,) = sample.topology.collections
    assert (collection.name, collection.members) == ("meter_data", tuple(dict.fromkeys(played.values())))


def test_beside_the_containers_of_test_network_chaincode_runs_in_containers_that_bear_its_address(
    tmp_path: Path, layout: Layout
) -> None:
    topology = open_sample(made_up(tmp_path, TEST_NETWORK), port_base=PORT_BASE).topology
    server = topology.chaincode_servers[1]
    command = deployment.container(server, layout)
    assert server.address == "ledger-1.org1:13083"
    assert command[: command.index("--env")] == (
        *("docker", "run", "--detach", "--name", "ledger-1.org1", "--hostname", "ledger-1.org1"),
        *("--network", "fabric_test"),
    )
    assert "CHAINCODE_SERVER_ADDRESS=ledger-1.org1:13083" in command
    assert f"CHAINCODE_ID={package.id_of(server)}" in command
    assert command[-4:-1] == ("wattpool-chaincode:1", "ledger", "--organisations")


@pytest.mark.parametrize("kind", [NANO_BASH, TEST_NETWORK])
def test_admins_and_tls_roots_are_taken_over_from_where_the_sample_has_them(
    tmp_path: Path, layout: Layout, kind: str
) -> None:
    sample = open_sample(made_up(tmp_path, kind), port_base=PORT_BASE)
    sample_identities.take_over(sample, layout)
    first = sample.topology.organisations[0]
    assert layout.tls_root(first).read_text() == "org1.example.com tlsca.org1.example.com-cert.pem"
    assert layout.tls_root(sample.ordering_organisation).read_text() == "example.com tlsca.example.com-cert.pem"
    msp = layout.user(first, "admin") / "msp"
    admin = sample_identities.files(msp)
    assert admin.certificate.read_text() == "org1.example.com Admin@org1.example.com-cert.pem"
    assert admin.key.read_text() == "org1.example.com priv_sk"
    assert admin.key.stat().st_mode & 0o077 == 0
    assert (msp / "cacerts" / "ca.org1.example.com-cert.pem").exists()


def test_an_operator_of_each_role_is_certified_by_its_organisations_authority(tmp_path: Path, layout: Layout) -> None:
    sample = open_sample(made_up(tmp_path, NANO_BASH), port_base=PORT_BASE)
    operators = sample_identities.certify_operators(sample, layout)
    issuers = {"AggregatorMSP": "org1.example.com", "DsoMSP": "org2.example.com", "MembersMSP": "org2.example.com"}
    assert operators.keys() == issuers.keys()
    for role, domain in issuers.items():
        certificate = x509.load_pem_x509_certificate(operators[role].certificate.read_bytes())
        root = tmp_path / "crypto-config" / "peerOrganizations" / domain / "ca" / f"ca.{domain}-cert.pem"
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(root.read_bytes()))
        assert read_attributes(certificate) == {"wattpool.role": "operator", "wattpool.organisation": role}
        key = serialization.load_pem_private_key(operators[role].key.read_bytes(), None)
        assert key.public_key() == certificate.public_key()
        assert operators[role].key.stat().st_mode & 0o077 == 0


def test_without_an_authority_nobody_is_certified(tmp_path: Path, layout: Layout) -> None:
    sample = open_sample(made_up(tmp_path, TEST_NETWORK), port_base=PORT_BASE)
    (sample.home(sample.topology.organisations[0]) / "ca" / "priv_sk").unlink()
    with pytest.raises(NetworkError, match=r"org1 has neither an authority of cryptogen nor a Fabric CA"):
        sample_identities.certify_operators(sample, layout)


def test_a_sample_that_was_not_started_is_refused_with_how_to_start_it(tmp_path: Path) -> None:
    (tmp_path / NANO_BASH).touch()
    with pytest.raises(NetworkError, match=r"has no certificates of org1; start it with \./network\.sh start"):
        open_sample(tmp_path, port_base=PORT_BASE)


def test_another_directory_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"is neither Fabric's test-network nor its test-network-nano-bash"):
        open_sample(tmp_path / "nowhere", port_base=PORT_BASE)
