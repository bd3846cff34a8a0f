"""A connection file, and the certificates and keys that it names, are looked at before any call; no Fabric needed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.organisation import Organisation
from wattpool.bad_input import BadInput
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool.ledgers.fabric_client import ClientUnusable
from wattpool.verify.fabric import Peers
from wattpool_chaincode.organisations import ORGANISATIONS
from wattpool_network import connection
from wattpool_network.connection import AuthorityAccess, Connection, IdentityFiles, OrganisationAccess

Damage = Callable[[Path], object]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A connection file in which nothing is wrong but that nobody listens there."""
    file = tmp_path / "net" / "connection.yaml"
    accesses = {msp_id: _access(file.parent / msp_id, Organisation(msp_id)) for msp_id in ORGANISATIONS}
    connection.write(file, Connection(channels={"ledger": ("ledger",)}, organisations=accesses))
    return file


def _access(directory: Path, organisation: Organisation) -> OrganisationAccess:
    directory.mkdir(parents=True)
    member = organisation.member("client")
    files = IdentityFiles(certificate=directory / "client.crt", key=directory / "client.key")
    files.certificate.write_bytes(member.identity.certificate_pem)
    files.key.write_bytes(member.key_pem)
    root = directory / "root.crt"
    root.write_bytes(organisation.root_pem)
    authority = AuthorityAccess(url="https://127.0.0.1:9", name="ca", tls_root=root, registrar=files)
    return OrganisationAccess(
        name=organisation.msp_id,
        msp_id=organisation.msp_id,
        peers=("127.0.0.1:9",),
        tls_root=root,
        identities={"client": files},
        authority=authority,
    )


def replaced(before: str, after: str) -> Damage:
    """Return what replaces the first `before` in the file."""

    def damage(file: Path) -> None:
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after, 1))

    return damage


def copied(source: str, target: str) -> Damage:
    return lambda file: (file.parent / target).write_bytes((file.parent / source).read_bytes())


def written(target: str, content: bytes) -> Damage:
    return lambda file: (file.parent / target).write_bytes(content)


def test_nothing_is_asked_of_the_network_when_a_ledger_is_opened(file: Path) -> None:
    with FabricLedger(read_connection(file)):
        pass


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "No such file or directory"),
        (written("connection.yaml", b"\xff\xfe"), "is not YAML"),
        (written("connection.yaml", b"organisations: ["), "is not YAML"),
        (written("connection.yaml", b""), "does not describe a network"),
        (replaced("peers:", "peer:"), "lacks 'peers'"),
        (replaced("- 127.0.0.1:9", "- 127.0.0.1"), "'127.0.0.1' is not host:port"),
    ],
)
def test_a_malformed_file_is_bad_input(file: Path, damage: Damage, message: str) -> None:
    damage(file)
    with pytest.raises(BadInput, match=message) as error:
        read_connection(file)
    assert str(error.value).startswith(f"--ledger: {file}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (replaced("      client:", "      clerk:"), "the connection file has no identity 'client'"),
        (replaced("client.crt", "nowhere.crt"), r"nowhere\.crt: No such file or directory"),
        (written("AggregatorMSP/client.crt", b"-----BEGIN"), "is no PEM certificate"),
        (written("AggregatorMSP/client.key", b""), "not a readable PEM private key"),
        (written("AggregatorMSP/root.crt", b"root"), "not a readable PEM certificate"),
        (copied("DsoMSP/client.key", "AggregatorMSP/client.key"), "does not belong to the certificate"),
        (copied("AggregatorMSP/client.crt", "AggregatorMSP/client.key"), "not a readable PEM private key"),
    ],
)
def test_a_client_that_cannot_sign_is_named_with_what_it_lacks(file: Path, damage: Damage, message: str) -> None:
    damage(file)
    with pytest.raises(ClientUnusable, match=f"the client of AggregatorMSP: .*{message}"):
        FabricLedger(read_connection(file))
    with pytest.raises(ClientUnusable, match=message):
        Peers(read_connection(file))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (written("connection.yaml", b"{"), "is not YAML"),
        (written("AggregatorMSP/client.key", b""), "not a readable PEM private key"),
        (lambda _: None, "unreachable: a node is not within reach; check that it runs"),
    ],
)
def test_the_command_line_says_so_in_one_sentence(file: Path, damage: Damage, message: str) -> None:
    damage(file)
    program = "from wattpool.cli import main; main()"
    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", program, "simulate", "--ledger", f"fabric:{file}", "--out", "figures"],
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("wattpool: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (file.parent / "figures").exists()
