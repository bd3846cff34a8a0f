import pytest

from wattpool_chaincode.records import merkle
from wattpool_chaincode.records.codec import content_id
from wattpool_chaincode.records.ocmf import NO_HASH, TimeStatus
from wattpool_chaincode.records.period import Period
from wattpool_meter.flows import Flows
from wattpool_meter.meter import Limits, Meter, Nameplate

FIRST = Period(1_490_000_400, 900)
PLATE = Nameplate(
    community="test",
    device="a" * 40,
    serial="m1",
    vendor="Maker",
    meter_model="One",
    agent_version="0.1.0",
    boot_id="boot",
)
LIMITS = Limits(generation_cost_ut_per_kwh=60_000, max_buy_ut_per_kwh=300_000)


def meter() -> Meter:
    return Meter(PLATE, LIMITS, started_utc=FIRST.start_utc)


def test_flows_close_the_energy_identity() -> None:
    sunny = Flows(consumption_wh=200, generation_wh=500)
    assert (sunny.own_use_wh, sunny.import_wh, sunny.export_wh) == (200, 0, 300)
    dull = Flows(consumption_wh=200, generation_wh=50)
    assert (dull.own_use_wh, dull.import_wh, dull.export_wh) == (50, 150, 0)
    charging = Flows(consumption_wh=200, generation_wh=500, charge_wh=250)
    assert (charging.own_use_wh, charging.import_wh, charging.export_wh) == (200, 0, 50)
    releasing = Flows(consumption_wh=200, generation_wh=0, discharge_wh=250)
    assert (releasing.own_use_wh, releasing.import_wh, releasing.export_wh) == (200, 0, 50)


def test_registers_go_forward_and_records_form_a_chain() -> None:
    one = meter()
    opening = one.close(FIRST.previous)
    one.add(Flows(consumption_wh=200, generation_wh=50), time_utc=FIRST.end_utc)
    first = one.close(FIRST)
    one.add(Flows(consumption_wh=10, generation_wh=110), time_utc=FIRST.next.end_utc)
    second = one.close(FIRST.next)
    assert [record.number for record in (opening, first, second)] == [1, 2, 3]
    assert opening.previous_hash == NO_HASH
    assert first.previous_hash == content_id(opening.payload())
    assert second.previous_hash == content_id(first.payload())
    assert [(record.import_wh, record.export_wh) for record in (opening, first, second)] == [
        (0, 0),
        (150, 0),
        (150, 100),
    ]
    assert (second.period_start_utc, second.time_utc) == (FIRST.next.start_utc, FIRST.next.end_utc)


def test_a_records_tree_holds_the_samples_since_the_last_one() -> None:
    one = meter()
    one.add(Flows(consumption_wh=3, generation_wh=0), time_utc=FIRST.start_utc + 60)
    one.add(Flows(consumption_wh=0, generation_wh=5), time_utc=FIRST.start_utc + 120)
    record = one.close(FIRST)
    leaves = [f"{FIRST.start_utc + 60} 3 0".encode(), f"{FIRST.start_utc + 120} 3 5".encode()]
    assert (record.leaves, record.leaves_root) == (2, merkle.root(leaves).hex())
    assert one.close(FIRST.next).leaves == 0


def test_an_unsynchronised_clock_shows_in_the_record() -> None:
    assert meter().close(FIRST, time_status=TimeStatus.UNKNOWN).time_status is TimeStatus.UNKNOWN


def test_a_request_asks_for_what_is_lacking_at_most_at_the_owners_limit() -> None:
    request = meter().ask(FIRST, Flows(consumption_wh=300, generation_wh=50))
    assert request is not None
    assert (request.kind, request.signer, request.period_start_utc) == ("request", PLATE.device, FIRST.start_utc)
    assert request.content == {
        "battery_wh": 0,
        "consumption_w": 1_200,
        "generation_w": 200,
        "limit_ut_per_kwh": 300_000,
    }


def test_a_request_sells_surplus_for_no_less_than_it_cost() -> None:
    request = meter().ask(FIRST, Flows(consumption_wh=50, generation_wh=300))
    assert request is not None
    assert request.content["limit_ut_per_kwh"] == 60_000


@pytest.mark.parametrize(
    ("flows", "battery_wh", "limit"),
    [
        (Flows(consumption_wh=50, generation_wh=300, charge_wh=260), -260, 300_000),
        (Flows(consumption_wh=50, generation_wh=0, discharge_wh=60), 60, 60_000),
    ],
)
def test_a_request_tells_what_the_battery_releases(flows: Flows, battery_wh: int, limit: int) -> None:
    request = meter().ask(FIRST, flows)
    assert request is not None
    assert (request.content["battery_wh"], request.content["limit_ut_per_kwh"]) == (battery_wh, limit)


def test_who_neither_lacks_nor_has_over_asks_for_nothing() -> None:
    assert meter().ask(FIRST, Flows(consumption_wh=50, generation_wh=50)) is None
    assert meter().ask(FIRST, Flows(consumption_wh=50, generation_wh=300, charge_wh=250)) is None


def test_the_state_is_told_when_the_goal_changes_and_at_every_tampering() -> None:
    one = meter()
    buying, selling = Flows(consumption_wh=50, generation_wh=0), Flows(consumption_wh=0, generation_wh=50)
    told = [one.state(FIRST, flows) for flows in (buying, buying, selling, selling)]
    assert [state is not None for state in told] == [True, False, True, False]
    assert told[2] is not None
    assert told[2].content == {"household_power_w": 0, "power_flow_w": 200, "tamper": False}
    tampered = one.state(FIRST, selling, tamper=True)
    assert tampered is not None
    assert tampered.content["tamper"] is True


def test_counters_rise_over_all_that_a_meter_says() -> None:
    one = meter()
    flows = Flows(consumption_wh=50, generation_wh=0)
    said = [one.state(FIRST, flows), one.ask(FIRST, flows), one.ask(FIRST.next, flows)]
    assert [payload.counter for payload in said if payload is not None] == [1, 2, 3]
