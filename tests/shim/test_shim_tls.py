"""TLS and mutual TLS."""

import logging
import socket
from pathlib import Path

import grpc
import pytest
from cryptography.x509.oid import NameOID

from fabric_shim import ConfigurationError, Response, Server, ServerConfig, Tls
from shim.certificates import Issued, TestAuthority, name
from shim.conftest import FunctionChaincode, Serve
from shim.scripted_peer import ScriptedPeer

SERVER = name((NameOID.COMMON_NAME, "chaincode"))
PEER = name((NameOID.COMMON_NAME, "peer0"))


def tls(folder: Path, issued: Issued, client_ca: TestAuthority | None = None) -> Tls:
    certificate, private_key = issued.write(folder / "server")
    path = None
    if client_ca:
        path = folder / "client-ca.pem"
        path.write_bytes(client_ca.certificate)
    return Tls(certificate=certificate, private_key=private_key, client_ca=path)


def credentials(root: TestAuthority, client: Issued | None = None) -> grpc.ChannelCredentials:
    key_and_certificate = (client.private_key, client.certificate) if client else (None, None)
    return grpc.ssl_channel_credentials(root.certificate, *key_and_certificate)


def reverse(stub: object) -> Response:
    """Answer with the first argument, backwards."""
    return Response(payload=stub.args[0][::-1])  # type: ignore[attr-defined]


def test_transactions_of_any_size_pass_over_tls(serve: Serve, tmp_path: Path) -> None:
    authority = TestAuthority()
    port = serve(reverse, tls=tls(tmp_path, authority.issue(SERVER))).port
    with ScriptedPeer(port, credentials=credentials(authority)) as peer:
        for argument in (b"ab", bytes(range(256)) * 20_000):
            peer.begin(argument)
            assert peer.completed().payload == argument[::-1]


def test_many_transactions_share_a_tls_stream(serve: Serve, tmp_path: Path) -> None:
    authority = TestAuthority()
    port = serve(reverse, tls=tls(tmp_path, authority.issue(SERVER))).port
    with ScriptedPeer(port, credentials=credentials(authority)) as peer:
        for number in range(300):
            peer.begin(b"%d" % number, txid=f"tx{number}")
        done = {peer.receive().txid for _ in range(300)}
        assert done == {f"tx{number}" for number in range(300)}


def test_mutual_tls_lets_the_right_peer_in(serve: Serve, tmp_path: Path) -> None:
    servers, peers = TestAuthority(), TestAuthority()
    port = serve(reverse, tls=tls(tmp_path, servers.issue(SERVER), peers)).port
    with ScriptedPeer(port, credentials=credentials(servers, peers.issue(PEER))) as peer:
        peer.begin(b"ab")
        assert peer.completed().payload == b"ba"


@pytest.mark.parametrize("shown", ["nothing", "of another CA"])
def test_mutual_tls_keeps_others_out(serve: Serve, tmp_path: Path, shown: str) -> None:
    servers, peers = TestAuthority(), TestAuthority()
    port = serve(reverse, tls=tls(tmp_path, servers.issue(SERVER), peers)).port
    client = None if shown == "nothing" else TestAuthority().issue(PEER)
    stranger = ScriptedPeer(port, credentials=credentials(servers, client))
    assert stranger.ended() == grpc.StatusCode.UNAVAILABLE
    stranger.hang_up()
    with ScriptedPeer(port, credentials=credentials(servers, peers.issue(PEER))) as peer:
        peer.begin(b"ab")
        assert peer.completed().payload == b"ba"


def test_a_peer_in_clear_is_kept_out(serve: Serve, tmp_path: Path) -> None:
    stranger = ScriptedPeer(serve(reverse, tls=tls(tmp_path, TestAuthority().issue(SERVER))).port)
    assert stranger.ended() == grpc.StatusCode.UNAVAILABLE
    stranger.hang_up()


@pytest.mark.parametrize("broken", ["missing", "garbage", "another key", "encrypted key", "client CA"])
def test_files_that_make_no_tls_are_refused_at_once(tmp_path: Path, broken: str) -> None:
    authority = TestAuthority()
    settings = tls(tmp_path, authority.issue(SERVER, password=b"x" if broken == "encrypted key" else None), authority)
    assert settings.client_ca is not None
    if broken == "missing":
        settings.certificate.unlink()
    elif broken == "garbage":
        settings.private_key.write_bytes(b"garbage")
    elif broken == "another key":
        settings.private_key.write_bytes(authority.issue(SERVER).private_key)
    elif broken == "client CA":
        settings.client_ca.write_bytes(b"garbage")
    config = ServerConfig(package_id="toy:1", address="localhost:0", tls=settings)
    with pytest.raises(ConfigurationError, match="TLS"):
        Server(FunctionChaincode(reverse), config)


def test_a_look_at_the_port_is_no_warning_and_a_stranger_is(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = serve(reverse, tls=tls(tmp_path, TestAuthority().issue(SERVER))).port
    with caplog.at_level(logging.DEBUG, logger="fabric_shim"):
        for words in (b"", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("localhost", port)) as stranger:
                stranger.sendall(words)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(1024):
                    pass
    assert [record.levelname for record in caplog.records] == ["DEBUG", "WARNING"]
