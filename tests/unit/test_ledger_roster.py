from enum import StrEnum
from typing import Any

import pytest

from community import Community, Home, unfounded
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal

ANN, BOB = Home(name="ann"), Home(name="bob")


@pytest.fixture
def community() -> Community:
    """Version 2 of the roster is published and not copied: Bob is new in it."""
    community = Community([ANN])
    community.admit(BOB)
    community.contract("publish_page", page=0)
    community.contract("publish_roster")
    return community


def test_a_copied_page_is_the_published_one_to_the_byte(community: Community) -> None:
    digest = community.contract("roster", version=1)["pages"][0]
    name = f"roster-page/{digest}"
    states = community.network.states
    assert states["ledger"].public[name] == states["contract"].public[name]


def test_copying_again_changes_nothing(community: Community) -> None:
    before = community.snapshot()
    community.ledger("adopt_page", page=community.contract("roster", version=1)["pages"][0])
    community.ledger("adopt_roster", version=1)
    assert community.snapshot() == before


def test_the_latest_version_is_the_highest_one_copied(community: Community) -> None:
    assert community.ledger("roster") == {"slots": 1, "version": 1}
    community.ledger("adopt_page", page=community.contract("roster", version=2)["pages"][0])
    community.ledger("adopt_roster", version=2)
    community.ledger("adopt_roster", version=1)
    assert community.ledger("roster") == {"slots": 2, "version": 2}


REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("adopt_page", {"page": "0"}, CallRefusal.ARGUMENT_MALFORMED),
    ("adopt_page", {"page": "0f" * 32}, ContractRefusal.PAGE_UNKNOWN),
    ("adopt_roster", {"version": -1}, CallRefusal.ARGUMENT_MALFORMED),
    ("adopt_roster", {"version": 3}, ContractRefusal.ROSTER_UNKNOWN),
    ("adopt_roster", {"version": 2}, LedgerRefusal.PAGE_MISSING),
    ("roster", {"version": 1}, CallRefusal.ARGUMENT_MALFORMED),
]


@pytest.mark.parametrize(("function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("ledger", function, **argument) is reason


def test_there_is_no_roster_before_one_is_copied() -> None:
    assert unfounded().refusal("ledger", "roster") is LedgerRefusal.ROSTER_UNKNOWN
