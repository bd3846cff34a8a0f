from hashlib import sha256
from typing import Any

import pytest

from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Context
from wattpool_chaincode.memory import MemoryNetwork
from wattpool_chaincode.organisations import DSO, PRICES_AND_MONEY, TWO_OF_THREE
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused


def write(context: Context, argument: dict[str, Any]) -> Any:
    """Write every pair of the argument, null for a deletion, and return what is read of them meanwhile."""
    for key, value in argument.items():
        if value is None:
            context.delete(key)
        else:
            context.put(key, value.encode())
    return [[key, None if (value := context.get(key)) is None else value.decode()] for key in argument]


def write_and_fail(context: Context, argument: dict[str, Any]) -> None:
    write(context, argument)
    context.put_private("homes", "a", b"x")
    context.set_policy("a", PRICES_AND_MONEY)
    raise RuntimeError("a broken invariant")


def read_range(context: Context, argument: dict[str, Any]) -> Any:
    context.put("b/new", b"never read in its own transaction")
    return [[key, value.decode()] for key, value in context.range(argument["start"], argument["end"])]


def read_pages(context: Context, argument: dict[str, Any]) -> Any:
    pages: list[list[str]] = []
    bookmark = ""
    while not pages or bookmark:
        page = context.range_page("a", "z", page_size=argument["size"], bookmark=bookmark)
        pages.append([key for key, _ in page.items])
        bookmark = page.bookmark
    return pages


def read_history(context: Context, argument: dict[str, Any]) -> Any:
    return [
        [change.transaction_id[-1], change.time_utc, None if change.value is None else change.value.decode()]
        for change in context.history(argument["key"])
    ]


def keep_private(context: Context, argument: dict[str, Any]) -> None:
    for key, value in context.transient.items():
        context.put_private(argument["collection"], key, value)


def purge(context: Context, argument: dict[str, Any]) -> None:
    context.purge_private(argument["collection"], argument["key"])


def read_private(context: Context, argument: dict[str, Any]) -> Any:
    collection = argument["collection"]
    value = context.get_private(collection, "b")
    digest = context.private_hash(collection, "b")
    return {
        "all": [key for key, _ in context.range_private(collection, "a", "z")],
        "hash": None if digest is None else digest.hex(),
        "value": None if value is None else value.decode(),
    }


def describe(context: Context, argument: dict[str, Any]) -> Any:
    context.put("query", b"writes of a query are lost")
    by = {"channel": context.channel, "msp_id": context.submitter.msp_id, "time_utc": context.time_utc}
    return {**by, "attributes": dict(context.submitter.attributes), **argument}


def ask(context: Context, argument: dict[str, Any]) -> Any:
    return codec.decode(context.query("other", "describe", codec.encode(argument)))


FUNCTIONS = {
    function.__name__: function
    for function in (
        write,
        write_and_fail,
        read_range,
        read_pages,
        read_history,
        keep_private,
        purge,
        read_private,
        describe,
        ask,
    )
}


@pytest.fixture
def network() -> MemoryNetwork:
    chaincodes = {name: Chaincode(name=name, functions=FUNCTIONS, policy=TWO_OF_THREE) for name in ("main", "other")}
    network = MemoryNetwork(chaincodes)
    call(network, "write", {"a/1": "one", "b/1": "two", "b/é": "three", "b/z": "four"})
    return network


def call(network: MemoryNetwork, function: str, argument: dict[str, Any] | None = None, **more: Any) -> Any:
    return codec.decode(network.call("main", function, codec.encode({**(argument or {}), **more}), by=DSO))


def test_a_transaction_never_reads_its_own_writes(network: MemoryNetwork) -> None:
    assert call(network, "write", {"a/1": "new", "a/2": "new", "b/1": None}) == [
        ["a/1", "one"],
        ["a/2", None],
        ["b/1", "two"],
    ]
    assert call(network, "write", {"a/1": "new", "b/1": None}) == [["a/1", "new"], ["b/1", None]]


def test_a_range_is_half_open_and_in_the_order_of_bytes(network: MemoryNetwork) -> None:
    assert call(network, "read_range", start="b/", end="b0") == [["b/1", "two"], ["b/z", "four"], ["b/é", "three"]]
    assert call(network, "read_range", start="a/1", end="b/1") == [["a/1", "one"]]


@pytest.mark.parametrize(
    ("size", "pages"),
    [(3, [["a/1", "b/1", "b/z"], ["b/é"]]), (4, [["a/1", "b/1", "b/z", "b/é"]]), (2, [["a/1", "b/1"], ["b/z", "b/é"]])],
)
def test_pages_follow_each_other_by_their_bookmarks(network: MemoryNetwork, size: int, pages: list[list[str]]) -> None:
    assert call(network, "read_pages", size=size) == pages


def test_a_failed_transaction_changes_nothing(network: MemoryNetwork) -> None:
    state = network.states["main"]
    before = (dict(state.public), dict(state.private), dict(state.policies), len(state.past["a/1"]))
    with pytest.raises(RuntimeError, match="a broken invariant"):
        call(network, "write_and_fail", {"a/1": "new"})
    with pytest.raises(Refused, match="function_unknown"):
        call(network, "mint")
    assert (state.public, state.private, state.policies, len(state.past["a/1"])) == before


@pytest.mark.parametrize(("key", "value"), [("", "value"), ("key", "")])
def test_neither_key_nor_value_is_empty(network: MemoryNetwork, key: str, value: str) -> None:
    with pytest.raises(ValueError, match="neither key nor value may be empty"):
        call(network, "write", {key: value})


def test_history_gives_the_writes_of_a_key_newest_first(network: MemoryNetwork) -> None:
    network.time_utc = 900
    call(network, "write", {"a/1": "two"})
    call(network, "write", {"a/1": None})
    assert call(network, "read_history", key="a/1") == [["3", 900, None], ["2", 900, "two"], ["1", 0, "one"]]


def test_private_values_are_kept_by_collection_with_their_hash_until_they_are_purged(network: MemoryNetwork) -> None:
    secrets = {"b": b"secret", "a": b"x"}
    network.call("main", "keep_private", b'{"collection":"homes"}', by=DSO, transient=secrets)
    assert call(network, "read_private", collection="homes") == {
        "all": ["a", "b"],
        "hash": sha256(b"secret").hexdigest(),
        "value": "secret",
    }
    assert call(network, "read_private", collection="others") == {"all": [], "hash": None, "value": None}
    call(network, "purge", collection="homes", key="b")
    assert call(network, "read_private", collection="homes") == {"all": ["a"], "hash": None, "value": None}


def test_a_query_runs_on_the_other_channel_as_the_same_caller_and_writes_nothing(network: MemoryNetwork) -> None:
    network.time_utc = 900
    told = {"channel": "other", "msp_id": DSO, "time_utc": 900, "x": 1}
    assert call(network, "ask", x=1) == {**told, "attributes": {"wattpool.role": "operator"}}
    answer = network.call("main", "ask", b'{"x":1}', by=DSO, attributes={"wattpool.role": "reader"})
    assert codec.decode(answer) == {**told, "attributes": {"wattpool.role": "reader"}}
    assert network.states["other"].public == {}
