from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, RULES, TARIFF, Community, Home, public_key_of, tariff, unfounded
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.rules import MAX_PRICE_UT_PER_KWH, Tariff
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, PRICES_AND_MONEY

ANN, BOB = Home(name="ann"), Home(name="bob")
SECOND = FIRST.next


@pytest.fixture
def community() -> Community:
    return Community([ANN, BOB])


def test_founding_again_with_the_same_rules_changes_nothing(community: Community) -> None:
    before = community.snapshot()
    assert community.contract("found", **RULES) == {"version": 1}
    assert community.snapshot() == before
    assert community.contract("rules", version=1) == {"version": 1, "from_utc": 0, "rules": RULES}


def test_only_aggregator_and_members_together_can_write_rules_and_tariffs(community: Community) -> None:
    policies = community.network.states["contract"].policies
    assert policies["rules/000001"] == policies["tariff/standard"] == PRICES_AND_MONEY
    community.contract("set_tariff", **tariff("standard", energy_ut_per_kwh=1))
    assert policies["tariff/standard"] == PRICES_AND_MONEY


def vote(*, from_utc: int = SECOND.start_utc, **changes: Any) -> dict[str, Any]:
    return {"from_utc": from_utc, "rules": {**RULES, **changes}}


def agree(community: Community, **changes: Any) -> None:
    for organisation in (MEMBERS, DSO):
        community.contract("vote_rules", by=organisation, **vote(**changes))


def test_rules_that_two_organisations_want_count_from_the_period_they_name(community: Community) -> None:
    agree(community, fee_feeder_ut_per_kwh=0, from_utc=SECOND.start_utc)
    community.publish()
    for period, fees_ut in ((FIRST, 3_000), (SECOND, 0)):
        result = community.run_period({"ann": 500, "bob": -300}, {"ann": (0, 500), "bob": (300, 0)}, period=period)
        assert (result["traded_wh"], result["fees_ut"]) == (300, fees_ut)


def test_rules_do_not_reach_periods_that_are_open(community: Community) -> None:
    community.open(FIRST)
    agree(community, fee_feeder_ut_per_kwh=0, from_utc=FIRST.start_utc)
    community.publish()
    community.ingest([community.request("ann", 500), community.request("bob", -300)])
    community.fix()
    community.report([community.record("ann", export_wh=500), community.record("bob", import_wh=300)])
    assert community.settle()["fees_ut"] == 3_000


def test_one_organisation_changes_no_rules_however_often_it_votes(community: Community) -> None:
    for fee in (0, 1, 0):
        said = community.contract("vote_rules", by=DSO, **vote(fee_feeder_ut_per_kwh=fee))
        assert said == {"version": None, "votes": [DSO]}
    assert community.contract("rules", version=0) == {"version": 1, "from_utc": 0, "rules": RULES}


def test_votes_count_for_the_same_rules_from_the_same_period(community: Community) -> None:
    community.contract("vote_rules", by=DSO, **vote(alpha_ut_per_kwh=1))
    said = community.contract("vote_rules", by=MEMBERS, **vote(alpha_ut_per_kwh=1, from_utc=SECOND.next.start_utc))
    assert said == {"version": None, "votes": [MEMBERS]}
    said = community.contract("vote_rules", by=AGGREGATOR, **vote(alpha_ut_per_kwh=1))
    assert said == {"version": 2, "votes": [AGGREGATOR, DSO]}
    before = community.snapshot()
    assert community.contract("vote_rules", by=MEMBERS, **vote(alpha_ut_per_kwh=1))["version"] == 2
    assert community.snapshot() == before


REFUSED: list[tuple[str, str, dict[str, Any], StrEnum]] = [
    ("found", DSO, {}, CallRefusal.ARGUMENT_MALFORMED),
    ("found", DSO, {**RULES, "period_s": 450}, ContractRefusal.NOT_AUTHORISED),
    ("found", MEMBERS, RULES, ContractRefusal.NOT_AUTHORISED),
    ("found", AGGREGATOR, {**RULES, "period_s": 450}, ContractRefusal.ALREADY_FOUNDED),
    ("set_tariff", DSO, {**tariff("standard"), "name": ""}, CallRefusal.ARGUMENT_MALFORMED),
    ("set_tariff", DSO, tariff("standard"), ContractRefusal.NOT_AUTHORISED),
    ("rules", DSO, {}, CallRefusal.ARGUMENT_MALFORMED),
    ("vote_rules", DSO, vote(fee_feeder_ut_per_kwh=-1, community="other", from_utc=1), CallRefusal.ARGUMENT_MALFORMED),
    ("vote_rules", DSO, {"from_utc": 900, "rules": {}}, CallRefusal.ARGUMENT_MALFORMED),
    ("vote_rules", DSO, vote(community="other", from_utc=0), ContractRefusal.RULES_FIXED),
    ("vote_rules", DSO, vote(period_s=450), ContractRefusal.RULES_FIXED),
    ("vote_rules", DSO, vote(clock="live"), ContractRefusal.RULES_FIXED),
    ("vote_rules", DSO, vote(from_utc=0, mechanism="pool"), ContractRefusal.RULES_OUT_OF_ORDER),
    ("vote_rules", DSO, vote(from_utc=SECOND.start_utc + 1), ContractRefusal.RULES_OUT_OF_ORDER),
    ("rules", DSO, {"version": 2}, ContractRefusal.NOT_FOUNDED),
]


@pytest.mark.parametrize(("function", "by", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, by: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("contract", function, by=by, **argument) is reason


def test_there_are_no_tariffs_before_the_community() -> None:
    community = unfounded()
    assert community.refusal("contract", "set_tariff", by=DSO, **tariff("a")) is ContractRefusal.NOT_AUTHORISED
    assert community.refusal("contract", "set_tariff", **tariff("a")) is ContractRefusal.NOT_FOUNDED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("community", "two words"),
        ("period_s", 0),
        ("period_s", 7_000),
        ("period_s", True),
        ("clock", "sundial"),
        ("mechanism", "lottery"),
        ("alpha_ut_per_kwh", -1),
        ("beta_ut_per_kwh", MAX_PRICE_UT_PER_KWH + 1),
        ("fee_feeder_ut_per_kwh", "10"),
        ("fee_community_ut_per_kwh", None),
        ("pool_time_limit_s", 0),
        ("pool_time_limit_s", 1_000),
        ("gate_lead_s", -1),
        ("report_due_s", 1 << 53),
        ("firm_deposit_ppm", 1_000_001),
        ("firm_tolerance_ppm", -1),
        ("firm_decline_below_ppm", True),
        ("firm_shortfall_ut_per_kwh", MAX_PRICE_UT_PER_KWH + 1),
        ("seal_key", public_key_of("seal").upper()),
        ("correction_key", public_key_of("seal")[2:]),
    ],
)
def test_rules_out_of_bounds_are_refused(name: str, value: object) -> None:
    refused = unfounded().refusal("contract", "found", **{**RULES, name: value})
    assert refused is CallRefusal.ARGUMENT_MALFORMED


def test_the_retail_price_is_energy_network_and_levies_together() -> None:
    assert Tariff(**TARIFF).retail_ut_per_kwh == 300_000


@pytest.mark.parametrize(("feed_in", "is_refused"), [(299_999, False), (300_000, True), (300_001, True)])
def test_a_feed_in_price_is_below_the_retail_price(community: Community, feed_in: int, *, is_refused: bool) -> None:
    argument = tariff("standard", feed_in_ut_per_kwh=feed_in)
    if is_refused:
        assert community.refusal("contract", "set_tariff", **argument) is CallRefusal.ARGUMENT_MALFORMED
    else:
        assert community.contract("set_tariff", **argument) is None


def test_a_new_tariff_counts_from_the_next_roster_on(community: Community) -> None:
    digest = community.contract("roster", version=1)["pages"][0]
    community.contract("set_tariff", **tariff("standard", energy_ut_per_kwh=250_000))
    assert community.contract("roster_page", page=digest)[0]["retail_ut_per_kwh"] == 300_000
    assert community.publish() == 2
    digest = community.contract("roster", version=2)["pages"][0]
    assert community.contract("roster_page", page=digest)[0]["retail_ut_per_kwh"] == 400_000
