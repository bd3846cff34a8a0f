"""Settings from code and from the environment."""

import socket
from pathlib import Path

import pytest

from fabric_shim import ConfigurationError, Response, Server, ServerConfig, Tls, read_environment
from shim.conftest import FunctionChaincode

PLAIN = {"CHAINCODE_ID": "cc:1", "CHAINCODE_SERVER_ADDRESS": "0.0.0.0:9999"}
GO = {"CHAINCODE_TLS_KEY": "key", "CHAINCODE_TLS_CERT": "cert"}
NODE = {"CHAINCODE_TLS_KEY_FILE": "key", "CHAINCODE_TLS_CERT_FILE": "cert"}
SERVER_TLS = Tls(certificate=Path("cert"), private_key=Path("key"))
MUTUAL_TLS = Tls(certificate=Path("cert"), private_key=Path("key"), client_ca=Path("ca"))


@pytest.mark.parametrize(
    ("extra", "tls"),
    [
        ({}, None),
        ({"CHAINCODE_TLS_DISABLED": "true"}, None),
        (GO | {"CHAINCODE_TLS_DISABLED": "TRUE"}, None),
        (GO, SERVER_TLS),
        (NODE, SERVER_TLS),
        (GO | {"CHAINCODE_TLS_DISABLED": "false", "CHAINCODE_CLIENT_CA_CERT": "ca"}, MUTUAL_TLS),
        (NODE | {"CHAINCODE_TLS_CLIENT_CACERT_FILE": "ca"}, MUTUAL_TLS),
    ],
)
def test_the_environment_says_how_to_serve(extra: dict[str, str], tls: Tls | None) -> None:
    expected = ServerConfig(package_id="cc:1", address="0.0.0.0:9999", tls=tls)
    assert read_environment(PLAIN | extra) == expected


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "CHAINCODE_ID must be set"),
        ({"CHAINCODE_ID": "cc:1"}, "CHAINCODE_SERVER_ADDRESS must be set"),
        (PLAIN | {"CHAINCODE_ID": ""}, "CHAINCODE_ID must be set"),
        (PLAIN | {"CHAINCODE_SERVER_ADDRESS": "localhost"}, "not of the form host:port"),
        (PLAIN | {"CHAINCODE_SERVER_ADDRESS": "localhost:http"}, "not of the form host:port"),
        (PLAIN | {"CHAINCODE_SERVER_ADDRESS": "localhost:65536"}, "not of the form host:port"),
        (PLAIN | {"CHAINCODE_TLS_DISABLED": "no"}, "not true or false"),
        (PLAIN | {"CHAINCODE_TLS_DISABLED": "false"}, "TLS needs both"),
        (PLAIN | {"CHAINCODE_TLS_KEY": "key"}, "TLS needs both"),
        (PLAIN | {"CHAINCODE_CLIENT_CA_CERT": "ca"}, "TLS needs both"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(environment: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        read_environment(environment)


def test_a_package_id_must_not_be_empty() -> None:
    with pytest.raises(ConfigurationError, match="package id"):
        ServerConfig(package_id="", address="localhost:1")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost:1", ("localhost", 1)),
        (":7052", ("", 7052)),
        ("[::1]:0", ("::1", 0)),
        ("10.0.0.1:99", ("10.0.0.1", 99)),
    ],
)
def test_an_address_has_a_host_and_a_port(address: str, expected: tuple[str, int]) -> None:
    assert ServerConfig(package_id="cc:1", address=address).host_and_port == expected


@pytest.mark.parametrize("address", ["localhost:0", "127.0.0.1:0", ":0"])
def test_a_server_listens_where_it_is_told(address: str) -> None:
    server = Server(FunctionChaincode(lambda _stub: Response()), ServerConfig(package_id="cc:1", address=address))
    server.start()
    socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no.such.host.invalid:1"])
def test_an_address_that_cannot_be_had_is_refused(address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ServerConfig(package_id="cc:1", address=address.format(port=taken.getsockname()[1]))
        with pytest.raises(ConfigurationError, match="cannot listen on"):
            Server(FunctionChaincode(lambda _stub: Response()), config)
