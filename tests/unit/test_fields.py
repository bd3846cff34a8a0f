from typing import Any

import pytest

from wattpool_chaincode import fields
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.fields import Check
from wattpool_chaincode.refusal import Refused

LARGEST = (1 << 53) - 1


@pytest.mark.parametrize(
    ("check", "accepted", "refused"),
    [
        (fields.COUNT, [0, 1, LARGEST], [-1, LARGEST + 1, True, "1", None]),
        (fields.INTEGER, [0, -LARGEST, LARGEST], [-LARGEST - 1, LARGEST + 1, False, "0", None]),
        (fields.AMOUNT, [1, fields.MAX_UT], [0, -1, fields.MAX_UT + 1, True, "1"]),
        (fields.FLAG, [True, False], [0, 1, "true", None]),
        (fields.NAME, ["a", "A.b-c_9", "9" * 64], ["", "-a", "a b", "a\n", "é", "a" * 65, 1]),
        (fields.TEXT, ["", "é" * 64], ["a" * 65, 1, None]),
        (fields.IDENTITY, ["0f" * 20], ["0F" * 20, "0f" * 19, "0f" * 20 + "\n", 0]),
        (fields.DIGEST, ["0f" * 32], ["0F" * 32, "0f" * 20, 0]),
        (fields.PUBLIC_KEY, ["02" + "0f" * 32, "03" + "0f" * 32], ["04" + "0f" * 32, "02" + "0f" * 31, 0]),
        (fields.RECORD, ["OCMF"], [["OCMF"], None]),
        (fields.SIGNED, [["a", "b"]], ["ab", {"a": "b"}]),
        (fields.LIST, [[]], [{}, "", None]),
        (fields.OBJECT, [{}], [[], "", None]),
        (fields.one_of("pool", "uniform"), ["pool"], ["", "Pool", ["pool"], None]),
    ],
)
def test_a_check_accepts_what_it_says_and_nothing_else(check: Check, accepted: list[Any], refused: list[Any]) -> None:
    assert [check.accepts(value) for value in accepted] == [True] * len(accepted)
    assert [check.accepts(value) for value in refused] == [False] * len(refused)


def test_values_come_in_the_order_of_the_checks() -> None:
    assert fields.read({"a": 1, "b": "x"}, b=fields.TEXT, a=fields.COUNT) == ("x", 1)


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ({}, "the fields are none; a, b were expected"),
        ({"a": 1}, "the fields are a; a, b were expected"),
        ({"a": 1, "b": "x", "c": 0}, "the fields are a, b, c; a, b were expected"),
        ({"a": -1, "b": 2}, "a is '-1'; an integer from 0 to 2^53 - 1 was expected"),
        ({"a": 1, "b": 2}, "b is '2'; a text of up to 64 characters was expected"),
        ({"a": "9" * 500, "b": "x"}, f"a is '{'9' * 80}'; an integer from 0 to 2^53 - 1 was expected"),
    ],
)
def test_the_first_field_that_is_wrong_is_named_with_what_was_expected(argument: dict[str, Any], problem: str) -> None:
    with pytest.raises(Refused) as error:
        fields.read(argument, a=fields.COUNT, b=fields.TEXT)
    assert (error.value.reason, error.value.detail) == (CallRefusal.ARGUMENT_MALFORMED, problem)
