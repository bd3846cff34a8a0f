from enum import StrEnum
from typing import Any

import pytest

from community import Community, Home, identity_of, join, public_key_of, signed, unfounded
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, PRICES_AND_MONEY
from wattpool_chaincode.records.payload import signer_id

ANN, BOB = Home(name="ann"), Home(name="bob")
JOIN: dict[str, Any] = {
    "public_key": public_key_of(BOB.owner),
    "tariff": "standard",
    "generation_cost_ut_per_kwh": 60_000,
    "max_buy_ut_per_kwh": 400_000,
}


@pytest.fixture
def community() -> Community:
    return Community([ANN])


def test_a_party_is_what_its_owner_signed(community: Community) -> None:
    bob = identity_of(BOB.owner)
    assert community.contract("register_party", join=join(BOB)) == {"party": bob}
    assert community.contract("party", party=bob) == {"party": bob, "changes": 0, **JOIN}


def test_joining_again_changes_nothing(community: Community) -> None:
    before = community.snapshot()
    assert community.contract("register_party", join=join(ANN)) == {"party": identity_of(ANN.owner)}
    assert community.snapshot() == before


def test_only_aggregator_and_members_together_can_change_a_party(community: Community) -> None:
    policies = community.network.states["contract"].policies
    assert policies[f"party/{identity_of(ANN.owner)}"] == PRICES_AND_MONEY


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, Any, StrEnum]] = [
    (DSO, "join", CallRefusal.ARGUMENT_MALFORMED),
    (DSO, [], ContractRefusal.NOT_AUTHORISED),
    (MEMBERS, join(BOB), ContractRefusal.NOT_AUTHORISED),
    (AGGREGATOR, [], PayloadRefusal.MALFORMED),
    (AGGREGATOR, [join(BOB)[0], "no base64"], PayloadRefusal.MALFORMED),
    (AGGREGATOR, [signed("join", ANN.owner, JOIN, community="elsewhere")[0], ""], PayloadRefusal.UNSIGNED),
    (AGGREGATOR, signed("mandate", BOB.owner, JOIN), PayloadRefusal.MALFORMED),
    (AGGREGATOR, join(BOB, tariff=""), PayloadRefusal.MALFORMED),
    (AGGREGATOR, join(BOB, max_buy_ut_per_kwh=-1), PayloadRefusal.MALFORMED),
    (AGGREGATOR, signed("join", ANN.owner, JOIN, community="elsewhere"), PayloadRefusal.FOREIGN_COMMUNITY),
    (AGGREGATOR, signed("join", ANN.owner, JOIN), PayloadRefusal.SIGNER_UNKNOWN),
    (
        AGGREGATOR,
        signed("join", ANN.owner, {**JOIN, "tariff": "gold"}, signer=identity_of(BOB.owner)),
        PayloadRefusal.WRONGLY_SIGNED,
    ),
    (AGGREGATOR, join(BOB, tariff="gold"), ContractRefusal.TARIFF_UNKNOWN),
    (AGGREGATOR, join(ANN, max_buy_ut_per_kwh=1), ContractRefusal.EXISTS_WITH_OTHER_CONTENT),
]


@pytest.mark.parametrize(("by", "payload", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(community: Community, by: str, payload: object, reason: StrEnum) -> None:
    assert community.refusal("contract", "register_party", by=by, join=payload) is reason


def test_an_unknown_party_and_a_community_that_is_not_founded_are_named(community: Community) -> None:
    refused = community.refusal("contract", "party", party=identity_of(BOB.owner))
    assert refused is ContractRefusal.PARTY_UNKNOWN
    assert community.refusal("contract", "party", party="bob") is CallRefusal.ARGUMENT_MALFORMED
    assert unfounded().refusal("contract", "register_party", join=join(BOB)) is ContractRefusal.NOT_FOUNDED


def test_a_key_that_is_no_point_of_the_curve_has_signed_nothing(community: Community) -> None:
    no_point = "02" + "ff" * 32  # x is beyond the field's prime
    payload = signed("join", BOB.owner, {**JOIN, "public_key": no_point}, signer=signer_id(bytes.fromhex(no_point)))
    assert community.refusal("contract", "register_party", join=payload) is PayloadRefusal.WRONGLY_SIGNED
