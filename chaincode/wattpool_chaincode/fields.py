"""Checking what comes from outside, field by field, before any rule looks at it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.records.payload import is_count
from wattpool_chaincode.refusal import Refused

MAX_UT = 1 << 50


@dataclass(frozen=True)
class Check:
    """What a field must be; `expected` completes the sentence "... was expected"."""

    expected: str
    accepts: Callable[[Any], bool]


def matches(pattern: str) -> Callable[[Any], bool]:
    """Return a test for texts that match the whole of `pattern`."""
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def one_of(*values: str) -> Check:
    """Return a check for just these texts."""
    return Check(f"one of {', '.join(values)}", lambda value: isinstance(value, str) and value in values)


COUNT = Check("an integer from 0 to 2^53 - 1", is_count)
INTEGER = Check("an integer between -2^53 and 2^53", lambda value: type(value) is int and is_count(abs(value)))
AMOUNT = Check("a positive number of micro-tokens, at most 2^50", lambda value: is_count(value) and 0 < value <= MAX_UT)
FLAG = Check("true or false", lambda value: isinstance(value, bool))
NAME = Check("a name of 1 to 64 letters, digits, '.', '-', '_'", matches(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"))
TEXT = Check("a text of up to 64 characters", lambda value: isinstance(value, str) and len(value) <= 64)  # noqa: PLR2004
IDENTITY = Check("an id of 40 lower-case hex digits", matches(r"[0-9a-f]{40}"))
DIGEST = Check("a SHA-256 as 64 lower-case hex digits", matches(r"[0-9a-f]{64}"))
PUBLIC_KEY = Check("a compressed P-256 point as 66 lower-case hex digits", matches(r"0[23][0-9a-f]{64}"))
RECORD = Check("an OCMF record as text", lambda value: isinstance(value, str))
SIGNED = Check("a pair of payload text and base64 signature", lambda value: isinstance(value, list))
LIST = Check("a list", lambda value: isinstance(value, list))
OBJECT = Check("an object", lambda value: isinstance(value, dict))


def mismatch(values: Mapping[str, Any], checks: Mapping[str, Check]) -> str | None:
    """Say what is wrong with `values`: a field missing, unknown, or refused by its check; None if nothing."""
    if set(values) != set(checks):
        return f"the fields are {', '.join(sorted(values)) or 'none'}; {', '.join(sorted(checks))} were expected"
    for name, check in checks.items():
        if not check.accepts(values[name]):
            return f"{name} is {str(values[name])[:80]!r}; {check.expected} was expected"
    return None


def read(argument: Mapping[str, Any], **checks: Check) -> tuple[Any, ...]:
    """Return the values of `argument` in the order of `checks`.

    Raises:
        Refused: `argument_malformed`, naming the field and what was expected.
    """
    problem = mismatch(argument, checks)
    if problem is not None:
        raise Refused(CallRefusal.ARGUMENT_MALFORMED, problem)
    return tuple(argument[name] for name in checks)
