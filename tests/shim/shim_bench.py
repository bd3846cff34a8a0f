"""How many transactions a second the shim serves: `python tests/shim/shim_bench.py [transactions] [in flight]`.

The peer's side runs in a process of its own and speaks HTTP/2 by itself, since grpcio would take longer than the
server that it measures. An evaluate is one get; a submit is one get and one batch of writes.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from struct import Struct
from typing import Any

from fabric_protos.peer import chaincode_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2

from fabric_shim import Response, Server, ServerConfig, Stub, frames
from fabric_shim.frames import Flag, Kind, Setting
from shim.scripted_peer import METHOD, READY_3_1, signed_proposal

Message = shim_pb2.ChaincodeMessage
_PREFIX = Struct(">BL")


class _Toy:
    def invoke(self, stub: Stub) -> Response:
        value = stub.get("key") or b""
        if stub.function == "submit":
            stub.put("key", value + b"!")
        return Response(payload=value)


class _Peer:
    """The client of one stream, as fast as Python can be it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = frames.pack_settings({Setting.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW_BYTES})
        headers = frames.pack_headers(
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", METHOD.encode()),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        )
        opening = (
            frames.PREFACE,
            frames.pack(Kind.SETTINGS, 0, 0, settings),
            frames.pack(Kind.WINDOW_UPDATE, 0, 0, frames.pack_word(2**30)),
            frames.pack(Kind.HEADERS, Flag.END_HEADERS, 1, headers),
        )
        self._socket.sendall(b"".join(opening))
        self._buffer = bytearray()

    def send(self, messages: list[Any]) -> None:
        data = [message.SerializeToString() for message in messages]
        self._socket.sendall(b"".join(frames.pack(Kind.DATA, 0, 1, _PREFIX.pack(0, len(one)) + one) for one in data))

    def receive(self) -> Iterator[Any]:
        """Yield what one read brings; messages are small, so each is one frame."""
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
        position = 0
        while len(self._buffer) - position >= frames.HEADER_BYTES:
            length, kind, _, _ = frames.unpack_header(self._buffer, position)
            end = position + frames.HEADER_BYTES + length
            if end > len(self._buffer):
                break
            if kind == Kind.DATA:
                yield Message.FromString(bytes(self._buffer[position + frames.HEADER_BYTES + _PREFIX.size : end]))
            position = end
        del self._buffer[:position]


def _drive(port: int, function: str, count: int, in_flight: int) -> None:
    peer = _Peer(port)
    registered = False
    while not registered:
        registered = any(message.type == Message.REGISTER for message in peer.receive())
    peer.send([Message(type=Message.REGISTERED), Message(type=Message.READY, payload=READY_3_1)])
    payload = chaincode_pb2.ChaincodeInput(args=[function.encode(), b"argument"]).SerializeToString()
    proposal = signed_proposal(creator=b"c" * 900, transient={"t": b"x" * 100})

    def transaction(number: int) -> Any:
        return Message(
            type=Message.TRANSACTION, txid=f"{number:064d}", channel_id="channel", payload=payload, proposal=proposal
        )

    begun = min(in_flight, count)
    done = 0
    started_s = time.perf_counter()
    peer.send([transaction(number) for number in range(begun)])
    while done < count:
        answers = []
        for message in peer.receive():
            if message.type != Message.COMPLETED:
                fields = {"txid": message.txid, "channel_id": message.channel_id, "payload": b"v" * 100}
                answers.append(Message(type=Message.RESPONSE, **fields))
                continue
            done += 1
            if begun < count:
                answers.append(transaction(begun))
                begun += 1
        if answers:
            peer.send(answers)
    elapsed_s = time.perf_counter() - started_s
    sys.stdout.write(
        f"{count / elapsed_s:8.0f} transactions/s, peer {time.process_time() / count * 1e6:4.0f} us CPU each\n"
    )


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["drive"]:
        _, port, function, count, in_flight = arguments
        _drive(int(port), function, int(count), int(in_flight))
        return
    count, in_flight = arguments or ("20000", "50")
    server = Server(_Toy(), ServerConfig(package_id="bench:1", address="127.0.0.1:0"))
    server.start()
    for function in ("evaluate", "submit"):
        before_s = time.process_time()
        command = [sys.executable, __file__, "drive", str(server.port), function, count, in_flight]
        sys.stdout.write(f"{function:9}")
        sys.stdout.flush()
        subprocess.run(command, check=True)  # noqa: S603 -- this very file
        used_us = (time.process_time() - before_s) / int(count) * 1e6
        sys.stdout.write(f"{'':9}{used_us:8.0f} us of the server's CPU each\n")
    server.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
