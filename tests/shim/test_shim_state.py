"""What contract code asks for, message by message."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import chaincode_pb2, proposal_response_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2

from fabric_shim import (
    ArgumentError,
    KeyValue,
    Modification,
    OutOf,
    Page,
    Response,
    SignedBy,
    Stub,
    all_of,
    create_composite_key,
)
from fabric_shim.policy import encode_policy
from shim.conftest import Serve
from shim.scripted_peer import READY_2_5, Message, ScriptedPeer, key_value, query_response, signed_proposal

POLICY = OutOf(2, (SignedBy("A"), SignedBy("B", "PEER"), OutOf(1, (SignedBy("C"),))))
PAGE_METADATA = shim_pb2.QueryMetadata(pageSize=2, bookmark="k").SerializeToString()
PAGE = query_response(key_value("k", b"1"), key_value("l", b"2"), bookmark="m")
COMPLETED = Message(
    type=Message.COMPLETED,
    payload=proposal_response_pb2.Response(status=201, payload=b"p", message="m").SerializeToString(),
)


def ranged(start: str, end: str, **fields: Any) -> Any:
    return shim_pb2.GetStateByRange(startKey=start, endKey=end, **fields)


READS: dict[str, tuple[Callable[[Stub], object], int, Any, bytes, object]] = {
    "get": (lambda s: s.get("k"), Message.GET_STATE, shim_pb2.GetState(key="k"), b"v", b"v"),
    "get nothing": (lambda s: s.get("k"), Message.GET_STATE, shim_pb2.GetState(key="k"), b"", None),
    "get private": (
        lambda s: s.get("k", collection="c"),
        Message.GET_STATE,
        shim_pb2.GetState(key="k", collection="c"),
        b"v",
        b"v",
    ),
    "private hash": (
        lambda s: s.private_hash("k", collection="c"),
        Message.GET_PRIVATE_DATA_HASH,
        shim_pb2.GetState(key="k", collection="c"),
        b"h",
        b"h",
    ),
    "open range": (
        lambda s: list(s.range()),
        Message.GET_STATE_BY_RANGE,
        ranged("\x01", ""),
        query_response(key_value("k", b"v")),
        [KeyValue("k", b"v")],
    ),
    "private range": (
        lambda s: list(s.range("a", "b", collection="c")),
        Message.GET_STATE_BY_RANGE,
        ranged("a", "b", collection="c"),
        query_response(),
        [],
    ),
    "composite range": (
        lambda s: list(s.composite_range("asset", ["red"], collection="c")),
        Message.GET_STATE_BY_RANGE,
        ranged("\0asset\0red\0", "\0asset\0red\0\U0010ffff", collection="c"),
        query_response(key_value(create_composite_key("asset", ["red", "1"]), b"v")),
        [KeyValue("\0asset\0red\x001\0", b"v")],
    ),
    "range page": (
        lambda s: s.range_page("a", "z", page_size=2, bookmark="k"),
        Message.GET_STATE_BY_RANGE,
        ranged("a", "z", metadata=PAGE_METADATA),
        PAGE,
        Page(items=(KeyValue("k", b"1"), KeyValue("l", b"2")), bookmark="m"),
    ),
    "composite page": (
        lambda s: s.composite_range_page("asset", page_size=2, bookmark="k"),
        Message.GET_STATE_BY_RANGE,
        ranged("\0asset\0", "\0asset\0\U0010ffff", metadata=PAGE_METADATA),
        query_response(),
        Page(items=(), bookmark=""),
    ),
    "all composite page": (
        lambda s: s.all_composite_page(page_size=2, bookmark="k"),
        Message.GET_STATE_BY_RANGE,
        ranged("\0", "\0\U0010ffff", metadata=PAGE_METADATA),
        query_response(),
        Page(items=(), bookmark=""),
    ),
    "rich query": (
        lambda s: list(s.query("{}", collection="c")),
        Message.GET_QUERY_RESULT,
        shim_pb2.GetQueryResult(query="{}", collection="c"),
        query_response(key_value("k", b"v")),
        [("k", b"v")],
    ),
    "rich query page": (
        lambda s: s.query_page("{}", page_size=2, bookmark="k"),
        Message.GET_QUERY_RESULT,
        shim_pb2.GetQueryResult(query="{}", metadata=PAGE_METADATA),
        PAGE,
        Page(items=(KeyValue("k", b"1"), KeyValue("l", b"2")), bookmark="m"),
    ),
    "policy": (
        lambda s: s.get_policy("k", collection="c"),
        Message.GET_STATE_METADATA,
        shim_pb2.GetStateMetadata(key="k", collection="c"),
        shim_pb2.StateMetadataResult(
            entries=[
                shim_pb2.StateMetadata(metakey="OTHER", value=b"?"),
                shim_pb2.StateMetadata(metakey="VALIDATION_PARAMETER", value=encode_policy(POLICY)),
            ]
        ).SerializeToString(),
        POLICY,
    ),
    "no policy": (
        lambda s: s.get_policy("k"),
        Message.GET_STATE_METADATA,
        shim_pb2.GetStateMetadata(key="k"),
        b"",
        None,
    ),
    "chaincode": (
        lambda s: s.invoke_chaincode("cc", [b"f", b"1"]),
        Message.INVOKE_CHAINCODE,
        chaincode_pb2.ChaincodeSpec(
            chaincode_id=chaincode_pb2.ChaincodeID(name="cc"), input=chaincode_pb2.ChaincodeInput(args=[b"f", b"1"])
        ),
        COMPLETED.SerializeToString(),
        Response(status=201, payload=b"p", message="m"),
    ),
    "chaincode on another channel": (
        lambda s: s.invoke_chaincode("cc", [], channel="other").payload,
        Message.INVOKE_CHAINCODE,
        chaincode_pb2.ChaincodeSpec(
            chaincode_id=chaincode_pb2.ChaincodeID(name="cc/other"), input=chaincode_pb2.ChaincodeInput()
        ),
        COMPLETED.SerializeToString(),
        b"p",
    ),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_is_one_message_and_its_answer(serve: Serve, name: str) -> None:
    read, kind, asked, answer, expected = READS[name]
    seen: list[object] = []

    def run(stub: Stub) -> Response:
        seen.append(read(stub))
        return Response()

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        assert type(asked).FromString(peer.expect(kind)) == asked
        peer.respond(answer)
        assert peer.completed().status == 200
    assert seen == [expected]


WRITES: dict[str, tuple[Callable[[Stub], None], int, Any]] = {
    "put": (lambda s: s.put("k", b"v"), Message.PUT_STATE, shim_pb2.PutState(key="k", value=b"v")),
    "put private": (
        lambda s: s.put("k", b"v", collection="c"),
        Message.PUT_STATE,
        shim_pb2.PutState(key="k", value=b"v", collection="c"),
    ),
    "delete": (
        lambda s: s.delete("k", collection="c"),
        Message.DEL_STATE,
        shim_pb2.DelState(key="k", collection="c"),
    ),
    "purge": (
        lambda s: s.purge("k", collection="c"),
        Message.PURGE_PRIVATE_DATA,
        shim_pb2.PurgePrivateState(key="k", collection="c"),
    ),
    "policy": (
        lambda s: s.set_policy("k", POLICY, collection="c"),
        Message.PUT_STATE_METADATA,
        shim_pb2.PutStateMetadata(
            key="k",
            collection="c",
            metadata=shim_pb2.StateMetadata(metakey="VALIDATION_PARAMETER", value=encode_policy(POLICY)),
        ),
    ),
    "no policy": (
        lambda s: s.set_policy("k", None),
        Message.PUT_STATE_METADATA,
        shim_pb2.PutStateMetadata(key="k", metadata=shim_pb2.StateMetadata(metakey="VALIDATION_PARAMETER")),
    ),
}


def writing(write: Callable[[Stub], None]) -> Callable[[Stub], Response]:
    def run(stub: Stub) -> Response:
        write(stub)
        return Response()

    return run


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_one_message_for_a_peer_of_2_5(serve: Serve, name: str) -> None:
    write, kind, expected = WRITES[name]
    with ScriptedPeer(serve(writing(write)).port, ready=READY_2_5) as peer:
        peer.begin()
        assert type(expected).FromString(peer.expect(kind)) == expected
        peer.respond()
        assert peer.completed().status == 200


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_one_record_for_a_peer_of_3_1(serve: Serve, name: str) -> None:
    write, kind, expected = WRITES[name]
    with ScriptedPeer(serve(writing(write)).port) as peer:
        peer.begin()
        (record,) = shim_pb2.WriteBatchState.FromString(peer.expect(Message.WRITE_BATCH_STATE)).rec
        peer.respond()
        assert peer.completed().status == 200
    assert (record.type, record.key, record.collection) == (kind, expected.key, expected.collection)
    assert record.value == getattr(expected, "value", b"")
    assert record.metadata == getattr(expected, "metadata", shim_pb2.StateMetadata())


def test_the_last_write_of_a_value_wins_and_beside_it_that_of_the_policy(serve: Serve) -> None:
    def write(stub: Stub) -> None:
        stub.put("k", b"1")
        stub.set_policy("k", all_of(["A"]))
        stub.put("k", b"1", collection="c")
        stub.delete("k")
        stub.set_policy("k", None)
        stub.put("k", b"2")

    with ScriptedPeer(serve(writing(write)).port) as peer:
        peer.begin()
        records = shim_pb2.WriteBatchState.FromString(peer.expect(Message.WRITE_BATCH_STATE)).rec
        peer.respond()
        assert peer.completed().status == 200
    assert [(record.type, record.collection, record.value) for record in records] == [
        (Message.PUT_STATE, "", b"2"),
        (Message.PUT_STATE_METADATA, "", b""),
        (Message.PUT_STATE, "c", b"1"),
    ]


def test_reads_never_see_own_writes(serve: Serve) -> None:
    def run(stub: Stub) -> Response:
        stub.put("k", b"new")
        return Response(payload=stub.get("k") or b"")

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        peer.expect(Message.GET_STATE)
        peer.respond(b"committed")
        peer.expect(Message.WRITE_BATCH_STATE)
        peer.respond()
        assert peer.completed().payload == b"committed"


def test_large_writes_are_spread_over_messages(serve: Serve) -> None:
    def write(stub: Stub) -> None:
        for number in range(3):
            stub.put(f"k{number}", b"v" * 30_000_000)

    with ScriptedPeer(serve(writing(write)).port) as peer:
        peer.begin()
        for size in (1, 1, 1):
            assert len(shim_pb2.WriteBatchState.FromString(peer.expect(Message.WRITE_BATCH_STATE)).rec) == size
            peer.respond()
        assert peer.completed().status == 200


def test_results_are_fetched_as_they_are_taken(serve: Serve) -> None:
    def run(stub: Stub) -> Response:
        return Response(payload=b"".join(value for _, value in stub.range("a")))

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        peer.expect(Message.GET_STATE_BY_RANGE)
        peer.respond(query_response(key_value("a", b"1"), key_value("b", b"2"), more=True))
        for answer in (query_response(key_value("c", b"3"), more=True), query_response(more=True), query_response()):
            assert shim_pb2.QueryStateNext.FromString(peer.expect(Message.QUERY_STATE_NEXT)).id == "q"
            peer.respond(answer)
        # At the end the peer has closed the query itself.
        assert peer.completed().payload == b"123"


def test_results_that_are_not_all_wanted_are_closed(serve: Serve) -> None:
    def run(stub: Stub) -> Response:
        with stub.query("{}") as results:
            first = next(results)
        return Response(payload=first.value, message=str(list(results)))

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        peer.expect(Message.GET_QUERY_RESULT)
        peer.respond(query_response(key_value("a", b"1"), key_value("b", b"2"), more=True))
        assert shim_pb2.QueryStateClose.FromString(peer.expect(Message.QUERY_STATE_CLOSE)).id == "q"
        peer.respond(query_response())
        answer = peer.completed()
        assert (answer.payload, answer.message) == (b"1", "[]")


def test_a_history_tells_deletions_from_values(serve: Serve) -> None:
    seen: list[Modification] = []

    def run(stub: Stub) -> Response:
        seen.extend(stub.history("k"))
        return Response()

    deleted = kv_query_result_pb2.KeyModification(tx_id="t2", is_delete=True)
    deleted.timestamp.seconds = 2
    written = kv_query_result_pb2.KeyModification(tx_id="t1", value=b"v")
    written.timestamp.FromNanoseconds(1_000_000_007)
    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        assert shim_pb2.GetHistoryForKey.FromString(peer.expect(Message.GET_HISTORY_FOR_KEY)).key == "k"
        peer.respond(query_response(deleted, written))
        assert peer.completed().status == 200
    assert seen == [
        Modification(transaction_id="t2", timestamp_ns=2_000_000_000, value=None),
        Modification(transaction_id="t1", timestamp_ns=1_000_000_007, value=b"v"),
    ]


REFUSED: dict[str, Callable[[Stub], object]] = {
    "empty key": lambda s: s.get(""),
    "empty key among many": lambda s: s.get_many(["a", ""]),
    "empty key to write": lambda s: s.put("", b"v"),
    "empty value": lambda s: s.put("k", b""),
    "empty key to delete": lambda s: s.delete(""),
    "no collection to purge": lambda s: s.purge("k", collection=""),
    "no collection to hash": lambda s: s.private_hash("k", collection=""),
    "composite bound": lambda s: s.range("\0a"),
    "no page": lambda s: s.range_page(page_size=0),
    "page too large": lambda s: s.query_page("{}", page_size=2**31),
    "empty event": lambda s: s.set_event(""),
    "no history": lambda s: s.history(""),
    "no policy": lambda s: s.get_policy(""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_peer_would_take_is_not_sent(serve: Serve, name: str) -> None:
    raised: list[ArgumentError] = []

    def run(stub: Stub) -> Response:
        with pytest.raises(ArgumentError) as error:
            REFUSED[name](stub)
        raised.append(error.value)
        return Response()

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        assert peer.completed().status == 200
    assert len(raised) == 1


@pytest.mark.parametrize("name", READS)
def test_a_refusal_of_the_peer_reaches_the_client(serve: Serve, name: str) -> None:
    read, kind, *_ = READS[name]

    def run(stub: Stub) -> Response:
        read(stub)
        return Response()

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        peer.expect(kind)
        peer.refuse("tx creator does not have read access")
        answer = peer.completed()
        assert (answer.status, answer.message) == (500, "tx creator does not have read access")


@pytest.mark.parametrize(("payload", "expected"), [(b"timeout", "timeout"), (b"", "chaincode cc did not complete")])
def test_a_called_chaincode_that_does_not_complete_is_an_error(serve: Serve, payload: bytes, expected: str) -> None:
    with ScriptedPeer(serve(lambda stub: stub.invoke_chaincode("cc", [])).port) as peer:
        peer.begin()
        peer.expect(Message.INVOKE_CHAINCODE)
        peer.respond(Message(type=Message.ERROR, payload=payload).SerializeToString())
        answer = peer.completed()
        assert (answer.status, answer.message) == (500, expected)


def test_the_last_event_is_attached(serve: Serve) -> None:
    def run(stub: Stub) -> Response:
        stub.set_event("first", b"1")
        stub.set_event("last", b"2")
        return Response()

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin()
        event = peer.receive().chaincode_event
        assert (event.event_name, event.payload) == ("last", b"2")
        assert (event.chaincode_id, event.tx_id) == ("", "")


def test_a_transaction_knows_its_proposal(serve: Serve) -> None:
    seen: list[Stub] = []

    def run(stub: Stub) -> Response:
        seen.append(stub)
        return Response()

    proposal = signed_proposal(
        creator=b"\x0a\x01M\x12\x01p", nonce=b"n", epoch=258, seconds=1_700_000_000, nanos=5, transient={"t": b"secret"}
    )
    call = chaincode_pb2.ChaincodeInput(args=[b"f", b"1", b"\xff"], decorations={"d": b"peer0"}, is_init=True)
    with ScriptedPeer(serve(run).port) as peer:
        peer.begin(txid="t9", type=Message.INIT, payload=call.SerializeToString(), proposal=proposal)
        assert peer.completed(txid="t9").status == 200
    (stub,) = seen
    assert (stub.channel, stub.transaction_id, stub.is_init) == ("mychannel", "t9", True)
    assert (stub.function, stub.parameters, stub.args) == ("f", (b"1", b"\xff"), (b"f", b"1", b"\xff"))
    assert (dict(stub.transient), dict(stub.decorations)) == ({"t": b"secret"}, {"d": b"peer0"})
    assert stub.timestamp_ns == 1_700_000_000_000_000_005
    assert (stub.client.msp_id, stub.client.credential) == ("M", b"p")
    epoch = b"\x02\x01\0\0\0\0\0\0"
    assert stub.proposal.binding == sha256(b"n" + stub.proposal.creator + epoch).digest()
    assert stub.proposal.signed == proposal.SerializeToString()


def test_a_call_of_the_peer_itself_has_no_proposal_and_no_arguments(serve: Serve) -> None:
    def run(stub: Stub) -> Response:
        empty = (stub.function, stub.parameters, dict(stub.transient), stub.timestamp_ns, stub.client.msp_id)
        return Response(message=str(empty == ("", (), {}, 0, "")))

    with ScriptedPeer(serve(run).port) as peer:
        peer.begin(proposal=None)
        assert peer.completed().message == "True"
