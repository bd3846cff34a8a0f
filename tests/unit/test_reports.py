from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home, Meter, chunk, identity_of, opening, place, record, signed
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reports import RecordRefusal
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import codec, ocmf
from wattpool_chaincode.records.ocmf import TimeStatus
from wattpool_chaincode.records.period import Period

START = FIRST.start_utc
SECOND, THIRD = FIRST.next, FIRST.next.next
ANN, BOB = Home(name="ann"), Home(name="bob")


@pytest.fixture
def community() -> Community:
    """Ann has agreed to sell 500 Wh to Bob in the first period, which is over."""
    community = Community([ANN, BOB])
    community.open()
    community.ingest([community.request("ann", 500), community.request("bob", -500)])
    community.fix()
    return community


def traded_wh(community: Community, period: Period = FIRST) -> int:
    return int(community.settle(period)["traded_wh"])


def qualities(community: Community, period: Period = FIRST) -> list[str]:
    return [community.statement(name, period)["quality"] for name in community.meters]


def start(community: Community, period: Period) -> None:
    """Bring a later period to its delivery, with the same trade agreed."""
    community.open(period)
    community.ingest(
        [community.request("ann", 500, period=period), community.request("bob", -500, period=period)], period=period
    )
    community.fix(period)


def test_energy_is_the_difference_of_the_registers(community: Community) -> None:
    summary = community.report([community.record("ann", export_wh=480), community.record("bob", import_wh=520)])
    assert summary == {"count": 2, "refused": []}
    assert traded_wh(community) == 480
    assert (community.statement("ann")["export_wh"], community.statement("bob")["import_wh"]) == (480, 520)
    assert qualities(community) == ["good", "good"]


def test_a_repeated_chunk_changes_nothing_even_after_settlement(community: Community) -> None:
    items = [community.record("ann", export_wh=480), None]
    summary = community.report(items)
    before = community.snapshot()
    assert community.report(items) == summary
    assert community.snapshot() == before
    community.settle()
    assert community.report(items) == summary
    assert community.refusal("ledger", "report", **chunk("record", [])) is LedgerRefusal.LATE


def next_record(name: str, **changes: Any) -> str:
    """Return the record of the second period that follows the first one's, with nothing measured."""
    meter = Meter(number=2, hash=ocmf.read(first_record(name)).hash)
    return record(name, meter, period=SECOND, **changes)


def first_record(name: str) -> str:
    home = {"ann": ANN, "bob": BOB}[name]
    return record(name, Meter(hash=ocmf.read(opening(home)).hash), period=FIRST)


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[object, StrEnum]] = [
    (["OCMF"], PayloadRefusal.MALFORMED),
    (next_record("ann").replace('"FV":"1.3"', '"FV":"1.4"'), PayloadRefusal.MALFORMED),
    (next_record("ann", community="elsewhere", device="eve"), PayloadRefusal.FOREIGN_COMMUNITY),
    (
        next_record("ann", device="eve", period_start_utc=THIRD.start_utc, time_utc=THIRD.end_utc),
        PayloadRefusal.EARLY,
    ),
    (next_record("ann", device="eve"), PayloadRefusal.SIGNER_UNKNOWN),
    (next_record("ann", device=identity_of("bob"), number=1), PayloadRefusal.WRONGLY_SIGNED),
    (first_record("ann"), PayloadRefusal.REPLAYED),
    (opening(ANN), PayloadRefusal.REPLAYED),
    (next_record("ann", number=2, import_wh=0), RecordRefusal.FORKED),
    (next_record("ann", number=4, import_wh=0), RecordRefusal.CHAIN_BROKEN),
    (next_record("ann", previous_hash="0f" * 32, import_wh=0), RecordRefusal.CHAIN_BROKEN),
]


@pytest.mark.parametrize(("item", "reason"), REFUSED)
def test_a_bad_record_is_named_and_spoils_no_other(community: Community, item: object, reason: StrEnum) -> None:
    community.report([first_record("ann"), first_record("bob")])
    community.settle()
    start(community, SECOND)
    summary = community.report([item, next_record("bob", import_wh=1_100)], period=SECOND)
    assert summary == {"count": 2, "refused": [[0, reason.value]]}
    community.settle(SECOND)
    assert qualities(community, SECOND) == ["missing", "good"]


def test_the_table_holds_every_reason_of_a_record() -> None:
    assert {reason for _, reason in REFUSED} >= {*RecordRefusal}


def test_a_record_at_the_line_limit_is_taken_in(community: Community) -> None:
    records = [community.record("ann", export_wh=2_500), community.record("bob", import_wh=2_500)]
    assert community.report(records)["refused"] == []
    assert traded_wh(community) == 500
    assert qualities(community) == ["good", "good"]


def register(community: Community, name: str) -> list[Any]:
    """Return what is kept of a meter: number, import and export in Wh, and whether that is sure."""
    registers = codec.decode(community.network.states["ledger"].public["register/0000"])
    number, _, import_wh, export_wh, _, sure, _ = registers[community.slot(name)]
    return [number, import_wh, export_wh, sure]


@pytest.mark.parametrize(
    ("moves", "kept"),
    [
        # From 1,000 Wh of import and 2,000 Wh of export; 10 kW carry 2,500 Wh in a quarter of an hour.
        ({"import_wh": -1}, [1_000, 2_000]),
        ({"export_wh": -1}, [1_000, 2_000]),
        ({"import_wh": -1_000, "export_wh": -2_000}, [1_000, 2_000]),
        ({"import_wh": -1, "export_wh": 400}, [1_000, 2_400]),
        ({"import_wh": 2_501}, [3_501, 2_000]),
        ({"export_wh": 2_501}, [1_000, 4_501]),
        ({"import_wh": -1, "export_wh": 999_999}, [1_000, 1_001_999]),
        # A clock that went wrong as well makes it no better.
        ({"import_wh": -1, "time_status": TimeStatus.UNKNOWN}, [1_000, 2_000]),
    ],
)
def test_a_suspect_record_goes_on_the_chain_settles_nothing_and_lowers_no_register(
    community: Community, moves: dict[str, Any], kept: list[int]
) -> None:
    records = [community.record("ann", **moves), community.record("bob", import_wh=500)]
    assert community.report(records) == {"count": 2, "refused": []}
    assert traded_wh(community) == 0
    assert qualities(community) == ["suspect", "good"]
    statement = community.statement("ann")
    assert (statement["import_wh"], statement["export_wh"]) == (0, 0)
    assert register(community, "ann") == [2, *kept, False]


@pytest.mark.parametrize(
    ("readings_wh", "expected"),
    [
        # Export readings after 2,000 Wh, period by period, and what the period is worth.
        # Back for one record: the next one is plausible, and the period after it has two good ends.
        ([1_500, 2_600, 3_100], ["suspect", "unsure", "good"]),
        # Back for good: every reading below the highest one known is in doubt.
        ([1_500, 1_900, 2_300, 2_800], ["suspect", "suspect", "unsure", "good"]),
        # Over the line's limit, and on from there.
        ([9_000, 9_500, 10_000], ["suspect", "unsure", "good"]),
        # Over it, and back: the higher reading stands.
        ([9_000, 2_500, 9_400, 9_900], ["suspect", "suspect", "unsure", "good"]),
    ],
)
def test_a_meter_in_doubt_is_back_when_two_readings_in_a_row_are_plausible(
    community: Community, readings_wh: list[int], expected: list[str]
) -> None:
    period = FIRST
    for reading_wh, quality in zip(readings_wh, expected, strict=True):
        if period != FIRST:
            start(community, period)
        records = [
            community.record("ann", export_wh=reading_wh - community.meters["ann"].export_wh, period=period),
            community.record("bob", import_wh=500, period=period),
        ]
        assert community.report(records, period=period)["refused"] == []
        assert traded_wh(community, period) == (500 if quality == "good" else 0)
        assert qualities(community, period) == [quality, "good"]
        period = period.next


CALLS_REFUSED: list[tuple[dict[str, Any], StrEnum]] = [
    ({**chunk("record", []), "chunk": ""}, CallRefusal.ARGUMENT_MALFORMED),
    ({**chunk("record", [], period=THIRD), "transient": {}}, LedgerRefusal.PERIOD_UNKNOWN),
    ({**chunk("record", [], period=SECOND), "transient": {}}, LedgerRefusal.TOO_EARLY),
    ({**chunk("record", []), "transient": {}}, LedgerRefusal.CHUNK_ABSENT),
    ({**chunk("record", []), "chunk": "0f" * 32}, LedgerRefusal.CHUNK_ABSENT),
]


@pytest.mark.parametrize(("argument", "reason"), CALLS_REFUSED)
def test_a_chunk_that_breaks_a_rule_is_refused_by_name(
    community: Community, argument: dict[str, Any], reason: StrEnum
) -> None:
    community.open(SECOND)
    assert community.refusal("ledger", "report", **argument) is reason


def test_records_wait_until_the_period_before_is_settled(community: Community) -> None:
    start(community, SECOND)
    refused = community.refusal("ledger", "report", **chunk("record", [], period=SECOND))
    assert refused is LedgerRefusal.PREVIOUS_NOT_READY
    community.settle()
    assert community.report([], period=SECOND) == {"count": 0, "refused": []}


@pytest.mark.parametrize(
    ("changes", "quality"),
    [
        ({}, "good"),
        ({"time_status": TimeStatus.INFORMATIVE}, "unsure"),
        ({"error_flags": "E"}, "unsure"),
        ({"error_flags": "t"}, "unsure"),
        ({"status": "F"}, "unsure"),
        ({"time_utc": FIRST.end_utc - 1}, "span"),
        ({"time_utc": FIRST.end_utc + 1}, "span"),
        ({"period_start_utc": START - 900}, "span"),
        # A clock that was set back is no register that went back: the meter stays in the market.
        ({"time_utc": START - 60, "period_start_utc": START - 900}, "span"),
    ],
)
def test_what_a_record_is_worth(community: Community, changes: dict[str, Any], quality: str) -> None:
    records = [community.record("ann", export_wh=500, **changes), community.record("bob", import_wh=500)]
    assert community.report(records)["refused"] == []
    assert traded_wh(community) == (500 if quality == "good" else 0)
    assert qualities(community) == [quality, "good"]
    assert community.statement("ann")["export_wh"] == (500 if quality == "good" else 0)
    assert community.purse_ut("bob") == 10_000_000 - (92_500 if quality == "good" else 0)


@pytest.mark.parametrize("changes", [{"error_flags": "E"}, {"time_status": TimeStatus.UNKNOWN}])
def test_a_reading_that_cannot_be_billed_spoils_the_period_after_it_too(
    community: Community, changes: dict[str, Any]
) -> None:
    # The next period's energy is counted from it; the one after that is sound again.
    community.report([community.record("ann", **changes), community.record("bob")])
    community.settle()
    for period, quality, traded in ((SECOND, "unsure", 0), (THIRD, "good", 500)):
        start(community, period)
        records = [
            community.record("ann", export_wh=500, period=period),
            community.record("bob", import_wh=500, period=period),
        ]
        community.report(records, period=period)
        assert traded_wh(community, period) == traded
        assert qualities(community, period) == [quality, "good"]


def test_an_opening_record_that_lies_back_makes_the_first_period_a_span() -> None:
    community = Community([ANN, BOB])
    community.open(SECOND)
    community.fix(SECOND)
    community.report([community.record("ann", export_wh=900, period=SECOND)], period=SECOND)
    community.settle(SECOND)
    assert qualities(community, SECOND) == ["span", "missing"]


def test_a_lost_record_costs_resolution_and_never_energy(community: Community) -> None:
    # Ann's record of the first period comes with that of the second: 300 Wh before, 500 Wh after.
    lost = community.record("ann", export_wh=300)
    community.report([community.record("bob", import_wh=500)])
    assert traded_wh(community) == 0
    assert qualities(community) == ["missing", "good"]
    start(community, SECOND)
    records = [
        lost,
        community.record("ann", export_wh=500, period=SECOND),
        community.record("bob", import_wh=500, period=SECOND),
    ]
    assert community.report(records, period=SECOND)["refused"] == []
    assert traded_wh(community, SECOND) == 500
    assert qualities(community, SECOND) == ["good", "good"]


def test_a_gap_in_the_chain_is_refused_until_it_is_closed(community: Community) -> None:
    lost = community.record("ann", export_wh=300)
    community.settle()
    start(community, SECOND)
    late = community.record("ann", export_wh=500, period=SECOND)
    assert community.report([late], period=SECOND)["refused"] == [[0, "chain_broken"]]
    assert community.report([late, lost], period=SECOND)["refused"] == [[0, "chain_broken"]]
    assert community.report([lost, late], period=SECOND)["refused"] == []
    community.settle(SECOND)
    assert qualities(community, SECOND) == ["good", "missing"]


@pytest.mark.parametrize("salts", [(0, 1), (1, 0)])
def test_a_chunk_that_holds_records_back_changes_nothing(community: Community, salts: tuple[int, int]) -> None:
    lost = community.record("ann", export_wh=300)
    community.settle()
    start(community, SECOND)
    late = community.record("ann", export_wh=500, period=SECOND)
    bobs = [community.record("bob", period=FIRST), community.record("bob", import_wh=500, period=SECOND)]
    # The salts change the ids of the chunks, and with them the order in which they are read.
    community.report([lost], period=SECOND, salt=bytes([salts[0]] * 16))
    community.report([lost, late, *bobs], period=SECOND, salt=bytes([salts[1]] * 16))
    assert traded_wh(community, SECOND) == 500


@pytest.mark.parametrize("salts", [(0, 1), (1, 0)])
def test_two_records_of_one_number_leave_the_energy_open(community: Community, salts: tuple[int, int]) -> None:
    meter = Meter(hash=ocmf.read(opening(ANN)).hash)
    forks = [record("ann", meter, period=FIRST, export_wh=2_000 + wh) for wh in (400, 500)]
    bob = community.record("bob", import_wh=500)
    for salt, fork in zip(salts, forks, strict=True):
        assert community.report([fork, bob], salt=bytes([salt] * 16))["refused"] == []
    assert traded_wh(community) == 0
    assert qualities(community) == ["unsure", "good"]
    # Whichever of the two the meter goes on from, the next period begins with a reading in dispute.
    start(community, SECOND)
    for fork, wh in zip(forks, (400, 500), strict=True):
        after = Meter(number=2, hash=ocmf.read(fork).hash, export_wh=2_000 + wh + 500)
        community.report([record("ann", after, period=SECOND)], period=SECOND)
    assert traded_wh(community, SECOND) == 0
    assert qualities(community, SECOND) == ["unsure", "missing"]


def test_two_records_of_one_number_in_a_chunk_are_a_fork(community: Community) -> None:
    meter = Meter(hash=ocmf.read(opening(ANN)).hash)
    forks = [record("ann", meter, period=FIRST, export_wh=2_000 + wh) for wh in (400, 500)]
    assert community.report(forks)["refused"] == [[1, "forked"]]


def test_a_void_meter_is_still_metered_and_its_owner_can_withdraw(community: Community) -> None:
    tamper = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}
    community.contract("update_meters", states=[signed("state", "ann", tamper)])
    community.publish()
    # The trade of the period under way was agreed under the roster before.
    community.report([community.record("ann", export_wh=500), community.record("bob", import_wh=500)])
    assert traded_wh(community) == 500
    owner = ANN.owner
    community.ledger("withdraw", order=community.order(owner, "withdraw", slot=0, amount_ut=1 << 50))
    community.open(SECOND)
    request = community.request("ann", 500, period=SECOND)
    assert community.ingest([request], period=SECOND)["refused"] == [[0, "not_admitted"]]
    assert community.purse_ut("ann") == 0
    # 10,000,000 deposited, and 500 Wh sold at 174,999 ut/kWh.
    assert community.wallet_ut("ann") == 10_087_500
    community.fix(SECOND)
    records = [community.record("ann", export_wh=700, period=SECOND)]
    assert community.report(records, period=SECOND)["refused"] == []
    community.settle(SECOND)
    assert community.statement("ann", SECOND)["export_wh"] == 700


@pytest.mark.parametrize(("time_utc", "accepted"), [(FIRST.end_utc - 1, False), (FIRST.end_utc, True)])
def test_under_a_live_clock_records_come_after_delivery(time_utc: int, *, accepted: bool) -> None:
    community = Community([ANN, BOB], rules={"clock": "live"})
    community.network.time_utc = START
    community.open()
    community.fix()
    community.network.time_utc = time_utc
    if accepted:
        assert community.ledger("report", by=DSO, **chunk("record", [])) == {"count": 0, "refused": []}
    else:
        assert community.refusal("ledger", "report", **chunk("record", [])) is LedgerRefusal.TOO_EARLY


def test_a_meters_record_is_told_by_its_hash(community: Community) -> None:
    text = community.record("ann", export_wh=500)
    sent = ["no record", text]
    community.report(sent)
    found = community.ledger("reading", period=START, record=ocmf.read(text).hash)
    assert found == {"place": place(sent, 1, period=FIRST), "record": text}


READINGS_REFUSED: list[tuple[str, StrEnum]] = [
    ("ann", CallRefusal.ARGUMENT_MALFORMED),
    ("0" * 64, LedgerRefusal.RECORD_UNKNOWN),
]


@pytest.mark.parametrize(("digest", "reason"), READINGS_REFUSED)
def test_a_record_that_is_not_there_is_refused_by_name(community: Community, digest: str, reason: StrEnum) -> None:
    community.report([community.record("ann", export_wh=500)])
    assert community.refusal("ledger", "reading", period=START, record=digest) is reason
