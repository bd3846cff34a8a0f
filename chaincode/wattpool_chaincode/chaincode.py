"""A chaincode: named functions over a context, under an endorsement policy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from wattpool_chaincode.context import Context, Policy
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

# A rule takes the context and its decoded argument, and returns what the caller gets to read.
Function = Callable[[Context, dict[str, Any]], object]
# A guard looks at who calls, and raises `Refused` to keep him out.
Guard = Callable[[Context], None]


class CallRefusal(StrEnum):
    """Why a call never reached a rule, in the order in which it is checked."""

    FUNCTION_UNKNOWN = "function_unknown"
    NOT_AUTHORISED = "not_authorised"
    ARGUMENT_MALFORMED = "argument_malformed"


@dataclass(frozen=True, kw_only=True)
class Chaincode:
    """The rules of one channel.

    Attributes:
        name: of the chaincode and of its channel.
        functions: by name; each takes one JSON object, and may write.
        policy: who must endorse, where no key-level policy says otherwise.
        queries: functions that only read, for everyone who can reach the channel.
        guard: stands before all `functions` and before no query; None lets everyone in.
    """

    name: str
    functions: Mapping[str, Function]
    policy: Policy
    queries: Mapping[str, Function] = field(default_factory=dict)
    guard: Guard | None = None

    def invoke(self, context: Context, function: str, argument: bytes) -> bytes:
        """Run one function on the canonical JSON object `argument` and return canonical JSON.

        Raises:
            Refused: with a `CallRefusal`, or with the first reason of the function's own list.
        """
        rule = self.queries.get(function)
        if rule is None:
            rule = self._guarded(context, function)
        try:
            value = codec.decode(argument)
        except codec.NotCanonical as error:
            raise Refused(CallRefusal.ARGUMENT_MALFORMED, str(error)) from error
        if not isinstance(value, dict):
            raise Refused(CallRefusal.ARGUMENT_MALFORMED, "the argument is no JSON object")
        return codec.encode(rule(context, value))

    def _guarded(self, context: Context, function: str) -> Function:
        rule = self.functions.get(function)
        if rule is None:
            known = ", ".join(sorted({*self.functions, *self.queries}))
            raise Refused(CallRefusal.FUNCTION_UNKNOWN, f"{function!r} is none of {known}")
        if self.guard is not None:
            self.guard(context)
        return rule
