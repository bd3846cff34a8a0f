"""Registration, what the peer offers, and messages that belong to no transaction."""

import grpc
import pytest
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2

from fabric_shim import Response, Stub
from shim.conftest import Serve
from shim.scripted_peer import READY_2_5, READY_3_1, Message, ScriptedPeer

# use_write_batch and use_get_multiple_keys with sizes of 7: below the least that a peer means.
READY_SMALL = bytes([0x08, 1, 0x10, 7, 0x18, 1, 0x20, 7])


def nothing(_stub: Stub) -> Response:
    return Response()


def test_the_chaincode_speaks_first_and_names_its_package(serve: Serve) -> None:
    with ScriptedPeer(serve(nothing, package_id="asset_1.0:ab12").port) as peer:
        assert peer.package_id == "asset_1.0:ab12"
        peer.begin()
        assert peer.completed().status == 200


@pytest.mark.parametrize("kind", [Message.READY, Message.TRANSACTION, Message.ERROR, Message.RESPONSE, 99])
def test_a_registration_that_is_not_taken_ends_the_stream(serve: Serve, kind: int) -> None:
    peer = ScriptedPeer(serve(nothing).port)
    peer.receive()
    peer.send(type=kind, payload=b"no such package")
    assert peer.ended() == grpc.StatusCode.FAILED_PRECONDITION
    peer.hang_up()


@pytest.mark.parametrize(("kind", "payload"), [(Message.REGISTERED, b""), (Message.READY, b"\xff")])
def test_a_readiness_that_makes_no_sense_ends_the_stream(serve: Serve, kind: int, payload: bytes) -> None:
    peer = ScriptedPeer(serve(nothing).port)
    peer.receive()
    peer.send(type=Message.REGISTERED)
    peer.send(type=kind, payload=payload)
    assert peer.ended() == grpc.StatusCode.FAILED_PRECONDITION
    peer.hang_up()


def test_keepalives_are_echoed_in_every_state(serve: Serve) -> None:
    peer = ScriptedPeer(serve(nothing).port)
    assert peer.receive().type == Message.REGISTER
    for following in ({"type": Message.REGISTERED}, {"type": Message.READY}, None):
        peer.send(type=Message.KEEPALIVE, payload=b"still there?")
        echo = peer.receive()
        assert (echo.type, echo.payload) == (Message.KEEPALIVE, b"still there?")
        if following:
            peer.send(**following)
    peer.hang_up()


@pytest.mark.parametrize(
    "message",
    [
        Message(type=Message.REGISTERED),
        Message(type=Message.READY),
        Message(type=Message.UNDEFINED),
        Message(type=99, txid="tx"),
        Message(type=Message.GET_STATE, txid="tx"),
        Message(type=Message.RESPONSE, txid="nobody"),
        Message(type=Message.ERROR, txid="nobody", payload=b"late"),
    ],
)
def test_a_message_out_of_place_hurts_nobody(serve: Serve, message: Message) -> None:
    with ScriptedPeer(serve(nothing).port) as peer:
        peer.send_bytes(message.SerializeToString())
        peer.send_bytes(b"\xff\xff no message at all")
        peer.begin()
        assert peer.completed().status == 200


def test_several_peers_share_a_server(serve: Serve) -> None:
    port = serve(nothing).port
    with ScriptedPeer(port) as first, ScriptedPeer(port) as second:
        for peer in (second, first, second):
            peer.begin()
            assert peer.completed().status == 200


def test_a_peer_comes_back_after_its_stream_was_cut(serve: Serve) -> None:
    port = serve(nothing).port
    for _ in range(3):
        with ScriptedPeer(port) as peer:
            peer.begin()
            assert peer.completed().status == 200


@pytest.mark.parametrize(
    ("ready", "batches"),
    [(READY_3_1, [1000, 200]), (READY_SMALL, [100] * 12), (READY_2_5, [])],
)
def test_writes_travel_in_batches_that_the_peer_offers(serve: Serve, ready: bytes, batches: list[int]) -> None:
    def write(stub: Stub) -> Response:
        for number in range(1200):
            stub.put(f"key{number}", b"value")
        return Response()

    with ScriptedPeer(serve(write).port, ready=ready) as peer:
        peer.begin()
        for size in batches:
            sent = shim_pb2.WriteBatchState.FromString(peer.expect(Message.WRITE_BATCH_STATE))
            assert len(sent.rec) == size
            peer.respond()
        for number in range(0 if batches else 1200):
            assert shim_pb2.PutState.FromString(peer.expect(Message.PUT_STATE)).key == f"key{number}"
            peer.respond()
        assert peer.completed().status == 200


@pytest.mark.parametrize(("ready", "chunks"), [(READY_3_1, [250]), (READY_SMALL, [100, 100, 50]), (READY_2_5, [])])
def test_many_keys_are_read_in_chunks_that_the_peer_offers(serve: Serve, ready: bytes, chunks: list[int]) -> None:
    keys = [f"key{number}" for number in range(250)]
    values = [b"" if number % 2 else b"%d" % number for number in range(250)]

    def read(stub: Stub) -> Response:
        assert stub.get_many([]) == []
        found = stub.get_many(keys, collection="private")
        return Response(message=str(found == [value or None for value in values]))

    with ScriptedPeer(serve(read).port, ready=ready) as peer:
        peer.begin()
        place = 0
        for size in chunks:
            asked = shim_pb2.GetStateMultiple.FromString(peer.expect(Message.GET_STATE_MULTIPLE))
            assert (list(asked.keys), asked.collection) == (keys[place : place + size], "private")
            some = shim_pb2.GetStateMultipleResult(values=values[place : place + size])
            peer.respond(some.SerializeToString())
            place += size
        for key, value in () if chunks else zip(keys, values, strict=True):
            one = shim_pb2.GetState.FromString(peer.expect(Message.GET_STATE))
            assert (one.key, one.collection) == (key, "private")
            peer.respond(value)
        assert peer.completed().message == "True"


def test_too_few_values_for_many_keys_are_refused(serve: Serve) -> None:
    with ScriptedPeer(serve(lambda stub: Response(message=str(stub.get_many(["a", "b"])))).port) as peer:
        peer.begin()
        peer.expect(Message.GET_STATE_MULTIPLE)
        peer.respond(shim_pb2.GetStateMultipleResult(values=[b"1"]).SerializeToString())
        assert peer.completed().message == "the peer answered 2 keys with 1 values"
