from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, RULES, Community, Home, small_pages
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import DSO, MEMBERS
from wattpool_chaincode.records import codec

START = FIRST.start_utc
HOMES = [
    Home(name="ann"),
    Home(name="bob"),
    Home(name="cy", feeder="B"),
    Home(name="dee", feeder="B"),
    Home(name="eve", feeder="C"),
]


def deal_of(wishes_wh: dict[str, int], *, rules: dict[str, Any] | None = None, page_size: int = 500) -> Any:
    """Clear one period and return the deal with its matches: level, buyer, seller, Wh, price."""
    with small_pages(page_size):
        community = Community(HOMES, rules=rules or {}, page_size=page_size)
        community.open()
        community.ingest([community.request(name, wish) for name, wish in wishes_wh.items()])
        deal = community.fix()
        state = community.network.states["ledger"].public
        pages = [codec.decode(value)["matches"] for name, value in sorted(state.items()) if name.startswith("cleared/")]
        assert community.tokens().together_ut == community.tokens().issued_ut
        return deal, [match[:5] for page in pages for match in page]


def test_feeders_trade_first_and_leave_the_rest_to_the_community() -> None:
    # Uniform prices lie halfway: (289,999 + 60,000) / 2 within a feeder, (279,999 + 60,000) / 2 beyond.
    deal, matches = deal_of({"ann": 500, "bob": -300, "cy": -400})
    assert matches == [["feeder", 1, 0, 300, 174_999], ["community", 2, 0, 200, 169_999]]
    # Escrow: 300 Wh at 174,999 + 10,000 and 200 Wh at 169,999 + 20,000, each amount rounded: 52,500 + 3,000,
    # and 34,000 + 4,000.
    assert deal == {"agreed_wh": 500, "escrow_ut": 93_500, "pages": 1, "trades": 2}


def test_the_pool_mechanism_clears_by_its_own_prices() -> None:
    # Eq. (2): 60,000 + 1,000 for one buyer; eq. (3): 289,999 - 1,000 for one seller covers it: the price asked.
    _, matches = deal_of({"ann": 500, "bob": -300}, rules={"mechanism": "pool"})
    assert matches == [["feeder", 1, 0, 300, 61_000]]


def test_a_rejected_pair_is_written_down_and_is_no_trade() -> None:
    # The limits cross by less than beta: by eq. (3) Bob offers 289,999 - 1,000, and Ann's cost is above that.
    community = Community(
        [Home(name="ann", generation_cost_ut_per_kwh=289_500), Home(name="bob")], rules={"mechanism": "pool"}
    )
    community.open()
    community.ingest([community.request("ann", 500, limit=289_500), community.request("bob", -300)])
    assert community.fix() == {"agreed_wh": 0, "escrow_ut": 0, "pages": 1, "trades": 0}
    cleared = codec.decode(community.network.states["ledger"].public[f"cleared/{START:011}/0000"])["matches"]
    assert [(match[3], match[7]) for match in cleared] == [(0, "rejected")]
    assert community.settle()["declined"] == 0


@pytest.mark.parametrize("mechanism", ["pool", "uniform"])
@pytest.mark.parametrize("page_size", [1, 2, 3])
def test_many_pages_agree_on_what_one_page_agrees_on(mechanism: str, page_size: int) -> None:
    # Ann's and Dee's feeders leave 200 and 100 Wh, of which Eve wants 100: what each sells her is for all to decide.
    wishes_wh = {"ann": 500, "bob": -300, "cy": -400, "dee": 500, "eve": -100}
    one_deal, one = deal_of(wishes_wh, rules={"mechanism": mechanism})
    many_deal, many = deal_of(wishes_wh, rules={"mechanism": mechanism}, page_size=page_size)
    assert many == one
    assert one_deal["pages"] == 1
    assert many_deal == {**one_deal, "pages": {1: 4, 2: 4, 3: 3}[page_size]}


def test_a_period_without_a_request_agrees_on_nothing() -> None:
    assert deal_of({}) == ({"agreed_wh": 0, "escrow_ut": 0, "pages": 1, "trades": 0}, [])


@pytest.mark.parametrize(
    ("retail_part", "feed_in", "trades"),
    [
        # Fee 10,000: a buyer's limit below retail all in, less the fee, against a seller's above feed-in.
        (10_052, 50, 0),
        (10_053, 50, 0),
        (70_000, 50, 0),
        (70_001, 50, 1),
        (70_002, 60_000, 1),
        (70_002, 60_001, 0),
    ],
)
def test_only_prices_strictly_between_both_tariffs_are_agreed(retail_part: int, feed_in: int, trades: int) -> None:
    prices = {"energy_ut_per_kwh": retail_part, "network_ut_per_kwh": 0, "levies_ut_per_kwh": 0}
    community = Community(
        [Home(name="ann"), Home(name="bob")], tariffs={"standard": {**prices, "feed_in_ut_per_kwh": feed_in}}
    )
    community.open()
    community.ingest([community.request("ann", 500), community.request("bob", -500)])
    assert community.fix()["trades"] == trades


@pytest.fixture
def community() -> Community:
    """The gate is closed on requests from two feeders, with a page for each and one for the community."""
    with small_pages(1):
        community = Community(HOMES[:3], page_size=1)
        community.open()
        wishes_wh = {"ann": 500, "bob": -300, "cy": -400}
        community.ingest([community.request(name, wish) for name, wish in wishes_wh.items()])
    return community


def test_every_stage_repeated_answers_the_same_and_changes_nothing(community: Community) -> None:
    def twice(function: str, **argument: Any) -> None:
        answer = community.ledger(function, **argument)
        before = community.snapshot()
        assert community.ledger(function, by=DSO, **argument) == answer
        assert community.snapshot() == before

    with small_pages(1):
        for function, argument in (
            ("close", {}),
            ("clear", {"page": 0}),
            ("clear", {"page": 1}),
            ("clear", {"page": 2}),
            ("activate", {}),
            ("clear", {"page": 1}),
            ("close", {}),
        ):
            twice(function, period=START, **argument)


REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("clear", {"period": START, "page": -1}, CallRefusal.ARGUMENT_MALFORMED),
    ("clear", {"period": FIRST.next.start_utc, "page": 9}, LedgerRefusal.PERIOD_UNKNOWN),
    ("clear", {"period": START, "page": 9}, LedgerRefusal.PAGE_UNKNOWN),
    ("clear", {"period": START, "page": 3}, LedgerRefusal.PAGE_UNKNOWN),
    # The community's page waits for those of the feeders.
    ("clear", {"period": START, "page": 2}, LedgerRefusal.PAGE_MISSING),
    ("activate", {"period": START, "page": 0}, CallRefusal.ARGUMENT_MALFORMED),
    ("activate", {"period": FIRST.next.start_utc}, LedgerRefusal.PERIOD_UNKNOWN),
    ("activate", {"period": START}, LedgerRefusal.PAGE_MISSING),
    ("cleared_page", {"period": START, "page": "0"}, CallRefusal.ARGUMENT_MALFORMED),
    ("cleared_page", {"period": START, "page": 1}, LedgerRefusal.PAGE_MISSING),
    ("orders", {"period": START, "page": 0}, CallRefusal.ARGUMENT_MALFORMED),
    ("orders", {"period": FIRST.next.start_utc}, LedgerRefusal.PERIOD_UNKNOWN),
]


@pytest.mark.parametrize(("function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    with small_pages(1):
        community.ledger("close", period=START)
        community.ledger("clear", period=START, page=0)
        assert community.refusal("ledger", function, **argument) is reason


def test_an_open_gate_is_too_early_and_a_market_given_up_too_late(community: Community) -> None:
    assert community.refusal("ledger", "clear", period=START, page=9) is LedgerRefusal.TOO_EARLY
    assert community.refusal("ledger", "activate", period=START) is LedgerRefusal.TOO_EARLY
    community.abort()
    assert community.refusal("ledger", "clear", period=START, page=0) is LedgerRefusal.LATE
    assert community.ledger("activate", period=START)["aborted"] == "grid fault"


def test_a_used_counter_is_not_used_in_a_later_period() -> None:
    community = Community(HOMES[:2])
    community.run_period({"ann": 500, "bob": -300}, {})
    community.open(FIRST.next)
    community.meters["ann"].counter = 0
    summary = community.ingest([community.request("ann", 500, period=FIRST.next)], period=FIRST.next)
    assert summary["refused"] == [[0, "replayed"]]


def test_a_cleared_page_shows_how_each_pair_negotiated() -> None:
    # Ann asks 60,000 + 30,000; Bob bids 80,000 less his fee and beta, and gets it; Cy and Dee do not come together.
    community = Community(HOMES[:4], rules={"mechanism": "pool", "alpha_ut_per_kwh": 30_000})
    community.open()
    wishes = [("ann", 500, 60_000), ("bob", -300, 80_000), ("cy", -200, 85_000), ("dee", 100, 74_500)]
    community.ingest([community.request(name, wish, limit=limit) for name, wish, limit in wishes])
    community.fix()
    assert community.ledger("cleared_page", period=START, page=0) == [
        ["feeder", 1, 0, 300, 69_000, 90_000, 69_000, "countered"],
        ["feeder", 2, 3, 0, 74_000, 104_500, 74_000, "rejected"],
        ["community", 2, 0, 200, 64_000, 90_000, 64_000, "countered"],
    ]
    assert community.ledger("orders", period=START) == {
        "orders": [[0, 1, 500, 60_000], [1, 1, -300, 80_000], [2, 1, -200, 85_000], [3, 1, 100, 74_500]],
        "roster": 1,
    }


def test_orders_are_told_once_the_gate_has_closed_and_are_none_if_it_never_did() -> None:
    community = Community(HOMES[:1])
    community.open()
    assert community.refusal("ledger", "orders", period=START) is LedgerRefusal.TOO_EARLY
    community.abort()
    assert community.ledger("orders", period=START) == {"orders": [], "roster": 1}


@pytest.mark.parametrize(
    ("time_limit_s", "first_mechanism", "seconds_seller"),
    [(900, "pool", "cat"), (1_800, "pool", "ann"), (1_800, "uniform", "cat")],
    ids=["no longer than a period", "for two periods", "no coalition in the first"],
)
def test_coalitions_stay_together_for_the_time_limit(
    time_limit_s: int, first_mechanism: str, seconds_seller: str
) -> None:
    homes = [Home(name=name) for name in ("ann", "cat", "eva")]
    rules = {"mechanism": first_mechanism, "pool_time_limit_s": time_limit_s}
    community = Community(homes, rules=rules)
    for organisation in (DSO, MEMBERS):
        changed = {**RULES, **rules, "mechanism": "pool"}
        community.contract("vote_rules", by=organisation, from_utc=FIRST.next.start_utc, rules=changed)
    community.publish()
    period = FIRST
    agreed = []
    # Cat becomes cheaper than Ann in the second period; the third begins another stretch.
    for costs in ((60_000, 70_000), (70_000, 60_000), (70_000, 60_000)):
        community.open(period)
        wishes = {"ann": (300, costs[0]), "cat": (300, costs[1]), "eva": (-300, 290_000)}
        community.ingest(
            [community.request(name, wish, limit=limit, period=period) for name, (wish, limit) in wishes.items()],
            period=period,
        )
        community.fix(period)
        name = f"cleared/{period.start_utc:011}/0000"
        matches = codec.decode(community.network.states["ledger"].public[name])["matches"]
        agreed.append([homes[match[2]].name for match in matches if match[3]])
        period = period.next
    assert agreed == [["ann"], [seconds_seller], ["cat"]]
