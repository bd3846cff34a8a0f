"""What breaks a naive client or chaincode in Python, each tried on a real network.

Other traps are tried elsewhere: idle streams, large arguments and the Gateway's limit under load; clocks, differing
endorsements and policies as bad input; that a transaction does not read what it wrote as a promise of every ledger.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from fabric_protos.common import common_pb2

from fabric_gateway import GatewayError, Identity, PrivateKeySigner, Reason, Tls, ValidationCode, blocking
from fabric_gateway.ca import CaClient, CaRefused
from ledger.on_fabric import TOY, toy_topology
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import codec
from wattpool_network import connection, package
from wattpool_network.commands import Binaries
from wattpool_network.connection import Connection
from wattpool_network.errors import CommandFailed
from wattpool_network.network import Network

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def toy(fabric: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:  # noqa: ARG001 -- skips
    network = Network(tmp_path_factory.mktemp("toy") / "state", toy_topology())
    try:
        network.up()
        yield network
    finally:
        Network.open(network.layout.root).down(wipe=True)


@dataclass(frozen=True, kw_only=True)
class HighSigner:
    """Signs rightly, with the higher one of the two possible s."""

    low: PrivateKeySigner

    def sign(self, digest: bytes) -> bytes:
        r, s = decode_dss_signature(self.low.sign(digest))
        return encode_dss_signature(r, P256_ORDER - s)


@dataclass(frozen=True, kw_only=True)
class Client:
    """The DSO's own."""

    access: Connection
    identity: Identity
    signer: PrivateKeySigner

    @property
    def tls(self) -> Tls:
        return Tls(root_pem=self.access.organisations[DSO].tls_root.read_bytes())

    @property
    def peer(self) -> str:
        return self.access.organisations[DSO].peers[0]


@pytest.fixture
def client(toy: Network) -> Client:
    access = connection.read(toy.layout.connection)
    files = access.organisations[DSO].identities["client"]
    identity = Identity(msp_id=DSO, certificate_pem=files.certificate.read_bytes())
    return Client(access=access, identity=identity, signer=PrivateKeySigner.load(files.key.read_bytes()))


@pytest.fixture
def gateway(client: Client) -> Iterator[blocking.Gateway]:
    with blocking.Connection(client.peer, tls=client.tls) as opened:
        yield blocking.Gateway(opened, client.identity, client.signer)


@pytest.fixture
def contract(gateway: blocking.Gateway) -> blocking.Contract:
    return gateway.network("ledger").contract("ledger")


def words(*steps: list[Any]) -> tuple[str, bytes]:
    return "trap/run", codec.encode({"steps": list(steps)})


def test_peer_and_authority_refuse_the_higher_s(client: Client) -> None:
    signer = HighSigner(low=client.signer)
    with blocking.Connection(client.peer, tls=client.tls) as opened:
        contract = blocking.Gateway(opened, client.identity, signer).network("ledger").contract("ledger")
        with pytest.raises(GatewayError) as error:
            contract.evaluate(*words(["get", "a"]))
    assert error.value.reason is Reason.ACCESS_DENIED
    authority = client.access.organisations[DSO].authority
    assert authority is not None
    asked = CaClient(authority.url, tls=Tls(root_pem=authority.tls_root.read_bytes()), ca_name=authority.name)
    with pytest.raises(CaRefused):
        asked.session(client.identity, signer).affiliations()


def test_an_envelope_sent_twice_is_on_the_chain_twice_and_has_one_effect(
    gateway: blocking.Gateway, contract: blocking.Contract
) -> None:
    key = secrets.token_hex(4)
    transaction = contract.endorse(*words(["put", key, "1"]))
    first = transaction.submit_and_wait()
    contract.submit(*words(["put", key, "2"]))
    transaction.submit()
    marked = contract.submit(*words(["put", "mark", key]))
    codes = {}
    with gateway.network("ledger").block_events(start_block=0, stop_block=marked.block_number) as blocks:
        for block in blocks:
            for data, code in zip(
                block.data.data, block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER], strict=True
            ):
                if first.transaction_id.encode() in data:
                    codes[block.header.number] = code
    assert sorted(codes.values()) == [ValidationCode.VALID, ValidationCode.DUPLICATE_TXID]
    # What the first one came to is still what is told of the id.
    assert transaction.submit().status().is_valid
    assert contract.evaluate(*words(["get", key])) == b'["2"]'


@pytest.mark.parametrize(
    "steps",
    [
        [["page", "", "", 1, ""], ["put", "a", "1"]],
        [["put", "a", "1"], ["page", "", "", 1, ""]],
        [["range_private", "", ""], ["put", "a", "1"]],
        [["put", "a", "1"], ["range_private", "", ""]],
    ],
)
def test_pages_and_private_ranges_are_for_transactions_that_write_nothing(
    contract: blocking.Contract, steps: list[list[Any]]
) -> None:
    for attempt in (contract.evaluate, contract.endorse):
        with pytest.raises(GatewayError, match="Writes are not allowed") as error:
            attempt(*words(*steps))
        assert error.value.reason is Reason.CHAINCODE_REFUSED


def test_requests_of_several_threads_of_one_transaction_all_have_an_answer(contract: blocking.Contract) -> None:
    contract.submit(*words(*(["put", f"t{number}", str(number)] for number in range(50))))
    answered = contract.evaluate(*words(["get_together", [f"t{number}" for number in range(50)]]))
    assert codec.decode(answered) == [[str(number) for number in range(50)]]


def test_two_of_three_organisations_cannot_exchange_a_chaincode(toy: Network) -> None:
    commands = toy.commands()
    channel = toy.channel("ledger")
    other = replace(channel.chaincodes[0], version="2", sequence=2, command=TOY)
    for organisation in toy.topology.organisations[:2]:
        package_id = package.id_of(toy.topology.server_of(organisation, channel.chaincodes[0]))
        commands.approve(toy.topology.peers_of(organisation)[0], channel, other, package_id)
    for peers, message in (
        (toy.topology.peers[:2], "ENDORSEMENT_POLICY_FAILURE"),
        (toy.topology.peers, "not agreed to by this org"),
    ):
        with pytest.raises(CommandFailed, match=message):
            commands.commit(peers, channel, other)
    assert commands.committed(toy.topology.peers[0], channel) == {"ledger": 1}
