"""Bytes to and from one peer, in clear or over TLS."""

import socket
import ssl
import threading
from collections import deque

_READ_BYTES = 256 * 1024
# For the first words; a call may then be silent for days.
_PATIENCE_S = 10.0
# A peer that sends pings and reads no answers is cut off here.
_MAX_WAITING = 65536


class Wire:
    """One TCP connection. One thread reads; any thread writes, without waiting for another that does.

    Whoever finds the socket free writes what all have left. So under load many messages share one system call, which
    is most of their price.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_S)
        self._socket = connection
        self._outbox: deque[bytes] = deque()
        self._writing = threading.Lock()

    def handshake(self) -> None:
        """Agree on how to talk.

        Raises:
            OSError: there is no agreement.
        """

    def wait_forever(self) -> None:
        """Let the other side be silent from now on."""
        self._socket.settimeout(None)

    def receive(self) -> bytes:
        """Wait for bytes and return them; none means that the connection is over."""
        try:
            return self._socket.recv(_READ_BYTES)
        except OSError:
            return b""

    def queue(self, data: bytes) -> None:
        """Have `data` written by the next `flush`, after all that was queued before."""
        self._outbox.append(data)

    def flush(self) -> None:
        """Write what is queued. A broken connection shows when it is read."""
        if len(self._outbox) > _MAX_WAITING:
            self.close()
        # What another thread queued while this one was about to release the socket is taken in the next round.
        while self._outbox and self._writing.acquire(blocking=False):
            try:
                self._transmit(self._take())
            except OSError:
                self.close()
            finally:
                self._writing.release()

    def close(self) -> None:
        """End the connection; the reading thread sees its end."""
        self._outbox.clear()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # It was over before.

    def _take(self) -> bytes:
        parts = []
        while self._outbox:
            parts.append(self._outbox.popleft())
        return b"".join(parts)

    def _transmit(self, data: bytes) -> None:
        self._socket.sendall(data)


class TlsWire(Wire):
    """The same over TLS."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(connection)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        # OpenSSL takes one call at a time for a connection, even if one reads and one writes.
        self._calling = threading.Lock()

    def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush_protocol()
                encrypted = super().receive()
                if not encrypted:
                    raise ConnectionError("the connection ended within the TLS handshake") from None
                self._incoming.write(encrypted)
            except ssl.SSLError:
                self._flush_protocol()  # It tells the other side what is wrong.
                raise
            else:
                self._flush_protocol()
                return

    def receive(self) -> bytes:
        while encrypted := super().receive():
            try:
                with self._calling:
                    self._incoming.write(encrypted)
                    data = self._decrypt()
            except ssl.SSLError:
                return b""
            self._flush_protocol()
            if data:
                return data
        return b""

    def _flush_protocol(self) -> None:
        """Send what TLS itself has to say, such as a request for new keys."""
        if self._outgoing.pending:
            self.queue(b"")
            self.flush()

    def _decrypt(self) -> bytes:
        parts = []
        try:
            while part := self._tls.read(_READ_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass  # That was all, for now.
        return b"".join(parts)

    def _transmit(self, data: bytes) -> None:
        with self._calling:
            rest = memoryview(data)
            while rest:
                rest = rest[self._tls.write(rest) :]
            encrypted = self._outgoing.read()
        super()._transmit(encrypted)
