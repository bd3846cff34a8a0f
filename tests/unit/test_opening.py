from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.period import Phase
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import DSO, MEMBERS, ORGANISATIONS

START = FIRST.start_utc
NEXT = FIRST.next.start_utc


@pytest.fixture
def community() -> Community:
    return Community([Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B")])


def phase(community: Community) -> str:
    return str(community.ledger("period", period=START)["phase"])


def test_an_opened_period_is_the_last_one(community: Community) -> None:
    assert community.ledger("last_period") == {"period": None}
    assert community.ledger("period", period=START) == {"phase": None}
    assert community.ledger("open", period=START, roster=1) == {"phase": "open"}
    assert community.ledger("last_period") == {"period": START}
    assert community.ledger("period", period=START) == {"phase": "open"}


def test_opening_again_changes_nothing_even_under_a_newer_roster(community: Community) -> None:
    community.open()
    community.admit(Home(name="dee"))
    community.publish()
    before = community.snapshot()
    assert community.ledger("open", period=START, roster=1) == {"phase": "open"}
    assert community.ledger("open", period=START, roster=2) == {"phase": "open"}
    assert community.snapshot() == before


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("open", {"period": -900, "roster": 1}, CallRefusal.ARGUMENT_MALFORMED),
    ("open", {"period": START + 1, "roster": 3}, LedgerRefusal.ROSTER_UNKNOWN),
    ("open", {"period": START + 1, "roster": 1}, LedgerRefusal.ROSTER_OUTDATED),
    ("open", {"period": START + 1, "roster": 2}, LedgerRefusal.NOT_A_PERIOD),
    ("open", {"period": 0, "roster": 2}, LedgerRefusal.NOT_A_PERIOD),
    ("open", {"period": NEXT + 900, "roster": 2}, LedgerRefusal.PERIOD_NOT_NEXT),
    ("open", {"period": START - 900, "roster": 2}, LedgerRefusal.PERIOD_NOT_NEXT),
    ("open", {"period": NEXT, "roster": 2}, LedgerRefusal.PREVIOUS_NOT_READY),
    ("abort", {"period": START, "reason": "x" * 65}, CallRefusal.ARGUMENT_MALFORMED),
    ("abort", {"period": NEXT, "reason": ""}, LedgerRefusal.PERIOD_UNKNOWN),
    ("period", {"period": "now"}, CallRefusal.ARGUMENT_MALFORMED),
    ("last_period", {"period": START}, CallRefusal.ARGUMENT_MALFORMED),
]


@pytest.mark.parametrize(("function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    community.admit(Home(name="dee"))
    community.publish()
    community.open()
    assert community.refusal("ledger", function, **argument) is reason


@pytest.mark.parametrize(("time_utc", "opens"), [(START - 1_201, False), (START - 1_200, True), (START + 999, True)])
def test_under_a_live_clock_a_period_opens_a_periods_length_before_its_gate(time_utc: int, *, opens: bool) -> None:
    community = Community([Home(name="ann")], rules={"clock": "live", "gate_lead_s": 300})
    community.network.time_utc = time_utc
    if opens:
        assert community.ledger("open", period=START, roster=1) == {"phase": "open"}
    else:
        assert community.refusal("ledger", "open", period=START, roster=1) is LedgerRefusal.TOO_EARLY


def test_a_period_whose_gate_is_closed_is_not_ready_for_the_next(community: Community) -> None:
    community.open()
    community.ledger("close", period=START)
    refused = community.refusal("ledger", "open", period=NEXT, roster=1)
    assert refused is LedgerRefusal.PREVIOUS_NOT_READY


def before_the_gate(community: Community) -> None:
    community.open()
    community.ingest([community.request("ann", 500), community.request("bob", -300)])


def with_the_gate_closed(community: Community) -> None:
    before_the_gate(community)
    community.ledger("close", period=START)


def with_a_page_cleared(community: Community) -> None:
    with_the_gate_closed(community)
    community.ledger("clear", period=START, page=0)


def with_trades_in_force(community: Community) -> None:
    with_a_page_cleared(community)
    assert community.ledger("activate", period=START)["escrow_ut"] > 0


@pytest.mark.parametrize("go", [before_the_gate, with_the_gate_closed, with_a_page_cleared, with_trades_in_force])
def test_an_aborted_period_returns_all_escrow_and_trades_nothing(community: Community, go: Any) -> None:
    go(community)
    assert community.abort() == {"phase": "active", "votes": [DSO, MEMBERS]}
    assert [community.purse_ut(name) for name in ("ann", "bob", "cy")] == [10_000_000] * 3
    assert community.tokens().escrow_ut == 0
    before = community.snapshot()
    for organisation in ORGANISATIONS:
        again = community.ledger("abort", by=organisation, period=START, reason="again")
        assert again == {"phase": "active", "votes": [DSO, MEMBERS]}
    assert community.snapshot() == before
    community.report([community.record("ann", export_wh=500), community.record("bob", import_wh=300)])
    result = community.settle()
    assert {name: value for name, value in result.items() if name != "root"} == {
        "clock": "simulated",
        "declined": 0,
        "fees_ut": 0,
        "firm": [],
        "paid_ut": 0,
        "slots": 3,
        "traded_wh": 0,
        "trades": 0,
    }
    community.seal()
    assert community.ledger("period", period=START)["deal"]["aborted"] == "grid fault"
    assert community.statement("ann")["export_wh"] == 500
    again = community.ledger("abort", period=START, reason="again")
    assert again == {"phase": "sealed", "votes": [DSO, MEMBERS]}


@pytest.mark.parametrize("go", [before_the_gate, with_the_gate_closed, with_a_page_cleared, with_trades_in_force])
def test_one_organisations_vote_changes_nothing_but_that_it_is_there(community: Community, go: Any) -> None:
    go(community)
    before = community.ledger("period", period=START)
    for reason in ("grid fault", "grid fault once more"):
        told = community.ledger("abort", by=DSO, period=START, reason=reason)
        assert told == {"phase": before["phase"], "votes": [DSO]}
    vote = {"reason": "grid fault", "votes": [DSO]}
    assert community.ledger("period", period=START) == {**before, "abort": vote}


def test_a_period_that_one_organisation_would_give_up_trades(community: Community) -> None:
    before_the_gate(community)
    community.ledger("abort", by=DSO, period=START, reason="grid fault")
    community.fix()
    community.report([community.record("ann", export_wh=500), community.record("bob", import_wh=300)])
    assert community.settle()["traded_wh"] == 300
    assert community.refusal("ledger", "abort", by=MEMBERS, period=START, reason="") is LedgerRefusal.LATE
    # The vote that was given in time stands, and is repeated at no risk.
    assert community.ledger("abort", by=DSO, period=START, reason="") == {"phase": "final", "votes": [DSO]}


def test_an_aborted_period_is_still_sealed_and_the_next_one_trades(community: Community) -> None:
    before_the_gate(community)
    community.abort()
    community.report([community.record(name) for name in ("ann", "bob", "cy")])
    community.settle()
    community.seal()
    result = community.run_period({"ann": 400, "bob": -400}, {"ann": (0, 400), "bob": (400, 0)}, period=FIRST.next)
    assert result["traded_wh"] == 400


def test_a_settling_period_is_not_given_up_any_more(community: Community) -> None:
    with_trades_in_force(community)
    community.ledger("settle", period=START, page=0)
    assert phase(community) == Phase.SETTLING
    assert community.refusal("ledger", "abort", period=START, reason="") is LedgerRefusal.LATE
