"""The server's HTTP/2 against clients that are odd, slow or hostile."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import pack as pack_struct

import grpc
import pytest
from fabric_protos.peer import chaincode_pb2
from hpack import Decoder, Encoder

from fabric_shim import Response, Stub, frames
from fabric_shim.frames import Code, Flag, Kind, Setting, Status
from shim.conftest import Serve
from shim.scripted_peer import METHOD, Message, ScriptedPeer, signed_proposal

HEADERS = [(":method", "POST"), (":scheme", "http"), (":path", METHOD), ("content-type", "application/grpc")]


class RawClient:
    """A client that sends what it is told, frame by frame."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.encoder = Encoder()
        self._decoder = Decoder()
        self._buffer = b""

    def send(self, kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> None:
        self.connection.sendall(frames.pack(kind, flags, stream_id, payload))  # type: ignore[arg-type]

    def greet(self, settings: dict[Setting, int] | None = None) -> None:
        self.connection.sendall(frames.PREFACE)
        self.send(Kind.SETTINGS, payload=frames.pack_settings(settings or {}))

    def open(self, stream_id: int = 1) -> None:
        self.send(Kind.HEADERS, Flag.END_HEADERS, stream_id, self.encoder.encode(HEADERS))

    def message(self, **fields: object) -> bytes:
        data: bytes = Message(**fields).SerializeToString()
        return pack_struct(">BL", 0, len(data)) + data

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield what the server sends, to its end."""
        while True:
            while len(self._buffer) >= frames.HEADER_BYTES:
                length, kind, flags, stream_id = frames.unpack_header(bytearray(self._buffer[:9]), 0)
                while len(self._buffer) < frames.HEADER_BYTES + length:
                    self._buffer += self.connection.recv(65536)
                payload = self._buffer[frames.HEADER_BYTES : frames.HEADER_BYTES + length]
                self._buffer = self._buffer[frames.HEADER_BYTES + length :]
                yield kind, flags, stream_id, payload
            data = self.connection.recv(65536)
            if not data:
                return
            self._buffer += data

    def next(self, wanted: Kind) -> tuple[int, int, bytes]:
        """Return flags, stream and payload of the next frame of a type, over all others but a GOAWAY."""
        for kind, flags, stream_id, payload in self.frames():
            if kind == wanted:
                return flags, stream_id, payload
            assert kind != Kind.GOAWAY, payload
        raise AssertionError(f"the connection ended before a {wanted.name}")

    def headers(self) -> dict[str, str]:
        return {str(name): str(value) for name, value in self._decoder.decode(self.next(Kind.HEADERS)[2])}

    def goodbye(self) -> int:
        """Return the code with which the server ends the connection."""
        codes = [payload[4:8] for kind, _, _, payload in self.frames() if kind == Kind.GOAWAY]
        return int.from_bytes(codes[-1]) if codes else -1


def echo(stub: Stub) -> Response:
    return Response(payload=stub.args[0])


@pytest.fixture
def port(serve: Serve) -> int:
    return serve(echo).port


@contextmanager
def connect(port: int, settings: dict[Setting, int] | None = None) -> Iterator[RawClient]:
    with socket.create_connection(("localhost", port), timeout=10) as connection:
        client = RawClient(connection)
        client.greet(settings)
        yield client


def oversized_settings(client: RawClient) -> None:
    client.send(Kind.SETTINGS, payload=frames.pack_settings({Setting.INITIAL_WINDOW_SIZE: 2**31}))


def interrupted_headers(client: RawClient) -> None:
    client.send(Kind.HEADERS, 0, 1, client.encoder.encode(HEADERS))
    client.send(Kind.PING, payload=bytes(8))


def endless_headers(client: RawClient) -> None:
    client.send(Kind.HEADERS, 0, 1, b"")
    for _ in range(5):
        client.send(Kind.CONTINUATION, 0, 1, bytes(16384))


def long_frame(client: RawClient) -> None:
    client.connection.sendall(b"\xff\xff\xff\0\0\0\0\0\1")


def reused_stream(client: RawClient) -> None:
    client.open(3)
    client.open(1)


def overlong_padding(client: RawClient) -> None:
    client.open()
    client.send(Kind.DATA, Flag.PADDED, 1, b"\x02a")


HOSTILE: dict[str, tuple[Callable[[RawClient], None], Code]] = {
    "frame beyond the limit": (long_frame, Code.FRAME_SIZE_ERROR),
    "broken settings": (lambda c: c.send(Kind.SETTINGS, payload=b"12345"), Code.FRAME_SIZE_ERROR),
    "window beyond the limit": (oversized_settings, Code.FLOW_CONTROL_ERROR),
    "broken window update": (lambda c: c.send(Kind.WINDOW_UPDATE, payload=b"123"), Code.FRAME_SIZE_ERROR),
    "push": (lambda c: c.send(Kind.PUSH_PROMISE, stream_id=1), Code.PROTOCOL_ERROR),
    "garbled headers": (
        lambda c: c.send(Kind.HEADERS, Flag.END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),
        Code.COMPRESSION_ERROR,
    ),
    "interrupted headers": (interrupted_headers, Code.PROTOCOL_ERROR),
    "endless headers": (endless_headers, Code.ENHANCE_YOUR_CALM),
    "continuation of nothing": (lambda c: c.send(Kind.CONTINUATION, 0, 1), Code.PROTOCOL_ERROR),
    "data for nothing": (lambda c: c.send(Kind.DATA, 0, 1, b"x"), Code.PROTOCOL_ERROR),
    "even stream": (lambda c: c.open(2), Code.PROTOCOL_ERROR),
    "stream out of order": (reused_stream, Code.PROTOCOL_ERROR),
    "more padding than frame": (overlong_padding, Code.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_client_that_breaks_the_rules_is_cut_off_alone(port: int, name: str) -> None:
    act, code = HOSTILE[name]
    with connect(port) as client:
        act(client)
        assert client.goodbye() == code
    with ScriptedPeer(port) as peer:
        peer.begin(b"still here")
        assert peer.completed().payload == b"still here"


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\0", b"PRI * HTTP/2.0\r\n\r\nno"])
def test_a_client_of_another_protocol_is_left(port: int, words: bytes) -> None:
    with socket.create_connection(("localhost", port), timeout=10) as connection:
        connection.sendall(words)
        assert RawClient(connection).goodbye() == -1


def test_pings_are_answered_at_any_rate(port: int) -> None:
    with connect(port) as client:
        for number in range(1000):
            client.send(Kind.PING, payload=number.to_bytes(8))
        answers = [client.next(Kind.PING) for _ in range(1000)]
        assert answers == [(Flag.ACK, 0, number.to_bytes(8)) for number in range(1000)]
        client.send(Kind.PING, Flag.ACK, payload=bytes(8))
        client.open()
        assert client.headers()[":status"] == "200"


def test_frames_that_mean_nothing_here_are_ignored(port: int) -> None:
    with connect(port) as client:
        client.send(Kind.PRIORITY, 0, 1, bytes(5))
        client.send(0x7F, 0xFF, 1, b"from the future")
        client.send(Kind.SETTINGS, Flag.ACK)
        client.send(Kind.RST_STREAM, 0, 1, bytes(4))
        client.send(Kind.WINDOW_UPDATE, 0, 1, frames.pack_word(1))
        client.open()
        assert client.headers()[":status"] == "200"


def test_an_unknown_method_is_unimplemented(port: int) -> None:
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        call = channel.unary_unary("/protos.Chaincode/Other", lambda _: b"", lambda data: data)
        with pytest.raises(grpc.RpcError) as error:
            call(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_headers_may_come_in_pieces_with_padding_and_priority(port: int) -> None:
    with connect(port) as client:
        block = client.encoder.encode(HEADERS)
        client.send(Kind.HEADERS, Flag.PADDED | Flag.PRIORITY, 1, b"\x03" + bytes(5) + block[:4] + b"pad")
        client.send(Kind.CONTINUATION, 0, 1, block[4:9])
        client.send(Kind.CONTINUATION, Flag.END_HEADERS, 1, block[9:])
        assert client.headers() == {":status": "200", "content-type": "application/grpc"}


def test_messages_may_come_byte_by_byte_and_many_at_once(port: int) -> None:
    with connect(port) as client:
        client.open()
        ready = client.message(type=Message.REGISTERED) + client.message(type=Message.READY)
        for place in range(len(ready)):
            client.send(Kind.DATA, Flag.PADDED, 1, b"\x02" + ready[place : place + 1] + b"pp")
        client.send(Kind.DATA, 0, 1, client.message(type=Message.KEEPALIVE, payload=b"k") * 3)
        received = b""
        while received.count(b"k") < 3:
            received += client.next(Kind.DATA)[2]
        assert received.endswith(client.message(type=Message.KEEPALIVE, payload=b"k") * 3)


@pytest.mark.parametrize(
    ("prefix", "status"),
    [(b"\1\0\0\0\0", Status.UNIMPLEMENTED), (pack_struct(">BL", 0, 2**31), Status.RESOURCE_EXHAUSTED)],
)
def test_a_message_that_cannot_be_taken_ends_its_call_alone(port: int, prefix: bytes, status: Status) -> None:
    with connect(port) as client:
        client.open(1)
        client.open(3)
        client.send(Kind.DATA, 0, 1, prefix)
        client.headers()
        client.headers()
        assert client.headers()["grpc-status"] == str(int(status))
        client.send(Kind.DATA, 0, 1, b"already on its way")
        client.send(Kind.DATA, 0, 3, client.message(type=Message.KEEPALIVE))
        assert client.next(Kind.DATA)[1] == 3


@pytest.mark.parametrize("how", ["empty data", "trailers", "headers"])
def test_a_client_that_has_no_more_to_say_is_let_go(port: int, how: str) -> None:
    with connect(port) as client:
        if how == "headers":
            client.send(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, client.encoder.encode(HEADERS))
        else:
            client.open()
        if how == "empty data":
            client.send(Kind.DATA, Flag.END_STREAM, 1)
        elif how == "trailers":
            trailers = client.encoder.encode([("x", "y")])
            client.send(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, trailers)
        client.headers()
        assert client.headers() == {"grpc-status": "0"}


def test_more_streams_than_any_peer_opens_are_refused(port: int) -> None:
    with connect(port) as client:
        for number in range(9):
            client.open(2 * number + 1)
        _, stream_id, payload = client.next(Kind.RST_STREAM)
        assert (stream_id, int.from_bytes(payload)) == (17, Code.REFUSED_STREAM)


def test_nothing_is_sent_beyond_what_the_client_takes(port: int) -> None:
    with connect(port, {Setting.INITIAL_WINDOW_SIZE: 0, Setting.MAX_FRAME_SIZE: 20_000}) as client:
        client.open()
        client.headers()
        ready = client.message(type=Message.REGISTERED) + client.message(type=Message.READY)
        call = chaincode_pb2.ChaincodeInput(args=[bytes(range(250)) * 400]).SerializeToString()
        begin = client.message(type=Message.TRANSACTION, txid="t", payload=call, proposal=signed_proposal())
        data = ready + begin
        for place in range(0, len(data), 16384):
            client.send(Kind.DATA, 0, 1, data[place : place + 16384])
        # Nothing but the answer to a ping comes while the window is closed.
        client.send(Kind.PING, payload=bytes(8))
        assert next(frame for frame in client.frames() if frame[0] != Kind.SETTINGS)[0] == Kind.PING
        # A larger window opens step by step; the connection's own window ends after 65,535 bytes.
        client.send(Kind.SETTINGS, payload=frames.pack_settings({Setting.INITIAL_WINDOW_SIZE: 30_000}))
        client.send(Kind.WINDOW_UPDATE, 0, 1, frames.pack_word(2**20))
        sizes: list[int] = []
        while sum(sizes) < frames.DEFAULT_WINDOW_BYTES:
            sizes.append(len(client.next(Kind.DATA)[2]))
        assert max(sizes) <= 20_000
        assert sum(sizes) == frames.DEFAULT_WINDOW_BYTES
        client.send(Kind.WINDOW_UPDATE, 0, 0, frames.pack_word(2**20))
        rest = b""
        while len(rest) < 100_000 - frames.DEFAULT_WINDOW_BYTES:
            rest += client.next(Kind.DATA)[2]
        assert bytes(range(250)) * 100 in rest


def test_a_stream_that_the_client_resets_leaves_the_others_open(port: int) -> None:
    with connect(port) as client:
        client.open(1)
        client.open(3)
        client.send(Kind.RST_STREAM, 0, 1, frames.pack_word(Code.NO_ERROR))
        client.send(Kind.DATA, 0, 3, client.message(type=Message.KEEPALIVE, payload=b"k"))
        streams = [client.next(Kind.DATA)[1] for _ in range(3)]
        assert streams == [1, 3, 3]


def test_a_client_that_reads_nothing_holds_nobody_up(serve: Serve) -> None:
    port = serve(echo).port
    with connect(port) as client:
        # More than the sockets' buffers hold: it ends when the server can answer no more.
        client.connection.settimeout(1)
        with pytest.raises(TimeoutError):
            client.connection.sendall(frames.pack(Kind.PING, 0, 0, bytes(8)) * 2_000_000)
        with ScriptedPeer(port) as peer:
            peer.begin(b"still here")
            assert peer.completed().payload == b"still here"
