import base64
import json
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wattpool_chaincode.records import ocmf, signing
from wattpool_chaincode.records.ocmf import MalformedRecord, MeterRecord, TimeStatus

GOLDEN = Path(__file__).parent / "golden"
KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
PUBLIC_KEY = signing.public_bytes(KEY)
ED25519_KEY = (
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
TEN_UTC = 1_795_168_800  # 2026-11-20T10:00:00Z
FIRST = MeterRecord(
    community="demo",
    device="2a22a91fd74ac9b9f4b2c1fb92f110969b008d8a",
    agent_version="0.1.0",
    model="agent",
    number=1,
    vendor="Eastron",
    meter_model="SDM630",
    serial="123456",
    time_utc=TEN_UTC,
    time_status=TimeStatus.SYNCHRONISED,
    import_wh=1_000,
    export_wh=500,
    period_start_utc=TEN_UTC - 900,
    previous_hash=ocmf.NO_HASH,
    leaves_root="ab" * 32,
    leaves=100,
    lost_edges=0,
    boot_id="5f0c",
    monotonic_ms=123_456_789,
)
TEXT = ocmf.write(FIRST, KEY)
SECOND = replace(
    FIRST,
    number=2,
    time_utc=TEN_UTC + 900,
    time_status=TimeStatus.UNKNOWN,
    import_wh=1_100,
    error_flags="t",
    status="S",
    period_start_utc=TEN_UTC,
    previous_hash=ocmf.read(TEXT).hash,
    leaves=99,
    lost_edges=1,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "ocmf"
PUBLISHED = json.loads((SHARED / "vectors.json").read_text()) if SHARED.is_dir() else []
needs_published = pytest.mark.skipif(not PUBLISHED, reason="needs the published records in ../shared/data/ocmf")


def test_a_chain_of_two_records_stays_what_it_is() -> None:
    golden = (GOLDEN / "ocmf-chain.txt").read_text()
    assert f"{TEXT}\n{ocmf.write(SECOND, KEY)}\n" == golden
    first, second = (ocmf.read(line) for line in golden.splitlines())
    assert (first.record, second.record) == (FIRST, SECOND)
    assert second.record.previous_hash == first.hash
    assert first.is_signed_by(PUBLIC_KEY)
    assert second.is_signed_by(PUBLIC_KEY)


@needs_published
def test_records_that_the_official_verifier_accepted_read_as_ours() -> None:
    sample = json.loads((SHARED / "profile-sample.json").read_text())
    first, second = (ocmf.read(text) for text in sample["records"])
    assert first.record == FIRST
    assert first.payload == FIRST.payload()
    assert second.record == replace(SECOND, status="G", leaves=100, lost_edges=0)
    assert first.is_signed_by(PUBLIC_KEY)
    assert second.is_signed_by(PUBLIC_KEY)


def test_any_changed_character_is_refused() -> None:
    for index, character in enumerate(TEXT):
        for other in '019AFaf |"}\u00e9':
            if other != character:
                changed = TEXT[:index] + other + TEXT[index + 1 :]
                try:
                    assert not ocmf.read(changed).is_signed_by(PUBLIC_KEY), changed
                except MalformedRecord:
                    continue


def test_ten_thousand_changed_records_are_refused_and_every_untouched_one_is_not() -> None:
    chosen = random.Random(1)  # noqa: S311 -- repeatable
    for number in range(1, 11):
        text = ocmf.write(replace(FIRST, number=number, import_wh=chosen.randrange(10**6)), KEY)
        assert ocmf.read(text).is_signed_by(PUBLIC_KEY)
        for _ in range(1_000):
            mutated = bytearray(text.encode())
            mutated[chosen.randrange(len(mutated))] ^= 1 << chosen.randrange(7)
            try:
                assert not ocmf.read(mutated.decode()).is_signed_by(PUBLIC_KEY), mutated
            except MalformedRecord:
                continue


def test_any_lost_or_doubled_character_is_refused() -> None:
    for index, character in enumerate(TEXT):
        for changed in (TEXT[:index] + TEXT[index + 1 :], TEXT[:index] + character + TEXT[index:]):
            try:
                assert not ocmf.read(changed).is_signed_by(PUBLIC_KEY), changed
            except MalformedRecord:
                continue


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("OCMF|", "OCMF ", "OCMF is missing"),
        ("OCMF|", "\ufeffOCMF|", "OCMF is missing"),
        ('"FV":"1.3"', '"FV":"1.4"', "FV is missing"),
        ('"GI":"Wattpool agent"', '"GI":"agent"', "GI is missing"),
        ('"GI":"Wattpool agent"', '"GI":"Wattpool "', "GI is missing"),
        ('"GI":"Wattpool agent"', '"GI":"Wattpool \\u0041"', "GI is missing"),
        ('"GV":"0.1.0",', "", "GV is missing"),
        ('"GV":"0.1.0"', '"GV":"0.1.0","GV":"0.1.0"', "PG is missing"),
        ('"PG":"F1"', '"PG":"T1"', "PG is missing"),
        ('"PG":"F1"', '"PG":"F01"', "PG is missing"),
        ('"PG":"F1"', '"PG":"F\u0661"', "PG is missing"),
        ('"PG":"F1"', '"PG":"F0"', "number is 0"),
        ('"MM":"SDM630","MS":"123456"', '"MS":"123456","MM":"SDM630"', "MM is missing"),
        ('"MS":"123456"', '"MS":"' + "1" * 65 + '"', "MS is missing"),
        ('"MS":"123456"', '"MS":123456', "MS is missing"),
        ('"TM":"2026-11-20T10:00', '"TM":"2026-02-30T10:00', "is no time"),
        ('"TM":"2026-11-20T10:00', '"TM":"2026-11-20T24:00', "is no time"),
        ('"TM":"2026-11-20T10:00', '"TM":"1969-11-20T10:00', "before 1970"),
        ('"TM":"2026-11-20T10:00', '"TM":"2026-11-20T09:45', "not after period_start_utc"),
        ('"TM":"2026-11-20T10:00:00', '"TM":"2026-11-20T1:00:000', "TM is missing"),
        ("10:00:00,", "10:00:60,", "is no time"),
        ("+0000 S", "+0100 S", "TM is missing"),
        (",000+0000 S", ",001+0000 S", "TM is missing"),
        ("+0000 S", "+0000 Q", "TM is missing"),
        ('"RV":1000', '"RV":1000.0', "RV of 1.8.0 is missing"),
        ('"RV":1000', '"RV":1e3', "RV of 1.8.0 is missing"),
        ('"RV":1000', '"RV":-1', "RV of 1.8.0 is missing"),
        ('"RV":1000', '"RV":true', "RV of 1.8.0 is missing"),
        ('"RV":1000', '"RV":' + "9" * 1_000, "RV of 1.8.0 is missing"),
        ('"RV":1000', '"RV":9007199254740992', "import_wh is not"),
        ('"RU":"Wh"', '"RU":"kWh"', "RV of 1.8.0 is missing"),
        ('"EF":""', '"EF":"tE"', "EF is missing"),
        ('"ST":"G"', '"ST":"g"', "ST is missing"),
        ('"ZC":"demo"', '"ZC":"demo\\n"', "ZC is missing"),
        ('"ZC":"demo"', '"ZC": "demo"', "ZC is missing"),
        ('"ZM":"ab', '"ZM":"AB', "ZM is missing"),
        ('"ZN":[100,0]', '"ZN":[100]', "ZN is missing"),
        ('"ZN":[100,0]', '"ZN":[100,-0]', "ZN is missing"),
        ('"ZB":["5f0c"', '"ZB":[5', "ZB is missing"),
        ('"ZT":"OCMF-reading-v1"', '"ZT":"OCMF-reading-v1","ZZ":1', "ZT is missing"),
        ("ECDSA-secp256r1-SHA256", "ECDSA-secp256k1-SHA256", "SA is missing"),
        ('"SD":"30', '"SD":"3', "SD is missing"),
        ('"SD":"30', '"SD":"3g', "SD is missing"),
        (TEXT, TEXT + "\n", "something follows"),
        (TEXT, TEXT + "|", "something follows"),
        (TEXT, "", "OCMF is missing"),
        (TEXT, TEXT + " " * 2_000, "at most 2048 are allowed"),
    ],
)
def test_a_record_outside_the_profile_is_refused_by_name(old: str, new: str, what: str) -> None:
    assert old in TEXT
    with pytest.raises(MalformedRecord, match=what):
        ocmf.read(TEXT.replace(old, new))


def test_both_readings_are_of_one_time_and_state() -> None:
    for old, new, what in (
        ("10:00:00,000+0000 S", "10:15:00,000+0000 S", "TM of 2.8.0"),
        ('"EF":""', '"EF":"t"', "EF and ST of 2.8.0"),
        ('"ST":"G"', '"ST":"X"', "EF and ST of 2.8.0"),
        ("2.8.0", "1.8.0", "RV of 2.8.0"),
    ):
        before, after = TEXT.rsplit(old, 1)
        with pytest.raises(MalformedRecord, match=what):
            ocmf.read(before + new + after)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"community": ""}, "community is not 1 to 64"),
        ({"serial": "x" * 65}, "serial is not 1 to 64"),
        ({"vendor": 'East"ron'}, "vendor is not"),
        ({"vendor": "East\\ron"}, "vendor is not"),
        ({"vendor": "East|ron"}, "vendor is not"),
        ({"vendor": "M\u00fcller"}, "vendor is not"),
        ({"boot_id": "5f0c\n"}, "boot_id is not"),
        ({"import_wh": -1}, "import_wh is not"),
        ({"export_wh": 1.0}, "export_wh is not"),
        ({"leaves": True}, "leaves is not"),
        ({"monotonic_ms": 1 << 53}, "monotonic_ms is not"),
        ({"previous_hash": "0"}, "previous_hash is not"),
        ({"leaves_root": "AB" * 32}, "leaves_root is not"),
        ({"error_flags": "tE"}, "error_flags is not"),
        ({"status": "GG"}, "status is not"),
        ({"number": 0}, "number is 0"),
        ({"time_utc": TEN_UTC - 900}, "time_utc is not after"),
        ({"time_utc": 253_402_300_800}, "after the year 9999"),
    ],
)
def test_a_value_that_cannot_stand_in_a_record_is_refused_by_name(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(MalformedRecord, match=what):
        replace(FIRST, **changes)


def test_the_longest_record_is_within_the_limit() -> None:
    changes: dict[str, Any] = {}
    for name, value in asdict(FIRST).items():
        if isinstance(value, int) and not name.endswith("_utc"):
            changes[name] = (1 << 53) - 1
        elif isinstance(value, str) and len(value) < 64 and name not in {"time_status", "error_flags", "status"}:
            changes[name] = "x" * 64
    longest = replace(FIRST, error_flags="Et", **changes)
    text = ocmf.write(longest, KEY)
    assert len(text) < 1_600
    assert ocmf.read(text).record == longest


def test_a_high_s_signature_is_authentic_ocmf_but_not_ours() -> None:
    signed = ocmf.read(TEXT)
    r, s = decode_dss_signature(signed.signature)
    high = encode_dss_signature(r, signing.ORDER - s)
    text = TEXT.replace(signed.signature.hex().upper(), high.hex().upper())
    assert not ocmf.read(text).is_signed_by(PUBLIC_KEY)
    assert ocmf.is_authentic(text, spki_der(KEY.public_key()))


@needs_published
@pytest.mark.parametrize("vector", PUBLISHED, ids=lambda vector: vector["id"])
def test_published_records_are_judged_as_the_official_verifier_does(vector: dict[str, Any]) -> None:
    assert ocmf.is_authentic(vector["record"], published_key(vector["public_key"])) is vector["signature_valid"]


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("secp192r1", ec.SECP192R1()),
        ("secp256k1", ec.SECP256K1()),
        ("secp256r1", ec.SECP256R1()),
        ("secp384r1", ec.SECP384R1()),
        ("brainpool256r1", ec.BrainpoolP256R1()),
        ("brainpool384r1", ec.BrainpoolP384R1()),
    ],
)
def test_every_curve_of_the_format_is_verified(name: str, curve: ec.EllipticCurve) -> None:
    key = ec.derive_private_key(12_345, curve)
    signature = key.sign(b"{}", ec.ECDSA(hashes.SHA256()))
    fields = {"SA": f"ECDSA-{name}-SHA256", "SE": "base64", "SD": base64.b64encode(signature).decode()}
    text = f"OCMF|{{}}|{json.dumps(fields)}"
    assert ocmf.is_authentic(text, spki_der(key.public_key()))
    assert not ocmf.is_authentic(text.replace("{}", "{ }"), spki_der(key.public_key()))
    assert not ocmf.is_authentic(text, spki_der(ec.derive_private_key(12_346, curve).public_key()))


def test_a_key_on_another_curve_than_the_record_names_is_refused_though_it_signed() -> None:
    text = TEXT.replace("secp256r1", "secp256k1")
    assert ocmf.is_authentic(TEXT, spki_der(KEY.public_key()))
    assert not ocmf.is_authentic(text, spki_der(KEY.public_key()))


@pytest.mark.parametrize("key", [b"", b"\x30", bytes(91), PUBLIC_KEY, ED25519_KEY])
def test_a_key_that_is_none_is_an_error(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        ocmf.is_authentic(TEXT, key)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not `OCMF"),
        ("OCMF", "not `OCMF"),
        ("OCMF|{}", "not `OCMF"),
        ("ocmf|{}|{}", "not `OCMF"),
        (' OCMF|{}|{"SD":""}', "not `OCMF"),
        ('OCMF|{"MM":"a|b"}|{"SD":"00"}', "not `OCMF"),
        ('OCMF|{"MM":"\ud800"}|{"SD":"00"}', "not UTF-8"),
        ("OCMF|{}|", "not JSON"),
        ("OCMF|{}|" + "[" * 60_000, "not JSON"),
        ('OCMF|{}|{"SD":"00"}x', "not JSON"),
        ('OCMF|{}|{"SD":"00","SD":"01"}', "a key occurs twice"),
        ("OCMF|{}|[]", "no JSON object"),
        ("OCMF|{}|null", "no JSON object"),
        ("OCMF|{}|{}", "SD, the signature, is missing"),
        ('OCMF|{}|{"SD":1}', "SD, the signature, is missing"),
        ('OCMF|{}|{"SD":"0"}', "SD is not hex"),
        ('OCMF|{}|{"SD":"00 01"}', "SD is not hex"),
        ('OCMF|{}|{"SD":"\u0661\u0661"}', "SD is not hex"),
        ('OCMF|{}|{"SD":"A","SE":"base64"}', "SD is not base64"),
        ('OCMF|{}|{"SD":"00","SE":"ascii"}', "SE 'ascii' is neither"),
        ('OCMF|{}|{"SD":"00","SE":[]}', "is neither"),
        ('OCMF|{}|{"SD":"00","SM":"text/plain"}', "SM 'text/plain' is not"),
        ('OCMF|{}|{"SD":"00","SA":"RSA"}', "SA 'RSA' is none of"),
        ('OCMF|{}|{"SD":"00","SA":{}}', "is none of"),
        ("OCMF|" + "x" * 65_536, "at most 65536 are allowed"),
    ],
)
def test_text_that_is_no_record_is_an_error_of_its_own(text: str, what: str) -> None:
    with pytest.raises(MalformedRecord, match=what):
        ocmf.split(text)


@pytest.mark.parametrize("signature", ["", "00", "3006020100020100", "00" * 64, "FF" * 64, "30" * 4_000])
def test_bytes_that_are_no_signature_are_refused(signature: str) -> None:
    assert not ocmf.is_authentic(f'OCMF|{{}}|{{"SD":"{signature}"}}', spki_der(KEY.public_key()))


def test_absent_fields_of_the_signature_have_their_written_values() -> None:
    sections = ocmf.split('OCMF|{ "PG" : "T1" }|{"SD":"0aFF"}')
    assert sections == ocmf.Sections(payload=b'{ "PG" : "T1" }', curve="secp256r1", signature=b"\x0a\xff")


def spki_der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def published_key(text: str) -> bytes:
    """Return a published key as SPKI: it comes in hex with or without spaces, in base64, or as x and y alone."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = base64.b64decode(text, validate=True)
    if len(key) == 64:
        return spki_der(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + key))
    return key
