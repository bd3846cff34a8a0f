"""Operations on a real network, under load where a community would be at work meanwhile."""

import logging
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from fabric import on_ledger, peer_cli
from fabric.founded import EXAMPLE
from fabric.load import Running, running
from fabric_gateway import GatewayError, Identity, PrivateKeySigner, Reason, Tls, blocking
from fabric_gateway.ca import CertificateId
from wattpool_network import backup, connection, enrolment, membership, snapshot
from wattpool_network.community import community
from wattpool_network.errors import NetworkError, NodeFailed, StateMismatch
from wattpool_network.network import Network
from wattpool_network.renewal import renew_certificates
from wattpool_network.revocation import push_crl
from wattpool_network.topology import Consensus, Orderer, Organisation, Peer
from wattpool_network.upgrade import upgrade

# Who works meanwhile; the client of the third one is revoked here, and the organisation leaves.
AT_WORK = ("AggregatorMSP", "DsoMSP")
SOME = 30

log = logging.getLogger(__name__)


@contextmanager
def load(network: Network) -> Iterator[Running]:
    """Have transactions all the time, before, while and after; at the end each must be on the ledger once."""
    with running(network.layout.connection, *AT_WORK) as work:
        work.await_progress(SOME)
        yield work
        work.await_progress(SOME)


def check(work: Running, network: Network) -> on_ledger.Chain:
    log.info("meanwhile %s", work.load.figures)
    return on_ledger.assert_exactly_once(network, work.acknowledged, prefix=work.prefix)


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def served_serial(node: Orderer | Peer) -> int:
    """Return the serial number of the certificate by which a node is known over TLS."""
    pem = ssl.get_server_certificate((node.organisation.host, node.port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def read_a_block(network: Network, organisation: Organisation, directory: Path, certificate_pem: bytes) -> None:
    """Ask an organisation's peer for the first block, as the holder of the key in an MSP directory."""
    access = connection.read(network.layout.connection).organisations[organisation.msp_id]
    identity = Identity(msp_id=organisation.msp_id, certificate_pem=certificate_pem)
    signer = PrivateKeySigner.load((directory / "keystore" / "key.pem").read_bytes())
    with blocking.Connection(access.peers[0], tls=Tls(root_pem=access.tls_root.read_bytes())) as opened:
        channel = blocking.Gateway(opened, identity, signer).network("ledger")
        with channel.block_events(start_block=0, stop_block=0) as blocks:
            assert [block.header.number for block in blocks] == [0]


def test_a_revoked_identity_is_refused_once_the_list_is_pushed_and_the_others_are_not(network: Network) -> None:
    members = network.organisation("members")
    session = enrolment.registrar(network.authority_of(members), network.layout)
    peer = network.topology.peers.index(network.topology.peers_of(members)[0])
    peer_cli.query(network, "ledger", "inventory", peer=peer)
    session.revoke("client")
    peer_cli.query(network, "ledger", "inventory", peer=peer)
    with load(network) as work:
        push_crl(network, members)
    check(work, network)
    with pytest.raises(AssertionError, match=r"access denied"):
        peer_cli.query(network, "ledger", "inventory", peer=peer)
    peer_cli.invoke(network, "ledger", "create", "after-revocation", "1")


def test_certificates_are_renewed_one_node_after_the_other_while_the_network_goes_on(network: Network) -> None:
    dso = network.organisation("dso")
    layout = network.layout
    nodes: tuple[Orderer | Peer, ...] = (*network.topology.orderers_of(dso), *network.topology.peers_of(dso))
    msps = [layout.home(node) / "msp" for node in nodes]
    old = [(msp / "signcerts" / "cert.pem").read_bytes() for msp in msps]
    old_served = [served_serial(node) for node in nodes]
    files = [layout.home(server) / "tls/server.crt" for server in network.topology.chaincode_servers_of(dso)]
    of_chaincode = [certificate(file).serial_number for file in files]
    with load(network) as work:
        renew_certificates(network, dso)
    check(work, network)
    assert [served_serial(node) for node in nodes] == [
        certificate(layout.home(node) / "tls" / "server.crt").serial_number for node in nodes
    ]
    assert not set(old_served) & {served_serial(node) for node in nodes}
    assert not set(of_chaincode) & {certificate(file).serial_number for file in files}
    for msp, pem in zip(msps, old, strict=True):
        assert (msp / "signcerts" / "cert.pem").read_bytes() != pem

    # Whoever kept an old one gets nowhere once it is revoked; the new one of the same holder and key is good.
    session = enrolment.registrar(network.authority_of(dso), layout)
    peer_msp, old_pem = msps[-1], old[-1]
    read_a_block(network, dso, peer_msp, old_pem)
    with load(network) as work:
        session.revoke_certificate(CertificateId.of(x509.load_pem_x509_certificate(old_pem)))
        push_crl(network, dso)
    check(work, network)
    with pytest.raises(GatewayError) as refused:
        read_a_block(network, dso, peer_msp, old_pem)
    assert refused.value.reason is Reason.ACCESS_DENIED
    read_a_block(network, dso, peer_msp, (peer_msp / "signcerts" / "cert.pem").read_bytes())
    peer_cli.invoke(network, "ledger", "create", "renewed", "1", endorsers=(1, 2))


def test_snapshots_of_all_peers_have_the_same_hash_at_rest_and_under_load(network: Network) -> None:
    channel = network.topology.channels[1]
    assert len(snapshot.take(network, channel).directories) == 3
    with load(network) as work:
        taken = snapshot.take(network, channel)
    check(work, network)
    assert len(taken.hash) == 64
    assert all(directory.is_dir() for directory in taken.directories.values())


def test_a_snapshot_needs_all_peers(network: Network) -> None:
    network.node_process("peer0.dso").stop()
    with pytest.raises(NetworkError, match=r"peer0\.dso is stopped"):
        snapshot.take(network, network.topology.channels[0])


def test_a_backup_made_under_load_has_all_that_was_acknowledged_before_and_goes_on_from_there(
    network: Network, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar.gz"
    with load(network) as work:
        before = work.acknowledged
        backup.save(network, file)
    original = check(work, network)
    assert file.stat().st_mode & 0o077 == 0
    network.down()
    restored = backup.restore(file, tmp_path / "elsewhere")
    try:
        restored.up()
        peers = on_ledger.chains(restored)
        kept = peers["peer0.dso"]
        assert all(chain == kept for chain in peers.values())
        assert kept.commit_hashes == original.commit_hashes[: kept.height]
        assert kept.height < original.height
        assert set(before) <= set(kept.puts)
        with load(restored) as work:
            pass
        check(work, restored)
    finally:
        restored.down(wipe=True)


def test_a_backup_overwrites_nothing(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "precious.tar.gz"
    file.touch()
    with pytest.raises(NetworkError, match="does not overwrite"):
        backup.save(network, file)
    with pytest.raises(StateMismatch, match="not empty"):
        backup.restore(file, tmp_path)
    with pytest.raises(NetworkError, match="cannot be restored"):
        backup.restore(file, tmp_path / "new")


def test_a_chaincode_is_upgraded_under_load(network: Network) -> None:
    with load(network) as work:
        upgraded = upgrade(network, "ledger", command=EXAMPLE, version="2")
    check(work, upgraded)
    assert [node.name for node in upgraded.topology.nodes if node.name.startswith("ledger")] == [
        "ledger-2.aggregator",
        "ledger-2.dso",
        "ledger-2.members",
    ]
    assert all(one.is_ready for one in upgraded.nodes.status())
    assert network.node_process("ledger-1.dso").pid is None
    peer_cli.invoke(upgraded, "ledger", "create", "upgraded", "1")
    assert "upgraded" in peer_cli.query(upgraded, "ledger", "inventory")
    upgraded.down()
    again = Network.open(upgraded.layout.root)
    again.up()
    assert "upgraded" in peer_cli.query(again, "ledger", "inventory")
    with pytest.raises(NetworkError, match="has version 2 already"):
        upgrade(again, "ledger", command=EXAMPLE, version="2")
    with pytest.raises(NetworkError, match="there is no chaincode gas, but contract, ledger"):
        upgrade(again, "gas", command=EXAMPLE, version="2")


def test_an_upgrade_that_was_cut_off_is_completed_by_up(network: Network) -> None:
    def cut_off(step: str) -> None:
        if step == "discovery":
            raise NetworkError("cut off")

    with pytest.raises(NetworkError, match="cut off"):
        upgrade(network, "contract", command=EXAMPLE, version="2", report=cut_off)
    Network.open(network.layout.root).down()
    assert all(network.nodes.process(node).pid is None for node in network.topology.nodes)
    upgraded = Network.open(network.layout.root)
    upgraded.up()
    assert upgraded.channel("contract").chaincodes[0].version == "2"
    peer_cli.invoke(upgraded, "contract", "create", "upgraded", "1")


def test_an_upgrade_to_a_chaincode_that_does_not_start_leaves_the_old_one_at_work(network: Network) -> None:
    with pytest.raises(NodeFailed, match="no such rules"):
        upgrade(network, "ledger", command=(sys.executable, "-c", "raise SystemExit('no such rules')"), version="9")
    kept = Network.open(network.layout.root)
    assert kept.topology == network.topology
    assert kept.is_up()
    peer_cli.invoke(kept, "ledger", "create", "still-there", "1")


def test_an_organisation_joins_and_another_leaves_under_load(network: Network) -> None:
    with load(network) as work:
        joined = membership.add(network, name="auditor", msp_id="AuditorMSP")
    check(work, joined)
    auditor = len(joined.topology.peers) - 1
    peer_cli.invoke(joined, "ledger", "create", "joined", "1", endorsers=(0, 1, auditor))
    assert "joined" in peer_cli.query(joined, "ledger", "inventory", peer=auditor)
    assert all(one.is_ready for one in joined.nodes.status())
    with load(joined) as work:
        reduced = membership.remove(joined, joined.organisation("members"))
    check(work, reduced)
    assert [one.name for one in reduced.topology.organisations] == ["aggregator", "dso", "auditor"]
    peer_cli.invoke(reduced, "ledger", "create", "after-leaving", "1", endorsers=(0, 1))
    assert "after-leaving" in peer_cli.query(reduced, "ledger", "inventory", peer=2)
    left = [node for node in joined.topology.nodes if node.organisation.name == "members"]
    assert [joined.nodes.process(node).pid for node in left] == [None] * 5
    with pytest.raises(NetworkError, match="collection meter_data cannot be without dso"):
        membership.remove(reduced, reduced.organisation("dso"))
    reduced.down()
    Network.open(reduced.layout.root).up()


def test_an_organisation_whose_bft_orderers_are_needed_does_not_leave(tmp_path: Path) -> None:
    network = Network(tmp_path, community(orderers=4, consensus=Consensus.BFT))
    with pytest.raises(NetworkError, match="dso cannot leave: BFT needs at least 4 orderers to survive one that lies"):
        membership.remove(network, network.organisation("dso"))
    larger = Network(tmp_path, community(orderers=5, consensus=Consensus.BFT))
    with pytest.raises(NetworkError, match="members runs BFT orderers, which cannot leave"):
        membership.remove(larger, larger.organisation("members"))
