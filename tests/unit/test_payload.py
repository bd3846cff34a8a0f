import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from wattpool_chaincode.records import codec, signing
from wattpool_chaincode.records.payload import MAX_PAYLOAD_BYTES, Malformed, Payload, Signed, is_count, sign, signer_id

GOLDEN = Path(__file__).parent / "golden"
KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
PUBLIC_KEY = signing.public_bytes(KEY)
REQUEST = Payload(
    kind="request",
    community="demo",
    signer=signer_id(PUBLIC_KEY),
    period_start_utc=1_795_168_800,
    counter=7,
    content={"energy_wh": -250, "metering_point": "mp-1"},
)
# One of each shape: flat, for no period and empty, nested with text beyond ASCII.
SHAPES = {
    "payload-flat.json": REQUEST,
    "payload-empty.json": replace(REQUEST, kind="join", period_start_utc=0, counter=0, content={}),
    "payload-nested.json": replace(
        REQUEST,
        kind="limits",
        content={
            "until": None,
            "name": "Zo\u00eb \U0001f50c",
            "steps": [{"wh": 1, "firm": True}, {"wh": 2, "firm": False}],
        },
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_bytes_of_a_payload_and_its_signature_stay_what_they_are(name: str) -> None:
    golden = codec.decode((GOLDEN / name).read_bytes())
    signed = sign(SHAPES[name], KEY)
    assert signed.to_json() == golden
    assert Signed.from_json(golden) == signed
    assert signed.is_signed_by(PUBLIC_KEY)


@pytest.mark.parametrize("payload", SHAPES.values(), ids=SHAPES.keys())
def test_a_payload_reads_back(payload: Payload) -> None:
    assert Payload.decode(payload.kind, payload.encode()) == payload


def test_any_changed_byte_breaks_the_signature() -> None:
    signed = sign(REQUEST, KEY)
    for field in ("payload", "signature"):
        data = getattr(signed, field)
        for index in range(len(data)):
            for bit in (1, 128):
                changed = data[:index] + bytes([data[index] ^ bit]) + data[index + 1 :]
                assert not replace(signed, **{field: changed}).is_signed_by(PUBLIC_KEY)


def envelope(**changes: Any) -> bytes:
    body = {"community": "demo", "content": {}, "counter": 1, "period": 0, "signer": "ab"} | changes
    present = {key: value for key, value in body.items() if value is not ...}
    return b"wattpool/request/1 " + codec.encode(present)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "does not begin with"),
        (b"wattpool/request/1", "does not begin with"),
        (envelope().replace(b"request", b"state"), "does not begin with"),
        (envelope().replace(b"/1 ", b"/2 "), "does not begin with"),
        (b" " + envelope(), "does not begin with"),
        (envelope() + b" ", "not canonical"),
        (envelope().replace(b":", b": "), "not canonical"),
        (envelope().replace(b'"counter":1', b'"counter":1,"counter":1'), "not canonical"),
        (envelope().replace(b'"counter":1', b'"counter":1.0'), "not canonical"),
        (envelope().replace(b'"counter":1', b'"counter":NaN'), "not canonical"),
        (envelope().replace(b"demo", b"\xff"), "not canonical"),
        (envelope().replace(b"demo", b"\\ud800"), "not canonical"),
        (b"wattpool/request/1 " + b"[" * 4_000, "not canonical"),
        (b"wattpool/request/1 " + b"9" * 4_000, "not canonical"),
        (b"wattpool/request/1 []", "the fields are not"),
        (b"wattpool/request/1 null", "the fields are not"),
        (envelope(extra=1), "the fields are not"),
        (envelope(signer=...), "the fields are not"),
        (envelope(community=1), "are not text"),
        (envelope(signer=None), "are not text"),
        (envelope(counter=-1), "are not counts"),
        (envelope(counter=True), "are not counts"),
        (envelope(counter="1"), "are not counts"),
        (envelope(period=1 << 53), "are not counts"),
        (envelope(content=[]), "content is no object"),
        (envelope(content={"text": "x" * MAX_PAYLOAD_BYTES}), "at most 4096 are allowed"),
    ],
)
def test_bytes_that_are_no_payload_are_refused(data: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        Payload.decode("request", data)


def spare_bits_set(signature: str) -> str:
    """Return another base64 text of the same bytes: the last digit before the padding carries unused bits."""
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    body = signature.rstrip("=")
    padding = signature[len(body) :]
    assert padding
    return body[:-1] + digits[digits.index(body[-1]) + 1] + padding


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        {},
        [],
        ["text"],
        ["text", "AAAA", "AAAA"],
        ["text", 1],
        [1, "AAAA"],
        [b"text", "AAAA"],
        ["text", "AAA"],
        ["text", "AAA=="],
        ["text", "AA="],
        ["text", "AAAA===="],
        ["text", "AA AA"],
        ["text", "AAAA\n"],
        ["text", "AA-_"],
        ["text", "\u00e4AAA"],
        ["text", "\ud800"],
        ["\ud800", "AAAA"],
        ["text", spare_bits_set("AAA=")],
        ["text", spare_bits_set("AA==")],
    ],
)
def test_what_is_no_pair_of_text_and_canonical_base64_is_refused(value: object) -> None:
    with pytest.raises(Malformed):
        Signed.from_json(value)


def test_a_signer_id_is_40_hex_digits_of_the_keys_hash() -> None:
    assert signer_id(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a3"


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (0, True),
        ((1 << 53) - 1, True),
        (1 << 53, False),
        (-1, False),
        (True, False),
        (1.0, False),
        ("1", False),
        (None, False),
    ],
)
def test_a_count_is_an_integer_that_every_json_reader_keeps(value: object, answer: bool) -> None:  # noqa: FBT001 -- a table's column
    assert is_count(value) is answer
