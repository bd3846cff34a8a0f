from typing import Any

import pytest

from community import FIRST, RULES, SALT, Community, Home, request_content, signed
from wattpool_chaincode.ledger.period import key
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import codec

START = FIRST.start_utc
OTHER_SALT = bytes([1] * 16)


@pytest.fixture
def community() -> Community:
    community = Community([Home(name="ann"), Home(name="bob", purse_ut=0), Home(name="cy", feeder="B")])
    community.open()
    return community


def request(name: str, balance_wh: int, *, counter: int = 1, limit: int | None = None) -> list[str]:
    return signed("request", name, request_content(balance_wh, limit=limit), period=FIRST, counter=counter)


def book(community: Community) -> list[list[int]]:
    """Close the gate and return the orders: slot, counter, balance and limit."""
    community.ledger("close", period=START)
    stored = community.network.states["ledger"].private["meter_data", key("book", START)]
    return list(codec.decode(stored)["orders"])


CHANGES_OF_MIND: list[tuple[list[list[list[str]]], list[list[int]]]] = [
    # A chunk per row of requests; what is left of Ann's in the book.
    ([[]], []),
    ([[request("ann", 100)]], [[0, 1, 100, 60_000]]),
    ([[request("ann", 100), request("ann", 200, counter=2)]], [[0, 2, 200, 60_000]]),
    ([[request("ann", 200, counter=2), request("ann", 100)]], [[0, 2, 200, 60_000]]),
    ([[request("ann", 200, counter=2)], [request("ann", 100)]], [[0, 2, 200, 60_000]]),
    ([[request("ann", 100)], [request("ann", 200, counter=2)]], [[0, 2, 200, 60_000]]),
    ([[request("ann", 100)], [request("ann", 100), request("cy", 50)]], [[0, 1, 100, 60_000], [2, 1, 50, 60_000]]),
    # Nothing asked for withdraws what was asked before, and is no order; one may ask again.
    ([[request("ann", 0)]], []),
    ([[request("ann", 100), request("ann", 0, counter=2)]], []),
    ([[request("ann", 0, counter=2)], [request("ann", 100), request("cy", 50)]], [[2, 1, 50, 60_000]]),
    ([[request("ann", 100)], [request("ann", 0, counter=2)], [request("ann", 70, counter=3)]], [[0, 3, 70, 60_000]]),
    ([[request("ann", 100)], [request("ann", 0)]], []),
    # Two different requests with one counter: neither counts, in one chunk or in two.
    ([[request("ann", 100), request("ann", 200)]], []),
    ([[request("ann", 100)], [request("ann", 200)]], []),
    ([[request("ann", 100)], [request("ann", 100, limit=70_000)]], []),
    ([[request("ann", 100)], [request("ann", 200)], [request("ann", 100), request("cy", 50)]], [[2, 1, 50, 60_000]]),
    # A later word settles it, wherever it stands; a contradiction of the last word does not fall back on earlier ones.
    ([[request("ann", 100), request("ann", 200)], [request("ann", 300, counter=2)]], [[0, 2, 300, 60_000]]),
    ([[request("ann", 300, counter=2)], [request("ann", 100), request("ann", 200)]], [[0, 2, 300, 60_000]]),
    ([[request("ann", 100)], [request("ann", 200, counter=2), request("ann", 300, counter=2)]], []),
]


@pytest.mark.parametrize(("chunks", "expected"), CHANGES_OF_MIND)
@pytest.mark.parametrize("salt", [SALT, OTHER_SALT])
def test_the_last_word_of_a_meter_counts_unless_it_contradicts_itself(
    community: Community, chunks: list[list[list[str]]], expected: list[list[int]], salt: bytes
) -> None:
    # The salt changes the ids of the chunks, and with them the order in which they are read.
    for number, items in enumerate(chunks):
        community.ingest(items, salt=salt + bytes([number]))
    assert book(community) == expected


@pytest.mark.parametrize(
    ("purse_ut", "balance_wh", "limit", "expected_wh"),
    [
        # The dearest trade costs limit + 2,000 ut/kWh, rounding included: 0.102 ut a watt-hour here.
        (10_200, -100, 100_000, -100),
        (10_199, -100, 100_000, -99),
        (101, -100, 100_000, 0),
        (0, -100, 100_000, 0),
        # Nobody pays more than retail, 300,000 ut/kWh, whatever he signs.
        (30_200, -100, 400_000, -100),
        (30_199, -100, 400_000, -99),
        # A price of nothing is still rounded.
        (1, -100, 0, 0),
        (2, -100, 0, -1),
        # What is sold needs no purse.
        (0, 100, 60_000, 100),
    ],
)
def test_an_order_is_cut_to_what_its_purse_can_pay(
    purse_ut: int, balance_wh: int, limit: int, expected_wh: int
) -> None:
    community = Community([Home(name="ann", purse_ut=purse_ut)])
    community.open()
    community.ingest([request("ann", balance_wh, limit=limit)])
    assert book(community) == [[0, 1, expected_wh, limit]]


def test_closing_again_changes_nothing(community: Community) -> None:
    community.ingest([request("ann", 100)])
    gate = community.ledger("close", period=START)
    assert (gate["orders"], gate["groups"], len(gate["chunks"])) == (1, [["A"]], 1)
    before = community.snapshot()
    assert community.ledger("close", by=DSO, period=START) == gate
    assert community.snapshot() == before


def test_a_period_that_was_not_opened_has_no_gate(community: Community) -> None:
    refused = community.refusal("ledger", "close", period=FIRST.next.start_utc)
    assert refused is LedgerRefusal.PERIOD_UNKNOWN


@pytest.mark.parametrize(("time_utc", "closes"), [(START - 301, False), (START - 300, True), (START + 9_999, True)])
def test_under_a_live_clock_the_gate_closes_at_its_time_or_later(time_utc: int, *, closes: bool) -> None:
    community = Community([Home(name="ann")], rules={"clock": "live", "gate_lead_s": 300})
    community.network.time_utc = START - 301
    community.open()
    community.network.time_utc = time_utc
    if closes:
        assert community.ledger("close", period=START)["orders"] == 0
    else:
        assert community.refusal("ledger", "close", period=START) is LedgerRefusal.TOO_EARLY


def test_a_simulated_clock_compares_nothing(community: Community) -> None:
    assert RULES["clock"] == "simulated"
    assert community.network.time_utc == 0
    assert community.ledger("close", period=START)["orders"] == 0


def test_the_order_of_the_chunks_changes_nothing_but_the_lots() -> None:
    def run(order: list[int]) -> Any:
        community = Community([Home(name="ann"), Home(name="bob")])
        community.open()
        chunks = [[request("ann", 100)], [request("bob", -100)]]
        for number in order:
            community.ingest(chunks[number], salt=bytes([number] * 16))
        return community.ledger("close", period=START), community.network.states["ledger"].private

    assert run([0, 1]) == run([1, 0])
