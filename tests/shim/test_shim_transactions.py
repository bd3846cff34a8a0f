"""Many transactions on one stream, and what one of them cannot do to the others."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2
from fabric_protos.peer import proposal_response_pb2

from fabric_shim import Rejected, Response, Stub
from shim.conftest import Serve
from shim.scripted_peer import MAX_BYTES, READY_2_5, Message, ScriptedPeer, signed_proposal


def get(stub: Stub) -> Response:
    """Answer with the value of the key that the call names."""
    return Response(payload=stub.get(stub.function) or b"")


def test_answers_find_their_transaction_in_any_order(serve: Serve) -> None:
    with ScriptedPeer(serve(get).port) as peer:
        # The same transaction id may run on two channels at once.
        keys = [(f"tx{number}", channel) for number in range(50) for channel in ("a", "b")]
        for txid, channel in keys:
            peer.begin(f"{txid}/{channel}".encode(), txid=txid, channel=channel)
        asked = [peer.receive() for _ in keys]
        assert {message.type for message in asked} == {Message.GET_STATE}
        for message in reversed(asked):
            key = shim_pb2.GetState.FromString(message.payload).key
            assert key == f"{message.txid}/{message.channel_id}"
            peer.respond(f"value of {key}".encode(), txid=message.txid, channel=message.channel_id)
        for _ in keys:
            done = peer.receive()
            assert done.type == Message.COMPLETED
            assert f"value of {done.txid}/{done.channel_id}".encode() in done.payload


def test_one_transaction_asks_one_thing_at_a_time(serve: Serve) -> None:
    def run(stub: Stub) -> Response:
        with ThreadPoolExecutor(8) as threads:
            values = list(threads.map(stub.get, [f"k{number}" for number in range(8)]))
        return Response(payload=b"".join(value or b"" for value in values))

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        for _ in range(8):
            key = shim_pb2.GetState.FromString(peer.expect(Message.GET_STATE)).key
            # A keepalive comes back before the answer is given, so a second request would be seen here.
            peer.send(type=Message.KEEPALIVE)
            assert peer.receive().type == Message.KEEPALIVE
            peer.respond(key.encode())
        assert peer.completed().payload == b"k0k1k2k3k4k5k6k7"


class UnspeakableError(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise ValueError


def raising(error: BaseException) -> Callable[[Stub], Response]:
    def run(stub: Stub) -> Response:
        if stub.function == "fail":
            stub.put("k", b"v")
            stub.set_event("never")
            raise error
        return Response()

    return run


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("no such asset"), 500, "ValueError: no such asset"),
        (KeyError("k"), 500, "KeyError: 'k'"),
        (AssertionError(), 500, "AssertionError"),
        (SystemExit(3), 500, "SystemExit: 3"),
        (KeyboardInterrupt(), 500, "KeyboardInterrupt"),
        (RecursionError("too deep"), 500, "RecursionError: too deep"),
        (Rejected("not yours"), 500, "not yours"),
        (Rejected("not yours", 403), 403, "not yours"),
        (UnicodeError("\ud800"), 500, "UnicodeError: ?"),
        (UnspeakableError(), 500, "UnspeakableError"),
        (ValueError("x" * 10_000), 500, "ValueError: " + "x" * (4096 - 12)),
    ],
)
def test_a_contract_that_raises_fails_its_own_transaction_alone(
    serve: Serve, error: BaseException, status: int, message: str
) -> None:
    with ScriptedPeer(serve(raising(error)).port) as peer:
        peer.begin(b"fail", txid="bad")
        done = peer.receive()
        # Neither writes nor an event leave a transaction that failed.
        assert (done.type, done.HasField("chaincode_event")) == (Message.COMPLETED, False)
        answer = proposal_response_pb2.Response.FromString(done.payload)
        assert (answer.status, answer.message, answer.payload) == (status, message, b"")
        peer.begin(txid="good")
        assert peer.completed(txid="good").status == 200


@pytest.mark.parametrize("status", [400, 404, 499, 500, 599])
def test_a_response_that_will_not_be_endorsed_writes_nothing(serve: Serve, status: int) -> None:
    def run(stub: Stub) -> Response:
        stub.put("k", b"v")
        stub.set_event("never")
        return Response(status=status, payload=b"details", message="no")

    with ScriptedPeer(serve(run).port, ready=READY_2_5) as peer:
        peer.begin()
        answer = peer.completed()
        assert (answer.status, answer.payload, answer.message) == (status, b"details", "no")


def test_an_answer_that_is_no_response_is_an_error(serve: Serve) -> None:
    with ScriptedPeer(serve(lambda _stub: "done").port) as peer:
        peer.begin()
        answer = peer.completed()
        assert (answer.status, "not with a Response" in answer.message) == (500, True)


@pytest.mark.parametrize("ready", [READY_2_5, None])
def test_a_write_that_the_peer_refuses_fails_the_transaction(serve: Serve, ready: bytes | None) -> None:
    def run(stub: Stub) -> Response:
        stub.put("k", b"v", collection="c")
        return Response(payload=b"done")

    peer = ScriptedPeer(serve(run).port) if ready is None else ScriptedPeer(serve(run).port, ready=ready)
    with peer:
        peer.begin()
        peer.receive()
        peer.refuse("collection c could not be found")
        answer = peer.completed()
        assert (answer.status, answer.payload, answer.message) == (500, b"", "collection c could not be found")


def test_failures_are_logged_without_what_was_in_them(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedPeer(serve(raising(ValueError("the secret"))).port) as peer:
        peer.begin(b"fail", b"the secret")
        assert peer.completed().status == 500
    assert "ValueError in run" in caplog.text
    assert "the secret" not in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": b"\xff"},
        {"proposal": {"proposal_bytes": b"\xff"}},
        {"proposal": {"proposal_bytes": b"\x0a\x01\xff"}},
        {"proposal": signed_proposal(header_type=0)},
    ],
)
def test_a_transaction_that_cannot_be_read_is_a_fault_of_the_shim(serve: Serve, fields: dict[str, Any]) -> None:
    with ScriptedPeer(serve(lambda _stub: Response()).port) as peer:
        peer.begin(txid="bad", **fields)
        assert peer.expect(Message.ERROR, txid="bad").startswith(b"the transaction cannot be read: ")
        peer.begin(txid="good")
        assert peer.completed(txid="good").status == 200


def test_a_transaction_that_still_runs_is_not_begun_again(serve: Serve) -> None:
    with ScriptedPeer(serve(get).port) as peer:
        peer.begin(b"k")
        peer.expect(Message.GET_STATE)
        peer.begin(b"k")
        assert peer.expect(Message.ERROR) == b"this transaction is still running"
        peer.respond(b"v")
        assert peer.completed().payload == b"v"
        # After its end the id is free: a peer may evaluate one proposal again.
        peer.begin(b"k")
        peer.expect(Message.GET_STATE)
        peer.respond(b"w")
        assert peer.completed().payload == b"w"


def test_an_answer_that_was_not_asked_for_is_not_taken_for_the_next_one(serve: Serve) -> None:
    released = threading.Event()

    def run(stub: Stub) -> Response:
        released.wait(10)
        return get(stub)

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin(b"k")
        peer.respond(b"stale")
        peer.send(type=Message.KEEPALIVE)
        assert peer.receive().type == Message.KEEPALIVE
        released.set()
        peer.expect(Message.GET_STATE)
        peer.respond(b"fresh")
        peer.respond(b"once more")
        assert peer.completed().payload == b"fresh"


def test_a_stream_that_is_cut_releases_its_transactions(serve: Serve) -> None:
    outcomes: list[str] = []
    over = threading.Semaphore(0)

    def run(stub: Stub) -> Response:
        try:
            return get(stub)
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            over.release()

    server = serve(run)
    with ScriptedPeer(server.port) as peer:
        for number in range(5):
            peer.begin(b"k", txid=f"tx{number}")
            peer.expect(Message.GET_STATE, txid=f"tx{number}")
    for _ in range(5):
        assert over.acquire(timeout=10)
    assert outcomes == ["StreamEnded: the stream to the peer ended in the middle of the transaction"] * 5
    with ScriptedPeer(server.port) as peer:
        peer.begin(b"k")
        peer.expect(Message.GET_STATE)
        peer.respond(b"v")
        assert peer.completed().payload == b"v"


def test_large_arguments_and_results_pass(serve: Serve) -> None:
    with ScriptedPeer(serve(lambda stub: Response(payload=stub.args[0][::-1])).port) as peer:
        argument = bytes(range(256)) * (5 * 1024 * 4)
        peer.begin(argument)
        assert peer.completed().payload == argument[::-1]


@pytest.mark.parametrize("where", ["response", "write", "key"])
def test_what_is_too_large_for_the_peer_fails_its_own_transaction_alone(serve: Serve, where: str) -> None:
    def run(stub: Stub) -> Response:
        if where == "write":
            stub.put("k", bytes(MAX_BYTES))
        if where == "key":
            stub.get("k" * MAX_BYTES)
        return Response(payload=bytes(MAX_BYTES) if where == "response" else b"")

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        answer = peer.completed()
        assert answer.status == 500
        assert answer.message.endswith(f"is larger than the peer takes, {MAX_BYTES}")


def test_a_message_beyond_100_mib_ends_its_stream_and_no_other(serve: Serve) -> None:
    port = serve(get).port
    with ScriptedPeer(port) as other:
        other.begin(b"k")
        other.expect(Message.GET_STATE)
        with ScriptedPeer(port) as peer:
            peer.send_bytes(bytes(MAX_BYTES + 1))
            assert peer.ended() == grpc.StatusCode.RESOURCE_EXHAUSTED
        other.respond(b"v")
        assert other.completed().payload == b"v"


def test_a_transaction_waits_for_another_of_the_same_server(serve: Serve) -> None:
    """A chaincode on two channels asks itself: the second transaction must not wait for the first one's thread."""
    begun = threading.Barrier(20)

    def run(stub: Stub) -> Response:
        begun.wait(10)
        return get(stub)

    with ScriptedPeer(serve(run).port) as peer:
        for number in range(20):
            peer.begin(b"k", txid=f"tx{number}")
        asked = [peer.receive() for _ in range(20)]
        assert {message.type for message in asked} == {Message.GET_STATE}


def test_transactions_beyond_the_limit_wait_for_their_turn(serve: Serve) -> None:
    with ScriptedPeer(serve(get, max_transactions=1).port) as peer:
        peer.begin(b"k", txid="first")
        peer.begin(b"k", txid="second")
        peer.expect(Message.GET_STATE, txid="first")
        peer.respond(b"1", txid="first")
        assert peer.completed(txid="first").payload == b"1"
        peer.expect(Message.GET_STATE, txid="second")
        peer.respond(b"2", txid="second")
        assert peer.completed(txid="second").payload == b"2"


def test_a_stopping_server_finishes_what_runs_and_refuses_the_rest(serve: Serve) -> None:
    server = serve(get)
    with ScriptedPeer(server.port) as peer:
        peer.begin(b"k", txid="running")
        peer.expect(Message.GET_STATE, txid="running")
        with ThreadPoolExecutor(1) as threads:
            stopping = threads.submit(server.stop)
            refusal = None
            while refusal is None:
                peer.begin(b"k", txid="late")
                message = peer.receive()
                if message.type == Message.ERROR:
                    refusal = message.payload
                else:
                    peer.respond(b"", txid="late")
                    peer.completed(txid="late")
            assert refusal == b"the chaincode server is stopping"
            peer.respond(b"v", txid="running")
            assert peer.completed(txid="running").payload == b"v"
            assert peer.ended() == grpc.StatusCode.UNAVAILABLE
            assert stopping.result(10) == 0


def test_a_contract_that_never_ends_does_not_keep_the_server_from_stopping(serve: Serve) -> None:
    released = threading.Event()

    def run(_stub: Stub) -> Response:
        released.wait(30)
        return Response()

    server = serve(run, drain_s=0.1)
    with ScriptedPeer(server.port) as peer:
        peer.begin()
        peer.send(type=Message.KEEPALIVE)
        assert peer.receive().type == Message.KEEPALIVE
        assert server.stop() == 1
        assert peer.ended() == grpc.StatusCode.UNAVAILABLE
    released.set()
