from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home, small_pages
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.requests import RequestRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS

ANN, BOB, CY = Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B")
START = FIRST.start_utc


@pytest.fixture
def community() -> Community:
    return Community([ANN, BOB, CY])


def decide(community: Community, function: str, name: str) -> Any:
    """Let two organisations suspend or reinstate a home; return what the second was told."""
    community.ledger(function, by=DSO, slot=community.slot(name), reason="as seen on site")
    return community.ledger(function, by=MEMBERS, slot=community.slot(name), reason="we agree")


def trade(community: Community) -> None:
    """Bring the first period to the point where Bob has bought 300 Wh of Ann."""
    community.open()
    community.ingest([community.request("ann", 500), community.request("bob", -300)])
    assert community.fix()["agreed_wh"] == 300


def records(community: Community) -> list[str]:
    return [community.record("ann", export_wh=500), community.record("bob", import_wh=300), community.record("cy")]


def test_a_slot_is_suspended_by_two_organisations_and_reinstated_by_two(community: Community) -> None:
    told = community.ledger("suspend", by=DSO, slot=1, reason="bypassed meter")
    assert told == {"suspended": False, "votes": [DSO]}
    assert community.ledger("suspension", slot=1)["suspended"] is False
    told = community.ledger("suspend", by=AGGREGATOR, slot=1, reason="so it seems")
    assert told == {"suspended": True, "votes": [AGGREGATOR, DSO]}
    assert decide(community, "reinstate", "bob") == {"suspended": False, "votes": [DSO, MEMBERS]}
    # All that was ever decided is still there.
    assert community.ledger("suspension", slot=1) == {
        "decisions": [
            {"reason": "bypassed meter", "suspended": True, "votes": [AGGREGATOR, DSO]},
            {"reason": "as seen on site", "suspended": False, "votes": [DSO, MEMBERS]},
        ],
        "suspended": False,
    }
    assert community.ledger("suspension", slot=0) == {"decisions": [], "suspended": False}


def test_one_organisation_alone_changes_nothing_however_often_it_votes(community: Community) -> None:
    for _ in range(2):
        told = community.ledger("suspend", by=DSO, slot=0, reason="again")
        assert told == {"suspended": False, "votes": [DSO]}
    assert len(community.ledger("suspension", slot=0)["decisions"]) == 1


def test_what_is_decided_is_not_decided_again(community: Community) -> None:
    decide(community, "suspend", "ann")
    before = community.snapshot()
    assert community.ledger("suspend", slot=0, reason="") == {"suspended": True, "votes": []}
    assert community.ledger("reinstate", slot=1, reason="") == {"suspended": False, "votes": []}
    assert community.snapshot() == before


def test_an_organisation_takes_its_vote_back(community: Community) -> None:
    community.ledger("suspend", by=DSO, slot=0, reason="an error")
    community.ledger("reinstate", by=AGGREGATOR, slot=0, reason="not ours to take back")
    community.ledger("reinstate", by=DSO, slot=0, reason="was an error")
    told = community.ledger("suspend", by=MEMBERS, slot=0, reason="anew")
    assert told == {"suspended": False, "votes": [MEMBERS]}


def test_a_suspended_slot_asks_for_nothing_from_the_next_transaction_on(community: Community) -> None:
    community.open()
    decide(community, "suspend", "ann")
    told = community.ingest([community.request("ann", 500), community.request("bob", -300)])
    assert told == {"count": 2, "refused": [[0, RequestRefusal.SUSPENDED]]}
    decide(community, "reinstate", "ann")
    assert community.ingest([community.request("ann", 500)])["refused"] == []
    assert community.fix()["agreed_wh"] == 300


def test_what_a_slot_asked_before_it_was_suspended_drops_out_at_the_gate(community: Community) -> None:
    community.open()
    community.ingest([community.request(name, wish) for name, wish in (("ann", 500), ("bob", -300), ("cy", -100))])
    decide(community, "suspend", "bob")
    assert community.fix()["agreed_wh"] == 100
    community.report(records(community))
    community.settle()
    assert community.statement("bob")["import_wh"] == 300


def test_trades_of_a_slot_that_is_suspended_after_the_gate_settle_nothing(community: Community) -> None:
    trade(community)
    decide(community, "suspend", "ann")
    community.report(records(community))
    result = community.settle()
    assert (result["traded_wh"], result["declined"], community.tokens().escrow_ut) == (0, 1, 0)
    assert community.purse_ut("bob") == BOB.purse_ut
    # What was metered stands in the record, and the registers go on from there.
    assert (community.statement("ann")["export_wh"], community.statement("ann")["quality"]) == (500, "good")
    community.seal()
    decide(community, "reinstate", "ann")
    result = community.run_period({"ann": 400, "bob": -400}, {"ann": (0, 400), "bob": (400, 0)}, period=FIRST.next)
    assert result["traded_wh"] == 400


@pytest.mark.parametrize(("before", "after", "traded_wh"), [(None, "suspend", 300), ("suspend", "reinstate", 0)])
def test_who_is_suspended_is_frozen_with_the_first_page_that_settles(
    before: str | None, after: str, traded_wh: int
) -> None:
    # Seller and buyer settle on pages of their own, and the decision comes between the two.
    with small_pages(1):
        community = Community([ANN, BOB, CY], page_size=1)
        trade(community)
        community.report(records(community))
        if before is not None:
            decide(community, before, "ann")
        community.ledger("settle", period=START, page=0)
        decide(community, after, "ann")
        for page in (1, 2):
            community.ledger("settle", period=START, page=page)
        assert community.ledger("finalise", period=START)["traded_wh"] == traded_wh


def test_what_is_due_by_hand_is_excused_while_an_end_is_suspended(community: Community) -> None:
    community.open()
    for name in ("ann", "bob"):
        community.fill_wallet(name, 1_000_000)
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    for period in (FIRST, FIRST.next):
        if period == FIRST.next:
            decide(community, "suspend", "ann")
            community.open(period)
        community.fix(period)
        community.report([community.record(name, period=period) for name in ("ann", "bob", "cy")], period=period)
        community.settle(period)
    assert community.ledger("confirm_l2p", offer=offer)["phase"] == "declined"
    assert (community.wallet_ut("ann"), community.wallet_ut("bob")) == (1_000_000, 1_000_000)


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("suspend", {"slot": -1, "reason": ""}, CallRefusal.ARGUMENT_MALFORMED),
    ("suspend", {"slot": 3, "reason": "x" * 65}, CallRefusal.ARGUMENT_MALFORMED),
    ("reinstate", {"slot": 0}, CallRefusal.ARGUMENT_MALFORMED),
    ("suspend", {"slot": 3, "reason": ""}, LedgerRefusal.SLOT_UNKNOWN),
    ("reinstate", {"slot": 3, "reason": ""}, LedgerRefusal.SLOT_UNKNOWN),
    ("suspension", {"slot": "0"}, CallRefusal.ARGUMENT_MALFORMED),
]


@pytest.mark.parametrize(("function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("ledger", function, **argument) is reason


TRADES_REFUSED: list[tuple[str, StrEnum]] = [
    ("add_offer", LedgerRefusal.SUSPENDED),
    ("pick_offer", LedgerRefusal.SUSPENDED),
    ("ingest", RequestRefusal.SUSPENDED),
]


@pytest.mark.parametrize(("function", "reason"), TRADES_REFUSED)
def test_a_suspended_slot_is_refused_by_name(community: Community, function: str, reason: StrEnum) -> None:
    community.open()
    community.fill_wallet("bob", 1_000_000)
    offer = community.add_offer("bob")
    decide(community, "suspend", "ann")
    if function == "ingest":
        assert community.ingest([community.request("ann", 500)])["refused"] == [[0, reason]]
    elif function == "add_offer":
        assert community.refusal("ledger", function, order=community.offer_order("ann")) is reason
    else:
        assert community.refusal("ledger", function, order=community.pick_order("ann", offer)) is reason


def test_there_is_nobody_to_suspend_before_there_is_a_roster() -> None:
    refused = Community([]).refusal("ledger", "suspend", slot=0, reason="")
    assert refused is LedgerRefusal.ROSTER_UNKNOWN
