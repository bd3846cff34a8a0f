from enum import StrEnum
from typing import Any

import pytest

from community import (
    FIRST,
    Community,
    Home,
    connection_of,
    device,
    grid_point_of,
    identity_of,
    install,
    join,
    mandate,
    opening,
    public_key_of,
    signed,
    unfounded,
)
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.metering_point import Kind
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, METERING_FACTS
from wattpool_chaincode.records import ocmf

ANN, BOB = Home(name="ann"), Home(name="bob")
# A second meter at Ann's grid point, under Ann's mandate.
SPARE = "spare"
SPARE_INSTALL = signed(
    "install",
    SPARE,
    {"public_key": public_key_of(SPARE), "point": ANN.grid_point, "serial": SPARE, "maximum_power_w": 5_000},
)
SPARE_DEVICE: dict[str, Any] = {
    "install": SPARE_INSTALL,
    "mandate": mandate(ANN, device=identity_of(SPARE)),
    "opening": opening(Home(name=SPARE)),
}


@pytest.fixture
def community() -> Community:
    """Ann's meter is admitted; Bob's connection, grid point and Bob are known, his meter is not."""
    community = Community([ANN])
    community.contract("register_connection", by=DSO, **connection_of(BOB))
    community.contract("register_metering_point", by=DSO, **grid_point_of(BOB))
    community.contract("register_party", join=join(BOB))
    return community


def test_a_meter_gets_a_slot_when_dso_and_aggregator_have_approved_it(community: Community) -> None:
    bob = identity_of("bob")
    assert community.contract("register_device", **device(BOB)) == {"device": bob}
    assert community.contract("approve_device", by=AGGREGATOR, device=bob) == {"admitted": False}
    assert community.contract("approve_device", by=AGGREGATOR, device=bob) == {"admitted": False}
    assert community.contract("approve_device", by=DSO, device=bob) == {"admitted": True}
    digest = community.contract("publish_page", page=0)["page"]
    entry = community.contract("roster_page", page=digest)[1]
    assert (entry["slot"], entry["device"], entry["party"]) == (1, bob, identity_of(BOB.owner))
    assert entry["opening"] == [1, ocmf.read(opening(BOB)).hash, 1_000, 2_000, FIRST.start_utc]


def test_a_meter_is_the_word_of_the_dso_and_one_more(community: Community) -> None:
    assert community.network.states["contract"].policies[f"device/{identity_of('ann')}"] == METERING_FACTS


def test_registering_or_approving_again_changes_nothing(community: Community) -> None:
    before = community.snapshot()
    assert community.contract("register_device", **device(ANN)) == {"device": identity_of("ann")}
    for organisation in (DSO, AGGREGATOR):
        assert community.contract("approve_device", by=organisation, device=identity_of("ann")) == {"admitted": True}
    assert community.snapshot() == before


def at_point(name: str, point: str) -> dict[str, Any]:
    """Return the argument that registers a meter of Ann's at a point."""
    content = {"public_key": public_key_of(name), "point": point, "serial": name, "maximum_power_w": 5_000}
    return {
        "install": signed("install", name, content),
        "mandate": mandate(ANN, device=identity_of(name), point=point),
        "opening": opening(Home(name=name)),
    }


@pytest.mark.parametrize("kind", [Kind.LOAD, Kind.GENERATION, Kind.STORAGE])
def test_a_meter_behind_the_connection_is_admitted_without_a_slot(community: Community, kind: Kind) -> None:
    point = identity_of("ann's panels")
    community.contract("register_metering_point", by=DSO, **grid_point_of(ANN, point=point, kind=kind))
    panels = identity_of("panels")
    assert community.contract("register_device", **at_point("panels", point)) == {"device": panels}
    assert community.contract("approve_device", by=DSO, device=panels) == {"admitted": False}
    for _ in range(2):
        assert community.contract("approve_device", by=AGGREGATOR, device=panels) == {"admitted": True}
    # The market knows one slot, Ann's, and the state of both meters.
    assert community.publish() == 1
    assert community.contract("meter", meter=panels)["position"] == "A"


def test_a_connection_has_one_grid_point_that_is_measured(community: Community) -> None:
    point = identity_of("ann's other grid point")
    community.contract("register_metering_point", by=DSO, **grid_point_of(ANN, point=point))
    community.contract("register_device", **at_point("other", point))
    community.contract("approve_device", by=DSO, device=identity_of("other"))
    refused = community.refusal("contract", "approve_device", device=identity_of("other"))
    assert refused is ContractRefusal.CONNECTION_TAKEN


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    (DSO, {"install": install(BOB)}, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, device(BOB, install=[]), ContractRefusal.NOT_AUTHORISED),
    (MEMBERS, device(BOB), ContractRefusal.NOT_AUTHORISED),
    (AGGREGATOR, device(BOB, install=[install(BOB)[0], ""]), PayloadRefusal.UNSIGNED),
    (AGGREGATOR, device(BOB, install=install(BOB, maximum_power_w=0), mandate=[]), PayloadRefusal.MALFORMED),
    (
        AGGREGATOR,
        device(BOB, install=signed("install", "bob", {**SPARE_DEVICE, "serial": "bob"}), mandate=[]),
        PayloadRefusal.MALFORMED,
    ),
    (AGGREGATOR, device(BOB, install=install(BOB, public_key=public_key_of("eve"))), PayloadRefusal.SIGNER_UNKNOWN),
    (
        AGGREGATOR,
        device(BOB, install=[install(BOB)[0], install(ANN)[1]], mandate=[]),
        PayloadRefusal.WRONGLY_SIGNED,
    ),
    (
        AGGREGATOR,
        device(BOB, install=install(BOB, point="0f" * 20), mandate=[]),
        ContractRefusal.POINT_UNKNOWN,
    ),
    (AGGREGATOR, device(BOB, mandate=[], opening=""), PayloadRefusal.MALFORMED),
    (
        AGGREGATOR,
        device(BOB, mandate=mandate(Home(name="eve"))),
        ContractRefusal.PARTY_UNKNOWN,
    ),
    (AGGREGATOR, device(BOB, mandate=[mandate(BOB)[0], mandate(ANN)[1]], opening=""), PayloadRefusal.WRONGLY_SIGNED),
    (AGGREGATOR, device(BOB, mandate=mandate(ANN), opening=""), ContractRefusal.MANDATE_FOR_ANOTHER),
    (
        AGGREGATOR,
        device(BOB, mandate=mandate(BOB, point=ANN.grid_point), opening=""),
        ContractRefusal.MANDATE_FOR_ANOTHER,
    ),
    (AGGREGATOR, device(BOB, opening="OCMF|{}|{}"), PayloadRefusal.MALFORMED),
    (AGGREGATOR, device(BOB, opening=opening(ANN, community="elsewhere")), PayloadRefusal.FOREIGN_COMMUNITY),
    (AGGREGATOR, device(BOB, opening=opening(ANN)), PayloadRefusal.WRONGLY_SIGNED),
    (AGGREGATOR, device(BOB, opening=opening(BOB, device=identity_of("ann"))), ContractRefusal.RECORD_FOR_ANOTHER),
    (AGGREGATOR, device(BOB, opening=opening(BOB, serial="another")), ContractRefusal.RECORD_FOR_ANOTHER),
    (
        AGGREGATOR,
        device(ANN, opening=opening(ANN, import_wh=0)),
        ContractRefusal.EXISTS_WITH_OTHER_CONTENT,
    ),
]


@pytest.mark.parametrize(("by", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, by: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("contract", "register_device", by=by, **argument) is reason


def test_nobody_can_install_a_meter_without_the_owners_mandate(community: Community) -> None:
    # Eve joined the community; her mandate covers neither Ann's grid point nor a meter that Ann did not name.
    eve = Home(name="eve")
    community.contract("register_party", join=join(eve))
    for_ann = signed("mandate", eve.owner, {"device": identity_of(SPARE), "point": BOB.grid_point})
    refused = community.refusal("contract", "register_device", **{**SPARE_DEVICE, "mandate": for_ann})
    assert refused is ContractRefusal.MANDATE_FOR_ANOTHER


APPROVALS_REFUSED: list[tuple[str, str, StrEnum]] = [
    (MEMBERS, "ann", CallRefusal.ARGUMENT_MALFORMED),
    (MEMBERS, identity_of("eve"), ContractRefusal.NOT_AUTHORISED),
    (DSO, identity_of("eve"), ContractRefusal.DEVICE_UNKNOWN),
    # A connection is measured by one meter; the DSO has approved the spare one already.
    (AGGREGATOR, identity_of(SPARE), ContractRefusal.CONNECTION_TAKEN),
]


@pytest.mark.parametrize(("by", "identity", "reason"), APPROVALS_REFUSED)
def test_an_approval_that_breaks_a_rule_is_refused_by_name(
    community: Community, by: str, identity: str, reason: StrEnum
) -> None:
    community.contract("register_device", **SPARE_DEVICE)
    community.contract("approve_device", by=DSO, device=identity_of(SPARE))
    assert community.refusal("contract", "approve_device", by=by, device=identity) is reason


def test_a_void_meter_is_not_approved_even_where_another_measures(community: Community) -> None:
    community.contract("register_device", **SPARE_DEVICE)
    community.contract("approve_device", by=DSO, device=identity_of(SPARE))
    state = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}
    community.contract("update_meters", states=[signed("state", SPARE, state)])
    refused = community.refusal("contract", "approve_device", device=identity_of(SPARE))
    assert refused is ContractRefusal.DEVICE_VOID


def test_there_are_no_meters_before_the_community() -> None:
    assert unfounded().refusal("contract", "register_device", **device(BOB)) is ContractRefusal.NOT_FOUNDED
