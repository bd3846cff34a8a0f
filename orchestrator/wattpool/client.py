"""Calling the two chains by their functions' names, with JSON instead of bytes, and with the retries that are safe."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wattpool.ledgers.block import Code
from wattpool.ledgers.port import Call, CommitError, Ledger, Pending
from wattpool_chaincode.records import codec

_NO_TRANSIENT: Mapping[str, bytes] = {}
_ATTEMPTS = 5
# Calls in one transaction, of the 500 that contracts take: each reads a few keys one by one, and an endorsement should
# take a second at most.
_BATCH_CALLS = 200
# The state moved on between endorsement and commit: nothing happened, and another try sees the new state.
_RETRYABLE = (Code.MVCC_READ_CONFLICT, Code.PHANTOM_READ_CONFLICT)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A function of a chain's contract, its argument, and data for the endorsers' eyes only."""

    function: str
    argument: Mapping[str, Any]
    transient: Mapping[str, bytes] = field(default_factory=dict)


class Sent:
    """A call on its way; `wait` sees to it that it takes effect."""

    def __init__(self, ledger: Ledger, call: Call, pending: Pending, by: str) -> None:
        self._ledger = ledger
        self._call = call
        self._pending = pending
        self._by = by

    def wait(self) -> Any:
        """Return the result once it is durable.

        Every function of ours is idempotent, so a conflict with another transaction is simply tried again.

        Raises:
            EndorseError: if the contract now refuses what conflicted.
            CommitError: if the transaction is in a block without effect, or conflicts persist.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return codec.decode(self._pending.wait().result)
            except CommitError as error:
                if error.code not in _RETRYABLE:
                    raise
            self._pending = self._ledger.submit_async(self._call, by=self._by)
        return codec.decode(self._pending.wait().result)


class Chain:
    """One channel's contract on a ledger."""

    def __init__(self, ledger: Ledger, channel: str) -> None:
        self._ledger = ledger
        self._channel = channel

    def submit(self, function: str, *, by: str, **argument: Any) -> Any:
        """Run a function as organisation `by` and return its result once it is durable.

        Raises:
            EndorseError: if the contract refuses.
            CommitError: if the transaction is in a block without effect, or conflicts persist.
        """
        return self.submit_async(function, by=by, **argument).wait()

    def submit_async(
        self, function: str, *, by: str, transient: Mapping[str, bytes] = _NO_TRANSIENT, **argument: Any
    ) -> Sent:
        """Send a call and return at once; the caller waits.

        Raises:
            EndorseError: if the contract refuses.
        """
        call = self._call(function, argument, transient)
        return Sent(self._ledger, call, self._ledger.submit_async(call, by=by), by)

    def submit_together(self, steps: Sequence[Step], *, by: str) -> list[Any]:
        """Run steps that do not build on each other side by side, and return their results when all are durable.

        Raises:
            EndorseError: if the contract refuses one; others may have taken effect.
            CommitError: if a transaction is in a block without effect, or conflicts persist.
        """
        calls = [self._call(step.function, step.argument, step.transient) for step in steps]
        pendings = self._ledger.submit_together(calls, by=by)
        sent = [Sent(self._ledger, call, pending, by) for call, pending in zip(calls, pendings, strict=True)]
        return [one.wait() for one in sent]

    def submit_each(
        self,
        function: str,
        arguments: Sequence[Mapping[str, Any]],
        *,
        by: str,
        one_after_the_other: bool = False,
    ) -> None:
        """Call a function that its chain's `batch` takes once for each of `arguments`, many in one transaction.

        Args:
            function: its name.
            arguments: of the calls.
            by: the organisation that submits.
            one_after_the_other: whether transactions touch the same keys, and so wait for each other.

        Raises:
            EndorseError: if the contract refuses a call; calls of other transactions may have taken effect.
            CommitError: if a transaction is in a block without effect, or conflicts persist.
        """
        steps = _batches(function, arguments)
        for together in [[step] for step in steps] if one_after_the_other else [steps]:
            self.submit_together(together, by=by)

    def evaluate(self, function: str, *, by: str, **argument: Any) -> Any:
        """Return what a function says about the committed state."""
        return codec.decode(self._ledger.evaluate(self._call(function, argument, _NO_TRANSIENT), by=by))

    def evaluate_pages(self, function: str, *, by: str) -> Iterator[Any]:
        """Yield what a function says page by page, until it gives no further `bookmark`."""
        bookmark = ""
        while True:
            page = self.evaluate(function, by=by, bookmark=bookmark)
            yield page
            bookmark = page["bookmark"]
            if not bookmark:
                return

    def _call(self, function: str, argument: Mapping[str, Any], transient: Mapping[str, bytes]) -> Call:
        return Call(
            channel=self._channel, function=function, argument=codec.encode(dict(argument)), transient=transient
        )


def _batches(function: str, arguments: Sequence[Mapping[str, Any]]) -> list[Step]:
    return [
        Step(function="batch", argument={"call": function, "arguments": arguments[start : start + _BATCH_CALLS]})
        for start in range(0, len(arguments), _BATCH_CALLS)
    ]
