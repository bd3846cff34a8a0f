from pathlib import Path

import pytest

from wattpool_network import connection
from wattpool_network.community import community
from wattpool_network.errors import MalformedConnection
from wattpool_network.layout import Layout

TOPOLOGY = community(command=("serve",), port_base=9000)


def test_a_connection_is_read_back_as_written(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    connection.write(layout.connection, connection.of(TOPOLOGY, layout))
    assert connection.read(layout.connection) == connection.of(TOPOLOGY, layout)


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
        (b"channels: {}\norganisations: {DsoMSP: {name: dso}}", "lacks 'authority'"),
    ],
)
def test_a_malformed_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "connection.yaml"
    file.write_bytes(content)
    with pytest.raises(MalformedConnection, match=f"connection.yaml {message}"):
        connection.read(file)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MalformedConnection, match=r"nowhere\.yaml: No such file"):
        connection.read(tmp_path / "nowhere.yaml")
