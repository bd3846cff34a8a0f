from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home, Meter, device, identity_of, join, opening, public_key_of, record, signed
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec, ocmf
from wattpool_chaincode.records.payload import signer_id

ANN, BOB = Home(name="ann"), Home(name="bob")
SECOND = FIRST.next
THIRD = SECOND.next
MIDDLE_UTC = SECOND.start_utc + 300


@pytest.fixture
def community() -> Community:
    return Community([ANN, BOB])


def slot(community: Community) -> dict[str, Any]:
    """Return what is kept of Ann's slot."""
    return dict(codec.decode(community.network.states["contract"].public["slot/0000000"]))


def register(community: Community) -> list[Any]:
    return list(codec.decode(community.network.states["ledger"].public["register/0000"])[0])


def entry(community: Community, version: int) -> dict[str, Any]:
    digest = community.contract("roster", version=version)["pages"][0]
    return dict(community.contract("roster_page", page=digest)[0])


def total_wh(community: Community) -> tuple[int, int]:
    """Return what Ann's connection took from the grid and gave in all, whichever meter measured it."""
    carried, now = slot(community), register(community)
    version = community.ledger("roster")["version"]
    began = entry(community, version)["opening"]
    return (carried["import_wh"] + now[2] - began[2], carried["export_wh"] + now[3] - began[3])


def test_an_exchange_between_two_records_counts_each_watt_hour_once(community: Community) -> None:
    community.run_period({"ann": 500, "bob": -300}, {"ann": (20, 500), "bob": (300, 0)})
    community.open(SECOND)
    community.fix(SECOND)
    # The old meter stops in the middle of the period, and the new one begins there.
    closing = community.record("ann", import_wh=40, export_wh=3, period=SECOND, time_utc=MIDDLE_UTC)
    first = community.exchange(ANN, "ann-2", closing=closing, start=SECOND)
    assert ocmf.read(first).record.number == 1
    after = community.record("ann", import_wh=60, export_wh=5, period=SECOND)
    bob = community.record("bob", period=SECOND)
    # The period is under the roster in which the old meter is Ann's.
    refused = community.report([closing, after, bob], period=SECOND)["refused"]
    assert refused == [[1, PayloadRefusal.SIGNER_UNKNOWN]]
    community.settle(SECOND)
    community.seal(SECOND)
    assert (community.statement("ann", SECOND)["quality"], register(community)[2]) == ("span", 1_060)

    community.publish()
    community.open(THIRD)
    community.ingest(
        [community.request("ann", 500, period=THIRD), community.request("bob", -300, period=THIRD)], period=THIRD
    )
    community.fix(THIRD)
    records = [after, community.record("ann", import_wh=1, export_wh=400, period=THIRD)]
    assert (
        community.report([*records, community.record("bob", import_wh=300, period=THIRD)], period=THIRD)["refused"]
        == []
    )
    assert community.settle(THIRD)["traded_wh"] == 300
    statement = community.statement("ann", THIRD)
    assert (statement["quality"], statement["import_wh"], statement["export_wh"]) == ("good", 1, 400)
    assert statement["device_key"] == public_key_of("ann-2")
    assert total_wh(community) == (20 + 40 + 60 + 1, 500 + 3 + 5 + 400)


def test_where_the_old_meter_ended_stays_on_both_chains(community: Community) -> None:
    community.run_period({}, {"ann": (20, 500), "bob": (0, 0)})
    before, last = slot(community), register(community)
    closing = community.record("ann", import_wh=40, period=SECOND, time_utc=MIDDLE_UTC)
    community.exchange(ANN, "ann-2", closing=closing, start=SECOND)
    community.publish()
    community.run_period({}, {"ann": (1, 2), "bob": (0, 0)}, period=SECOND)
    contract = community.network.states["contract"].public
    ledger = community.network.states["ledger"].public
    assert codec.decode(contract["slot-past/0000000/000000"]) == before
    assert codec.decode(ledger["register-past/0000000/0000"]) == last
    retired = codec.decode(contract[f"device/{identity_of('ann')}"])["retirement"]
    assert retired == {
        "reason": "calibration expired",
        "number": 3,
        "record": ocmf.read(closing).hash,
        "import_wh": 1_060,
        "export_wh": 2_500,
    }


def test_a_connection_keeps_its_slot_and_its_purse(community: Community) -> None:
    community.run_period({}, {"ann": (0, 0), "bob": (0, 0)})
    community.exchange(ANN, "ann-2", closing=community.record("ann", period=SECOND), start=SECOND)
    found = entry(community, community.publish())
    assert (found["slot"], found["device"], found["installation"]) == (0, identity_of("ann-2"), 1)
    assert (found["party"], found["may_trade"]) == (identity_of(ANN.owner), True)
    assert community.purse_ut("ann") == ANN.purse_ut


def test_a_dead_meter_ends_with_what_the_dso_read(community: Community) -> None:
    community.run_period({}, {"ann": (20, 500), "bob": (0, 0)})
    community.exchange(ANN, "ann-2", closing={"import_wh": 1_111, "export_wh": 2_600}, start=SECOND)
    community.publish()
    community.run_period({}, {"ann": (1, 2), "bob": (0, 0)}, period=SECOND)
    assert total_wh(community) == (111 + 1, 600 + 2)


def test_until_the_next_meter_is_approved_the_slot_does_not_trade(community: Community) -> None:
    community.contract("retire_device", by=DSO, device=identity_of("ann"), closing=opening(ANN), reason="fire")
    found = entry(community, community.publish())
    assert (found["slot"], found["device"], found["may_trade"]) == (0, identity_of("ann"), False)


def test_retiring_again_changes_nothing(community: Community) -> None:
    argument = {"device": identity_of("ann"), "closing": opening(ANN), "reason": "fire"}
    assert community.contract("retire_device", by=DSO, **argument) == {"export_wh": 2_000, "import_wh": 1_000}
    before = community.snapshot()
    assert community.contract("retire_device", by=DSO, **argument) == {"export_wh": 2_000, "import_wh": 1_000}
    assert community.contract("register_device", **device(ANN)) == {"device": identity_of("ann")}
    assert community.snapshot() == before


def test_a_third_meter_carries_over_what_both_before_it_measured(community: Community) -> None:
    community.run_period({}, {"ann": (20, 500), "bob": (0, 0)})
    community.exchange(ANN, "second", closing=community.record("ann", import_wh=1, period=SECOND), start=SECOND)
    community.exchange(ANN, "third", closing=community.record("ann", import_wh=30, period=SECOND), start=SECOND)
    community.publish()
    community.run_period({}, {"ann": (400, 0), "bob": (0, 0)}, period=SECOND)
    assert (slot(community)["installation"], total_wh(community)) == (2, (20 + 1 + 30 + 400, 500))


def closing(name: str = "ann", **changes: Any) -> str:
    return record(name, Meter(hash=ocmf.NO_HASH), period=FIRST, **changes)


READ = {"import_wh": 1_000, "export_wh": 2_000}
# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, str, object, StrEnum]] = [
    (MEMBERS, "eve", None, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, "ann", {"import_wh": 1_000}, CallRefusal.ARGUMENT_MALFORMED),
    (DSO, "ann", {**READ, "export_wh": -1}, CallRefusal.ARGUMENT_MALFORMED),
    (MEMBERS, "eve", "", ContractRefusal.NOT_AUTHORISED),
    (AGGREGATOR, "ann", closing(), ContractRefusal.NOT_AUTHORISED),
    (DSO, "eve", "", ContractRefusal.DEVICE_UNKNOWN),
    (DSO, "ann", "OCMF|{}|{}", PayloadRefusal.MALFORMED),
    (DSO, "ann", closing("bob", community="elsewhere"), PayloadRefusal.FOREIGN_COMMUNITY),
    (DSO, "ann", closing("bob"), PayloadRefusal.WRONGLY_SIGNED),
    (DSO, "ann", closing(device=identity_of("bob"), import_wh=0), ContractRefusal.RECORD_FOR_ANOTHER),
    (DSO, "ann", closing(serial="another", import_wh=0), ContractRefusal.RECORD_FOR_ANOTHER),
    (DSO, "ann", closing(import_wh=999), ContractRefusal.CLOSING_BEHIND),
    (DSO, "bob", {**READ, "export_wh": 1_999}, ContractRefusal.CLOSING_BEHIND),
    (DSO, "bob", {**READ, "export_wh": 2_001}, ContractRefusal.EXISTS_WITH_OTHER_CONTENT),
]


@pytest.mark.parametrize(("by", "name", "closing", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, by: str, name: str, closing: object, reason: StrEnum
) -> None:
    community.contract("retire_device", by=DSO, device=identity_of("bob"), closing=READ, reason="dead")
    argument: dict[str, Any] = {"device": identity_of(name), "closing": closing, "reason": "dead"}
    assert community.refusal("contract", "retire_device", by=by, **argument) is reason


# A retired device is out for good, void or not.
STATE = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}
RETIRED_REFUSED: list[tuple[str, dict[str, Any], StrEnum]] = [
    ("approve_device", {"device": identity_of("ann")}, ContractRefusal.DEVICE_RETIRED),
    ("reinstate_device", {"device": identity_of("ann"), "reason": ""}, ContractRefusal.DEVICE_RETIRED),
    ("update_meters", {"states": [signed("state", "ann", STATE, counter=2)]}, ContractRefusal.DEVICE_RETIRED),
]


@pytest.mark.parametrize(("function", "argument", "reason"), RETIRED_REFUSED)
def test_a_retired_device_is_refused_by_name(
    community: Community, function: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    community.contract("update_meters", states=[signed("state", "ann", STATE)])
    community.contract("retire_device", by=DSO, device=identity_of("ann"), closing=closing(), reason="burnt")
    if function == "update_meters":
        assert community.contract(function, **argument)["refused"] == [[0, reason]]
    else:
        assert community.refusal("contract", function, **argument) is reason


def test_nobody_else_mandates_the_next_meter_of_a_connection(community: Community) -> None:
    eve = Home(name="eve")
    community.contract("register_party", join=join(eve))
    install = {"public_key": public_key_of("spare"), "point": ANN.grid_point, "serial": "spare", "maximum_power_w": 1}
    argument: dict[str, Any] = {
        "install": signed("install", "spare", install),
        "mandate": signed("mandate", eve.owner, {"device": identity_of("spare"), "point": ANN.grid_point}),
        "opening": opening(Home(name="spare")),
    }
    assert signer_id(bytes.fromhex(public_key_of("spare"))) == identity_of("spare")
    assert community.refusal("contract", "register_device", **argument) is ContractRefusal.MANDATE_FOR_ANOTHER
