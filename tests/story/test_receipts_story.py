"""A prosumer keeps what the community gives him for a period, and checks it with nothing else at hand."""

import random
import sys
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from story.bundled_day import HOUR_S, run, scenario
from wattpool.cli import main
from wattpool.client import Chain
from wattpool.ledgers.certificates import Authority, Role
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.receipts import NoReceipt, ReceiptReason, ReceiptRefused, Roots, check, issue
from wattpool.receipts.embedded import evidence_on, published_roots
from wattpool.receipts.envelope import MAGIC, seal_up, unpack
from wattpool.receipts.evidence import to_text
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.ledger import CHANNEL
from wattpool_chaincode.organisations import AGGREGATOR, ORGANISATIONS
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import format_utc

NOON_UTC = BUNDLED_DAY_START_UTC + 12 * HOUR_S
MUTATIONS = 10_000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of the bundled day up to its afternoon, in periods of an hour."""
    directory = tmp_path_factory.mktemp("receipts") / "ledger"
    run(scenario(forecast="perfect"), directory, last_utc=NOON_UTC)
    return directory


@pytest.fixture(scope="module")
def roots(directory: Path) -> Roots:
    with EmbeddedLedger.read(directory) as ledger:
        return published_roots(ledger)


def statements(directory: Path) -> list[dict[str, Any]]:
    with EmbeddedLedger.read(directory, chaincodes=CHAINCODES) as ledger:
        found = Chain(ledger, CHANNEL).evaluate("statements", by=AGGREGATOR, period=NOON_UTC, page=0)
    return list(found)


def receipt_of(directory: Path, connection: str, *, with_record: bool = True) -> bytes:
    with EmbeddedLedger.read(directory, chaincodes=CHAINCODES) as ledger:
        return issue(
            Chain(ledger, CHANNEL),
            evidence_on(ledger, CHANNEL),
            period_start_utc=NOON_UTC,
            connection=connection,
            with_record=with_record,
        )


@pytest.fixture(scope="module")
def receipt(directory: Path) -> bytes:
    """Of the home that sold most."""
    seller = max(statements(directory), key=lambda one: one["sold_wh"])
    assert seller["sold_wh"] > 0
    return receipt_of(directory, seller["connection"])


def test_every_home_can_prove_what_the_period_did_to_it(directory: Path, roots: Roots) -> None:
    for statement in statements(directory):
        checked = check(receipt_of(directory, statement["connection"]), roots)
        assert checked.statement == statement
        assert checked.period_start_utc == NOON_UTC
        assert len(checked.endorsers) >= 2


def test_a_receipt_carries_the_meters_own_record_and_says_that_the_clock_was_simulated(
    receipt: bytes, roots: Roots
) -> None:
    checked = check(receipt, roots)
    assert checked.has_record
    assert checked.clock == "simulated"


def test_a_receipt_is_at_most_four_kilobytes(receipt: bytes) -> None:
    assert len(receipt) <= 4_000


def test_the_receipt_of_one_home_in_ten_thousand_is_too(receipt: bytes) -> None:
    changed = unpack(receipt)
    changed["place"]["path"] = [to_text(sha256(b"%d" % level).digest()) for level in range(14)]
    assert len(seal_up(changed)) <= 4_000


def test_a_changed_bit_anywhere_is_noticed(receipt: bytes, roots: Roots) -> None:
    chosen = random.Random(1)  # noqa: S311 -- repeatable
    for _ in range(MUTATIONS):
        mutated = bytearray(receipt)
        mutated[chosen.randrange(len(receipt))] ^= 1 << chosen.randrange(8)
        with pytest.raises(ReceiptRefused):
            check(bytes(mutated), roots)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_every_changed_bit_inside_is_noticed_however_it_is_packed(receipt: bytes, roots: Roots) -> None:
    inside = codec.encode(unpack(receipt))
    for place in range(8 * len(inside)):
        mutated = bytearray(inside)
        mutated[place // 8] ^= 1 << place % 8
        body = zlib.compress(mutated, level=1)
        with pytest.raises(ReceiptRefused):
            check(MAGIC + sha256(body).digest() + body, roots)


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_truncated_receipt_is_malformed(receipt: bytes, roots: Roots, length: int) -> None:
    assert refusal(receipt[:length], roots) is ReceiptReason.MALFORMED


def refusal(data: bytes, roots: Roots) -> ReceiptReason:
    with pytest.raises(ReceiptRefused) as refused:
        check(data, roots)
    return refused.value.reason


def set_at(*path: str | int) -> Callable[[Any, Any], None]:
    def change(receipt: Any, value: Any) -> None:
        for step in path[:-1]:
            receipt = receipt[step]
        receipt[path[-1]] = value

    return change


CHANGED: list[tuple[tuple[str | int, ...], Any, ReceiptReason]] = [
    (("place",), None, ReceiptReason.MALFORMED),
    (("evidence", "ledger"), "paper", ReceiptReason.MALFORMED),
    (("evidence", "response"), "{}", ReceiptReason.MALFORMED),
    (("period", "seal"), "", ReceiptReason.MALFORMED),
    (("place", "path"), ["="], ReceiptReason.MALFORMED),
    (("evidence", "endorsements", 0, 0), "AAAA", ReceiptReason.NOT_CERTIFIED),
    (("evidence", "endorsements", 0, 1), "AAAA", ReceiptReason.WRONGLY_ENDORSED),
    (("evidence", "endorsements"), [], ReceiptReason.UNDER_ENDORSED),
    (("period", "result", "traded_wh"), 1, ReceiptReason.NOT_SEALED),
    (("place", "path"), [], ReceiptReason.NOT_INCLUDED),
    (("place", "size"), 1_000, ReceiptReason.NOT_INCLUDED),
    (("place", "index"), -1, ReceiptReason.NOT_INCLUDED),
    (("statement", "earned_ut"), 10**9, ReceiptReason.NOT_INCLUDED),
    (("record",), "OCMF|", ReceiptReason.MALFORMED),
]


@pytest.mark.parametrize(("path", "value", "reason"), CHANGED)
def test_what_is_changed_is_refused_by_name(
    receipt: bytes, roots: Roots, path: tuple[str | int, ...], value: Any, reason: ReceiptReason
) -> None:
    changed = unpack(receipt)
    set_at(*path)(changed, value)
    assert refusal(seal_up(changed), roots) is reason


def test_one_organisation_alone_vouches_for_nothing(receipt: bytes, roots: Roots) -> None:
    changed = unpack(receipt)
    first = changed["evidence"]["endorsements"][0]
    changed["evidence"]["endorsements"] = [first, first]
    assert refusal(seal_up(changed), roots) is ReceiptReason.UNDER_ENDORSED


def test_a_record_of_another_home_is_refused(directory: Path, receipt: bytes, roots: Roots) -> None:
    changed = unpack(receipt)
    other = next(one for one in statements(directory) if one["slot"] != changed["statement"]["slot"])
    changed["record"] = unpack(receipt_of(directory, other["connection"]))["record"]
    assert refusal(seal_up(changed), roots) is ReceiptReason.RECORD_FOR_ANOTHER


def test_a_record_that_its_meter_did_not_sign_is_refused(receipt: bytes, roots: Roots) -> None:
    changed = unpack(receipt)
    head, _, tail = changed["record"].rpartition('"SD":"')
    changed["record"] = f'{head}"SD":"{tail.replace("A", "B", 1)}'
    assert refusal(seal_up(changed), roots) in {ReceiptReason.WRONGLY_SIGNED, ReceiptReason.MALFORMED}


def test_another_communitys_roots_do_not_vouch_for_it(receipt: bytes, roots: Roots) -> None:
    assert refusal(receipt, Roots("elsewhere", roots.organisations)) is ReceiptReason.FOREIGN_COMMUNITY
    strangers = {msp_id: Authority.create(msp_id, now_utc=NOON_UTC).root.pem.decode() for msp_id in ORGANISATIONS}
    assert refusal(receipt, Roots(roots.community, strangers)) is ReceiptReason.NOT_CERTIFIED


def test_a_client_does_not_vouch_for_its_organisation(directory: Path, receipt: bytes, roots: Roots) -> None:
    with EmbeddedLedger.read(directory) as ledger:
        client = ledger.authority(AGGREGATOR).enrol("client", role=Role.CLIENT)
    changed = unpack(receipt)
    changed["evidence"]["endorsements"][0][0] = to_text(client.certificate.public_bytes(Encoding.DER))
    assert refusal(seal_up(changed), roots) is ReceiptReason.NOT_CERTIFIED


def test_there_is_no_receipt_for_a_connection_that_took_no_part(directory: Path) -> None:
    with pytest.raises(NoReceipt, match="no connection"):
        receipt_of(directory, "0" * 40)


def test_the_commands_give_and_check_a_receipt(
    directory: Path, receipt: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["wattpool", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    roots_file, file, damaged = tmp_path / "roots.json", tmp_path / "one.receipt", tmp_path / "damaged.receipt"
    connection = unpack(receipt)["statement"]["connection"]
    assert run("roots", str(directory), "--out", str(roots_file)) == 0
    chosen = ("--period", format_utc(NOON_UTC), "--connection", connection)
    assert run("receipt", str(directory), *chosen, "--out", str(file)) == 0
    assert file.read_bytes() == receipt
    assert run("check", str(file), "--roots", str(roots_file)) == 0
    assert "everything holds" in capsys.readouterr().out
    damaged.write_bytes(receipt[:-1])
    assert run("check", str(damaged), "--roots", str(roots_file)) == 1
    assert "it was changed or cut off" in capsys.readouterr().err
    for bad in ([str(file), "--roots", str(file)], [str(tmp_path / "none"), "--roots", str(roots_file)]):
        assert run("check", *bad) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
