import dataclasses
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fabric import peer_cli
from fabric.founded import DEADLINE_S, EXAMPLE, Founded, example_topology, free_port_base, installed_fabric, kill
from fabric_gateway import Identity, PrivateKeySigner, Tls, blocking
from wattpool_network import connection
from wattpool_network.cli import app
from wattpool_network.commands import Binaries, Commands
from wattpool_network.community import community
from wattpool_network.errors import BinaryMissing, NodeFailed, PortInUse, StateBusy, StateMismatch
from wattpool_network.network import Network
from wattpool_network.readiness import until
from wattpool_network.topology import Consensus, Fabric

FOUNDING_BUDGET_S = 60


def is_answered(ask: Callable[[], object], expected: object) -> bool:
    return ask() == expected


def states(network: Network) -> dict[str, str]:
    return {one.node.name: one.state for one in network.nodes.status()}


def heights(network: Network) -> list[dict[str, int]]:
    return [one.heights for one in network.nodes.status() if one.heights]


def test_a_network_is_founded_within_a_minute_with_both_chaincodes_committed_on_all_peers(
    founded: Founded, fabric: Binaries
) -> None:
    assert founded.founding_s < FOUNDING_BUDGET_S
    network = founded.network
    commands = Commands(binaries=fabric, topology=network.topology, layout=network.layout)
    for peer in network.topology.peers:
        committed = {channel.name: commands.committed(peer, channel) for channel in network.topology.channels}
        assert committed == {"contract": {"contract": 1}, "ledger": {"ledger": 1}}
    for orderer in network.topology.orderers:
        assert commands.orderer_channels(orderer) == {"contract", "ledger"}


def test_two_of_three_endorse_and_every_peer_has_it(network: Network) -> None:
    for chaincode in ("contract", "ledger"):
        peer_cli.invoke(network, chaincode, "create", "lamp", "5", endorsers=(0, 2))
        peer_cli.invoke(network, chaincode, "create", "chair", "6", endorsers=(1, 2))
        for peer in range(3):
            inventory = partial(peer_cli.query, network, chaincode, "inventory", peer=peer)
            assert until(partial(is_answered, inventory, ["chair", "lamp"]), deadline_s=DEADLINE_S)


def test_one_endorsement_is_not_enough(network: Network) -> None:
    with pytest.raises(AssertionError, match="ENDORSEMENT_POLICY_FAILURE"):
        peer_cli.invoke(network, "ledger", "create", "solo", "1", endorsers=(1,))


def test_chaincode_answers_its_own_organisations_nodes_alone(network: Network) -> None:
    topology, layout = network.topology, network.layout
    server = topology.chaincode_servers[0]
    others = [peer for peer in topology.peers if peer.organisation != server.organisation]
    for peer, is_let_in in ((topology.peers_of(server.organisation)[0], True), (others[0], False)):
        context = ssl.create_default_context(cafile=str(layout.tls_root(server.organisation)))
        tls = layout.home(peer) / "tls"
        context.load_cert_chain(tls / "server.crt", tls / "server.key")
        host = server.organisation.host
        with (
            socket.create_connection((host, server.port)) as plain,
            context.wrap_socket(plain, server_hostname=host) as wire,
        ):
            # With TLS 1.3 a client learns that it is refused when it reads.
            if is_let_in:
                assert wire.recv(1)
            else:
                with pytest.raises(ssl.SSLError):
                    wire.recv(1)


def test_up_leaves_a_running_network_alone(network: Network) -> None:
    before = [one.pid for one in network.nodes.status()]
    steps: list[str] = []
    network.up(report=steps.append)
    assert [one.pid for one in network.nodes.status()] == before
    assert steps == []


def test_what_is_on_the_ledger_is_there_after_down_and_up(network: Network) -> None:
    peer_cli.invoke(network, "ledger", "create", "table", "7")
    network.down()
    assert set(states(network).values()) == {"stopped"}
    network.up()
    assert peer_cli.query(network, "ledger", "read", "table")["value"] == 7
    peer_cli.invoke(network, "ledger", "create", "shelf", "8")


def test_a_killed_peer_is_shown_as_stopped_and_catches_up_when_started_again(network: Network) -> None:
    kill(network, "peer0.dso")
    assert [name for name, state in states(network).items() if state != "ready"] == ["peer0.dso"]
    peer_cli.invoke(network, "ledger", "create", "while-away", "1", endorsers=(0, 2))
    network.up()
    assert set(states(network).values()) == {"ready"}
    dso = [peer.name for peer in network.topology.peers].index("peer0.dso")
    inventory = partial(peer_cli.query, network, "ledger", "inventory", peer=dso)
    assert until(lambda: "while-away" in inventory(), deadline_s=DEADLINE_S)


def test_a_network_killed_as_a_whole_comes_back_with_its_ledger(network: Network) -> None:
    peer_cli.invoke(network, "contract", "create", "before-the-crash", "1")
    kill(network, *states(network))
    network.up()
    assert peer_cli.query(network, "contract", "read", "before-the-crash")["value"] == 1
    assert until(lambda: len({tuple(one.items()) for one in heights(network)}) == 1, deadline_s=DEADLINE_S)


def test_a_killed_chaincode_is_started_again_under_the_same_peers(network: Network) -> None:
    kill(network, "ledger-1.dso", "ledger-1.members", "ledger-1.aggregator")
    assert states(network)["ledger-1.dso"] == "stopped"
    network.up()
    peer_cli.invoke(network, "ledger", "create", "after-chaincode", "1")


def test_clients_find_what_they_need_in_the_connection_file(network: Network) -> None:
    access = connection.read(network.layout.connection)
    assert access.channels == {"contract": ("contract",), "ledger": ("ledger",)}
    for organisation in access.organisations.values():
        assert organisation.authority is not None
        files = [organisation.tls_root, organisation.authority.tls_root, organisation.identities["client"].certificate]
        assert all(file.read_text().startswith("-----BEGIN CERTIFICATE-----") for file in files)
        # Private keys are for nobody else on the machine.
        assert {one.key.stat().st_mode & 0o077 for one in organisation.identities.values()} == {0}


def test_a_gateway_client_gets_through_with_the_connection_file_alone(network: Network) -> None:
    access = connection.read(network.layout.connection).organisations["MembersMSP"]
    client = access.identities["client"]
    identity = Identity(msp_id="MembersMSP", certificate_pem=client.certificate.read_bytes())
    signer = PrivateKeySigner.load(client.key.read_bytes())
    tls = Tls(root_pem=access.tls_root.read_bytes())
    with blocking.Connection(access.peers[0], tls=tls) as opened:
        contract = blocking.Gateway(opened, identity, signer).network("ledger").contract("ledger")
        contract.submit("create", "by-gateway", "3")
        assert b"by-gateway" in contract.evaluate("inventory")


def test_another_topology_does_not_take_over_a_state_directory(network: Network) -> None:
    other = dataclasses.replace(network.topology, raft_tick_ms=100)
    with pytest.raises(StateMismatch, match="another topology"):
        Network(network.layout.root, other).up()


def test_a_directory_with_other_files_is_not_taken(fabric: Binaries, tmp_path: Path) -> None:  # noqa: ARG001 -- skips
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StateMismatch, match="choose another"):
        Network(tmp_path, example_topology()).up()


def test_two_commands_do_not_change_a_network_at_the_same_time(network: Network) -> None:
    with network.locked(), pytest.raises(StateBusy, match="in use by another command"):
        network.down()


def test_a_port_in_use_is_named_with_the_node_that_needs_it(fabric: Binaries, tmp_path: Path) -> None:  # noqa: ARG001
    topology = example_topology()
    peer = topology.peers[1]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", peer.port))
        with pytest.raises(PortInUse, match=f"port {peer.port}, which {peer.name} needs"):
            Network(tmp_path / "state", topology).up()


def test_a_chaincode_that_ends_is_told_with_its_last_words(fabric: Binaries, tmp_path: Path) -> None:  # noqa: ARG001
    command = (sys.executable, "-c", "raise SystemExit('no such rules')")
    topology = community(command=command, port_base=free_port_base(), fabric=installed_fabric())
    network = Network(tmp_path / "state", topology)
    try:
        with pytest.raises(NodeFailed, match="no such rules"):
            network.up()
        assert states(network)["ledger-1.dso"] == "stopped"
        assert states(network)["peer0.dso"] == "ready"
    finally:
        network.down(wipe=True)
    assert not network.layout.root.exists()


class CutOffError(Exception):
    """Stands for whatever ends a command before its time."""


def test_a_founding_cut_off_at_any_step_goes_on(fabric: Binaries, tmp_path: Path) -> None:  # noqa: ARG001 -- skips
    network = Network(tmp_path / "state", example_topology())
    steps: list[str] = []

    def cut_off(step: str) -> None:
        if step not in steps:
            steps.append(step)
            raise CutOffError

    try:
        while not network.is_up():
            with suppress(CutOffError):
                network.up(report=cut_off)
        assert steps == ["certificate authorities", "orderers and peers", "channels", "chaincode", "discovery"]
        peer_cli.invoke(network, "ledger", "create", "lamp", "5")
    finally:
        network.down(wipe=True)


def test_byzantine_orderers_order(fabric: Binaries, tmp_path: Path) -> None:  # noqa: ARG001 -- skips
    if installed_fabric() is not Fabric.V3:
        pytest.skip("BFT needs Fabric 3")
    topology = community(
        command=EXAMPLE,
        orderers=4,
        consensus=Consensus.BFT,
        port_base=free_port_base(),
    )
    network = Network(tmp_path / "state", topology)
    try:
        network.up()
        peer_cli.invoke(network, "ledger", "create", "lamp", "5")
        kill(network, "orderer1.aggregator")
        peer_cli.invoke(network, "ledger", "create", "chair", "6")
    finally:
        network.down(wipe=True)


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FABRIC_BIN", raising=False)
    with pytest.raises(BinaryMissing, match="Fabric's peer is neither in"):
        Binaries.find()


def test_the_command_line_shows_the_state_and_the_logs(network: Network) -> None:
    shown = CliRunner().invoke(app, ["status", "--state", str(network.layout.root)])
    assert shown.exit_code == 0
    assert [line.split()[:2] for line in shown.stdout.splitlines()] == [
        [node.name, "ready"] for node in network.topology.nodes
    ]
    log = CliRunner().invoke(app, ["logs", "contract-1.dso", "--state", str(network.layout.root), "--lines", "1"])
    assert "contract_1:" in log.stdout


def test_the_compose_file_runs_every_node_on_the_files_of_the_native_ones(network: Network) -> None:
    shown = CliRunner().invoke(app, ["compose", "--state", str(network.layout.root)])
    file = yaml.safe_load(shown.stdout)
    assert set(file) == {"name", "services"}
    services = file["services"]
    for service in services.values():
        # Of the compose specification's words for a service.
        assert set(service) <= {
            "image",
            "command",
            "environment",
            "env_file",
            "network_mode",
            "user",
            "volumes",
            "restart",
        }
        assert all(isinstance(word, str) for word in service["command"])
        assert all(isinstance(value, str) for value in service.get("environment", {}).values())
        for settings in service.get("env_file", []):
            assert Path(settings).stat().st_mode & 0o077 == 0
            assert Path(settings).read_text().startswith("CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG='{")
    assert list(services) == [node.name for node in network.topology.nodes]
    assert {tuple(service["volumes"]) for service in services.values()} == {
        (f"{network.layout.root}:{network.layout.root}",)
    }
    peer = network.topology.peers[0]
    assert services[peer.name]["environment"]["FABRIC_CFG_PATH"] == str(network.layout.home(peer))
    assert services["ledger-1.dso"]["command"] == ["ledger"]
    chaincode = services["ledger-1.dso"]["environment"]
    assert chaincode["CHAINCODE_ID"].startswith("ledger_1:")
    for name in ("CHAINCODE_TLS_KEY", "CHAINCODE_TLS_CERT", "CHAINCODE_CLIENT_CA_CERT"):
        assert Path(chaincode[name]).is_relative_to(network.layout.root)
        assert Path(chaincode[name]).is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["up", "--orderers", "4"], "holds a network of another topology"),
        (["up", "--consensus", "bft"], "BFT needs at least 4 orderers"),
        (["logs", "peer9.dso"], "there is no node peer9.dso"),
        (["snapshot", "gas"], "there is no channel gas, but contract, ledger"),
        (["crl", "push", "nobody"], "there is no organisation nobody, but aggregator, dso, members"),
        (["org", "remove", "nobody"], "there is no organisation nobody"),
        (["org", "add", "dso", "OtherMSP"], "organisation dso is there twice"),
        (["upgrade", "gas", "--version", "2"], "there is no chaincode gas"),
    ],
)
def test_each_wrong_word_is_answered_with_one_sentence(network: Network, words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, [*words, "--state", str(network.layout.root)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_command_line_says_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--state", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr == f"wattpool network: {tmp_path} holds no network; `up` founds one\n"
