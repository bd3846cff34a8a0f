"""A gRPC server for one bidirectional method, over one connection.

A chaincode stream is one long call with thousands of small messages a second. grpcio hands each of them through several
threads, which costs more than all the rest of a transaction; here one thread reads whatever has arrived and any thread
writes. Only what such a call needs is spoken: no compression, no priorities, no push.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Protocol

from hpack import Decoder, HPACKError

from fabric_shim import frames
from fabric_shim.errors import ShimError, StreamEnded
from fabric_shim.frames import Code, Flag, Kind, Setting, Status
from fabric_shim.wire import Wire

log = logging.getLogger("fabric_shim")

# Large enough that a 100 MiB message never waits long for permission to go on.
_WINDOW_BYTES = 16 * 1024 * 1024
# A peer opens one. More would only be a way to make us keep half messages.
_MAX_STREAMS = 8
_MAX_HEADER_BYTES = 64 * 1024
_PREFIX = Struct(">BL")
_RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))


class Call(Protocol):
    """The server's side of one call."""

    def start(self) -> None:
        """The call is open; messages can be sent."""

    def receive(self, data: bytes) -> None:
        """Take one message.

        Raises:
            CallFailed: the call cannot go on.
        """

    def end(self) -> None:
        """Nothing comes or goes any more."""


class CallFailed(ShimError):
    """A call ends with an error that its client gets to read."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


class _ConnectionFailed(ShimError):
    """The client broke the rules of HTTP/2."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Stream:
    """One open call."""

    def __init__(self, stream_id: int, window_bytes: int) -> None:
        self.id = stream_id
        self.window_bytes = window_bytes
        self.closed = False
        self.half_closed = False
        self.inbox = bytearray()
        self.unacknowledged_bytes = 0
        # What the client does not take yet.
        self.outbox: deque[memoryview] = deque()
        self.call: Call


class Connection:
    """One client's connection.

    Args:
        wire: carries the bytes.
        path: of the one method, "/package.Service/Method".
        accept: makes the server's side of a call; it is given a function that sends one message and raises
            `StreamEnded` if the call is over.
        max_message_bytes: that the method takes.
    """

    def __init__(
        self, wire: Wire, path: str, accept: Callable[[Callable[[bytes], None]], Call], max_message_bytes: int
    ) -> None:
        self._wire = wire
        self._path = path
        self._accept = accept
        self._max_message_bytes = max_message_bytes
        self._decoder = Decoder(max_header_list_size=_MAX_HEADER_BYTES)
        self._headers: tuple[int, int, bytearray] | None = None
        self._streams: dict[int, _Stream] = {}
        self._last_stream_id = 0
        self._unacknowledged_bytes = 0
        self._closing = False
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            Kind.DATA: self._on_data,
            Kind.HEADERS: self._on_headers,
            Kind.RST_STREAM: self._on_reset,
            Kind.SETTINGS: self._on_settings,
            Kind.PUSH_PROMISE: self._on_push,
            Kind.PING: self._on_ping,
            Kind.WINDOW_UPDATE: self._on_window_update,
            Kind.CONTINUATION: self._on_continuation,
        }
        # Guards the calls' outboxes and what the client lets us send of them.
        self._sending = threading.Lock()
        self._window_bytes = frames.DEFAULT_WINDOW_BYTES
        self._stream_window_bytes = frames.DEFAULT_WINDOW_BYTES
        self._frame_bytes = frames.DEFAULT_FRAME_BYTES

    def serve(self) -> None:
        """Serve the client until either side ends the connection."""
        try:
            settings = {Setting.MAX_CONCURRENT_STREAMS: _MAX_STREAMS, Setting.INITIAL_WINDOW_SIZE: _WINDOW_BYTES}
            self._write(Kind.SETTINGS, 0, 0, frames.pack_settings(settings))
            self._write(Kind.WINDOW_UPDATE, 0, 0, frames.pack_word(_WINDOW_BYTES - frames.DEFAULT_WINDOW_BYTES))
            for kind, flags, stream_id, payload in self._read():
                try:
                    self._take(kind, flags, stream_id, payload)
                except StreamEnded:
                    continue  # `close` has ended that call in the meantime.
        except _ConnectionFailed as error:
            log.warning("closed a connection: %s", error)
            self._go_away(error.code)
        finally:
            for stream in list(self._streams.values()):
                self._drop(stream)
            self._wire.close()

    def close(self, reason: str) -> None:
        """End all calls as unavailable and ask the client to leave; called from another thread than `serve`."""
        self._closing = True
        self._go_away(Code.NO_ERROR)
        for stream in list(self._streams.values()):
            self._finish(stream, Status.UNAVAILABLE, reason)

    def _read(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield the frames that arrive."""
        buffer = bytearray()
        while len(buffer) < len(frames.PREFACE):
            data = self._wire.receive()
            buffer += data
            if not data or not frames.PREFACE.startswith(buffer[: len(frames.PREFACE)]):
                return  # It speaks something else, and would not understand us.
        self._wire.wait_forever()
        position = len(frames.PREFACE)
        while True:
            while len(buffer) - position >= frames.HEADER_BYTES:
                length, kind, flags, stream_id = frames.unpack_header(buffer, position)
                if length > frames.DEFAULT_FRAME_BYTES:
                    raise _ConnectionFailed(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
                end = position + frames.HEADER_BYTES + length
                if end > len(buffer):
                    break
                yield kind, flags, stream_id, bytes(buffer[position + frames.HEADER_BYTES : end])
                position = end
            del buffer[:position]
            position = 0
            data = self._wire.receive()
            if not data:
                return
            buffer += data

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._headers is not None and kind != Kind.CONTINUATION:
            raise _ConnectionFailed(Code.PROTOCOL_ERROR, "a header block was interrupted")
        # PRIORITY and GOAWAY change nothing here, and unknown types are to be ignored.
        if handle := self._handlers.get(kind):
            handle(flags, stream_id, payload)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not 0 < stream_id <= self._last_stream_id:
            raise _ConnectionFailed(Code.PROTOCOL_ERROR, "data for a call that was never opened")
        stream = self._streams.get(stream_id)
        self._acknowledge(stream, len(payload))
        if stream is None:
            return  # It was closed a moment ago.
        stream.inbox += _without_padding(flags, payload)
        try:
            for message in self._messages(stream.inbox):
                stream.call.receive(message)
        except CallFailed as error:
            self._finish(stream, error.status, str(error))
            return
        if flags & Flag.END_STREAM:
            self._half_close(stream)

    def _messages(self, inbox: bytearray) -> Iterator[bytes]:
        """Take whole messages out of an inbox: each has a byte for compression and four for its length before it."""
        while len(inbox) >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(inbox)
            if compressed:
                raise CallFailed(Status.UNIMPLEMENTED, "messages must not be compressed")
            if length > self._max_message_bytes:
                limit = self._max_message_bytes
                raise CallFailed(Status.RESOURCE_EXHAUSTED, f"a message of {length} bytes is larger than {limit}")
            end = _PREFIX.size + length
            if len(inbox) < end:
                return
            message = bytes(inbox[_PREFIX.size : end])
            del inbox[:end]
            yield message

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        payload = _without_padding(flags, payload)
        if flags & Flag.PRIORITY:
            payload = payload[5:]
        if flags & Flag.END_HEADERS:
            self._on_header_block(flags, stream_id, payload)
        else:
            self._headers = (flags, stream_id, bytearray(payload))

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._headers is None or self._headers[1] != stream_id:
            raise _ConnectionFailed(Code.PROTOCOL_ERROR, "a header block goes on that never began")
        first_flags, _, block = self._headers
        block += payload
        if len(block) > _MAX_HEADER_BYTES:
            raise _ConnectionFailed(Code.ENHANCE_YOUR_CALM, "a header block is too long")
        if flags & Flag.END_HEADERS:
            self._headers = None
            self._on_header_block(first_flags, stream_id, bytes(block))

    def _on_header_block(self, flags: int, stream_id: int, block: bytes) -> None:
        try:
            # Also a block that nobody needs has to be read: it changes what later ones mean.
            headers = dict(self._decoder.decode(block, raw=True))
        except HPACKError as error:
            raise _ConnectionFailed(Code.COMPRESSION_ERROR, "a header block cannot be read") from error
        if stream := self._streams.get(stream_id):
            self._half_close(stream)  # These are the call's trailers.
            return
        if stream_id % 2 == 0 or stream_id <= self._last_stream_id:
            raise _ConnectionFailed(Code.PROTOCOL_ERROR, f"a call with the number {stream_id}")
        self._last_stream_id = stream_id
        if self._closing or len(self._streams) >= _MAX_STREAMS:
            self._write(Kind.RST_STREAM, 0, stream_id, frames.pack_word(Code.REFUSED_STREAM))
        elif headers.get(b":path") != self._path.encode():
            trailers = frames.pack_headers(*_RESPONSE, *_trailers(Status.UNIMPLEMENTED, "unknown method"))
            self._write(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream_id, trailers)
        else:
            self._open(stream_id)
            if flags & Flag.END_STREAM:
                self._half_close(self._streams[stream_id])

    def _open(self, stream_id: int) -> None:
        stream = _Stream(stream_id, self._stream_window_bytes)
        stream.call = self._accept(lambda message: self._send(stream, message))
        with self._sending:
            self._streams[stream_id] = stream
        self._write(Kind.HEADERS, Flag.END_HEADERS, stream_id, frames.pack_headers(*_RESPONSE))
        stream.call.start()

    def _half_close(self, stream: _Stream) -> None:
        """The client sends no more, so there is nothing left to do for its call."""
        stream.half_closed = True
        self._finish(stream, Status.OK, "")

    def _on_reset(self, _flags: int, stream_id: int, _payload: bytes) -> None:
        if stream := self._streams.get(stream_id):
            self._drop(stream)

    def _on_push(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise _ConnectionFailed(Code.PROTOCOL_ERROR, "a client cannot push")

    def _on_ping(self, flags: int, _stream_id: int, payload: bytes) -> None:
        # A peer pings once a minute, whether or not there are calls; that is welcome at any rate.
        if not flags & Flag.ACK:
            self._write(Kind.PING, Flag.ACK, 0, payload)

    def _on_settings(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if flags & Flag.ACK:
            return
        if len(payload) % 6:
            raise _ConnectionFailed(Code.FRAME_SIZE_ERROR, "settings of a broken length")
        with self._sending:
            for name, value in frames.unpack_settings(payload):
                if name == Setting.INITIAL_WINDOW_SIZE:
                    if value > frames.MAX_WINDOW_BYTES:
                        raise _ConnectionFailed(Code.FLOW_CONTROL_ERROR, "a window that is too large")
                    # The change concerns open calls, too, whose windows may become negative (RFC 9113 section 6.9.2).
                    for stream in self._streams.values():
                        stream.window_bytes += value - self._stream_window_bytes
                    self._stream_window_bytes = value
                elif name == Setting.MAX_FRAME_SIZE:
                    self._frame_bytes = max(value, frames.DEFAULT_FRAME_BYTES)
            self._wire.queue(frames.pack(Kind.SETTINGS, Flag.ACK, 0))
            self._pump_all()
        self._wire.flush()

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:  # noqa: PLR2004 -- one word
            raise _ConnectionFailed(Code.FRAME_SIZE_ERROR, "a window update of a broken length")
        increment = frames.unpack_word(payload)
        with self._sending:
            if stream_id == 0:
                self._window_bytes += increment
            elif stream := self._streams.get(stream_id):
                stream.window_bytes += increment
            self._pump_all()
        self._wire.flush()

    def _acknowledge(self, stream: _Stream | None, length: int) -> None:
        """Let the client send on when half of what it was allowed has come."""
        self._unacknowledged_bytes += length
        if self._unacknowledged_bytes >= _WINDOW_BYTES // 2:
            self._write(Kind.WINDOW_UPDATE, 0, 0, frames.pack_word(self._unacknowledged_bytes))
            self._unacknowledged_bytes = 0
        if stream is not None:
            stream.unacknowledged_bytes += length
            if stream.unacknowledged_bytes >= _WINDOW_BYTES // 2:
                self._write(Kind.WINDOW_UPDATE, 0, stream.id, frames.pack_word(stream.unacknowledged_bytes))
                stream.unacknowledged_bytes = 0

    def _send(self, stream: _Stream, message: bytes) -> None:
        """Send one message of a call as soon as the client takes it, without waiting for that."""
        with self._sending:
            if stream.closed:
                raise StreamEnded("the stream to the peer is gone")
            stream.outbox.append(memoryview(_PREFIX.pack(0, len(message)) + message))
            self._pump(stream)
        self._wire.flush()

    def _pump_all(self) -> None:
        for stream in self._streams.values():
            self._pump(stream)

    def _pump(self, stream: _Stream) -> None:
        """Queue as much of a call's outbox as the client takes."""
        while stream.outbox:
            length = min(self._frame_bytes, self._window_bytes, stream.window_bytes)
            if length <= 0:
                return
            part = stream.outbox[0][:length]
            self._wire.queue(frames.pack(Kind.DATA, 0, stream.id, part))
            self._window_bytes -= len(part)
            stream.window_bytes -= len(part)
            if rest := stream.outbox[0][length:]:
                stream.outbox[0] = rest
            else:
                stream.outbox.popleft()

    def _finish(self, stream: _Stream, status: Status, message: str) -> None:
        """End a call from our side."""
        trailers = frames.pack_headers(*_trailers(status, message))
        self._write(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream.id, trailers)
        if not stream.half_closed:
            self._write(Kind.RST_STREAM, 0, stream.id, frames.pack_word(Code.NO_ERROR))
        self._drop(stream)

    def _drop(self, stream: _Stream) -> None:
        """Forget a call that is over."""
        with self._sending:
            self._streams.pop(stream.id, None)
            stream.closed = True
            stream.outbox.clear()
        stream.call.end()

    def _go_away(self, code: Code) -> None:
        self._write(Kind.GOAWAY, 0, 0, frames.pack_word(self._last_stream_id) + frames.pack_word(code))

    def _write(self, kind: Kind, flags: int, stream_id: int, payload: bytes = b"") -> None:
        self._wire.queue(frames.pack(kind, flags, stream_id, payload))
        self._wire.flush()


def _without_padding(flags: int, payload: bytes) -> bytes:
    if not flags & Flag.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise _ConnectionFailed(Code.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]


def _trailers(status: Status, message: str) -> tuple[tuple[bytes, bytes], ...]:
    fields = ((b"grpc-status", str(int(status)).encode()),)
    return (*fields, (b"grpc-message", message.encode("ascii", "replace")[:100])) if message else fields
