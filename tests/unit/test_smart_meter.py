from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest

from community import Community, Home, identity_of, public_key_of, signed, unfounded
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.smart_meter import MAX_STATES, SmartMeter, Status, status

METER = SmartMeter(
    meter=identity_of("ann"),
    position="A",
    household_power_w=0,
    maximum_power_w=10_000,
    power_flow_w=0,
    public_key=public_key_of("ann"),
    goal="Idle",
    tamper=False,
    counter=0,
)


@pytest.fixture
def community() -> Community:
    return Community([Home(name="ann"), Home(name="bob")])


def state(name: str, *, counter: int = 1, **changes: Any) -> list[str]:
    content = {"household_power_w": 300, "power_flow_w": 0, "tamper": False, **changes}
    return signed("state", name, content, counter=counter)


@pytest.mark.parametrize(
    ("household_power_w", "power_flow_w", "tamper", "expected"),
    [
        (300, 1, False, Status.SELL),
        (300, -1, False, Status.BUY),
        (300, 0, False, Status.IDLE),
        (10_000, 10_000, False, Status.SELL),
        (10_000, -10_000, False, Status.BUY),
        (10_001, 5, False, Status.ALERT),
        (300, 10_001, False, Status.ALERT),
        (300, -10_001, False, Status.ALERT),
        (300, 1, True, Status.ALERT),
    ],
)
def test_the_goal_follows_the_flow_and_an_alert_goes_first(
    *, household_power_w: int, power_flow_w: int, tamper: bool, expected: Status
) -> None:
    meter = replace(METER, household_power_w=household_power_w, power_flow_w=power_flow_w, tamper=tamper)
    assert status(meter) is expected


def test_a_meters_state_is_kept_with_the_goal_it_was_told(community: Community) -> None:
    result = community.contract("update_meters", states=[state("ann", power_flow_w=5), state("bob", power_flow_w=-5)])
    assert result == {"refused": [], "statuses": [[0, "Sell"], [1, "Buy"]]}
    meter = community.contract("meter", meter=identity_of("ann"))
    assert (meter["goal"], meter["power_flow_w"], meter["counter"]) == ("Sell", 5, 1)


def test_a_meter_that_said_nothing_yet_is_idle(community: Community) -> None:
    assert community.contract("meter", meter=identity_of("ann")) == {
        "meter": identity_of("ann"),
        "position": "A",
        "household_power_w": 0,
        "maximum_power_w": 10_000,
        "power_flow_w": 0,
        "public_key": public_key_of("ann"),
        "goal": "Idle",
        "tamper": False,
        "counter": 0,
    }


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[object, StrEnum]] = [
    ([state("ann")[0], ""], PayloadRefusal.UNSIGNED),
    ("state", PayloadRefusal.MALFORMED),
    (signed("state", "eve", {}, community="elsewhere"), PayloadRefusal.MALFORMED),
    (signed("state", "eve", {"household_power_w": 0, "power_flow_w": 0, "tamper": 0}), PayloadRefusal.MALFORMED),
    (
        signed("state", "eve", {"household_power_w": 0, "power_flow_w": 0, "tamper": False}, community="elsewhere"),
        PayloadRefusal.FOREIGN_COMMUNITY,
    ),
    (state("eve"), PayloadRefusal.SIGNER_UNKNOWN),
    ([state("ann", counter=7)[0], state("bob", counter=7)[1]], PayloadRefusal.WRONGLY_SIGNED),
    (state("ann", counter=7), PayloadRefusal.REPLAYED),
    (state("bob", counter=7), PayloadRefusal.REPLAYED),
    (state("bob", counter=8), ContractRefusal.DEVICE_VOID),
]


@pytest.mark.parametrize(("item", "reason"), REFUSED)
def test_a_bad_state_is_named_and_spoils_no_other(community: Community, item: object, reason: StrEnum) -> None:
    community.contract("update_meters", states=[state("ann", counter=7), state("bob", counter=7, tamper=True)])
    result = community.contract("update_meters", states=[item, state("ann", counter=8, power_flow_w=5)])
    assert result == {"refused": [[0, reason.value]], "statuses": [[1, "Sell"]]}


def test_of_two_states_in_one_transaction_the_first_counts(community: Community) -> None:
    states = [state("ann", counter=1, power_flow_w=5), state("ann", counter=2, power_flow_w=-5)]
    result = community.contract("update_meters", states=states)
    assert result == {"refused": [[1, "replayed"]], "statuses": [[0, "Sell"]]}


def test_a_tampered_meter_is_void_and_trades_no_more(community: Community) -> None:
    result = community.contract("update_meters", states=[state("ann", tamper=True)])
    assert result["statuses"] == [[0, "Possible invalid operation detected"]]
    result = community.contract("update_meters", states=[state("ann", counter=2, tamper=False)])
    assert result["refused"] == [[0, "device_void"]]
    digest = community.contract("publish_page", page=0)["page"]
    assert [entry["may_trade"] for entry in community.contract("roster_page", page=digest)] == [False, True]


def test_calls_that_break_a_rule_are_refused_by_name(community: Community) -> None:
    assert community.refusal("contract", "meter", meter=identity_of("eve")) is ContractRefusal.DEVICE_UNKNOWN
    too_many = [None] * (MAX_STATES + 1)
    assert community.refusal("contract", "update_meters", states=too_many) is CallRefusal.ARGUMENT_MALFORMED
    assert unfounded().refusal("contract", "update_meters", states=[]) is ContractRefusal.NOT_FOUNDED
