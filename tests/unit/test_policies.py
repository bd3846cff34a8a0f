"""Who must endorse: evaluation from left to right, each endorser used once, and the smallest sufficient choice."""

from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattpool.ledgers import policies
from wattpool_chaincode.context import Policy
from wattpool_chaincode.organisations import (
    AGGREGATOR,
    DSO,
    MEMBERS,
    METERING_FACTS,
    ORGANISATIONS,
    PRICES_AND_MONEY,
    TWO_OF_THREE,
)

DSO_ALONE = Policy(required=1, rules=(DSO,))
# The DSO cannot stand for both rules, as on a peer.
OVERLAPPING = Policy(required=2, rules=(DSO, Policy(required=1, rules=(DSO, AGGREGATOR))))


@pytest.mark.parametrize(
    ("policy", "endorsers", "is_met"),
    [
        (TWO_OF_THREE, {DSO, MEMBERS}, True),
        (TWO_OF_THREE, {DSO, MEMBERS, AGGREGATOR}, True),
        (TWO_OF_THREE, {DSO}, False),
        (TWO_OF_THREE, {DSO, "StrangerMSP"}, False),
        (TWO_OF_THREE, set(), False),
        (METERING_FACTS, {DSO, AGGREGATOR}, True),
        (METERING_FACTS, {DSO, MEMBERS}, True),
        (METERING_FACTS, {AGGREGATOR, MEMBERS}, False),
        (PRICES_AND_MONEY, {AGGREGATOR, MEMBERS}, True),
        (PRICES_AND_MONEY, {AGGREGATOR, DSO}, False),
        (OVERLAPPING, {DSO}, False),
        (OVERLAPPING, {DSO, AGGREGATOR}, True),
        (Policy(required=2, rules=(DSO, DSO)), {DSO}, False),
    ],
)
def test_a_policy_is_met_or_not(policy: Policy, endorsers: set[str], *, is_met: bool) -> None:
    assert policies.is_satisfied(policy, endorsers) is is_met


@pytest.mark.parametrize(
    ("own", "without", "applying"),
    [
        ([], 0, {TWO_OF_THREE}),
        ([], 3, {TWO_OF_THREE}),
        ([METERING_FACTS], 0, {METERING_FACTS}),
        ([METERING_FACTS, METERING_FACTS, DSO_ALONE], 0, {METERING_FACTS, DSO_ALONE}),
        ([METERING_FACTS], 1, {METERING_FACTS, TWO_OF_THREE}),
    ],
)
def test_a_keys_own_policy_counts_in_place_of_the_chaincodes(
    own: list[Policy], without: int, applying: set[Policy]
) -> None:
    assert policies.applying(TWO_OF_THREE, own, without=without) == applying


@pytest.mark.parametrize(
    ("asked", "first", "chosen"),
    [
        ({TWO_OF_THREE}, DSO, (DSO, AGGREGATOR)),
        ({TWO_OF_THREE}, MEMBERS, (MEMBERS, AGGREGATOR)),
        ({METERING_FACTS}, MEMBERS, (MEMBERS, DSO)),
        ({PRICES_AND_MONEY}, DSO, (AGGREGATOR, MEMBERS)),
        ({DSO_ALONE}, MEMBERS, (DSO,)),
        ({METERING_FACTS, PRICES_AND_MONEY}, DSO, (DSO, AGGREGATOR, MEMBERS)),
        ({Policy(required=1, rules=("StrangerMSP",))}, DSO, None),
    ],
)
def test_the_fewest_organisations_are_asked_the_submitters_own_first(
    asked: set[Policy], first: str, chosen: tuple[str, ...] | None
) -> None:
    available = (first, *(one for one in ORGANISATIONS if one != first))
    assert policies.choose(frozenset(asked), available) == chosen


def trees() -> st.SearchStrategy[Policy]:
    leaves = st.sampled_from(ORGANISATIONS)
    return st.recursive(leaves, _policy, max_leaves=6).filter(lambda rule: isinstance(rule, Policy)).map(_as_policy)


def _policy(rules: st.SearchStrategy[str | Policy]) -> st.SearchStrategy[str | Policy]:
    several = st.lists(rules, min_size=1, max_size=4)
    return several.flatmap(
        lambda some: st.builds(Policy, required=st.integers(1, len(some)), rules=st.just(tuple(some)))
    )


def _as_policy(rule: str | Policy) -> Policy:
    assert isinstance(rule, Policy)
    return rule


@settings(max_examples=100, deadline=None)
@given(trees(), st.sets(st.sampled_from(ORGANISATIONS), max_size=3))
def test_more_endorsers_than_the_choice_do_no_harm_and_fewer_never_suffice(policy: Policy, asked: set[str]) -> None:
    chosen = policies.choose(frozenset({policy}), tuple(sorted(asked)))
    smaller = chain.from_iterable(combinations(sorted(asked), size) for size in range(len(chosen or asked) + 1))
    meeting = [some for some in smaller if policies.is_satisfied(policy, some)]
    assert (min(map(len, meeting)) if meeting else None) == (None if chosen is None else len(chosen))


@settings(max_examples=50, deadline=None)
@given(trees())
def test_a_policy_is_read_as_it_was_written(policy: Policy) -> None:
    assert policies.from_json(policies.to_json(policy)) == policy


@pytest.mark.parametrize(
    "value",
    [
        None,
        "DsoMSP",
        {},
        {"required": 0, "rules": ["DsoMSP"]},
        {"required": 2, "rules": ["DsoMSP"]},
        {"required": "1", "rules": ["DsoMSP"]},
        {"required": True, "rules": ["DsoMSP"]},
        {"required": 1, "rules": [7]},
        {"required": 1, "rules": "DsoMSP"},
        {"required": 1, "rules": ["DsoMSP"], "version": 0},
    ],
)
def test_what_is_no_policy_is_not_read(value: object) -> None:
    with pytest.raises(ValueError, match="not a policy"):
        policies.from_json(value)
