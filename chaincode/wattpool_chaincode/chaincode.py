"""A chaincode: named functions over a context, under an endorsement policy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wattpool_chaincode.context import Context, Policy
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

# A rule takes the context and its decoded argument, and returns what the caller gets to read.
Function = Callable[[Context, dict[str, Any]], object]


class CallRefusal(StrEnum):
    """Why a call never reached a rule, in the order in which it is checked."""

    FUNCTION_UNKNOWN = "function_unknown"
    ARGUMENT_MALFORMED = "argument_malformed"


@dataclass(frozen=True, kw_only=True)
class Chaincode:
    """The rules of one channel.

    Attributes:
        name: of the chaincode and of its channel.
        functions: by name; each takes one JSON object.
        policy: who must endorse, where no key-level policy says otherwise.
    """

    name: str
    functions: Mapping[str, Function]
    policy: Policy

    def invoke(self, context: Context, function: str, argument: bytes) -> bytes:
        """Run one function on the canonical JSON object `argument` and return canonical JSON.

        Raises:
            Refused: with a `CallRefusal`, or with the first reason of the function's own list.
        """
        rule = self.functions.get(function)
        if rule is None:
            raise Refused(CallRefusal.FUNCTION_UNKNOWN, f"{function!r} is none of {', '.join(sorted(self.functions))}")
        try:
            value = codec.decode(argument)
        except codec.NotCanonical as error:
            raise Refused(CallRefusal.ARGUMENT_MALFORMED, str(error)) from error
        if not isinstance(value, dict):
            raise Refused(CallRefusal.ARGUMENT_MALFORMED, "the argument is no JSON object")
        return codec.encode(rule(context, value))
