from enum import StrEnum
from typing import Any

import pytest

from community import Community, Home, identity_of, signed, small_pages, unfounded
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import METERING_FACTS

ANN, BOB, CY = Home(name="ann"), Home(name="bob", feeder="B"), Home(name="cy")
NO_DIGEST = "0f" * 32


@pytest.fixture
def community() -> Community:
    return Community([ANN, BOB])


def test_a_roster_lists_slots_in_the_order_of_admission(community: Community) -> None:
    roster = community.contract("roster", version=1)
    assert roster["slots"] == 2
    entries = community.contract("roster_page", page=roster["pages"][0])
    assert [(entry["slot"], entry["device"], entry["feeder"]) for entry in entries] == [
        (0, identity_of("ann"), "A"),
        (1, identity_of("bob"), "B"),
    ]
    assert entries[0]["retail_ut_per_kwh"] == 300_000
    assert entries[0]["party_key"] != entries[0]["device_key"]


def test_publishing_what_did_not_change_makes_no_new_version(community: Community) -> None:
    before = community.snapshot()
    assert community.publish() == 1
    assert community.snapshot() == before


def test_a_roster_is_the_word_of_the_dso_and_one_more(community: Community) -> None:
    community.admit(CY)
    community.publish()
    for chain in ("contract", "ledger"):
        policies = community.network.states[chain].policies
        heads = {key: policy for key, policy in policies.items() if key.startswith("roster")}
        assert heads == dict.fromkeys(["roster-latest", "roster/000001", "roster/000002"], METERING_FACTS)


def test_an_old_version_stays_as_it_was(community: Community) -> None:
    before = community.contract("roster", version=1)
    community.admit(CY)
    assert community.publish() == 2
    assert community.contract("roster", version=1) == before
    assert community.contract("roster", version=2)["slots"] == 3


def test_a_page_that_lacks_a_slot_makes_no_roster(community: Community) -> None:
    # A slot's number is its place in the pages: one page too short would give every later slot to a neighbour.
    community.admit(CY)
    assert community.refusal("contract", "publish_roster") is ContractRefusal.PAGE_MISSING
    community.contract("publish_page", page=0)
    assert community.contract("publish_roster") == {"version": 2}


def test_a_page_that_was_published_half_full_makes_no_roster_of_two_pages() -> None:
    with small_pages(2):
        community = Community([ANN], page_size=2)
        for home in (BOB, CY):
            community.admit(home)
        community.contract("publish_page", page=1)
        assert community.refusal("contract", "publish_roster") is ContractRefusal.PAGE_MISSING
        assert community.publish() == 2
        pages = community.contract("roster", version=2)["pages"]
        slots = [entry["slot"] for page in pages for entry in community.contract("roster_page", page=page)]
        assert slots == [0, 1, 2]


def test_a_roster_without_a_meter_is_not_made() -> None:
    assert Community([]).refusal("contract", "publish_roster") is ContractRefusal.PAGE_MISSING


def test_a_void_meter_keeps_its_slot_and_may_not_trade(community: Community) -> None:
    state = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}
    community.contract("update_meters", states=[signed("state", "ann", state)])
    version = community.publish()
    digest = community.contract("roster", version=version)["pages"][0]
    entries = community.contract("roster_page", page=digest)
    assert [(entry["slot"], entry["may_trade"]) for entry in entries] == [(0, False), (1, True)]


REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("publish_page", {"page": -1}, CallRefusal.ARGUMENT_MALFORMED),
    ("publish_page", {"page": 1}, ContractRefusal.PAGE_UNKNOWN),
    ("publish_roster", {"version": 1}, CallRefusal.ARGUMENT_MALFORMED),
    ("publish_roster", {}, ContractRefusal.PAGE_MISSING),
    ("roster", {"version": "1"}, CallRefusal.ARGUMENT_MALFORMED),
    ("roster", {"version": 0}, ContractRefusal.ROSTER_UNKNOWN),
    ("roster", {"version": 2}, ContractRefusal.ROSTER_UNKNOWN),
    ("roster_page", {"page": 0}, CallRefusal.ARGUMENT_MALFORMED),
    ("roster_page", {"page": NO_DIGEST}, ContractRefusal.PAGE_UNKNOWN),
]


@pytest.mark.parametrize(("function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    # Cy has a slot that no page holds yet.
    community.admit(CY)
    assert community.refusal("contract", function, **argument) is reason


def test_there_is_no_roster_before_the_community() -> None:
    assert unfounded().refusal("contract", "publish_page", page=0) is ContractRefusal.NOT_FOUNDED
    assert unfounded().refusal("contract", "publish_roster") is ContractRefusal.NOT_FOUNDED
