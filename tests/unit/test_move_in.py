from enum import StrEnum
from typing import Any

import pytest

from community import Community, Home, connection_of, grid_point_of, identity_of, join, signed
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec

ANN, BOB = Home(name="ann"), Home(name="bob", generation_cost_ut_per_kwh=70_000)
EMPTY = Home(name="empty")
BOBS = identity_of(BOB.owner)


@pytest.fixture
def community() -> Community:
    """Ann trades; Bob joined and has no connection yet; nobody measured the empty house."""
    community = Community([ANN])
    community.contract("register_party", join=join(BOB))
    community.contract("register_connection", by=DSO, **connection_of(EMPTY))
    community.contract("register_metering_point", by=DSO, **grid_point_of(EMPTY))
    return community


def order(owner: str = BOB.owner, *, counter: int = 2, connection: str = ANN.connection, **changes: Any) -> list[str]:
    return signed("move_in", owner, {"connection": connection}, counter=counter, **changes)


def approval(home: Home = ANN, party: str = BOBS) -> dict[str, Any]:
    return {"connection": home.connection, "party": party}


def entry(community: Community) -> dict[str, Any]:
    digest = community.contract("roster", version=community.publish())["pages"][0]
    return dict(community.contract("roster_page", page=digest)[0])


def test_a_connection_is_the_new_partys_once_the_dso_approves(community: Community) -> None:
    before = entry(community)
    told = community.contract("move_in", order=order())
    assert told == approval()
    assert entry(community) == before
    assert community.contract("approve_move_in", by=DSO, **approval()) == {"slot": 0}
    after = {"party": BOBS, "generation_cost_ut_per_kwh": 70_000}
    assert {**before, **after} == {**entry(community), "party_key": before["party_key"]}


def test_who_had_a_connection_before_stays_on_the_chain(community: Community) -> None:
    community.contract("move_in", order=order())
    community.contract("approve_move_in", by=DSO, **approval())
    state = community.network.states["contract"].public
    past, now = (codec.decode(state[name]) for name in ("slot-past/0000000/000000", "slot/0000000"))
    assert (past["party"], now) == (identity_of(ANN.owner), {**past, "party": BOBS, "changes": 1})


def test_approving_again_changes_nothing(community: Community) -> None:
    community.contract("move_in", order=order())
    community.contract("approve_move_in", by=DSO, **approval())
    before = community.snapshot()
    assert community.contract("approve_move_in", by=DSO, **approval()) == {"slot": 0}
    assert community.snapshot() == before


def test_the_order_that_came_last_is_the_one_to_approve(community: Community) -> None:
    community.contract("move_in", order=order())
    cy = Home(name="cy")
    community.contract("register_party", join=join(cy))
    community.contract("move_in", order=order(cy.owner))
    assert community.refusal("contract", "approve_move_in", by=DSO, **approval()) is ContractRefusal.MOVE_IN_UNKNOWN
    assert community.contract("approve_move_in", by=DSO, **approval(party=identity_of(cy.owner))) == {"slot": 0}


def test_nobody_moves_back_in_by_an_old_order(community: Community) -> None:
    ann = order(ANN.owner)
    for bring, party in ((order(), BOBS), (ann, identity_of(ANN.owner)), (order(counter=3), BOBS)):
        community.contract("move_in", order=bring)
        community.contract("approve_move_in", by=DSO, **approval(party=party))
    assert community.refusal("contract", "move_in", order=ann) is PayloadRefusal.REPLAYED
    refused = community.refusal("contract", "approve_move_in", by=DSO, **approval(party=identity_of(ANN.owner)))
    assert refused is ContractRefusal.MOVE_IN_UNKNOWN


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, str, dict[str, Any], StrEnum]] = [
    ("move_in", DSO, {"order": ""}, CallRefusal.ARGUMENT_MALFORMED),
    ("move_in", DSO, {"order": []}, ContractRefusal.NOT_AUTHORISED),
    ("move_in", MEMBERS, {"order": order()}, ContractRefusal.NOT_AUTHORISED),
    ("move_in", AGGREGATOR, {"order": order(connection="here")}, PayloadRefusal.MALFORMED),
    ("move_in", AGGREGATOR, {"order": order("eve", community="elsewhere")}, PayloadRefusal.FOREIGN_COMMUNITY),
    ("move_in", AGGREGATOR, {"order": order("eve", counter=1)}, PayloadRefusal.SIGNER_UNKNOWN),
    ("move_in", AGGREGATOR, {"order": order(counter=1, connection=EMPTY.connection)}, PayloadRefusal.REPLAYED),
    ("move_in", AGGREGATOR, {"order": order(connection=EMPTY.connection)}, ContractRefusal.CONNECTION_UNMEASURED),
    ("move_in", AGGREGATOR, {"order": order(ANN.owner)}, ContractRefusal.PARTY_UNCHANGED),
    ("approve_move_in", AGGREGATOR, {"connection": EMPTY.connection}, CallRefusal.ARGUMENT_MALFORMED),
    ("approve_move_in", AGGREGATOR, approval(EMPTY), ContractRefusal.NOT_AUTHORISED),
    ("approve_move_in", DSO, approval(EMPTY), ContractRefusal.CONNECTION_UNMEASURED),
    ("approve_move_in", DSO, approval(), ContractRefusal.MOVE_IN_UNKNOWN),
]


@pytest.mark.parametrize(("function", "by", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, by: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    limits = {"generation_cost_ut_per_kwh": 70_000, "max_buy_ut_per_kwh": 400_000}
    community.contract("change_limits", order=signed("limits", BOB.owner, limits))
    assert community.refusal("contract", function, by=by, **argument) is reason
