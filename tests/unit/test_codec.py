from typing import Any

import pytest

from wattpool_chaincode.records import codec


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, b"null"),
        (True, b"true"),
        (-5, b"-5"),
        ("", b'""'),
        ([], b"[]"),
        ({}, b"{}"),
        ([1, [2, "x"]], b'[1,[2,"x"]]'),
        ({"b": 1, "a": {"d": False, "c": None}}, b'{"a":{"c":null,"d":false},"b":1}'),
        ("Zo\u00eb \U0001f50c", b'"Zo\xc3\xab \xf0\x9f\x94\x8c"'),
        ('"\\\n\x00/', rb'"\"\\\n\u0000/"'),
        # Keys stand in the order of their UTF-8 bytes, which UTF-16 would order the other way round.
        ({"\U00010000": 1, "\ue000": 2}, b'{"\xee\x80\x80":2,"\xf0\x90\x80\x80":1}'),
        (codec.MAX_INTEGER, b"9223372036854775807"),
        (-codec.MAX_INTEGER, b"-9223372036854775807"),
    ],
)
def test_a_value_has_one_byte_string(value: Any, data: bytes) -> None:
    assert codec.encode(value) == data
    assert codec.decode(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" 1",
        b"1\n",
        b"01",
        b"-0",
        b"+1",
        b"1.0",
        b"1e3",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"True",
        b"1 2",
        b"[1, 2]",
        b"[1,2",
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b'{"\\udfff":1}',
        b"\xef\xbb\xbf1",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\n"',
        b"9223372036854775808",
        b"9" * 5_000,
        b"[" * 200_000,
        b'{"a":' * 200_000,
        codec.encode(nested(32)).replace(b"0", b"[0]"),
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(codec.NotCanonical):
        codec.decode(data)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        float("nan"),
        [float("inf")],
        b"bytes",
        {1: 2},
        {"a": 1, None: 2},
        {"a": {True: 1}},
        {"set"},
        object(),
        "\ud800",
        {"\udfff": 1},
        1 << 63,
        -(1 << 63),
        10**5_000,
        nested(33),
        nested(100_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_without_canonical_bytes_is_refused(value: Any) -> None:
    with pytest.raises(codec.NotCanonical):
        codec.encode(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(codec.NotCanonical, match="more than 32 levels"):
        codec.encode(endless)


def test_the_depth_allowed_does_not_depend_on_the_callers() -> None:
    def at_depth(frames: int, data: bytes) -> Any:
        return at_depth(frames - 1, data) if frames else codec.decode(data)

    deepest = codec.encode(nested(32))
    assert at_depth(500, deepest) == nested(32)
    with pytest.raises(codec.NotCanonical, match="more than 32 levels"):
        at_depth(500, b"[" + deepest + b"]")


def test_a_content_id_is_the_sha_256_in_hex() -> None:
    # FIPS 180-2, appendix B.1.
    assert codec.content_id(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
