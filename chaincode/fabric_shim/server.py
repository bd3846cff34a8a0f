"""The chaincode server: it listens, and each peer that connects gets a session of its own.

The peer dials and opens the stream protos.Chaincode/Connect when the chaincode is first invoked, and again when the
stream has ended (fabric core/chaincode/extcc/extcc_handler.go).
"""

import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from fabric_shim.config import MAX_MESSAGE_BYTES, ServerConfig, Tls, read_environment
from fabric_shim.errors import ConfigurationError
from fabric_shim.http2 import Connection
from fabric_shim.session import Chaincode, Session
from fabric_shim.wire import TlsWire, Wire
from fabric_shim.workers import Workers

log = logging.getLogger("fabric_shim")

_METHOD = "/protos.Chaincode/Connect"
# How long a peer that was told to leave may take.
_LEAVE_S = 2.0
# A peer whose machine is gone is noticed after a minute of silence and three questions.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 20, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 120_000}


class Server:
    """A chaincode behind an address.

    Attributes:
        port: the TCP port that the server listens on.

    Raises:
        ConfigurationError: the address cannot be listened on, or the TLS files are no match.
    """

    def __init__(self, chaincode: Chaincode, config: ServerConfig) -> None:
        self._chaincode = chaincode
        self._config = config
        self._context = _tls_context(config.tls) if config.tls else None
        self._workers = Workers(config.max_transactions)
        self._listener = _listen(config)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._connections: dict[Connection, tuple[Wire, threading.Thread]] = {}
        self._accepting = threading.Thread(target=self._accept, name="chaincode-server", daemon=True)

    def start(self) -> None:
        """Let peers in; returns at once."""
        self._accepting.start()
        log.info("serving %s on port %d%s", self._config.package_id, self.port, " over TLS" if self._context else "")

    def stop(self) -> int:
        """Finish the running transactions, take no others, and leave.

        Returns:
            How many transactions were still unfinished after `drain_s`.
        """
        _close(self._listener)
        unfinished = self._workers.close(self._config.drain_s)
        if unfinished:
            log.warning("stopped with %d transactions unfinished after %g s", unfinished, self._config.drain_s)
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.close("the chaincode server is stopping")
        for wire, thread in connections.values():
            thread.join(_LEAVE_S)
            wire.close()
        return unfinished

    def _accept(self) -> None:
        while True:
            try:
                accepted, address = self._listener.accept()
            except OSError:
                return  # It is closed.
            threading.Thread(target=self._serve, args=(accepted, address[0]), name="peer", daemon=True).start()

    def _serve(self, accepted: socket.socket, host: str) -> None:
        with accepted:
            _tune(accepted)
            wire = TlsWire(accepted, self._context) if self._context else Wire(accepted)
            try:
                wire.handshake()
            except ConnectionError as error:
                # Who looks whether the port is open says nothing.
                log.debug("no TLS with %s: %s", host, error)
                return
            except OSError as error:
                log.warning("no TLS with %s: %s", host, error)
                return
            connection = Connection(wire, _METHOD, self._open, MAX_MESSAGE_BYTES)
            with self._lock:
                self._connections[connection] = (wire, threading.current_thread())
            try:
                connection.serve()
            finally:
                with self._lock:
                    del self._connections[connection]

    def _open(self, send: Callable[[bytes], None]) -> Session:
        return Session(self._chaincode, self._config.package_id, self._workers, send)


def serve(chaincode: Chaincode, config: ServerConfig | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is running; to be called from the main thread.

    Args:
        chaincode: runs the transactions.
        config: None reads the environment (see `read_environment`).

    Raises:
        ConfigurationError: the server cannot start.
    """
    server = Server(chaincode, read_environment() if config is None else config)
    asked = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        log.info("%s: stopping", signal.Signals(number).name)
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.start()
        asked.wait()
        server.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(config: ServerConfig) -> socket.socket:
    host, port = config.host_and_port
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {config.address}: {error.strerror or error}") from error


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    # Sessions are resumed by nobody: a peer has one connection, and its next one shows its certificate again.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_cert_chain(tls.certificate, tls.private_key, password=_no_password)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:  # An SSLError is an OSError.
        raise ConfigurationError(f"the TLS key, certificate or client CA cannot be used: {error}") from error
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask at the terminal.
    raise ValueError("the private key is encrypted")


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # Linux has them all, other systems some.
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _close(listener: socket.socket) -> None:
    with listener, suppress(OSError):
        # Closing alone would not wake the thread that waits in accept; some systems refuse this, and need it not.
        listener.shutdown(socket.SHUT_RDWR)
