"""A street is run by command: offers, rules, suspensions, meters, members, corrections, checkpoints, and bad input."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from community import FIRST, RULES, Home, Meter, identity_of, public_key_of, record, signed
from community_on_ledger import CommandLine, CommunityOnLedger, key_file
from page_check import Page
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool.receipts.envelope import seal_up, unpack
from wattpool.verify import verify
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.organisations import AGGREGATOR, OPERATOR_ATTRIBUTES
from wattpool_chaincode.records import ocmf
from wattpool_chaincode.records.period import format_utc

ANN, BOB, CY = Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B")
SECOND = FIRST.next
THIRD = SECOND.next
WISHES_WH = {"ann": 800, "bob": -500, "cy": -300}


def found(directory: Path) -> CommunityOnLedger:
    """Found the street on a new embedded ledger; the first period is open, and wallets hold a token."""
    EmbeddedLedger.create(
        directory, community="demo", chaincodes=CHAINCODES, client_attributes=OPERATOR_ATTRIBUTES
    ).close()
    street = CommunityOnLedger([ANN, BOB, CY], place=str(directory), open_ledger=opener(directory))
    begin(street)
    return street


def opener(directory: Path) -> Callable[[], EmbeddedLedger]:
    return lambda: EmbeddedLedger.open(directory, chaincodes=CHAINCODES)


def begin(street: CommunityOnLedger) -> None:
    for name in ("ann", "bob"):
        street.fill_wallet(name, 1_000_000)
    street.open()


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> CommunityOnLedger:
    return found(tmp_path_factory.mktemp("street") / "ledger")


@pytest.fixture
def street(founded: CommunityOnLedger, tmp_path: Path) -> CommunityOnLedger:
    """The street on a ledger of the test's own."""
    directory = tmp_path / "ledger"
    shutil.copytree(founded.place, directory)
    meters = {name: Meter(**vars(meter)) for name, meter in founded.meters.items()}
    street = object.__new__(CommunityOnLedger)
    vars(street).update(vars(founded))
    street.meters, street.place, street.open_ledger = meters, str(directory), opener(directory)
    return street


@pytest.fixture
def wattpool(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: key_file(tmp_path, name)


Keys = Callable[[str], Path]


def offer(wattpool: CommandLine, street: CommunityOnLedger, key: Path, **changes: str) -> str:
    """Let Ann offer 1 kWh in the second period, and return the id."""
    return wattpool("offer", "add", street.place, *offered(key, **changes)).split()[0]


def offered(key: Path, **changes: str) -> list[str]:
    terms = {
        "key": str(key),
        "energy": "1",
        "price": "0.15",
        "start": format_utc(SECOND.start_utc),
        "end": format_utc(SECOND.end_utc),
    }
    return [word for name, value in {**terms, **changes}.items() for word in (f"--{name}", value)]


def deliver(street: CommunityOnLedger) -> None:
    """Take the first period to its end, and the second one, in which Ann delivers and Bob takes a kilowatt-hour."""
    for period, measured_wh in ((FIRST, 0), (SECOND, 1_000)):
        if period != FIRST:
            street.open(period)
        street.fix(period)
        records = [
            street.record("ann", export_wh=measured_wh, period=period),
            street.record("bob", import_wh=measured_wh, period=period),
            street.record("cy", period=period),
        ]
        street.report(records, period=period)
        street.settle(period)
        street.seal(period)


# On every ledger.


@pytest.fixture
def any_street(request: pytest.FixtureRequest, tmp_path: Path) -> CommunityOnLedger:
    """The street on the ledger of the option --ledger."""
    if request.config.getoption("--ledger") != "fabric":
        return found(tmp_path / "any")
    file: Path = request.getfixturevalue("connection_file")
    street = CommunityOnLedger(
        [ANN, BOB, CY], place=f"fabric:{file}", open_ledger=lambda: FabricLedger(read_connection(file))
    )
    begin(street)
    return street


def test_a_street_is_run_by_command_on_any_ledger(
    any_street: CommunityOnLedger, wattpool: CommandLine, keys: Keys, tmp_path: Path
) -> None:
    place = any_street.place
    chosen = offer(wattpool, any_street, keys("ann's owner"))
    assert chosen in wattpool("offer", "list", place)
    pick = ("offer", "pick", place, chosen, "--key", keys("bob's owner"))
    assert wattpool(*pick) == f"{chosen} picked\n"
    assert wattpool.refusal(*pick) == "offer_taken: the offer is picked"
    assert wattpool("offer", "due", place) == f"{chosen} confirmed\n1 offers\n"
    vote = ("rules", "vote", place, "--change", "beta_ut_per_kwh=2000", "--start", format_utc(THIRD.start_utc), "--by")
    wattpool(*vote, "dso")
    assert wattpool(*vote, "members").startswith("version 2 ")
    assert wattpool("roster", "publish", place) == "roster 2\n"
    suspend = ("suspend", place, "--connection", CY.connection, "--reason", "cable fault", "--by")
    wattpool(*suspend, "dso")
    assert wattpool(*suspend, "members") == "suspended, voted for by DsoMSP, MembersMSP\n"
    go_through(any_street)
    substitutes = values(tmp_path, f"{BOB.connection},300,0\n")
    assert "not sealed yet" in wattpool(
        "correct", "substitute", place, substitutes, *START, "--key", keys("correction")
    )
    assert " sealed as " in wattpool("correct", "seal", place, *START, "--key", keys("seal"))
    wattpool("bill", place, "--connection", BOB.connection, "--out", tmp_path, "--zone", "UTC")
    assert "substituted" in (tmp_path / f"{BOB.connection[:8]}.html").read_text()
    assert wattpool("checkpoint", "sign", place, "--by", "dso").startswith("said by DsoMSP;")
    assert wattpool("checkpoint", "sign", place, "--by", "aggregator").startswith("checkpoint 1 over ")
    assert wattpool("checkpoint", "check", place, "--by", "members").startswith("checkpoint 1 holds: ")


# Offers by hand.


def test_an_offer_is_picked_delivered_and_paid(street: CommunityOnLedger, wattpool: CommandLine, keys: Keys) -> None:
    chosen = offer(wattpool, street, keys("ann's owner"))
    assert f"{chosen}  1.000 kWh at 0.150 tokens per kWh" in wattpool("offer", "list", street.place)
    pick = ("offer", "pick", street.place, chosen, "--key", keys("bob's owner"))
    assert wattpool(*pick) == f"{chosen} picked\n"
    assert wattpool("offer", "list", street.place) == "0 offers\n"
    assert wattpool("offer", "confirm", street.place, chosen) == f"{chosen} confirmed\n"
    deliver(street)
    assert "proved: 1.000 kWh" in wattpool("offer", "show", street.place, chosen)
    assert wattpool("offer", "pay", street.place, chosen) == f"{chosen} paid\n"
    # 1 kWh at 0.15, and 0.01 for the feeder's network.
    assert wattpool("tokens", "show", street.place, identity_of("ann's owner")).startswith("wallet 1.150000\n")
    assert wattpool("tokens", "show", street.place, identity_of("bob's owner")).startswith("wallet 0.840000\n")
    shown = wattpool("offer", "show", street.place, chosen)
    assert "1.000 kWh for 0.150000 tokens and 0.010000 of fees" in shown
    assert "sealed" in shown
    assert verify(Path(street.place)).violation is None


def test_an_offer_is_cancelled_and_another_expires(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys
) -> None:
    key = keys("ann's owner")
    unwanted, forgotten = (offer(wattpool, street, key, energy=energy) for energy in ("0.1", "0.2"))
    assert wattpool("offer", "cancel", street.place, unwanted, "--key", key) == f"{unwanted} cancelled\n"
    assert wattpool.refusal("offer", "expire", street.place, forgotten).startswith("too_early: ")
    deliver(street)
    assert wattpool("offer", "due", street.place) == f"{forgotten} expired\n1 offers\n"
    assert wattpool("tokens", "show", street.place, identity_of("ann's owner")).startswith("wallet 1.000000\n")


def test_what_cannot_be_done_with_an_offer_is_refused_by_name(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys
) -> None:
    ann, bob, cy = (keys(f"{name}'s owner") for name in ("ann", "bob", "cy"))
    chosen = offer(wattpool, street, ann)
    pick = ("offer", "pick", street.place, chosen, "--key")
    assert wattpool.refusal(*pick, ann) == "own_offer"
    assert wattpool.refusal(*pick, cy).startswith("balance_too_low: ")
    stranger = (*pick, keys("a stranger"), "--connection", BOB.connection)
    assert wattpool.refusal(*stranger).startswith("signer_unknown: ")
    assert wattpool.refusal(*pick, bob, "--connection", CY.connection).startswith("slot_not_owned: ")
    assert wattpool.refusal("offer", "cancel", street.place, chosen, "--key", bob).startswith("not_authorised: ")
    assert wattpool.refusal("offer", "confirm", street.place, chosen) == "offer_not_picked"
    wattpool(*pick, bob)
    assert wattpool.refusal(*pick, bob) == "offer_taken: the offer is picked"
    assert wattpool.refusal("offer", "cancel", street.place, chosen, "--key", ann) == "offer_taken: the offer is picked"
    assert wattpool.refusal("offer", "pay", street.place, chosen).startswith("too_early: ")
    deliver(street)
    wattpool("offer", "due", street.place)
    assert wattpool.refusal(*pick, bob).startswith("offer_expired: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy": "10"}, "over_line_limit: "),
        ({"price": "0.04"}, "outside_tariffs: "),
        ({"start": format_utc(FIRST.previous.start_utc)}, "window_past: "),
        ({"energy": "4", "end": format_utc(THIRD.end_utc), "price": "0.6"}, "balance_too_low: "),
        ({"energy": "0"}, "--energy: '0'; a positive number of watt-hours was expected"),
        ({"energy": "nan"}, "--energy: 'nan'; kWh with up to 3 decimals"),
        ({"energy": "0.0001"}, "--energy: '0.0001'; kWh with up to 3 decimals"),
        ({"price": "-1"}, "--price: '-1'; tokens with up to 6 decimals"),
        ({"start": "noon"}, "--start: 'noon' is no time in UTC"),
        ({"start": "2017-03-20T00:20:00Z"}, "--start: 2017-03-20T00:20:00Z is not the start of a market period"),
        ({"end": format_utc(SECOND.start_utc)}, "--end: 2017-03-20T00:15:00Z is not after"),
        ({"level": "world"}, "--level: 'world'; one of feeder, community was expected"),
        ({"connection": ""}, "--connection: '' is how 0 connections begin"),
        ({"by": "nobody"}, "--by: 'nobody'; aggregator, dso, members was expected"),
    ],
)
def test_terms_that_cannot_be_are_refused_in_one_sentence(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys, changes: dict[str, str], message: str
) -> None:
    before = verify(Path(street.place))
    refused = wattpool.refusal("offer", "add", street.place, *offered(keys("ann's owner"), **changes))
    assert refused.startswith(message)
    assert verify(Path(street.place)).channels == before.channels


def test_a_file_that_is_no_key_and_a_place_that_is_no_ledger_are_refused(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys, tmp_path: Path
) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no key")
    refused = wattpool.refusal("offer", "add", street.place, *offered(text))
    assert refused.endswith("is not a private key in PEM without a password")
    other_curve = ec.generate_private_key(ec.SECP384R1())
    text.write_bytes(other_curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert wattpool.refusal("offer", "add", street.place, *offered(text)).endswith("is not a key on the curve P-256")
    text.write_bytes(b"\xff")
    refused = wattpool.refusal("void", street.place, text, "--by", "dso")
    assert refused.endswith("is not text in UTF-8")
    nowhere = wattpool.refusal("offer", "add", street.place, *offered(Path("nowhere.pem")))
    assert nowhere == "--key: nowhere.pem cannot be read: No such file or directory"
    assert "is not a ledger" in wattpool.refusal("offer", "list", tmp_path)
    assert "nowhere.yaml" in wattpool.refusal("offer", "list", "fabric:nowhere.yaml")
    assert wattpool.refusal("offer", "pick", street.place, "abc", "--key", keys("bob's owner")).startswith("OFFER: ")


@pytest.mark.parametrize("clock", ["simulated", "live"])
def test_a_command_is_given_at_the_communitys_own_time(tmp_path: Path, wattpool: CommandLine, clock: str) -> None:
    directory, started_utc = tmp_path / "ledger", int(time.time())
    founded = EmbeddedLedger.create(
        directory,
        community="demo",
        chaincodes=CHAINCODES,
        client_attributes=OPERATOR_ATTRIBUTES,
        clock=lambda: FIRST.start_utc,
    )
    with founded as ledger:
        Chain(ledger, "contract").submit("found", by=AGGREGATOR, **{**RULES, "clock": clock})
    change = ("--change", "alpha_ut_per_kwh=1", "--start", format_utc(SECOND.start_utc), "--by", "dso")
    wattpool("rules", "vote", directory, *change)
    with EmbeddedLedger.read(directory) as ledger:
        (last,) = ledger.block("contract", 1).transactions
    if clock == "simulated":
        assert last.proposal.time_utc == FIRST.start_utc
    else:
        assert last.proposal.time_utc >= started_utc


def test_a_ledger_that_is_in_use_is_not_written_to(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys
) -> None:
    with street.open_ledger():
        refused = wattpool.refusal("offer", "add", street.place, *offered(keys("ann's owner")))
        assert "is open for writing already" in refused
        assert wattpool("offer", "list", street.place) == "0 offers\n"


# Rules and who may trade.


def test_rules_change_when_two_organisations_agree(street: CommunityOnLedger, wattpool: CommandLine) -> None:
    vote = ("rules", "vote", street.place, "--change", "beta_ut_per_kwh=2000", "--start", format_utc(SECOND.start_utc))
    assert wattpool(*vote, "--by", "dso").startswith("not in force yet, voted for by DsoMSP;")
    assert "beta_ut_per_kwh = 1000\n" in wattpool("rules", "show", street.place)
    assert wattpool("roster", "publish", street.place) == "roster 1\n"
    assert wattpool(*vote, "--by", "members").startswith("version 2 from 2017-03-20T00:15:00Z")
    assert "beta_ut_per_kwh = 2000\n" in wattpool("rules", "show", street.place)
    assert "beta_ut_per_kwh = 1000\n" in wattpool("rules", "show", street.place, "--version", 1)
    assert wattpool("roster", "publish", street.place) == "roster 2\n"


@pytest.mark.parametrize(
    ("change", "start", "message"),
    [
        ("period_s=60", SECOND.start_utc, "rules_fixed: period_s cannot change"),
        ("beta_ut_per_kwh=2000", SECOND.start_utc + 1, "rules_out_of_order: "),
        ("beta=1", SECOND.start_utc, "--change: 'beta=1' is not NAME=VALUE of a rule"),
        ("mechanism=barter", SECOND.start_utc, "--change mechanism: 'barter'; one of "),
        ("firm_deposit_ppm=1000001", SECOND.start_utc, "--change firm_deposit_ppm: '1000001'; a share"),
        ("firm_deposit_ppm=" + 5_000 * "9", SECOND.start_utc, "--change firm_deposit_ppm: '99"),
    ],
)
def test_rules_that_cannot_be_are_refused(
    street: CommunityOnLedger, wattpool: CommandLine, change: str, start: int, message: str
) -> None:
    vote = ("rules", "vote", street.place, "--change", change, "--start", format_utc(start), "--by", "dso")
    assert wattpool.refusal(*vote).startswith(message)


def test_two_organisations_suspend_and_reinstate_a_connection(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys
) -> None:
    words = (street.place, "--connection", ANN.connection[:8], "--reason", "sealed wrongly", "--by")
    assert wattpool("suspend", *words, "dso") == "not suspended, voted for by DsoMSP\n"
    assert wattpool("suspend", *words, "aggregator") == "suspended, voted for by AggregatorMSP, DsoMSP\n"
    refused = wattpool.refusal("offer", "add", street.place, *offered(keys("ann's owner")))
    assert refused.startswith("suspended: ")
    wattpool("reinstate", *words, "dso")
    assert wattpool("reinstate", *words, "members") == "not suspended, voted for by DsoMSP, MembersMSP\n"
    assert wattpool("offer", "add", street.place, *offered(keys("ann's owner"))).endswith("tokens\n")
    long = (street.place, "--connection", ANN.connection, "--reason", "x" * 65, "--by", "dso")
    assert wattpool.refusal("suspend", *long).startswith("--reason: ")


def test_a_device_that_contradicts_itself_is_void_until_two_reinstate_it(
    street: CommunityOnLedger, wattpool: CommandLine, tmp_path: Path
) -> None:
    meter = street.meters["bob"]
    pair = tmp_path / "pair.txt"
    texts = [record("bob", Meter(**{**vars(meter), "import_wh": wh}), period=FIRST) for wh in (2_000, 3_000)]
    pair.write_text(texts[0])
    assert wattpool.refusal("void", street.place, pair, "--by", "members").endswith(
        "1 lines; two records were expected"
    )
    pair.write_text("\n".join([texts[0], texts[0]]))
    assert wattpool.refusal("void", street.place, pair, "--by", "members").startswith("not_forked: ")
    pair.write_text("\n".join([texts[0], texts[1].replace('"EF":""', '"EF":"t"')]))
    assert wattpool.refusal("void", street.place, pair, "--by", "members").startswith("wrongly_signed: ")
    pair.write_text("\n".join(texts))
    assert "void; " in wattpool("void", street.place, pair, "--by", "members")
    wattpool("roster", "publish", street.place)
    assert "may not trade" in wattpool("roster", "show", street.place)
    words = ("reinstate", street.place, "--device", identity_of("bob"), "--reason", "meter replaced", "--by")
    assert wattpool(*words, "members").startswith("void, voted for by MembersMSP;")
    assert wattpool(*words, "dso").startswith("not void, voted for by DsoMSP, MembersMSP;")
    assert "reinstated: meter replaced" in wattpool("device", "show", street.place, identity_of("bob"))
    assert wattpool.refusal("reinstate", street.place, "--reason", "none", "--by", "dso").startswith("--connection: ")


# Meters and members.


def test_a_meter_is_exchanged_and_its_connection_trades_on(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys, tmp_path: Path
) -> None:
    install, opening, closing = (tmp_path / name for name in ("install.json", "opening.ocmf", "closing.ocmf"))
    content = {
        "public_key": public_key_of("new"),
        "point": BOB.grid_point,
        "serial": "new",
        "maximum_power_w": BOB.line_limit_w,
    }
    pair = signed("install", "new", content)
    install.write_text(json.dumps(pair, separators=(",", ":")))
    first = Meter(number=0, hash=ocmf.NO_HASH, import_wh=7, export_wh=9, device="new")
    opening.write_text(record("bob", first, period=FIRST))
    closing.write_text(street.record("bob", import_wh=250))
    exchange = ("device", "exchange", street.place, identity_of("bob"), "--install", install, "--opening", opening)
    reason = ("--reason", "calibration expired")
    owner = ("--key", keys("bob's owner"))
    refused = wattpool.refusal(*exchange, *reason, *owner)
    assert refused.startswith("--closing: either a record or --registers")
    refused = wattpool.refusal(*exchange, *reason, "--registers", "1", *owner)
    assert refused == "--registers: '1' is not IMPORT,EXPORT in kWh"
    assert wattpool.refusal(*exchange, *reason, "--closing", closing).startswith("--key: ")
    foreign = (*exchange, *reason, "--closing", closing, "--key", keys("cy's owner"))
    assert wattpool.refusal(*foreign).startswith("mandate_for_another: ")
    said = wattpool(*exchange, *reason, "--closing", closing, *owner)
    assert f"{identity_of('bob')} retired at 1.250 kWh in, 2.000 out" in said
    assert f"{identity_of('new')} admitted by DsoMSP" in said
    wattpool("roster", "publish", street.place)
    assert f"device {identity_of('new')}\n" in wattpool("roster", "show", street.place)
    install.write_text(json.dumps([pair[0], pair[1][:-4]]))
    assert wattpool.refusal(*exchange, *reason, "--closing", closing, *owner).startswith("--install: ")


def test_a_member_moves_out_another_in_and_chooses_supplier_and_limits(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys
) -> None:
    eve, party = ("--key", keys("eve's owner")), identity_of("eve's owner")
    connection = ("--connection", CY.connection)
    assert wattpool.refusal("member", "move-in", street.place, *connection, *eve).startswith("signer_unknown: ")
    join = ("member", "join", street.place, *eve, "--max-buy", "0.3", "--tariff")
    assert wattpool.refusal(*join, "cheap") == "tariff_unknown: cheap"
    assert wattpool(*join, "standard") == f"party {party}\n"
    said = wattpool("member", "move-in", street.place, *connection, *eve)
    assert said.endswith(f"{CY.connection} is {party}'s with the next roster\n")
    assert wattpool.refusal("member", "move-in", street.place, *connection, *eve).startswith("party_unchanged: ")
    wattpool("roster", "publish", street.place)
    wattpool("member", "limits", street.place, *eve, "--max-buy", "0.25", "--generation-cost", "0.07")
    wattpool("member", "supplier", street.place, *eve, "--tariff", "standard")
    shown = wattpool("member", "show", street.place, party)
    assert "sells from 0.070 and buys up to 0.250 tokens per kWh" in shown
    assert f"connection {CY.connection}\n" in shown
    assert wattpool.refusal("member", "show", street.place, "0" * 40).startswith("party_unknown: ")


def test_tokens_are_bought_deposited_withdrawn_and_redeemed(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys
) -> None:
    cy, party = ("--key", keys("cy's owner")), identity_of("cy's owner")
    buy = ("tokens", "buy", street.place, party, "2.5", "--reference")
    assert wattpool(*buy, "bank-1") == "wallet 2.500000\n"
    assert wattpool(*buy, "bank-1") == "wallet 2.500000\n"
    assert wattpool.refusal(*buy, "bank-2", "--by", "dso").startswith("not_authorised: ")
    assert wattpool("tokens", "deposit", street.place, "1.5", *cy).startswith("wallet 1.000000;")
    assert wattpool.refusal("tokens", "deposit", street.place, "1.5", *cy).startswith("balance_too_low: ")
    assert wattpool("tokens", "redeem", street.place, "0.25", *cy) == "wallet 0.750000\n"
    wattpool("tokens", "withdraw", street.place, "3", *cy)
    deliver(street)
    shown = wattpool("tokens", "show", street.place, party)
    assert shown == f"wallet 3.750000\npurse of {CY.connection} 8.500000\n"
    assert wattpool.refusal("tokens", "redeem", street.place, "0", *cy).startswith("TOKENS: '0'; ")


# Corrections.


def go_through(street: CommunityOnLedger) -> list[str]:
    """Bob's meter is cut off for the first period, and heard in the second; return all records of the second."""
    street.ingest([street.request(name, wish_wh) for name, wish_wh in WISHES_WH.items()])
    street.fix()
    unheard = street.record("bob", import_wh=400)
    street.report([street.record("ann", export_wh=700), street.record("cy", import_wh=300)])
    street.settle()
    street.seal()
    street.open(SECOND)
    street.fix(SECOND)
    records = [unheard, *(street.record(name, period=SECOND) for name in ("ann", "bob", "cy"))]
    street.report(records, period=SECOND)
    street.settle(SECOND)
    street.seal(SECOND)
    return records


START = ("--period", format_utc(FIRST.start_utc))


def values(directory: Path, text: str) -> Path:
    file = directory / "values.csv"
    file.write_text("connection,import_wh,export_wh\n" + text)
    return file


def test_a_gap_is_filled_by_a_substitute_then_by_late_records_and_each_version_has_its_receipt(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys, tmp_path: Path
) -> None:
    unheard = go_through(street)[0]
    substitutes = values(tmp_path, f"{BOB.connection},300,0\n")
    said = wattpool("correct", "substitute", street.place, substitutes, *START, "--key", keys("correction"))
    assert said.startswith("version 2 of 2017-03-20T00:00:00Z, not sealed yet: ")
    assert f"{identity_of(BOB.owner)} owes " in said
    receipt = ("receipt", street.place, *START, "--connection", BOB.connection, "--out")
    assert wattpool.refusal(*receipt, tmp_path / "early").startswith("too_early: version 2 of the period")
    seal = ("correct", "seal", street.place, *START, "--key", keys("seal"))
    assert wattpool(*seal).startswith("version 2 of 2017-03-20T00:00:00Z sealed as ")
    late = tmp_path / "late.ocmf"
    late.write_text(unheard + "\n")
    said = wattpool("correct", "late", street.place, late, *START)
    assert said.startswith("version 3 of 2017-03-20T00:00:00Z, not sealed yet: ")
    wattpool(*seal)
    assert "version 3 of 2017-03-20T00:00:00Z, sealed: " in wattpool("correct", "show", street.place, *START)
    assert verify(Path(street.place)).violation is None

    roots = tmp_path / "roots.json"
    wattpool("roots", street.place, "--out", roots)
    for version, quality, has_record in ((1, "missing", False), (2, "substituted", False), (3, "late", True)):
        file = tmp_path / f"{version}.receipt"
        wattpool(*receipt, file, "--version", version)
        checked = wattpool("check", file, "--roots", roots)
        assert f"version {version}, clock simulated" in checked
        assert f"reading {quality}\n" in checked
        assert ("the meter's own record is in it and holds" in checked) is has_record
        assert file.stat().st_size <= 4_000
    # What proves one version proves no other, and nothing that was changed.
    first, second = (unpack((tmp_path / f"{version}.receipt").read_bytes()) for version in (1, 2))
    forged = tmp_path / "forged.receipt"
    renumbered = {**second, "period": {**second["period"], "result": {**second["period"]["result"], "version": 4}}}
    for changed in ({**first, "evidence": second["evidence"]}, {**second, "period": first["period"]}, renumbered):
        forged.write_bytes(seal_up(changed))
        done = wattpool.run("check", forged, "--roots", roots)
        assert (done.status, done.out) == (1, "")
        assert "forged.receipt: not_sealed: " in done.err
    forged.write_bytes((tmp_path / "3.receipt").read_bytes()[:-1])
    assert "malformed: it was changed or cut off" in wattpool.run("check", forged, "--roots", roots).err
    wattpool(*receipt, tmp_path / "latest.receipt")
    assert (tmp_path / "latest.receipt").read_bytes() == (tmp_path / "3.receipt").read_bytes()
    assert wattpool.refusal(*receipt, tmp_path / "none", "--version", 4).startswith("too_early: ")


def test_what_a_wallet_does_not_cover_is_due_until_it_does(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys, tmp_path: Path
) -> None:
    go_through(street)
    wattpool("tokens", "redeem", street.place, "1", "--key", keys("bob's owner"))
    substitutes = values(tmp_path, f"{BOB.connection},300,0\n")
    said = wattpool("correct", "substitute", street.place, substitutes, *START, "--key", keys("correction"))
    assert f"still due from {identity_of(BOB.owner)}: " in said
    assert not wattpool("correct", "due", street.place).endswith(" 0.000000 tokens stay due\n")
    street.fill_wallet("bob", 1_000_000)
    assert wattpool("correct", "due", street.place).endswith(" 0.000000 tokens stay due\n")
    assert wattpool("correct", "due", street.place) == ""


def test_a_correction_that_cannot_be_is_refused_by_name(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys, tmp_path: Path
) -> None:
    go_through(street)
    correction, seal = keys("correction"), keys("seal")

    def refused(text: str, *words: object, key: Path = correction) -> str:
        given = ("correct", "substitute", street.place, values(tmp_path, text), *START, "--key", key)
        return wattpool.refusal(*given, *words)

    bob = f"{BOB.connection},300,0\n"
    assert refused(bob, key=seal).startswith("signer_unknown: ")
    assert refused(bob, "--version", 3).startswith("version_out_of_order: version 3; 2 was expected")
    assert refused(bob, "--period", format_utc(THIRD.start_utc)).startswith("period_unknown: ")
    assert refused(f"{ANN.connection},0,900\n").startswith("already_measured: ")
    assert refused(f"{BOB.connection},3000,0\n").startswith("over_line_limit: ")
    assert refused(f"{'0' * 40},1,0\n").endswith("took part in the period")
    assert refused(f"{BOB.connection},{5_000 * '9'},0\n").endswith("two numbers of watt-hours were expected")
    assert refused(f"{200_000 * 'x'},1,0\n").endswith("field larger than field limit (131072)")
    assert refused(bob + bob).endswith(f"values.csv:3: connection {BOB.connection} stands twice")
    assert "values.csv:2: a connection and two numbers" in refused(f"{BOB.connection},-1,0\n")
    assert refused("").endswith("has no value")
    wattpool("correct", "substitute", street.place, values(tmp_path, bob), *START, "--key", correction)
    assert refused(bob).startswith("too_early: version 2 is not sealed")
    foreign = wattpool.refusal("correct", "seal", street.place, *START, "--key", correction)
    assert foreign.startswith("signer_unknown: ")
    wattpool("correct", "seal", street.place, *START, "--key", seal)
    assert refused(bob).startswith("same_as_before: ")
    other = tmp_path / "other.csv"
    other.write_text("home,wh\n")
    words = ("correct", "substitute", street.place, other, *START, "--key", correction)
    assert wattpool.refusal(*words).endswith("other.csv:1: the columns connection,import_wh,export_wh were expected")


def test_late_records_that_do_not_fit_are_refused(
    street: CommunityOnLedger, wattpool: CommandLine, tmp_path: Path
) -> None:
    unheard, ann, *_ = go_through(street)
    file = tmp_path / "late.ocmf"
    for text, message in (
        (ann, "late.ocmf:1: the record is of neither end of the period"),
        (unheard[:-9], "late.ocmf:1: not a meter record: "),
        ("", "late.ocmf: has no record"),
        (record("bob", Meter(**{**vars(street.meters["bob"]), "number": 1}), period=FIRST), "record_unknown: "),
        (record("eve", Meter(hash=ocmf.NO_HASH), period=FIRST), "measured nothing in the period"),
    ):
        file.write_text(text)
        assert message in wattpool.refusal("correct", "late", street.place, file, *START)


def test_a_bill_shows_what_corrections_changed_and_left_due(
    street: CommunityOnLedger, wattpool: CommandLine, keys: Keys, tmp_path: Path
) -> None:
    go_through(street)
    wattpool("tokens", "redeem", street.place, "1", "--key", keys("bob's owner"))
    substitutes = values(tmp_path, f"{BOB.connection},300,0\n")
    wattpool("correct", "substitute", street.place, substitutes, *START, "--key", keys("correction"))
    shown = wattpool("correct", "show", street.place, *START)
    owed = re.search(f"{identity_of(BOB.owner)} owes ([0-9.]+) tokens", shown)
    assert owed is not None
    wattpool("bill", street.place, "--connection", BOB.connection, "--out", tmp_path, "--zone", "UTC")
    text = " ".join(Page((tmp_path / f"{BOB.connection[:8]}.html").read_text()).text.split())
    corrections = re.search(r"2017-03-20 00:00 \+0000 2 substituted by the network operator (\S+) \S+ (\S+)", text)
    assert corrections is not None
    assert corrections.groups() == (owed[1], owed[1])
    assert ",2\n" in (tmp_path / f"{BOB.connection[:8]}.csv").read_text()


# Exports.


def test_an_export_that_was_changed_or_cut_off_is_named(
    street: CommunityOnLedger, wattpool: CommandLine, tmp_path: Path
) -> None:
    file, damaged = tmp_path / "whole.jsonl", tmp_path / "damaged.jsonl"
    wattpool("export", street.place, "--out", file)
    assert wattpool("verify", file).endswith("everything holds\n")
    data = file.read_bytes()
    for changed in (
        data[:-40],
        data.replace(b"1489968000", b"1489968001", 1),
        data.replace(b"AggregatorMSP", b"AggregatorMSQ", 1),
    ):
        damaged.write_bytes(changed)
        assert damaged.read_bytes() != data
        done = wattpool.run("verify", damaged)
        assert done.status in {1, 2}
        assert len(done.err.splitlines()) == 1


# Checkpoints.


def test_two_organisations_agree_on_a_checkpoint_and_whoever_kept_it_can_check(
    street: CommunityOnLedger, wattpool: CommandLine
) -> None:
    assert wattpool("checkpoint", "show", street.place) == "no checkpoint yet\n"
    assert wattpool.refusal("checkpoint", "check", street.place) == "--number: there is no checkpoint yet"
    assert wattpool("checkpoint", "sign", street.place, "--by", "dso").startswith("said by DsoMSP;")
    signed_by_two = wattpool("checkpoint", "sign", street.place, "--by", "members")
    assert signed_by_two.startswith("checkpoint 1 over ")
    root = signed_by_two.split()[-1]
    assert wattpool("checkpoint", "check", street.place) == f"checkpoint 1 holds: {root}\n"
    assert wattpool("checkpoint", "check", street.place, "--number", 1, "--root", root).endswith(f"{root}\n")
    done = wattpool.run("checkpoint", "check", street.place, "--root", "0" * 64)
    assert (done.status, done.out) == (1, "")
    assert f"the blocks hash to {root}, not to {'0' * 64}" in done.err
    assert wattpool.refusal("checkpoint", "check", street.place, "--number", 2).startswith("checkpoint_not_next: ")
    assert wattpool.refusal("checkpoint", "check", street.place, "--root", "abc").startswith("--root: ")


# Periods and feeders.


def test_the_market_of_a_period_is_given_up_by_two_organisations(
    street: CommunityOnLedger, wattpool: CommandLine
) -> None:
    start = ("--start", format_utc(FIRST.start_utc))
    assert wattpool("period", "show", street.place) == f"{FIRST}, 900 s: open\n"
    words = ("period", "abort", street.place, *start, "--reason", "no quorum of meters", "--by")
    assert wattpool(*words, "dso") == "open, voted for by DsoMSP; two organisations have to agree\n"
    assert wattpool(*words, "members").startswith("active, voted for by DsoMSP, MembersMSP")
    said = wattpool("period", "show", street.place, *start)
    assert "given up: no quorum of meters, voted for by DsoMSP, MembersMSP\n" in said
    assert "agreed: 0 trades, 0.000 kWh, 0.000000 tokens in escrow\n" in said
    assert wattpool("period", "show", street.place, "--start", format_utc(THIRD.start_utc)).endswith("not opened\n")


def test_an_envelope_and_a_curtailment_are_the_dsos_to_state(street: CommunityOnLedger, wattpool: CommandLine) -> None:
    span = ("--start", format_utc(SECOND.start_utc), "--end", format_utc(THIRD.end_utc))
    limits = ("--max-import", "12.5", "--max-export", "0")
    said = wattpool("feeder", "envelope", street.place, "B", *span, *limits)
    limited = "feeder B imports at most 12.5 kW and exports at most 0 kW\n"
    assert said == f"{SECOND}: {limited}{THIRD}: {limited}"
    with EmbeddedLedger.open(Path(street.place), chaincodes=CHAINCODES) as ledger:
        state = dict(ledger.state("ledger"))
    stored = [value for key, value in state.items() if key.startswith("envelope/")]
    assert stored == [b'{"export_w":0,"import_w":12500}'] * 2
    assert wattpool("feeder", "curtail", street.place, "B", *span, "--reason", "cable fault").count("curtailed") == 2
    refused = ("feeder", "envelope", street.place)
    one = span[:2]
    assert wattpool.refusal(*refused, "C", *one, *limits).startswith("feeder_unknown: ")
    assert wattpool.refusal(*refused, "B", *one, *limits, "--by", "members").startswith("not_authorised: ")
    assert wattpool.refusal(*refused, "B", *one, "--max-import", "-1", "--max-export", "0").startswith("--max-import: ")
    backwards = ("--start", span[3], "--end", span[1])
    assert wattpool.refusal(*refused, "B", *backwards, *limits).startswith("--end: ")
