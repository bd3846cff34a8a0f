from pathlib import Path

import pytest
from typer.testing import CliRunner

from wattpool.bad_input import BadInput
from wattpool.cli import app
from wattpool_network import connection
from wattpool_network.community import community, with_community
from wattpool_network.errors import MalformedConnection
from wattpool_network.layout import Layout

TOPOLOGY = community(command=("serve",), port_base=9000)


def test_a_connection_is_read_back_as_written(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    connection.write(layout.connection, connection.of(TOPOLOGY, layout))
    assert connection.read(layout.connection) == connection.of(TOPOLOGY, layout)


def test_further_communities_are_listed_with_their_channels_and_chosen_by_name(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    connection.write(layout.connection, connection.of(with_community(TOPOLOGY, "elm"), layout))
    read = connection.read(layout.connection)
    assert read.communities == {"elm": {"contract": "elm-contract", "ledger": "elm-ledger"}}
    assert list(read.channels) == ["contract", "ledger", "elm-contract", "elm-ledger"]
    out = str(tmp_path / "out")
    result = CliRunner().invoke(app, ["simulate", "--ledger", f"fabric:{layout.connection}#oak", "--out", out])
    assert isinstance(result.exception, BadInput)
    assert "there is no community 'oak' on this network, but elm" in str(result.exception)


def test_a_connection_still_names_its_files_after_the_directory_was_moved(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "here")
    layout.root.mkdir()
    connection.write(layout.connection, connection.of(TOPOLOGY, layout))
    layout.root.rename(tmp_path / "there")
    access = connection.read(tmp_path / "there" / "connection.yaml").organisations["DsoMSP"]
    assert access.identities["client"].key == tmp_path / "there/organisations/dso/users/client/msp/keystore/key.pem"
    assert access.peers == ("127.0.0.1:9140",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "is not YAML"),
        (b"a: [", "is not YAML"),
        (b"", "does not describe a network"),
        (b"3", "does not describe a network"),
        (b"channels: {}", "lacks 'organisations'"),
        (b"channels: {}\norganisations: {DsoMSP: {name: dso}}", "lacks 'peers'"),
        (b"channels: {}\norganisations: [DsoMSP]", "does not describe a network"),
        (b"channels: {ledger: {chaincodes: ledger}}\norganisations: {}", "does not describe a network"),
    ],
)
def test_a_malformed_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "connection.yaml"
    file.write_bytes(content)
    with pytest.raises(MalformedConnection, match=f"connection.yaml {message}"):
        connection.read(file)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("    peers:\n    - 127.0.0.1:9040\n", "    peers: []\n", "AggregatorMSP has no peer"),
        ("    peers:\n    - 127.0.0.1:9040\n", "    peers: 127.0.0.1:9040\n", "does not describe a network"),
        ("- 127.0.0.1:9040\n", "- peer0\n", "'peer0' is not host:port"),
        ("- 127.0.0.1:9040\n", "- https://peer0:9040\n", "'https://peer0:9040' is not host:port"),
        ("    tls_root: ", "    root: ", "lacks 'tls_root'"),
        ("    identities:\n", "    identities: 3\n    others:\n", "does not describe a network"),
        ("        key: ", "        keys: ", "lacks 'key'"),
        ("  authority:\n", "  authority: []\n  other:\n", "does not describe a network"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path: Path, before: str, after: str, message: str) -> None:
    layout = Layout(tmp_path)
    connection.write(layout.connection, connection.of(TOPOLOGY, layout))
    text = layout.connection.read_text()
    assert before in text
    layout.connection.write_text(text.replace(before, after, 1))
    with pytest.raises(MalformedConnection, match=message):
        connection.read(layout.connection)


def test_a_file_without_organisations_is_no_connection(tmp_path: Path) -> None:
    file = tmp_path / "connection.yaml"
    file.write_text("channels: {}\norganisations: {}")
    with pytest.raises(MalformedConnection, match="there is no organisation"):
        connection.read(file)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MalformedConnection, match=r"nowhere\.yaml: No such file"):
        connection.read(tmp_path / "nowhere.yaml")
