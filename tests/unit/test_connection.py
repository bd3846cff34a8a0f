from enum import StrEnum
from typing import Any

import pytest

from community import Community, Home, connection_of, unfounded
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.connection import MAX_LINE_LIMIT_W
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, METERING_FACTS

ANN, BOB = Home(name="ann"), Home(name="bob")


@pytest.fixture
def community() -> Community:
    return Community([ANN])


def test_a_connection_registered_again_changes_nothing(community: Community) -> None:
    before = community.snapshot()
    assert community.contract("register_connection", by=DSO, **connection_of(ANN)) is None
    assert community.snapshot() == before


def test_a_connection_is_the_word_of_the_dso_and_one_more(community: Community) -> None:
    assert community.network.states["contract"].policies[f"connection/{ANN.connection}"] == METERING_FACTS


REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    (AGGREGATOR, {**connection_of(ANN), "connection": "ann's street 1"}, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, {**connection_of(BOB), "feeder": ""}, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, {**connection_of(BOB), "line_limit_w": 0}, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, {**connection_of(BOB), "line_limit_w": MAX_LINE_LIMIT_W + 1}, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, {**connection_of(BOB), "line_limit_w": True}, CallRefusal.ARGUMENT_MALFORMED),
    (AGGREGATOR, connection_of(BOB), ContractRefusal.NOT_AUTHORISED),
    (MEMBERS, {**connection_of(ANN), "feeder": "B"}, ContractRefusal.NOT_AUTHORISED),
    (DSO, {**connection_of(ANN), "feeder": "B"}, ContractRefusal.EXISTS_WITH_OTHER_CONTENT),
    (DSO, {**connection_of(ANN), "line_limit_w": 1}, ContractRefusal.EXISTS_WITH_OTHER_CONTENT),
]


@pytest.mark.parametrize(("by", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, by: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("contract", "register_connection", by=by, **argument) is reason


def test_there_are_no_connections_before_the_community() -> None:
    refused = unfounded().refusal("contract", "register_connection", by=DSO, **connection_of(ANN))
    assert refused is ContractRefusal.NOT_FOUNDED
