"""Functions by name, their arguments, and the metadata that describes them."""

import json
from typing import Any

import pytest
from cryptography.x509.oid import NameOID
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2
from fabric_protos.peer import proposal_response_pb2

from fabric_shim import Contract, ContractChaincode, Stub, example
from shim.certificates import TestAuthority, name
from shim.conftest import Serve
from shim.scripted_peer import Message, ScriptedPeer, serialized_identity, signed_proposal

first = Contract("first", title="The first", version="1.2.3")
second = Contract("second")


@first.submit
def echo(  # noqa: PLR0913, PLR0917 -- one parameter of each kind
    _stub: Stub,
    text: str,
    data: bytes,
    flag: bool,  # noqa: FBT001 -- the same
    count: int,
    ratio: float,
    items: list[str],
    fields: dict[str, Any],
) -> dict[str, Any]:
    return {"z": [text, data.decode(), flag, count, ratio], "a": [items, fields]}


@first.evaluate
def nothing(_stub: Stub) -> None:
    """Return no result."""


@second.evaluate
def text(_stub: Stub) -> str:
    return "é"


@second.evaluate
def raw(_stub: Stub) -> bytes:
    return b"\xff"


@second.evaluate
def unspeakable(_stub: Stub) -> float:
    return float("nan")


CHAINCODE = ContractChaincode([first, second], title="Toys", version="0.1")
ECHO = (b"text", b"data", b"true", b"7", b"1", b'["x"]', b'{"y":null}')


def ask(serve: Serve, *args: bytes) -> Any:
    with ScriptedPeer(serve(CHAINCODE.invoke).port) as peer:
        peer.begin(*args)
        return peer.completed()


@pytest.mark.parametrize(
    ("args", "payload"),
    [
        ((b"echo", *ECHO), b'{"a":[["x"],{"y":null}],"z":["text","data",true,7,1]}'),
        ((b"first:echo", *ECHO), b'{"a":[["x"],{"y":null}],"z":["text","data",true,7,1]}'),
        ((b"nothing",), b""),
        ((b"second:text",), "é".encode()),
        ((b"second:raw",), b"\xff"),
    ],
)
def test_a_function_is_called_by_its_name(serve: Serve, args: tuple[bytes, ...], payload: bytes) -> None:
    answer = ask(serve, *args)
    assert (answer.status, answer.message, answer.payload) == (200, "", payload)


def changed(place: int, value: bytes) -> tuple[bytes, ...]:
    return (b"echo", *ECHO[:place], value, *ECHO[place + 1 :])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "this chaincode has no function ''"),
        ((b"text",), "this chaincode has no function 'text'"),
        ((b"third:text",), "this chaincode has no function 'third:text'"),
        ((b"__init__",), "this chaincode has no function '__init__'"),
        ((b"nothing", b"1"), "nothing takes 0 arguments (none), not 1"),
        ((b"echo", b"1"), "echo takes 7 arguments (text, data, flag, count, ratio, items, fields), not 1"),
        (changed(0, b"\xff"), "argument text is no string"),
        (changed(2, b"1"), "argument flag is no boolean"),
        (changed(3, b"true"), "argument count is no integer"),
        (changed(3, b"1.5"), "argument count is no integer"),
        (changed(3, b""), "argument count is no integer"),
        (changed(4, b'"1"'), "argument ratio is no number"),
        (changed(4, b"NaN"), "argument ratio is no number"),
        (changed(5, b"{}"), "argument items is no array"),
        (changed(6, b"[" * 100_000), "argument fields is no object"),
    ],
)
def test_a_call_that_fits_no_function_is_refused(serve: Serve, args: tuple[bytes, ...], message: str) -> None:
    answer = ask(serve, *args)
    assert (answer.status, answer.message) == (500, message)


def test_a_result_that_json_has_no_words_for_is_refused(serve: Serve) -> None:
    answer = ask(serve, b"second:unspeakable")
    assert (answer.status, answer.message.startswith("ValueError: Out of range float values")) == (500, True)


def test_metadata_describes_every_function(serve: Serve) -> None:
    metadata = json.loads(ask(serve, b"org.hyperledger.fabric:GetMetadata").payload)
    assert metadata["info"] == {"title": "Toys", "version": "0.1"}
    assert list(metadata["contracts"]) == ["first", "second", "org.hyperledger.fabric"]
    described = metadata["contracts"]["first"]
    assert (described["name"], described["info"]) == ("first", {"title": "The first", "version": "1.2.3"})
    assert described["transactions"] == [
        {
            "name": "echo",
            "tag": ["submit"],
            "parameters": [
                {"name": parameter, "schema": {"type": kind}}
                for parameter, kind in [
                    ("text", "string"),
                    ("data", "string"),
                    ("flag", "boolean"),
                    ("count", "integer"),
                    ("ratio", "number"),
                    ("items", "array"),
                    ("fields", "object"),
                ]
            ],
            "returns": {"type": "object"},
        },
        {"name": "nothing", "tag": ["evaluate"]},
    ]


def test_a_parameter_without_a_type_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="parameter what"):

        @Contract("broken").submit
        def function(_stub: Stub, what) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            ...


def test_the_example_keeps_a_register(serve: Serve) -> None:
    authority = TestAuthority()
    state: dict[str, bytes] = {}

    def call(peer: ScriptedPeer, client: bytes, *args: bytes) -> Any:
        """Run one transaction of the example on `state`, and commit its writes."""
        peer.begin(*args, proposal=signed_proposal(creator=client))
        while (message := peer.receive()).type != Message.COMPLETED:
            if message.type == Message.GET_STATE:
                peer.respond(state.get(shim_pb2.GetState.FromString(message.payload).key, b""))
            else:
                for record in shim_pb2.WriteBatchState.FromString(message.payload).rec:
                    state[record.key] = record.value
                peer.respond()
        return message.chaincode_event.event_name, proposal_response_pb2.Response.FromString(message.payload)

    anne, bob = (
        serialized_identity("Org1MSP", authority.issue(name((NameOID.COMMON_NAME, who))).certificate)
        for who in ("anne", "bob")
    )
    with ScriptedPeer(serve(example.CHAINCODE.invoke).port) as peer:
        assert call(peer, anne, b"create", b"painting", b"100")[1].status == 200
        assert call(peer, bob, b"create", b"painting", b"1")[1].message == "asset painting exists"
        assert call(peer, bob, b"transfer", b"painting", b"bob")[1].message == "asset painting belongs to somebody else"
        event, answer = call(peer, anne, b"transfer", b"painting", b"bob")
        assert (event, answer.status) == ("transferred", 200)
        assert json.loads(call(peer, bob, b"read", b"painting")[1].payload) == {"owner": "bob", "value": 100}
        assert call(peer, bob, b"read", b"vase")[1].message == "asset vase does not exist"
