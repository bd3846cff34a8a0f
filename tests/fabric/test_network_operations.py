"""Operations on a real network, under load where a community would be at work meanwhile."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509

from fabric import peer_cli
from fabric.founded import EXAMPLE
from wattpool_network import backup, enrolment, membership, snapshot
from wattpool_network.errors import NetworkError, NodeFailed, StateMismatch
from wattpool_network.network import Network
from wattpool_network.renewal import renew_certificates
from wattpool_network.revocation import push_crl
from wattpool_network.topology import Orderer, Peer
from wattpool_network.upgrade import upgrade

_NUMBERS = count()


@contextmanager
def load(network: Network) -> Iterator[list[str]]:
    """Submit all the time, a new asset each; the list has those acknowledged."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def submit() -> None:
        while not stop.is_set():
            name = f"load-{next(_NUMBERS)}"
            try:
                peer_cli.invoke(network, "ledger", "create", name, "1", endorsers=(0, 1, 2))
            except AssertionError:
                # A node is away for the moment; what was not acknowledged is not counted.
                continue
            acknowledged.append(name)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        thread.join()


def serial(file: Path) -> int:
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


def test_a_revoked_identity_is_refused_once_the_list_is_pushed_and_the_others_are_not(network: Network) -> None:
    members = network.organisation("members")
    session = enrolment.registrar(network.authority_of(members), network.layout)
    peer = network.topology.peers.index(network.topology.peers_of(members)[0])
    peer_cli.query(network, "ledger", "inventory", peer=peer)
    session.revoke("client")
    peer_cli.query(network, "ledger", "inventory", peer=peer)
    push_crl(network, members)
    with pytest.raises(AssertionError, match=r"access denied"):
        peer_cli.query(network, "ledger", "inventory", peer=peer)
    peer_cli.invoke(network, "ledger", "create", "after-revocation", "1")


def test_certificates_are_renewed_one_node_after_the_other_while_the_network_goes_on(network: Network) -> None:
    dso = network.organisation("dso")
    layout = network.layout
    nodes: tuple[Orderer | Peer, ...] = (*network.topology.orderers_of(dso), *network.topology.peers_of(dso))
    files = [layout.home(node) / name for node in nodes for name in ("msp/signcerts/cert.pem", "tls/server.crt")]
    files += [layout.home(server) / "tls/server.crt" for server in network.topology.chaincode_servers_of(dso)]
    before = [serial(file) for file in files]
    with load(network) as acknowledged:
        renew_certificates(network, dso)
    assert not set(before) & {serial(file) for file in files}
    peer_cli.invoke(network, "ledger", "create", "renewed", "1", endorsers=(1, 2))
    assert {"renewed", *acknowledged} <= set(peer_cli.query(network, "ledger", "inventory", peer=1))


def test_snapshots_of_all_peers_have_the_same_hash_at_rest_and_under_load(network: Network) -> None:
    channel = network.topology.channels[1]
    assert len(snapshot.take(network, channel).directories) == 3
    with load(network):
        taken = snapshot.take(network, channel)
    assert len(taken.hash) == 64
    assert all(directory.is_dir() for directory in taken.directories.values())


def test_a_snapshot_needs_all_peers(network: Network) -> None:
    network.node_process("peer0.dso").stop()
    with pytest.raises(NetworkError, match=r"peer0\.dso is stopped"):
        snapshot.take(network, network.topology.channels[0])


def test_a_backup_made_under_load_has_all_that_was_acknowledged_before(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    with load(network) as acknowledged:
        peer_cli.invoke(network, "ledger", "create", "kept", "1")
        before = list(acknowledged)
        backup.save(network, file)
    peer_cli.invoke(network, "ledger", "create", "lost", "1")
    assert file.stat().st_mode & 0o077 == 0
    network.down()
    restored = backup.restore(file, tmp_path / "elsewhere")
    try:
        restored.up()
        inventory = peer_cli.query(restored, "ledger", "inventory")
        peer_cli.invoke(restored, "ledger", "create", "after-restore", "1")
    finally:
        restored.down(wipe=True)
    assert {"kept", *before} <= set(inventory)
    assert "lost" not in inventory


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
    with load(network) as acknowledged:
        upgraded = upgrade(network, "ledger", command=EXAMPLE, version="2")
    assert acknowledged
    assert [node.name for node in upgraded.topology.nodes if node.name.startswith("ledger")] == [
        "ledger-2.aggregator",
        "ledger-2.dso",
        "ledger-2.members",
    ]
    assert all(one.is_ready for one in upgraded.nodes.status())
    assert network.node_process("ledger-1.dso").pid is None
    peer_cli.invoke(upgraded, "ledger", "create", "upgraded", "1")
    assert {"upgraded", *acknowledged} <= set(peer_cli.query(upgraded, "ledger", "inventory"))
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
    with load(network) as acknowledged:
        joined = membership.add(network, name="auditor", msp_id="AuditorMSP")
    auditor = len(joined.topology.peers) - 1
    peer_cli.invoke(joined, "ledger", "create", "joined", "1", endorsers=(0, 1, auditor))
    assert {"joined", *acknowledged} <= set(peer_cli.query(joined, "ledger", "inventory", peer=auditor))
    assert all(one.is_ready for one in joined.nodes.status())
    reduced = membership.remove(joined, joined.organisation("members"))
    assert [one.name for one in reduced.topology.organisations] == ["aggregator", "dso", "auditor"]
    peer_cli.invoke(reduced, "ledger", "create", "after-leaving", "1", endorsers=(0, 1))
    assert "after-leaving" in peer_cli.query(reduced, "ledger", "inventory", peer=2)
    left = [node for node in joined.topology.nodes if node.organisation.name == "members"]
    assert [joined.nodes.process(node).pid for node in left] == [None] * 5
    reduced.down()
    Network.open(reduced.layout.root).up()
