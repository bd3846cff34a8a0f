from enum import StrEnum
from typing import Any

import pytest

from community import Community, Home, identity_of, join, signed, unfounded
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import DSO, MEMBERS
from wattpool_chaincode.records import codec

ANN = Home(name="ann")
OWNER = identity_of(ANN.owner)
LIMITS = {"generation_cost_ut_per_kwh": 70_000, "max_buy_ut_per_kwh": 250_000}


@pytest.fixture
def community() -> Community:
    return Community([ANN, Home(name="bob")], tariffs={"standard": {}, "green": {"feed_in_ut_per_kwh": 80_000}})


def limits(owner: str = ANN.owner, *, counter: int = 3, **changes: Any) -> list[str]:
    return signed("limits", owner, {**LIMITS, **changes}, counter=counter)


def tariff(name: str, *, counter: int = 3) -> list[str]:
    return signed("tariff", ANN.owner, {"tariff": name}, counter=counter)


def entry(community: Community, version: int) -> dict[str, Any]:
    """Return Ann's line of a version of the roster."""
    digest = community.contract("roster", version=version)["pages"][0]
    return dict(community.contract("roster_page", page=digest)[0])


def test_limits_count_with_the_next_roster(community: Community) -> None:
    community.contract("change_limits", order=limits())
    assert entry(community, 1)["max_buy_ut_per_kwh"] == 400_000
    assert {**entry(community, community.publish()), **LIMITS} == entry(community, 2)


def test_the_counter_of_the_last_order_is_told(community: Community) -> None:
    assert community.contract("last_order", party=OWNER) == {"counter": 0}
    community.contract("change_limits", order=limits(counter=3))
    assert community.contract("last_order", party=OWNER) == {"counter": 3}
    assert community.refusal("contract", "last_order", party="ann") is CallRefusal.ARGUMENT_MALFORMED


def test_another_tariff_counts_with_the_next_roster(community: Community) -> None:
    community.contract("change_tariff", order=tariff("green"), by=MEMBERS)
    prices = [entry(community, version)["feed_in_ut_per_kwh"] for version in (1, community.publish())]
    assert prices == [50_000, 80_000]


def test_what_a_party_was_before_stays(community: Community) -> None:
    before = community.contract("party", party=OWNER)
    community.contract("change_limits", order=limits())
    community.contract("change_tariff", order=tariff("green", counter=4))
    assert community.contract("party", party=OWNER) == {**before, **LIMITS, "tariff": "green", "changes": 2}
    state = community.network.states["contract"].public
    past = [codec.decode(state[f"party-past/{OWNER}/{changes:06}"]) for changes in range(2)]
    assert past == [before, {**before, **LIMITS, "changes": 1}]


def test_joining_again_as_before_all_changes_changes_nothing(community: Community) -> None:
    community.contract("change_limits", order=limits())
    before = community.snapshot()
    assert community.contract("register_party", join=join(ANN)) == {"party": OWNER}
    assert community.snapshot() == before
    refused = community.refusal("contract", "register_party", join=join(ANN, max_buy_ut_per_kwh=1))
    assert refused is ContractRefusal.EXISTS_WITH_OTHER_CONTENT


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("change_limits", {"order": "limits"}, CallRefusal.ARGUMENT_MALFORMED),
    ("change_tariff", {"order": [], "tariff": "green"}, CallRefusal.ARGUMENT_MALFORMED),
    ("change_limits", {"order": [limits("eve")[0], ""]}, PayloadRefusal.UNSIGNED),
    ("change_limits", {"order": tariff("green")}, PayloadRefusal.MALFORMED),
    ("change_limits", {"order": limits("eve", max_buy_ut_per_kwh=-1)}, PayloadRefusal.MALFORMED),
    (
        "change_limits",
        {"order": signed("limits", "eve", LIMITS, counter=1, community="elsewhere")},
        PayloadRefusal.FOREIGN_COMMUNITY,
    ),
    ("change_limits", {"order": limits("eve", counter=1)}, PayloadRefusal.SIGNER_UNKNOWN),
    ("change_limits", {"order": [limits(counter=2)[0], limits("bob's owner")[1]]}, PayloadRefusal.WRONGLY_SIGNED),
    # One counter serves all kinds of orders.
    ("change_tariff", {"order": tariff("gold", counter=2)}, PayloadRefusal.REPLAYED),
    ("change_limits", {"order": limits(counter=2)}, PayloadRefusal.REPLAYED),
    ("change_tariff", {"order": tariff("gold")}, ContractRefusal.TARIFF_UNKNOWN),
]


@pytest.mark.parametrize(("function", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    community.contract("change_limits", order=limits(counter=2))
    assert community.refusal("contract", function, by=DSO, **argument) is reason


def test_nobody_orders_before_the_community_is_founded() -> None:
    assert unfounded().refusal("contract", "change_limits", order=limits()) is ContractRefusal.NOT_FOUNDED
