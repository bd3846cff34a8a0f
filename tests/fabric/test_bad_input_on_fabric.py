"""What goes wrong on a real network has an error of its own that says what to do; nothing is changed, nothing lost."""

import datetime as dt
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fabric.founded import installed_fabric
from fabric_gateway import (
    Backoff,
    CommitError,
    EndorseError,
    GatewayError,
    Identity,
    PrivateKeySigner,
    Reason,
    SubmitError,
    Tls,
    ValidationCode,
    blocking,
)
from fabric_gateway.ca import CaClient, certificate_request
from gateway.organisation import Organisation
from ledger.on_fabric import toy_topology
from ledger.toy import call
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool.ledgers.port import Call, EndorseReason, LedgerError
from wattpool.ledgers.port import EndorseError as PortEndorseError
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec
from wattpool_network import connection, enrolment
from wattpool_network.commands import Binaries
from wattpool_network.connection import Connection, IdentityFiles
from wattpool_network.network import Network
from wattpool_network.readiness import until
from wattpool_network.revocation import push_crl
from wattpool_network.topology import Fabric

DEADLINE_S = 60.0
MIB = 1024 * 1024
TWENTY_MINUTES_NS = 20 * 60 * 10**9
ONCE = Backoff(retries=0)
WATTPOOL = "from wattpool.cli import main; main()"
LATE = f"import time; now = time.time_ns; time.time_ns = lambda: now() - {TWENTY_MINUTES_NS}; "


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who calls: a certificate and a key, which may not belong together."""

    msp_id: str
    certificate_pem: bytes
    key_pem: bytes

    @property
    def identity(self) -> Identity:
        return Identity(msp_id=self.msp_id, certificate_pem=self.certificate_pem)

    @property
    def signer(self) -> PrivateKeySigner:
        return PrivateKeySigner.load(self.key_pem)


@pytest.fixture(scope="module")
def founded_toy(fabric: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:  # noqa: ARG001 -- skips
    network = Network(tmp_path_factory.mktemp("toy") / "state", toy_topology())
    try:
        network.up()
        yield network
    finally:
        Network.open(network.layout.root).down(wipe=True)


@pytest.fixture
def toy(founded_toy: Network) -> Network:
    """The network of the module, all of it running whatever the test before made of it."""
    founded_toy.up()
    return founded_toy


@pytest.fixture
def access(toy: Network) -> Connection:
    return connection.read(toy.layout.connection)


@pytest.fixture
def client(access: Connection) -> Person:
    """The DSO's own client."""
    files = access.organisations[DSO].identities["client"]
    return Person(msp_id=DSO, certificate_pem=files.certificate.read_bytes(), key_pem=files.key.read_bytes())


@contextmanager
def connected(access: Connection, person: Person, **settings: Any) -> Iterator[blocking.Gateway]:
    """Give a gateway of the DSO's peer."""
    at = access.organisations[DSO]
    with blocking.Connection(at.peers[0], tls=Tls(root_pem=at.tls_root.read_bytes())) as opened:
        yield blocking.Gateway(opened, person.identity, person.signer, **settings)


def toy_of(gateway: blocking.Gateway) -> blocking.Contract:
    return gateway.network("ledger").contract("ledger")


def words(*steps: list[Any]) -> tuple[str, bytes]:
    """Return function and argument of a call of the toy."""
    return "bad/run", codec.encode({"steps": list(steps)})


@contextmanager
def nothing_changes(access: Connection, person: Person) -> Iterator[None]:
    """Check that no block is added meanwhile, and that the ledger goes on afterwards."""
    with connected(access, person) as gateway:
        queries = gateway.network("ledger").contract("qscc")
        before = queries.evaluate("GetChainInfo", "ledger")
        yield
        assert queries.evaluate("GetChainInfo", "ledger") == before
        toy_of(gateway).submit(*words(["put", "after", secrets.token_hex(8)]))


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def expired(network: Network, client: Person) -> Person:
    """Return a client whose certificate of the organisation's own authority has run out."""
    authority = next(one for one in network.topology.authorities if one.organisation.msp_id == client.msp_id)
    root = x509.load_pem_x509_certificate(network.layout.authority_root(authority, "ca").read_bytes())
    (key_file,) = [
        file
        for file in (network.layout.home(authority) / "ca" / "msp" / "keystore").glob("*_sk")
        if public_key(file) == root.public_key()
    ]
    authority_key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    now = dt.datetime.now(dt.UTC)
    was = x509.load_pem_x509_certificate(client.certificate_pem)
    builder = (
        x509.CertificateBuilder()
        .subject_name(was.subject)
        .issuer_name(root.subject)
        .public_key(was.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=4))
        .not_valid_after(now - dt.timedelta(minutes=1))
    )
    for extension in was.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    certificate = builder.sign(authority_key, hashes.SHA256())
    return replace(client, certificate_pem=certificate.public_bytes(serialization.Encoding.PEM))


def public_key(file: Path) -> Any:
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    return key.public_key()


def enrolled(network: Network, access: Connection, name: str) -> Person:
    """Return a new client of the DSO."""
    at = access.organisations[DSO].authority
    assert at is not None
    session = enrolment.registrar(network.authority_of(network.organisation("dso")), network.layout)
    secret = session.register(name, max_enrollments=-1)
    key = ec.generate_private_key(ec.SECP256R1())
    authority = CaClient(at.url, tls=Tls(root_pem=at.tls_root.read_bytes()), ca_name=at.name)
    certificate = authority.enroll(name, secret, certificate_request(key, name)).certificate_pem
    return Person(msp_id=DSO, certificate_pem=certificate, key_pem=pem_of(key))


def stranger(msp_id: str = DSO) -> Person:
    """Return whom another authority certified for an organisation."""
    member = Organisation(msp_id).member("client")
    return Person(msp_id=msp_id, certificate_pem=member.identity.certificate_pem, key_pem=member.key_pem)


def refusals(gateway: blocking.Gateway) -> list[Reason]:
    """Return why a call is neither evaluated nor endorsed."""
    contract = toy_of(gateway)
    reasons = []
    for attempt in (contract.evaluate, contract.endorse):
        with pytest.raises(GatewayError) as error:
            attempt(*words(["put", "a", "1"]))
        assert error.value.reason.advice in str(error.value)
        reasons.append(error.value.reason)
    return reasons


# Whoever calls


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: stranger(), id="of another authority"),
        pytest.param(lambda person: replace(person, key_pem=stranger().key_pem), id="of another key"),
        pytest.param(lambda person: replace(person, msp_id=MEMBERS), id="of another organisation"),
        pytest.param(lambda person: replace(person, msp_id="NobodyMSP"), id="of no organisation"),
    ],
)
def test_a_wrong_certificate_is_denied_access(
    access: Connection, client: Person, change: Callable[[Person], Person]
) -> None:
    with nothing_changes(access, client), connected(access, change(client)) as gateway:
        assert refusals(gateway) == [Reason.ACCESS_DENIED] * 2


def test_an_expired_certificate_is_told_from_a_wrong_one(toy: Network, access: Connection, client: Person) -> None:
    with nothing_changes(access, client), connected(access, expired(toy, client)) as gateway:
        assert refusals(gateway) == [Reason.CERTIFICATE_EXPIRED] * 2


def test_a_revoked_identity_is_denied_access_once_the_list_is_pushed(
    toy: Network, access: Connection, client: Person
) -> None:
    thief = enrolled(toy, access, "thief")
    as_thief = used_by(toy, access, thief)
    with FabricLedger(read_connection(as_thief)) as ledger:
        assert ledger.evaluate(spaced(["get", "a"]), by=DSO) == b"[null]"
        enrolment.registrar(toy.authority_of(toy.organisation("dso")), toy.layout).revoke("thief")
        push_crl(toy, toy.organisation("dso"))
        with nothing_changes(access, client):
            with connected(access, thief) as gateway:
                assert refusals(gateway) == [Reason.ACCESS_DENIED] * 2
            with pytest.raises(PortEndorseError) as error:
                ledger.submit(spaced(["put", "a", "1"]), by=DSO)
            assert error.value.reason == EndorseReason.CERTIFICATE_NOT_VALID


@pytest.mark.parametrize("off_ns", [-TWENTY_MINUTES_NS, TWENTY_MINUTES_NS], ids=["late", "early"])
def test_a_clock_twenty_minutes_off_is_told(access: Connection, client: Person, off_ns: int) -> None:
    require_time_window()
    with (
        nothing_changes(access, client),
        connected(access, client, clock_ns=lambda: time.time_ns() + off_ns) as gateway,
    ):
        assert refusals(gateway) == [Reason.CLOCK_SKEW] * 2


# What is called


def test_an_unknown_channel_or_chaincode_is_told(access: Connection, client: Person) -> None:
    with nothing_changes(access, client), connected(access, client) as gateway:
        for channel, chaincode, reasons in (
            # Who is to endorse is asked first, and that answer does not tell the two apart.
            ("attic", "ledger", [Reason.CHANNEL_UNKNOWN, Reason.CHAINCODE_UNKNOWN]),
            ("ledger", "attic", [Reason.CHAINCODE_UNKNOWN, Reason.CHAINCODE_UNKNOWN]),
        ):
            contract = gateway.network(channel).contract(chaincode)
            for attempt, reason in zip((contract.evaluate, contract.submit), reasons, strict=True):
                with pytest.raises(GatewayError) as error:
                    attempt(*words(["get", "a"]))
                assert error.value.reason is reason
        with (
            gateway.network("attic").block_events(start_block=0, stop_block=0) as events,
            pytest.raises(GatewayError) as error,
        ):
            next(events)
        assert error.value.reason is Reason.CHANNEL_UNKNOWN


def test_an_argument_larger_than_a_peer_takes_is_told(access: Connection, client: Person) -> None:
    with nothing_changes(access, client), connected(access, client) as gateway:
        with pytest.raises(EndorseError) as error:
            toy_of(gateway).submit("bad/run", b"x" * (101 * MIB))
        assert error.value.reason is Reason.TOO_LARGE


def test_an_argument_larger_than_an_orderer_takes_is_told(toy: Network, access: Connection, client: Person) -> None:
    argument = codec.encode({"steps": [["put", "a", "1"]], "filling": "x" * (5 * MIB)})
    with nothing_changes(access, client):
        with connected(access, client) as gateway, pytest.raises(SubmitError) as error:
            toy_of(gateway).submit("bad/run", argument)
        assert error.value.reason is Reason.TOO_LARGE
        assert not error.value.is_outcome_unknown
        with FabricLedger(read_connection(toy.layout.connection)) as ledger, pytest.raises(PortEndorseError) as told:
            ledger.submit(Call(channel="ledger", function="bad/run", argument=argument), by=DSO)
        assert told.value.reason == EndorseReason.TOO_LARGE


def test_a_chaincode_that_does_not_run_is_told_and_another_organisations_does_not_matter(
    toy: Network, access: Connection, client: Person
) -> None:
    with nothing_changes(access, client):
        toy.node_process("ledger-1.members").stop()
        with connected(access, client) as gateway:
            toy_of(gateway).evaluate(*words(["get", "a"]))
        toy.node_process("ledger-1.aggregator").stop()
        toy.node_process("ledger-1.dso").stop()
        with connected(access, client, retry=None) as gateway:
            assert refusals(gateway) == [Reason.CHAINCODE_STOPPED] * 2
        toy.up()


# Nodes


def test_a_peer_that_is_down_is_told_by_its_own_and_made_up_for_by_the_others(
    toy: Network, access: Connection, client: Person
) -> None:
    toy.node_process("peer0.members").stop()
    with connected(access, client, retry=None) as gateway:
        toy_of(gateway).submit(*words(["put", "a", "1"]))
        toy.node_process("peer0.aggregator").stop()

        def reason() -> Reason:
            with pytest.raises(EndorseError) as error:
                toy_of(gateway).endorse(*words(["put", "a", "2"]))
            return error.value.reason

        # The peers notice after some seconds that one of them is gone for good.
        assert reason() in {Reason.UNREACHABLE, Reason.POLICY_NOT_SATISFIABLE}
        assert until(lambda: reason() is Reason.POLICY_NOT_SATISFIABLE, deadline_s=DEADLINE_S)
        toy.node_process("peer0.dso").stop()
        assert refusals(gateway) == [Reason.UNREACHABLE] * 2
    toy.up()
    with connected(access, client) as gateway:
        assert toy_of(gateway).evaluate(*words(["get", "a"])) == b'["1"]'


# What is committed without effect, or not endorsed


def test_too_few_endorsements_have_no_effect(access: Connection, client: Person) -> None:
    with connected(access, client) as gateway:
        contract = toy_of(gateway)
        with pytest.raises(CommitError, match="check the endorsing organisations") as error:
            contract.submit(*words(["put", "solo", "1"]), endorsing_organisations=[DSO])
        assert error.value.code is ValidationCode.ENDORSEMENT_POLICY_FAILURE
        assert contract.evaluate(*words(["get", "solo"])) == b"[null]"


@pytest.mark.parametrize(
    ("read", "code"),
    [
        (["get", "read"], ValidationCode.MVCC_READ_CONFLICT),
        (["range", "read", "reae"], ValidationCode.PHANTOM_READ_CONFLICT),
    ],
)
def test_a_conflict_is_told_and_the_same_intention_endorsed_anew_succeeds(
    access: Connection, client: Person, read: list[Any], code: ValidationCode
) -> None:
    with connected(access, client) as gateway:
        contract = toy_of(gateway)
        proposed = contract.endorse(*words(read, ["put", code.name, "1"]))
        contract.submit(*words(["put", "read", secrets.token_hex(4)]))
        with pytest.raises(CommitError, match="changed meanwhile; endorse anew") as error:
            proposed.submit_and_wait()
        assert error.value.code is code
        assert contract.evaluate(*words(["get", code.name])) == b"[null]"
        contract.submit(*words(read, ["put", code.name, "1"]))
        assert contract.evaluate(*words(["get", code.name])) == b'["1"]'


def test_endorsers_that_differ_are_told(toy: Network, access: Connection, client: Person) -> None:
    with nothing_changes(access, client):
        with connected(access, client) as gateway, pytest.raises(EndorseError) as error:
            toy_of(gateway).submit(*words(["put_chance", "a"]))
        assert error.value.reason is Reason.ENDORSEMENTS_DIFFER
        assert {detail.msp_id for detail in error.value.details} <= {AGGREGATOR, DSO, MEMBERS}
        with FabricLedger(read_connection(toy.layout.connection), passing=ONCE) as ledger:
            with pytest.raises(PortEndorseError) as told:
                ledger.submit(spaced(["put_chance", "a"]), by=DSO)
            assert told.value.reason == EndorseReason.ENDORSEMENTS_DIFFER


def test_what_breaks_in_a_chaincode_is_no_refusal(toy: Network, access: Connection, client: Person) -> None:
    with nothing_changes(access, client), FabricLedger(read_connection(toy.layout.connection)) as ledger:
        with pytest.raises(LedgerError, match="chaincode response 500, Broken") as told:
            ledger.submit(spaced(["break"]), by=DSO)
        assert not isinstance(told.value, PortEndorseError)


# The command line


def test_the_command_line_tells_what_is_wrong_with_a_certificate_in_one_sentence(
    toy: Network, access: Connection, client: Person, tmp_path: Path
) -> None:
    own = access.organisations[AGGREGATOR].identities["client"]
    operator = Person(msp_id=AGGREGATOR, certificate_pem=own.certificate.read_bytes(), key_pem=own.key.read_bytes())
    with nothing_changes(access, client):
        for person, message in (
            (stranger(AGGREGATOR), "certificate_not_valid: "),
            (expired(toy, operator), "the identity's certificate has expired; reenroll it with the Fabric CA"),
            (replace(operator, key_pem=client.key_pem), "does not belong to the certificate"),
        ):
            assert_one_sentence(simulate(used_by(toy, access, person), tmp_path), message)


def test_the_command_line_tells_a_clock_that_is_off_in_one_sentence(
    toy: Network, access: Connection, client: Person, tmp_path: Path
) -> None:
    require_time_window()
    with nothing_changes(access, client):
        done = simulate(toy.layout.connection, tmp_path, program=LATE + WATTPOOL)
        assert_one_sentence(done, "set the clock (time synchronisation)")


def test_the_command_line_tells_nodes_that_are_down_in_one_sentence(
    toy: Network, access: Connection, client: Person, tmp_path: Path
) -> None:
    with nothing_changes(access, client):
        for name in ("ledger-1.aggregator", "ledger-1.dso", "ledger-1.members"):
            toy.node_process(name).stop()
        assert_one_sentence(simulate(toy.layout.connection, tmp_path), "the chaincode's process went away")
        toy.node_process("peer0.aggregator").stop()
        assert_one_sentence(simulate(toy.layout.connection, tmp_path), "a node is not within reach")
        for command in (["snapshot", "ledger"], ["crl", "push", "aggregator"]):
            words = ["network", *command, "--state", str(toy.layout.root)]
            assert_one_sentence(wattpool(words, tmp_path), "wattpool network: ")
        toy.up()


def test_the_command_line_tells_a_wrong_tls_root_in_one_sentence(
    toy: Network, access: Connection, client: Person, tmp_path: Path
) -> None:
    aggregator = replace(access.organisations[AGGREGATOR], tls_root=access.organisations[DSO].tls_root)
    file = toy.layout.root / "wrong-root.yaml"
    connection.write(file, replace(access, organisations={**access.organisations, AGGREGATOR: aggregator}))
    with nothing_changes(access, client):
        assert_one_sentence(simulate(file, tmp_path), "TLS could not be agreed; check root certificate")


def used_by(network: Network, access: Connection, person: Person) -> Path:
    """Write a connection file in which `person` is the client of his organisation."""
    directory = network.layout.root / f"used-by-{secrets.token_hex(4)}"
    directory.mkdir()
    files = IdentityFiles(certificate=directory / "cert.pem", key=directory / "key.pem")
    files.certificate.write_bytes(person.certificate_pem)
    files.key.write_bytes(person.key_pem)
    changed = replace(access.organisations[person.msp_id], identities={"client": files})
    file = network.layout.root / f"{directory.name}.yaml"
    connection.write(file, replace(access, organisations={**access.organisations, person.msp_id: changed}))
    return file


def spaced(*steps: list[Any]) -> Call:
    return replace(call(*steps), function="bad/run")


def require_time_window() -> None:
    if installed_fabric() is Fabric.V2_5:
        pytest.skip("peers of Fabric 2.5 have no time window")


def simulate(file: Path, directory: Path, *, program: str = WATTPOOL) -> subprocess.CompletedProcess[str]:
    return wattpool(["simulate", "--ledger", f"fabric:{file}", "--out", "figures"], directory, program=program)


def wattpool(arguments: list[str], directory: Path, *, program: str = WATTPOOL) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", program, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("wattpool")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
