from enum import StrEnum
from typing import Any

import pytest

from community import Community, Home, grid_point_of, identity_of, unfounded
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, METERING_FACTS

ANN, BOB = Home(name="ann"), Home(name="bob")
PANELS = grid_point_of(ANN, point=identity_of("ann's panels"), kind="generation")


@pytest.fixture
def community() -> Community:
    return Community([ANN])


def test_a_connection_has_several_metering_points(community: Community) -> None:
    for kind in ("load", "generation", "storage"):
        point = grid_point_of(ANN, point=identity_of(kind), kind=kind)
        assert community.contract("register_metering_point", by=DSO, **point) is None


def test_a_metering_point_registered_again_changes_nothing(community: Community) -> None:
    before = community.snapshot()
    assert community.contract("register_metering_point", by=DSO, **grid_point_of(ANN)) is None
    assert community.snapshot() == before


def test_a_metering_point_is_the_word_of_the_dso_and_one_more(community: Community) -> None:
    assert community.network.states["contract"].policies[f"point/{ANN.grid_point}"] == METERING_FACTS


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    (AGGREGATOR, {**PANELS, "point": "ann's roof"}, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, {**PANELS, "kind": "wind"}, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, {**PANELS, "kind": None}, CallRefusal.ARGUMENT_MALFORMED),
    (AGGREGATOR, grid_point_of(BOB), ContractRefusal.NOT_AUTHORISED),
    (MEMBERS, PANELS, ContractRefusal.NOT_AUTHORISED),
    (DSO, grid_point_of(BOB, point=ANN.grid_point), ContractRefusal.CONNECTION_UNKNOWN),
    (DSO, grid_point_of(ANN, kind="load"), ContractRefusal.EXISTS_WITH_OTHER_CONTENT),
]


@pytest.mark.parametrize(("by", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, by: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("contract", "register_metering_point", by=by, **argument) is reason


def test_there_are_no_metering_points_before_the_community() -> None:
    refused = unfounded().refusal("contract", "register_metering_point", by=DSO, **PANELS)
    assert refused is ContractRefusal.NOT_FOUNDED
