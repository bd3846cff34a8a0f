from enum import StrEnum
from typing import Any

import pytest

from community import (
    FIRST,
    SALT,
    Community,
    Home,
    chunk,
    identity_of,
    request_content,
    signed,
    small_pages,
)
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.chunks import MAX_BYTES, MAX_ITEMS
from wattpool_chaincode.ledger.period import key
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.requests import RequestRefusal
from wattpool_chaincode.organisations import DSO, MEMBERS
from wattpool_chaincode.records import codec

START = FIRST.start_utc
TAMPERED = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}


@pytest.fixture
def community() -> Community:
    """The second period is open; Ann's last request had the counter 1, Cy's meter is void, and Dee is suspended."""
    community = Community([Home(name=name) for name in ("ann", "bob", "cy", "dee")])
    community.run_period({"ann": 500, "bob": -300}, {})
    community.contract("update_meters", states=[signed("state", "cy", TAMPERED)])
    community.publish()
    for organisation in (DSO, MEMBERS):
        community.ledger("suspend", by=organisation, slot=3, reason="bypassed meter")
    community.open(FIRST.next)
    return community


def request(
    name: str, balance_wh: int = 100, *, counter: int = 2, limit: int | None = None, **changes: Any
) -> list[str]:
    content = request_content(balance_wh, limit=limit)
    return signed("request", name, content, **{"period": FIRST.next, "counter": counter, **changes})


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[object, StrEnum]] = [
    ([request("ann")[0], ""], PayloadRefusal.UNSIGNED),
    (request("ann")[0], PayloadRefusal.MALFORMED),
    (None, PayloadRefusal.MALFORMED),
    ([request("ann")[0], "A"], PayloadRefusal.MALFORMED),
    (["{}", request("ann")[1]], PayloadRefusal.MALFORMED),
    (
        signed("request", "eve", {**request_content(100), "discount": 1}, community="elsewhere"),
        PayloadRefusal.MALFORMED,
    ),
    (request("eve", limit=-1, community="elsewhere"), PayloadRefusal.MALFORMED),
    (request("eve", period=FIRST, community="elsewhere"), PayloadRefusal.FOREIGN_COMMUNITY),
    (request("eve", period=FIRST), PayloadRefusal.LATE),
    (request("eve", period=FIRST.next.next), PayloadRefusal.EARLY),
    (request("eve"), PayloadRefusal.SIGNER_UNKNOWN),
    (request("eve", signer=identity_of("ann"), counter=1), PayloadRefusal.WRONGLY_SIGNED),
    ([request("ann", 100, counter=1)[0], request("ann", 200, counter=1)[1]], PayloadRefusal.WRONGLY_SIGNED),
    (request("ann", 9_999, counter=1), PayloadRefusal.REPLAYED),
    (request("cy", 9_999), RequestRefusal.NOT_ADMITTED),
    (request("dee", 9_999), RequestRefusal.SUSPENDED),
    (request("ann", 2_501, limit=0), RequestRefusal.OVER_LINE_LIMIT),
    (request("ann", -2_501, limit=400_001), RequestRefusal.OVER_LINE_LIMIT),
    (request("ann", 100, limit=59_999), RequestRefusal.OVER_OWNER_LIMIT),
    (request("bob", -100, limit=400_001), RequestRefusal.OVER_OWNER_LIMIT),
]


@pytest.mark.parametrize(("item", "reason"), REFUSED)
def test_a_bad_request_is_named_and_spoils_no_other(community: Community, item: object, reason: StrEnum) -> None:
    good = request("bob", -200)
    summary = community.ingest([item, good], period=FIRST.next)
    assert summary == {"count": 2, "refused": [[0, reason.value]]}
    assert community.ledger("close", period=FIRST.next.start_utc)["orders"] == 1


def test_requests_at_the_limits_are_taken_in(community: Community) -> None:
    # 10 kW carry 2,500 Wh in a quarter of an hour.
    items = [request("ann", 2_500, limit=60_000), request("bob", -2_500, limit=400_000)]
    assert community.ingest(items, period=FIRST.next)["refused"] == []


def test_a_request_for_nothing_is_taken_in_at_any_limit(community: Community) -> None:
    items = [request("ann", 0, limit=0), request("bob", 0, limit=500_000)]
    assert community.ingest(items, period=FIRST.next) == {"count": 2, "refused": []}
    assert community.ledger("close", period=FIRST.next.start_utc)["orders"] == 0


def test_the_balance_is_what_is_generated_less_consumed_plus_released(community: Community) -> None:
    content = {"battery_wh": -40, "consumption_w": 1_000, "generation_w": 2_000, "limit_ut_per_kwh": 60_000}
    community.ingest([signed("request", "ann", content, period=FIRST.next, counter=2)], period=FIRST.next)
    community.ledger("close", period=FIRST.next.start_utc)
    book = community.network.states["ledger"].private["meter_data", key("book", FIRST.next.start_utc)]
    # 1,000 W over a quarter of an hour are 250 Wh, of which the battery takes 40.
    assert codec.decode(book)["orders"] == [[0, 2, 210, 60_000]]


def test_a_request_twice_in_a_chunk_counts_once(community: Community) -> None:
    item = request("bob", -200)
    assert community.ingest([item, item], period=FIRST.next)["refused"] == [[1, "replayed"]]


def test_a_repeated_chunk_changes_nothing_even_when_the_gate_is_closed(community: Community) -> None:
    items = [request("ann"), None]
    summary = community.ingest(items, period=FIRST.next)
    before = community.snapshot()
    assert community.ingest(items, period=FIRST.next) == summary
    assert community.snapshot() == before
    community.ledger("close", period=FIRST.next.start_utc)
    assert community.ingest(items, period=FIRST.next) == summary
    assert community.refusal("ledger", "ingest", **chunk("request", [], period=FIRST.next)) is LedgerRefusal.LATE


def test_the_block_shows_of_a_chunk_its_hash_and_who_was_refused(community: Community) -> None:
    argument = chunk("request", [request("ann"), None], period=FIRST.next)
    community.ingest([request("ann"), None], period=FIRST.next)
    public = community.network.states["ledger"].public
    stored = public[key("requests", FIRST.next.start_utc, argument["chunk"])]
    assert stored == b'{"count":2,"refused":[[1,"malformed"]]}'
    assert not [name for name in public if name.startswith(("request/", "order/"))]


def transient(data: bytes, *, name: str | None = None) -> dict[str, Any]:
    """Return the arguments of `ingest` for any bytes, honest about their hash unless another name is given."""
    digest = codec.content_id(data) if name is None else name
    return {
        "period": FIRST.next.start_utc,
        "chunk": digest,
        "pages": [0],
        "transient": {key("request", FIRST.next.start_utc, digest): data},
    }


GOOD = codec.encode({"items": [], "salt": SALT.hex()})
CALLS_REFUSED: list[tuple[dict[str, Any], StrEnum]] = [
    ({**transient(GOOD), "chunk": "0f"}, CallRefusal.ARGUMENT_MALFORMED),
    ({**transient(GOOD), "period": FIRST.next.next.start_utc, "transient": {}}, LedgerRefusal.PERIOD_UNKNOWN),
    ({**transient(GOOD), "period": START, "transient": {}}, LedgerRefusal.LATE),
    ({**transient(GOOD), "transient": {}}, LedgerRefusal.CHUNK_ABSENT),
    (transient(b" " * (MAX_BYTES + 1)), LedgerRefusal.CHUNK_MALFORMED),
    (transient(GOOD, name="0f" * 32), LedgerRefusal.CHUNK_MALFORMED),
    (transient(GOOD + b" "), LedgerRefusal.CHUNK_MALFORMED),
    (transient(b"\xff"), LedgerRefusal.CHUNK_MALFORMED),
    (transient(codec.encode([])), LedgerRefusal.CHUNK_MALFORMED),
    (transient(codec.encode({"items": [], "salt": SALT.hex()[2:]})), LedgerRefusal.CHUNK_MALFORMED),
    (transient(codec.encode({"items": [], "salt": SALT.hex(), "more": 1})), LedgerRefusal.CHUNK_MALFORMED),
    (transient(codec.encode({"items": {}, "salt": SALT.hex()})), LedgerRefusal.CHUNK_MALFORMED),
    (
        transient(codec.encode({"items": [0] * (MAX_ITEMS + 1), "salt": SALT.hex()})),
        LedgerRefusal.CHUNK_MALFORMED,
    ),
]


@pytest.mark.parametrize(("argument", "reason"), CALLS_REFUSED)
def test_a_chunk_that_breaks_a_rule_is_refused_by_name(
    community: Community, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("ledger", "ingest", **argument) is reason


def test_the_tables_hold_every_reason_of_a_payload_and_of_a_request() -> None:
    assert {reason for _, reason in REFUSED} == {*PayloadRefusal, *RequestRefusal}


@pytest.mark.parametrize("pages", [[], [0], [1], [0, 1, 7], [1, 1]])
def test_where_devices_are_said_to_stand_changes_nothing(pages: list[int]) -> None:
    with small_pages(1):
        street = Community([Home(name="ann"), Home(name="bob")], page_size=1)
        street.open()
        requests = [street.request("bob", -300), street.request("ann", 500)]
        argument = {**chunk("request", [*requests, signed("request", "cy", {})]), "pages": pages}
        assert street.ledger("ingest", **argument)["refused"] == [[2, "malformed"]]
        assert street.fix()["agreed_wh"] == 300
