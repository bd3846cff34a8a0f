from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home, Meter, identity_of, record, signed, unfounded
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import ocmf

ANN = identity_of("ann")


@pytest.fixture
def community() -> Community:
    return Community([Home(name="ann"), Home(name="bob")])


def said(name: str = "ann", **changes: Any) -> str:
    """Return the second record of a meter, with other content where it is changed."""
    return record(name, Meter(hash=ocmf.NO_HASH), period=FIRST, **changes)


FORK = [said(), said(import_wh=999)]
EVIDENCE = {
    "number": 2,
    "reason": "forked",
    "records": sorted(ocmf.read(text).hash for text in FORK),
    "void": True,
}


def may_trade(community: Community) -> list[bool]:
    digest = community.contract("roster", version=community.publish())["pages"][0]
    return [entry["may_trade"] for entry in community.contract("roster_page", page=digest)]


def test_a_device_that_signed_two_records_of_one_number_is_void(community: Community) -> None:
    assert community.contract("void_device", by=MEMBERS, records=FORK) == {"device": ANN, "void": True}
    assert may_trade(community) == [False, True]
    assert community.contract("voidings", device=ANN) == {"events": [EVIDENCE], "void": True}


def test_dso_and_one_more_reinstate_a_device_for_a_reason(community: Community) -> None:
    community.contract("void_device", records=FORK)
    for organisation, votes in ((AGGREGATOR, [AGGREGATOR]), (MEMBERS, [AGGREGATOR, MEMBERS])):
        told = community.contract("reinstate_device", by=organisation, device=ANN, reason="firmware fault")
        assert told == {"void": True, "votes": votes}
    told = community.contract("reinstate_device", by=DSO, device=ANN, reason="we agree")
    assert told == {"void": False, "votes": [AGGREGATOR, DSO, MEMBERS]}
    assert may_trade(community) == [True, True]
    reinstated = {"reason": "firmware fault", "void": False, "votes": [AGGREGATOR, DSO, MEMBERS]}
    assert community.contract("voidings", device=ANN) == {"events": [EVIDENCE, reinstated], "void": False}


def reinstate(community: Community) -> None:
    for organisation in (DSO, MEMBERS):
        community.contract("reinstate_device", by=organisation, device=ANN, reason="examined")


def test_evidence_does_not_outlive_a_reinstatement(community: Community) -> None:
    community.contract("void_device", records=FORK)
    reinstate(community)
    before = community.snapshot()
    for records in (FORK, FORK[::-1]):
        assert community.contract("void_device", records=records) == {"device": ANN, "void": False}
    assert community.contract("reinstate_device", device=ANN, reason="") == {"void": False, "votes": []}
    assert community.snapshot() == before
    # New evidence is new.
    other = [said(number=3), said(number=3, import_wh=999)]
    assert community.contract("void_device", records=other) == {"device": ANN, "void": True}


def test_votes_that_did_not_know_of_later_evidence_count_no_more(community: Community) -> None:
    community.contract("void_device", records=FORK)
    community.contract("reinstate_device", by=DSO, device=ANN, reason="once only")
    community.contract("void_device", records=[said(number=3), said(number=3, import_wh=999)])
    told = community.contract("reinstate_device", by=MEMBERS, device=ANN, reason="twice?")
    assert told == {"void": True, "votes": [MEMBERS]}


def test_a_tampered_device_is_reinstated_and_void_again_if_it_says_so_again(community: Community) -> None:
    tampered = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}
    community.contract("update_meters", states=[signed("state", "ann", tampered)])
    assert community.contract("voidings", device=ANN)["events"] == [{"counter": 1, "reason": "tampered", "void": True}]
    reinstate(community)
    assert community.contract("voidings", device=ANN)["void"] is False
    community.contract("update_meters", states=[signed("state", "ann", tampered, counter=2)])
    assert community.contract("voidings", device=ANN)["void"] is True


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("void_device", {"records": FORK[:1]}, CallRefusal.ARGUMENT_MALFORMED),
    ("void_device", {"records": [*FORK, FORK[0]]}, CallRefusal.ARGUMENT_MALFORMED),
    ("void_device", {"records": [FORK[0], None]}, CallRefusal.ARGUMENT_MALFORMED),
    ("void_device", {"records": ["OCMF|{}|{}", said("eve", community="elsewhere")]}, PayloadRefusal.MALFORMED),
    ("void_device", {"records": [said("eve"), said("eve", community="elsewhere")]}, PayloadRefusal.FOREIGN_COMMUNITY),
    ("void_device", {"records": [said("eve"), said()]}, ContractRefusal.DEVICE_UNKNOWN),
    ("void_device", {"records": [said(), said("bob", device=identity_of("eve"))]}, ContractRefusal.RECORD_FOR_ANOTHER),
    # Bob signs in Ann's name.
    ("void_device", {"records": [said(), said("bob", device=ANN)]}, PayloadRefusal.WRONGLY_SIGNED),
    ("void_device", {"records": [said(), said(number=3)]}, ContractRefusal.NOT_FORKED),
    ("void_device", {"records": [said(), said()]}, ContractRefusal.NOT_FORKED),
    ("reinstate_device", {"device": ANN}, CallRefusal.ARGUMENT_MALFORMED),
    ("reinstate_device", {"device": identity_of("eve"), "reason": ""}, ContractRefusal.DEVICE_UNKNOWN),
    ("voidings", {"device": "ann"}, CallRefusal.ARGUMENT_MALFORMED),
    ("voidings", {"device": identity_of("eve")}, ContractRefusal.DEVICE_UNKNOWN),
]


@pytest.mark.parametrize(("function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("contract", function, **argument) is reason


def test_nothing_is_void_before_the_community_is_founded() -> None:
    assert unfounded().refusal("contract", "void_device", records=FORK) is ContractRefusal.NOT_FOUNDED
