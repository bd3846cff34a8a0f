from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO

START = FIRST.start_utc
HOMES = [Home(name="ann"), Home(name="ben"), Home(name="cy", feeder="B"), Home(name="dee", feeder="B")]
# A quarter of an hour: 800 W are 200 Wh.
LIMIT: dict[str, Any] = {"period": START, "feeder": "A", "import_w": 400, "export_w": 800}


@pytest.fixture
def community() -> Community:
    community = Community(HOMES)
    community.open()
    return community


def traded_wh(community: Community, wishes_wh: dict[str, int]) -> list[tuple[str, int, int, int]]:
    """Clear and deliver as agreed; return level, buyer, seller and energy of the trades."""
    community.ingest([community.request(name, wish) for name, wish in wishes_wh.items()])
    community.fix()
    community.report(
        [community.record(name, import_wh=max(0, -wish), export_wh=max(0, wish)) for name, wish in wishes_wh.items()]
    )
    community.settle()
    return sorted((row[0], row[1], row[2], row[4]) for row in community.trades())


def test_sellers_share_what_their_feeder_may_export(community: Community) -> None:
    community.ledger("set_envelope", by=DSO, **LIMIT)
    trades = traded_wh(community, {"ann": 60, "ben": 900, "cy": -500})
    # 200 Wh at one level: 60 for Ann, 140 for Ben.
    assert trades == [("community", 2, 0, 60), ("community", 2, 1, 140)]
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_buyers_share_what_their_feeder_may_import(community: Community) -> None:
    community.ledger("set_envelope", by=DSO, **LIMIT)
    trades = traded_wh(community, {"ann": -300, "ben": -300, "cy": 500})
    assert trades == [("community", 0, 2, 50), ("community", 1, 2, 50)]
    # What is cut is the grid's, and nobody's fault.
    assert community.statement("ann")["import_wh"] - community.statement("ann")["bought_wh"] == 250
    assert community.statement("ann")["fees_ut"] == 1_000


def test_trades_within_the_feeder_and_other_feeders_are_free(community: Community) -> None:
    community.ledger("set_envelope", by=DSO, **{**LIMIT, "export_w": 0})
    trades = traded_wh(community, {"ann": 700, "ben": -300, "cy": 200, "dee": -400})
    assert trades == [("feeder", 1, 0, 300), ("feeder", 3, 2, 200)]


def test_the_last_envelope_before_the_gate_counts(community: Community) -> None:
    community.ledger("set_envelope", by=DSO, **LIMIT)
    community.ledger("set_envelope", by=DSO, **{**LIMIT, "export_w": 40})
    assert traded_wh(community, {"ann": 500, "cy": -500}) == [("community", 2, 0, 10)]
    assert community.ledger("period", period=START)["gate"]["envelopes"] == {"A": [100, 10]}


def test_firm_trades_take_their_part_of_the_envelope_first(community: Community) -> None:
    second = FIRST.next
    for name in ("ann", "dee"):
        community.fill_wallet(name, 1_000_000)
    offer = community.add_offer("ann", energy_wh=150)
    community.pick_offer("dee", offer)
    community.ledger("set_envelope", by=DSO, **{**LIMIT, "period": second.start_utc})
    community.fix()
    community.open(second)
    community.ingest(
        [community.request("ben", 500, period=second), community.request("cy", -500, period=second)], period=second
    )
    assert community.fix(second)["agreed_wh"] == 50


REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    (DSO, {**LIMIT, "export_w": -1}, CallRefusal.ARGUMENT_MALFORMED),
    (AGGREGATOR, LIMIT, LedgerRefusal.NOT_AUTHORISED),
    (DSO, {**LIMIT, "period": START + 1}, LedgerRefusal.NOT_A_PERIOD),
    (DSO, {**LIMIT, "feeder": "Z"}, LedgerRefusal.FEEDER_UNKNOWN),
    (DSO, LIMIT, LedgerRefusal.LATE),
]


@pytest.mark.parametrize(("by", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, by: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    if reason is LedgerRefusal.LATE:
        community.ledger("close", period=START)
    assert community.refusal("ledger", "set_envelope", by=by, **argument) is reason
