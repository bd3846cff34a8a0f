"""Three organisations on three hosts, each with its own state directory, and keys that no other sees."""

import dataclasses
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fabric import peer_cli
from fabric.founded import EXAMPLE, free_port_base, installed_fabric
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_network import communities, connection, genesis, parts
from wattpool_network.cli import app
from wattpool_network.commands import Binaries
from wattpool_network.community import community
from wattpool_network.errors import NetworkError, StateMismatch
from wattpool_network.network import Network
from wattpool_network.readiness import until
from wattpool_network.snapshot import take

HOSTS = {"aggregator": "127.0.0.1", "dso": "127.0.0.2", "members": "127.0.0.3"}
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def prepared(fabric: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Network]]:  # noqa: ARG001 -- skips
    topology = community(command=EXAMPLE, port_base=free_port_base(), fabric=installed_fabric(), hosts=HOSTS)
    root = tmp_path_factory.mktemp("parts")
    networks = {name: Network(root / name, dataclasses.replace(topology, runs_here=name)) for name in HOSTS}
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(parts.prepare, networks.values()))
        yield networks
    finally:
        for network in networks.values():
            network.down(wipe=True)


@pytest.fixture(scope="module")
def parted(prepared: dict[str, Network]) -> dict[str, Network]:
    """The network, founded by all three at the same time."""
    blocks = [parts.join(network, others(prepared, name)) for name, network in prepared.items()]
    assert blocks[0] == blocks[1] == blocks[2]
    with ThreadPoolExecutor() as pool:
        list(pool.map(Network.up, prepared.values()))
    return prepared


def others(networks: dict[str, Network], name: str) -> list[Path]:
    return [
        network.layout.public(network.topology.organisations_here[0])
        for other, network in networks.items()
        if other != name
    ]


def test_nothing_goes_up_before_all_are_known(prepared: dict[str, Network]) -> None:
    state = str(prepared["dso"].layout.root)
    result = CliRunner().invoke(app, ["up", "--state", state])
    assert result.exit_code == 2
    assert "aggregator.public.json is yet to be given to `join`" in result.stderr
    with pytest.raises(NetworkError, match=r"members\.public\.json is yet to be given"):
        parts.join(prepared["dso"], others(prepared, "dso")[:1])


def test_a_public_part_that_is_none_is_refused(prepared: dict[str, Network], tmp_path: Path) -> None:
    network = prepared["members"]
    given = json.loads(others(prepared, "members")[0].read_text())
    file = tmp_path / "aggregator.public.json"
    foreign = json.loads(others(prepared, "members")[1].read_text())["roots"]["tlsca"]
    wrongs: tuple[object, ...] = (
        [],
        {**given, "organisation": "nobody"},
        {**given, "roots": {"ca": "no certificate", "tlsca": "no certificate"}},
        # The orderers' certificates are not of that authority.
        {**given, "roots": {**given["roots"], "tlsca": foreign}},
    )
    for wrong in wrongs:
        file.write_text(json.dumps(wrong))
        with pytest.raises(NetworkError, match="is no organisation's public part"):
            parts.join(network, [file])
    file.write_text(json.dumps({**given, "topology": {**given["topology"], "time_window_s": 1}}))
    with pytest.raises(StateMismatch, match="is of another network"):
        parts.join(network, [file])
    with pytest.raises(NetworkError, match="No such file"):
        parts.join(network, [tmp_path / "nowhere.json"])


def test_two_organisations_endorse_and_all_three_have_it(parted: dict[str, Network]) -> None:
    for name, network in parted.items():
        commands = network.commands()
        (own,) = network.topology.here(network.topology.peers)
        committed = {channel.name: commands.committed(own, channel) for channel in network.topology.channels}
        assert committed == {"contract": {"contract": 1}, "ledger": {"ledger": 1}}
        assert {one.node.organisation.name for one in network.nodes.status()} == {name}
    peer_cli.invoke(parted["aggregator"], "ledger", "create", "lamp", "5", endorsers=(0, 1))
    for position, network in enumerate(parted.values()):
        inventory = partial(peer_cli.query, network, "ledger", "inventory", peer=position)
        assert until(lambda ask=inventory: ask() == ["lamp"], deadline_s=DEADLINE_S)  # type: ignore[misc]  # a bound default


def test_no_machine_holds_another_organisations_keys(parted: dict[str, Network]) -> None:
    keys = {}
    for name, network in parted.items():
        files = {
            file for file in network.layout.root.rglob("*") if file.is_file() and b"PRIVATE KEY" in file.read_bytes()
        }
        assert files
        assert all(file.is_relative_to(network.layout.root / "organisations" / name) for file in files)
        keys[name] = {file.read_bytes() for file in files}
        assert list(connection.read(network.layout.connection).organisations) == [
            network.topology.organisations_here[0].msp_id
        ]
    assert len(set.union(*keys.values())) == sum(map(len, keys.values()))


def test_who_is_given_the_connections_of_all_can_act_for_all(parted: dict[str, Network]) -> None:
    files = [network.layout.connection for network in parted.values()]
    merged = read_connection(*files)
    assert list(merged.organisations) == [AGGREGATOR, DSO, MEMBERS]
    with FabricLedger(merged) as ledger:
        assert ledger.height("ledger") > 0


def test_one_organisation_restarts_alone(parted: dict[str, Network]) -> None:
    dso = Network.open(parted["dso"].layout.root)
    dso.down()
    peer_cli.invoke(parted["aggregator"], "ledger", "create", "meanwhile", "5", endorsers=(0, 2))
    dso.up()
    inventory = partial(peer_cli.query, dso, "ledger", "inventory", peer=1)
    assert until(lambda: "meanwhile" in inventory(), deadline_s=DEADLINE_S)


def test_a_further_community_is_added_by_all_three(parted: dict[str, Network]) -> None:
    with ThreadPoolExecutor() as pool:
        extended = list(pool.map(lambda network: communities.add(network, "elm"), parted.values()))
    channel = extended[0].channel("elm-ledger")
    blocks = {genesis.fingerprint(network.layout.genesis(channel).read_bytes()) for network in extended}
    assert len(blocks) == 1
    for network in extended:
        (own,) = network.topology.here(network.topology.peers)
        assert network.commands().committed(own, channel) == {"ledger": 1}


def test_a_public_part_is_written_anew_and_taken_in_again(parted: dict[str, Network]) -> None:
    dso = Network.open(parted["dso"].layout.root)
    file = dso.layout.public(dso.organisation("dso"))
    file.unlink()
    assert CliRunner().invoke(app, ["prepare", "--state", str(dso.layout.root)]).exit_code == 0
    parts.join(Network.open(parted["members"].layout.root), [file])


def test_what_needs_the_keys_of_all_says_so(parted: dict[str, Network]) -> None:
    dso = Network.open(parted["dso"].layout.root)
    with pytest.raises(NetworkError, match="here are those of dso alone"):
        take(dso, dso.topology.channels[0])
    with pytest.raises(NetworkError, match="there is no organisation members, but dso"):
        dso.organisation("members")


@pytest.mark.parametrize("hosts", ["", "dso=a", "aggregator=a,dso=b,members=", "aggregator=a,dso=b,members=c,dso=d"])
def test_hosts_are_each_named_once(tmp_path: Path, hosts: str) -> None:
    words = ["prepare", "--state", str(tmp_path / "state"), "--organisation", "dso", "--hosts", hosts]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "does not name one host for each of aggregator, dso, members" in result.stderr
