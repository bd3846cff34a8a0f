"""What is corrected behind the seal: bob's and dee's meters were silent in the first period, and are heard later."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home, identity_of, place, signed, small_pages
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.sealing import seal_content
from wattpool_chaincode.organisations import DSO, MEMBERS
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.ocmf import NO_HASH, TimeStatus

START = FIRST.start_utc
SECOND = FIRST.next
THIRD = SECOND.next
ANN, BOB, CY, DEE = range(4)
BOBS, ANNS = identity_of("bob's owner"), identity_of("ann's owner")


def sell_to_silent_homes(*, page_size: int = 500) -> tuple[Community, list[str]]:
    """Ann sells Bob next door 300 Wh, and Cy 200 Wh; Bob and Dee do not report. Returns their records, too."""
    homes = [Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B"), Home(name="dee", feeder="B")]
    community = Community(homes, page_size=page_size)
    community.open()
    wishes_wh = {"ann": 500, "bob": -300, "cy": -400}
    community.ingest([community.request(name, wish) for name, wish in wishes_wh.items()])
    community.fix()
    community.report([community.record("ann", export_wh=500), community.record("cy", import_wh=400)])
    silent = [community.record("bob", import_wh=280), community.record("dee", export_wh=90)]
    community.settle()
    community.seal()
    return community, silent


def hear_of_them(community: Community, silent: list[str]) -> list[str]:
    """Take a second period, with which the silent meters send all that they have; return its chunk."""
    community.open(SECOND)
    community.fix(SECOND)
    bob, dee = (community.record(name, period=SECOND) for name in ("bob", "dee"))
    # The fourth one says nothing new: it is refused.
    chunk = [silent[0], bob, silent[1], silent[1], dee]
    assert community.report(chunk, period=SECOND)["refused"] == [[3, "replayed"]]
    community.settle(SECOND)
    community.seal(SECOND)
    return chunk


@pytest.fixture
def community() -> Community:
    return sell_to_silent_homes()[0]


def test_a_substitute_is_settled_as_agreed_at_the_gate(community: Community) -> None:
    first = community.version(number=1)
    purses = [community.purse_ut(name) for name in community.meters]
    community.fill_wallet("bob", 60_000)
    result = community.correct([[BOB, 300, 0]])
    # 300 Wh at 174,999 and 10,000 ut/kWh.
    assert community.ledger("corrected_page", period=START, version=2, page=0)["trades"] == [
        ["feeder", BOB, ANN, 300, 300, 52_500, 3_000, 174_999],
        ["community", CY, ANN, 200, 200, 34_000, 4_000, 169_999],
    ]
    assert (result["traded_wh"], result["trades"], result["declined"]) == (500, 2, 0)
    assert (result["paid_ut"], result["fees_ut"], result["version"]) == (86_500, 7_000, 2)
    assert sorted(community.version()["delta"]) == sorted([[BOBS, -55_500], [ANNS, 52_500], [DSO, 3_000]])
    assert (community.wallet_ut("bob"), community.wallet_ut("ann")) == (4_500, 52_500)
    assert community.ledger("supply")["fees_ut"] == 7_000
    assert [community.purse_ut(name) for name in community.meters] == purses
    assert community.ledger("list_dues", bookmark="")["dues"] == []
    bob, ann = community.corrected("bob"), community.corrected("ann")
    assert (bob["quality"], bob["import_wh"], bob["bought_wh"], bob["version"]) == ("substituted", 300, 300, 2)
    assert (ann["quality"], ann["export_wh"], ann["sold_wh"]) == ("good", 500, 500)
    # What was first settled and sealed stands as it was.
    assert community.version(number=1) == first
    assert community.ledger("period", period=START)["result"] == first["result"]
    assert community.statement("bob")["quality"] == "missing"
    assert community.trades()[0][4] == 0


def test_a_suspended_slot_trades_nothing_in_any_version() -> None:
    community = Community([Home(name="ann"), Home(name="bob")])
    community.open()
    community.ingest([community.request("ann", 500), community.request("bob", -300)])
    community.fix()
    for organisation in (DSO, MEMBERS):
        community.ledger("suspend", by=organisation, slot=BOB, reason="meter opened")
    community.report([community.record("ann", export_wh=500)])
    community.settle()
    community.seal()
    result = community.correct([[BOB, 300, 0]])
    assert (result["traded_wh"], result["paid_ut"]) == (0, 0)
    assert community.corrected("bob")["import_wh"] == 300


def test_a_version_is_sealed_with_the_root_over_its_statements(community: Community) -> None:
    result = community.correct([[BOB, 300, 0]])
    statements = community.ledger("corrected_statements", period=START, version=2, page=0)
    leaves = [bytes.fromhex(codec.content_id(codec.encode(one))) for one in statements]
    assert result["root"] == merkle.root(leaves).hex() != community.version(number=1)["result"]["root"]
    assert result["corrects"] == codec.content_id(codec.encode(community.version(number=1)["result"]))
    content = seal_content(result, community.version(number=1)["seal"])
    assert community.version()["seal"] == codec.content_id(signed("seal", "seal", content, period=FIRST)[0].encode())


def test_substitutes_touch_no_register(community: Community) -> None:
    registers = community.network.states["ledger"].public["register/0000"]
    community.correct([[BOB, 300, 0]])
    assert community.network.states["ledger"].public["register/0000"] == registers


def test_values_are_private_and_what_is_public_of_them_is_salted(community: Community) -> None:
    community.correct([[BOB, 300, 0]])
    state = community.network.states["ledger"]
    assert ("meter_data", f"statement/{START:011}/0000/v0002") in state.private
    assert len([name for _, name in state.private if name.startswith("correction/")]) == 1
    bob = community.corrected("bob")
    guess = {name: value for name, value in bob.items() if name != "salt"}
    assert len(bob["salt"]) == 64
    leaves = community.ledger("corrected_page", period=START, version=2, page=0)["leaves"]
    assert codec.content_id(codec.encode(guess)) not in leaves


def test_what_a_wallet_does_not_cover_stays_due_until_it_does(community: Community) -> None:
    community.fill_wallet("bob", 18_500)
    community.correct([[BOB, 300, 0]])
    # A third of 55,500 ut is covered: a third of 52,500 and of 3,000 ut is paid.
    assert community.wallet_ut("bob") == 0
    assert community.wallet_ut("ann") == 17_500
    due = sorted([[BOBS, -37_000], [ANNS, 35_000], [DSO, 2_000]])
    assert sorted(community.version()["due"]) == due
    listed = community.ledger("list_dues", bookmark="")["dues"]
    assert [(one["period"], one["version"], sorted(one["due"])) for one in listed] == [(START, 2, due)]
    before = community.snapshot()
    assert sorted(community.ledger("pay_due", period=START, version=2)) == due
    assert community.snapshot() == before

    community.fill_wallet("bob", 40_000)
    assert community.ledger("pay_due", by=MEMBERS, period=START, version=2) == []
    assert (community.wallet_ut("bob"), community.wallet_ut("ann")) == (3_000, 52_500)
    assert community.ledger("supply")["fees_ut"] == 7_000
    assert community.ledger("list_dues", bookmark="")["dues"] == []
    assert community.ledger("pay_due", period=START, version=2) == []
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_a_better_substitute_gives_back_what_was_too_much_also_of_fees(community: Community) -> None:
    community.fill_wallet("bob", 60_000)
    community.correct([[BOB, 300, 0]])
    community.correct([[BOB, 200, 0]])
    # 100 Wh less: 35,000 ut for 200 Wh, and a fee of 2,000 ut.
    assert sorted(community.version()["delta"]) == sorted([[BOBS, 18_500], [ANNS, -17_500], [DSO, -1_000]])
    assert (community.wallet_ut("bob"), community.wallet_ut("ann")) == (60_000 - 37_000, 35_000)
    assert [community.version(number=one)["result"]["traded_wh"] for one in (1, 2, 3)] == [200, 500, 400]


def test_what_a_seller_does_not_have_any_more_is_due_to_the_buyer(community: Community) -> None:
    community.fill_wallet("bob", 55_500)
    community.correct([[BOB, 300, 0]])
    spend = community.order("ann's owner", "redeem", amount_ut=52_500)
    community.ledger("redeem", order=spend)
    community.correct([[BOB, 0, 0]])
    # The DSO's 3,000 ut come back at once, all of them to Bob.
    assert sorted(community.version()["due"]) == sorted([[BOBS, 52_500], [ANNS, -52_500]])
    assert community.wallet_ut("bob") == 3_000
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_records_that_come_late_give_the_period_its_energy() -> None:
    community, silent = sell_to_silent_homes()
    community.fill_wallet("bob", 100_000)
    chunk = hear_of_them(community, silent)
    assert community.statement("bob")["quality"] == "missing"
    values = [
        [BOB, None, place(chunk, 0, period=SECOND)],
        [DEE, None, place(chunk, 2, period=SECOND)],
    ]
    result = community.correct_late(values)
    bob, dee = community.corrected("bob"), community.corrected("dee")
    assert (bob["quality"], bob["import_wh"], bob["bought_wh"]) == ("late", 280, 280)
    assert (dee["quality"], dee["export_wh"], dee["sold_wh"]) == ("late", 90, 0)
    # 280 Wh at 174,999 and 10,000 ut/kWh.
    assert (result["traded_wh"], community.wallet_ut("bob")) == (480, 100_000 - 49_000 - 2_800)
    assert community.ledger("reading", period=SECOND.start_utc, record=bob["record"])["record"] == silent[0]


def test_a_late_record_takes_the_place_of_a_substitute_and_not_the_other_way_round() -> None:
    community, silent = sell_to_silent_homes()
    chunk = hear_of_them(community, silent)
    community.correct([[BOB, 280, 0]])
    community.correct_late([[BOB, None, place(chunk, 0, period=SECOND)]])
    assert (community.corrected("bob")["quality"], community.version()["delta"]) == ("late", [])
    refused = community.refusal("ledger", "correct", **community.correction([[BOB, 300, 0]]))
    assert refused is LedgerRefusal.ALREADY_MEASURED


def test_an_outage_over_two_periods_is_filled_in_any_order() -> None:
    community, silent = sell_to_silent_homes()
    community.open(SECOND)
    community.fix(SECOND)
    silent.append(community.record("bob", import_wh=40, period=SECOND))
    community.settle(SECOND)
    community.seal(SECOND)
    community.open(THIRD)
    community.fix(THIRD)
    chunk = [silent[0], silent[2], community.record("bob", period=THIRD)]
    community.report(chunk, period=THIRD)
    community.settle(THIRD)
    first, second = (place(chunk, index, period=THIRD) for index in (0, 1))
    community.correct_late([[BOB, first, second]], period=SECOND)
    community.correct_late([[BOB, None, first]])
    assert community.corrected("bob", SECOND)["import_wh"] == 40
    assert community.corrected("bob")["import_wh"] == 280


def test_repeated_corrections_and_seals_answer_the_same_and_change_nothing(community: Community) -> None:
    correction = community.correction([[BOB, 300, 0]])
    result = community.ledger("correct", **correction)
    before = community.snapshot()
    assert community.ledger("correct", by=MEMBERS, **correction) == result
    assert community.snapshot() == before
    sealed = community.seal_correction()
    before = community.snapshot()
    assert community.ledger("seal_correction", period=START, version=2, seal=[]) == sealed
    assert community.ledger("correct", **correction) == result
    assert community.snapshot() == before


def test_only_the_pages_of_corrected_slots_and_their_partners_are_written_again() -> None:
    with small_pages(1):
        community, _ = sell_to_silent_homes(page_size=1)
        community.correct([[DEE, 0, 90]])
        assert community.version()["result"]["pages"] == [1, 1, 1, 2]
        community.correct([[BOB, 300, 0]])
        result = community.version()["result"]
        assert result["pages"] == [3, 3, 1, 2]
        assert result["traded_wh"] == 500
        assert community.corrected("dee")["export_wh"] == 90
        assert community.corrected("cy") == community.ledger("statements", period=START, page=CY)[0]


def test_a_period_whose_market_was_given_up_is_corrected_without_payments() -> None:
    community = Community([Home(name="ann"), Home(name="bob")])
    community.open()
    community.ingest([community.request("ann", 500), community.request("bob", -300)])
    community.abort()
    community.settle()
    community.seal()
    community.correct([[ANN, 0, 500], [BOB, 300, 0]])
    assert community.version()["delta"] == []
    assert community.corrected("ann")["export_wh"] == 500


Arguments = Callable[[Community], dict[str, Any]]


def substitutes(*values: object, **changes: Any) -> Arguments:
    return lambda community: community.correction(values, **changes)


def as_signed(*, signature: str | None = None, **changes: Any) -> Arguments:
    """Return what makes a correction signed by somebody else, or of another form."""

    def arguments(community: Community) -> dict[str, Any]:
        content = {**community.correction_of(), "values": NO_HASH}
        fields = {"kind": "correction", "name": "ann", "content": content, "period": FIRST, **changes}
        order = signed(**fields)
        return {"period": START, "correction": order if signature is None else [order[0], signature]}

    return arguments


def late(*values: object, **changes: Any) -> Arguments:
    return lambda community: community.late(values, **changes)


GAP = [BOB, 300, 0]
LINE_WH = 2_500
# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, Arguments, StrEnum]] = [
    ("correct", lambda _: {"period": START}, CallRefusal.ARGUMENT_MALFORMED),
    ("correct", lambda _: {"period": THIRD.start_utc, "correction": []}, LedgerRefusal.PERIOD_UNKNOWN),
    ("correct", as_signed(signature="", community="elsewhere"), PayloadRefusal.UNSIGNED),
    ("correct", as_signed(content={}, community="elsewhere"), PayloadRefusal.MALFORMED),
    ("correct", as_signed(community="elsewhere"), PayloadRefusal.FOREIGN_COMMUNITY),
    ("correct", as_signed(period=FIRST.previous), PayloadRefusal.LATE),
    ("correct", as_signed(period=SECOND), PayloadRefusal.EARLY),
    ("correct", as_signed(), PayloadRefusal.SIGNER_UNKNOWN),
    ("correct", substitutes(GAP, by="seal"), PayloadRefusal.SIGNER_UNKNOWN),
    ("correct", as_signed(signer=identity_of("correction")), PayloadRefusal.WRONGLY_SIGNED),
    ("correct", as_signed(name="correction"), LedgerRefusal.CHUNK_ABSENT),
    ("correct", substitutes(GAP, version=1), LedgerRefusal.VERSION_OUT_OF_ORDER),
    ("correct", substitutes(GAP, version=3, corrects=NO_HASH), LedgerRefusal.VERSION_OUT_OF_ORDER),
    ("correct", substitutes([9, 9, 9], corrects=NO_HASH), LedgerRefusal.CORRECTS_ANOTHER),
    ("correct", substitutes(salt=b""), LedgerRefusal.CHUNK_MALFORMED),
    ("correct", substitutes(), LedgerRefusal.CHUNK_MALFORMED),
    ("correct", substitutes(GAP, [9, 0]), LedgerRefusal.CHUNK_MALFORMED),
    ("correct", substitutes([9, 0, -1]), LedgerRefusal.CHUNK_MALFORMED),
    ("correct", substitutes([9, 0, 0], GAP), LedgerRefusal.CHUNK_MALFORMED),
    ("correct", substitutes(GAP, [BOB, 200, 0]), LedgerRefusal.CHUNK_MALFORMED),
    ("correct", substitutes(GAP, [4, LINE_WH + 1, 0]), LedgerRefusal.SLOT_UNKNOWN),
    ("correct", substitutes([ANN, LINE_WH + 1, 0]), LedgerRefusal.ALREADY_MEASURED),
    ("correct", substitutes([ANN, 0, 500], [BOB, LINE_WH + 1, 0]), LedgerRefusal.ALREADY_MEASURED),
    ("correct", substitutes([BOB, LINE_WH + 1, 0]), LedgerRefusal.OVER_LINE_LIMIT),
    ("correct", substitutes([BOB, 0, LINE_WH + 1]), LedgerRefusal.OVER_LINE_LIMIT),
    ("correct", lambda one: one.correct([GAP]) and one.correction([GAP]), LedgerRefusal.SAME_AS_BEFORE),
    ("correct_late", lambda _: {"period": START}, CallRefusal.ARGUMENT_MALFORMED),
    ("correct_late", late([BOB, None]), LedgerRefusal.CHUNK_MALFORMED),
    ("correct_late", late(GAP), LedgerRefusal.CHUNK_MALFORMED),
    ("correct_late", late([BOB, None, [START, "../register", 0]]), LedgerRefusal.CHUNK_MALFORMED),
    ("correct_late", late([ANN, None, [START, NO_HASH, 0]]), LedgerRefusal.ALREADY_MEASURED),
    ("correct_late", late([BOB, None, [START, NO_HASH, 0]]), LedgerRefusal.RECORD_UNKNOWN),
    ("seal_correction", lambda _: {"period": START}, CallRefusal.ARGUMENT_MALFORMED),
    ("seal_correction", lambda _: {"period": START, "version": 1, "seal": []}, LedgerRefusal.VERSION_UNKNOWN),
    ("seal_correction", lambda _: {"period": START, "version": 2, "seal": []}, LedgerRefusal.VERSION_UNKNOWN),
    ("pay_due", lambda _: {"period": START}, CallRefusal.ARGUMENT_MALFORMED),
    ("pay_due", lambda _: {"period": START, "version": 1}, LedgerRefusal.VERSION_UNKNOWN),
    ("list_dues", lambda _: {"bookmark": "wallet/"}, CallRefusal.ARGUMENT_MALFORMED),
    ("correction", lambda _: {"period": START, "version": "1"}, CallRefusal.ARGUMENT_MALFORMED),
    ("correction", lambda _: {"period": START, "version": 2}, LedgerRefusal.VERSION_UNKNOWN),
    ("corrected_page", lambda _: {"period": START, "version": 2, "page": None}, CallRefusal.ARGUMENT_MALFORMED),
    ("corrected_page", lambda _: {"period": THIRD.start_utc, "version": 2, "page": 9}, LedgerRefusal.PERIOD_UNKNOWN),
    ("corrected_page", lambda _: {"period": START, "version": 2, "page": 9}, LedgerRefusal.VERSION_UNKNOWN),
    ("corrected_page", lambda _: {"period": START, "version": 1, "page": 1}, LedgerRefusal.PAGE_UNKNOWN),
    ("corrected_statements", lambda _: {"period": START, "version": 1, "page": 1}, LedgerRefusal.PAGE_UNKNOWN),
]


@pytest.mark.parametrize(("function", "arguments", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, arguments: Arguments, reason: StrEnum
) -> None:
    assert community.refusal("ledger", function, **arguments(community)) is reason


def test_a_correction_waits_for_the_seal_of_what_it_corrects() -> None:
    community = Community([Home(name="ann")])
    community.open()
    community.fix()
    content = {"corrects": NO_HASH, "values": NO_HASH, "version": 2}
    order = signed("correction", "correction", content, period=FIRST)
    for stage in (community.settle, community.seal):
        refused = community.refusal("ledger", "correct", period=START, correction=order)
        assert refused is LedgerRefusal.TOO_EARLY
        stage()
    community.ledger("correct", **community.correction([[ANN, 300, 0]]))
    unsealed = community.correction([[ANN, 200, 0]])
    assert community.refusal("ledger", "correct", **unsealed) is LedgerRefusal.TOO_EARLY
    community.seal_correction()
    assert community.ledger("correct", **unsealed)["version"] == 3


def test_a_correction_is_of_the_version_and_the_period_that_it_names(community: Community) -> None:
    first = community.correction([[BOB, 300, 0]])
    other = community.correction([[BOB, 200, 0]])
    community.ledger("correct", **first)
    community.seal_correction()
    assert community.refusal("ledger", "correct", **other) is LedgerRefusal.VERSION_OUT_OF_ORDER


def test_a_version_is_sealed_by_the_aggregator_as_what_it_is(community: Community) -> None:
    community.ledger("correct", **community.correction([[BOB, 300, 0]]))
    before, latest = community.version(number=1), community.version()
    content = seal_content(latest["result"], before["seal"])
    for name, sealed, reason in (
        ("ann", content, PayloadRefusal.SIGNER_UNKNOWN),
        ("seal", {**content, "previous": NO_HASH}, LedgerRefusal.SEAL_FOR_ANOTHER),
        ("seal", {**content, "result": NO_HASH}, LedgerRefusal.SEAL_FOR_ANOTHER),
    ):
        seal = signed("seal", name, sealed, period=FIRST)
        assert community.refusal("ledger", "seal_correction", period=START, version=2, seal=seal) is reason


def test_the_transaction_that_sealed_a_version_is_told_the_latest_by_default(community: Community) -> None:
    community.ledger("correct", **community.correction([[BOB, 300, 0]]))
    assert community.refusal("ledger", "sealed_by", period=START, version=0) is LedgerRefusal.TOO_EARLY
    assert community.refusal("ledger", "sealed_by", period=START, version=3) is LedgerRefusal.TOO_EARLY
    first = community.ledger("sealed_by", period=START, version=1)
    community.seal_correction()
    second = community.ledger("sealed_by", period=START, version=0)
    assert (first["version"], second["version"]) == (1, 2)
    assert first["transaction"] != second["transaction"]


FIRM_REFUSED: list[tuple[int, StrEnum]] = [(ANN, LedgerRefusal.FIRM_TRADE), (BOB, LedgerRefusal.FIRM_TRADE)]


def test_the_parties_of_a_firm_trade_are_not_corrected_in_its_periods() -> None:
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy")])
    community.open()
    for name in community.meters:
        community.fill_wallet(name, 1_000_000)
    community.pick_offer("bob", community.add_offer("ann"))
    community.fix()
    community.settle()
    community.seal()
    community.open(SECOND)
    community.fix(SECOND)
    community.settle(SECOND)
    community.seal(SECOND)
    for slot, reason in FIRM_REFUSED:
        correction = community.correction([[slot, 300, 0]], period=SECOND)
        assert community.refusal("ledger", "correct", **correction) is reason
    assert community.correct([[CY, 300, 0]], period=SECOND)["firm"] == community.version(SECOND, 1)["result"]["firm"]


def test_a_corrected_home_gets_what_its_partners_firm_trades_left() -> None:
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy")])
    community.open()
    for name in ("ann", "cy"):
        community.fill_wallet(name, 1_000_000)
    community.pick_offer("cy", community.add_offer("ann"))
    community.fix()
    first = [community.record(name) for name in community.meters]
    community.report(first)
    community.settle()
    community.seal()
    # Ann promised Cy 1,000 Wh, offers 500 Wh more at the gate and exports 1,200 Wh.
    wishes_wh, measured_wh = {"ann": 1_500, "bob": -300}, {"ann": (0, 1_200), "cy": (1_000, 0)}
    assert community.run_period(wishes_wh, measured_wh, period=SECOND)["traded_wh"] == 0
    result = community.correct([[BOB, 300, 0]], period=SECOND)
    assert result["traded_wh"] == 200
    ann = community.corrected("ann", SECOND)
    assert (ann["sold_wh"], ann["firm_sold_wh"], ann["export_wh"]) == (200, 1_000, 1_200)


# Which records of the second period's chunk are pointed at as the two ends of the first, for which slot.
ENDS_REFUSED: list[tuple[int, int | None, int, StrEnum]] = [
    (BOB, None, 5, LedgerRefusal.RECORD_UNKNOWN),
    (BOB, None, 3, LedgerRefusal.RECORD_UNKNOWN),
    (BOB, None, 2, LedgerRefusal.RECORD_FOR_ANOTHER),
    (BOB, 2, 0, LedgerRefusal.RECORD_FOR_ANOTHER),
    (BOB, None, 1, LedgerRefusal.RECORD_FOR_ANOTHER),
    (BOB, 0, 1, LedgerRefusal.RECORD_FOR_ANOTHER),
    (BOB, 1, 0, LedgerRefusal.RECORD_FOR_ANOTHER),
]


@pytest.mark.parametrize(("slot", "before", "after", "reason"), ENDS_REFUSED)
def test_late_records_are_the_two_ends_of_the_period_by_the_slots_own_meter(
    slot: int, before: int | None, after: int, reason: StrEnum
) -> None:
    community, silent = sell_to_silent_homes()
    chunk = hear_of_them(community, silent)
    start = None if before is None else place(chunk, before, period=SECOND)
    value = [slot, start, place(chunk, after, period=SECOND)]
    assert community.refusal("ledger", "correct_late", **community.late([value])) is reason


LATE_CHANGES_REFUSED: list[tuple[dict[str, Any], StrEnum]] = [
    ({"time_status": TimeStatus.UNKNOWN}, LedgerRefusal.RECORD_UNSURE),
    ({"error_flags": "E"}, LedgerRefusal.RECORD_UNSURE),
    ({"status": "M"}, LedgerRefusal.RECORD_UNSURE),
    ({"time_utc": FIRST.end_utc - 60}, LedgerRefusal.RECORD_FOR_ANOTHER),
    ({"import_wh": LINE_WH + 1}, LedgerRefusal.OVER_LINE_LIMIT),
    ({"export_wh": -1}, LedgerRefusal.OVER_LINE_LIMIT),
]


@pytest.mark.parametrize(("changes", "reason"), LATE_CHANGES_REFUSED)
def test_a_late_record_that_leaves_the_energy_open_fills_no_gap(changes: dict[str, Any], reason: StrEnum) -> None:
    community = Community([Home(name="ann"), Home(name="bob")])
    community.open()
    community.fix()
    chunk = [community.record("ann", **changes)]
    community.settle()
    community.seal()
    community.open(SECOND)
    community.fix(SECOND)
    chunk.append(community.record("ann", period=SECOND))
    assert community.report(chunk, period=SECOND)["refused"] == []
    value = [ANN, None, place(chunk, 0, period=SECOND)]
    assert community.refusal("ledger", "correct_late", **community.late([value])) is reason


def test_a_late_record_after_an_unsure_one_fills_no_gap() -> None:
    community = Community([Home(name="ann")])
    chunk = []
    for period in (FIRST, SECOND):
        community.open(period)
        community.fix(period)
        status = TimeStatus.SYNCHRONISED if period == SECOND else TimeStatus.INFORMATIVE
        chunk.append(community.record("ann", import_wh=10, period=period, time_status=status))
        community.settle(period)
        community.seal(period)
    community.open(THIRD)
    community.fix(THIRD)
    chunk.append(community.record("ann", period=THIRD))
    assert community.report(chunk, period=THIRD)["refused"] == []
    community.settle(THIRD)
    value = [ANN, place(chunk, 0, period=THIRD), place(chunk, 1, period=THIRD)]
    refused = community.refusal("ledger", "correct_late", **community.late([value], period=SECOND))
    assert refused is LedgerRefusal.RECORD_UNSURE


@pytest.mark.parametrize(("import_wh", "is_forked"), [(10, False), (11, True)])
def test_two_chunks_with_different_records_of_one_number_fill_no_gap(import_wh: int, *, is_forked: bool) -> None:
    community = Community([Home(name="ann"), Home(name="bob")])
    community.open()
    community.fix()
    community.settle()
    community.seal()
    community.open(SECOND)
    community.fix(SECOND)
    before = replace(community.meters["ann"])
    one = [community.record("ann", import_wh=10)]
    community.meters["ann"] = before
    two = [community.record("ann", import_wh=import_wh), community.record("ann", period=SECOND)]
    for chunk in (one, two):
        assert community.report(chunk, period=SECOND)["refused"] == []
    community.settle(SECOND)
    late = community.late([[ANN, None, place(two, 0, period=SECOND)]])
    if is_forked:
        assert community.refusal("ledger", "correct_late", **late) is LedgerRefusal.RECORD_UNSURE
    else:
        assert community.ledger("correct_late", **late)["version"] == 2
