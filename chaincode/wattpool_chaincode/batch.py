"""Many calls of one function in one transaction, for what comes in numbers: a community's homes and their tokens."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.chaincode import CallRefusal, Function
from wattpool_chaincode.context import Context, Modification, Page, Policy, Submitter
from wattpool_chaincode.refusal import Refused

MAX_CALLS = 500


def batch_of(functions: Mapping[str, Function]) -> Function:
    """Return a function that runs one of `functions` for each of up to 500 arguments.

    It does what as many transactions would, one after the other, and returns their results; or nothing, if one call
    is refused. The functions must not ask for ranges or private data, of which they would see the committed ones.
    """
    name = fields.one_of(*functions)

    def batch(context: Context, argument: dict[str, Any]) -> list[object]:
        function, arguments = fields.read(argument, call=name, arguments=fields.LIST)
        if len(arguments) > MAX_CALLS or not all(isinstance(one, dict) for one in arguments):
            raise Refused(CallRefusal.ARGUMENT_MALFORMED, f"up to {MAX_CALLS} objects as arguments were expected")
        one_state = _OneState(context)
        results = []
        for index, one in enumerate(arguments):
            try:
                results.append(functions[function](one_state, one))
            except Refused as refusal:
                raise Refused(refusal.reason, f"call {index}: {refusal.detail}") from refusal
        return results

    return batch


class _OneState:
    """A context whose single keys are read once, and show what this transaction has written."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, bytes | None] = {}

    @property
    def channel(self) -> str:
        return self._context.channel

    @property
    def transaction_id(self) -> str:
        return self._context.transaction_id

    @property
    def time_utc(self) -> int:
        return self._context.time_utc

    @property
    def submitter(self) -> Submitter:
        return self._context.submitter

    @property
    def transient(self) -> Mapping[str, bytes]:
        return self._context.transient

    def get(self, key: str) -> bytes | None:
        if key not in self._known:
            self._known[key] = self._context.get(key)
        return self._known[key]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def put(self, key: str, value: bytes) -> None:
        self._known[key] = value
        self._context.put(key, value)

    def delete(self, key: str) -> None:
        self._known[key] = None
        self._context.delete(key)

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._context.range(start, end)

    def range_page(self, start: str, end: str, *, page_size: int, bookmark: str = "") -> Page:
        return self._context.range_page(start, end, page_size=page_size, bookmark=bookmark)

    def history(self, key: str) -> Iterator[Modification]:
        return self._context.history(key)

    def get_private(self, collection: str, key: str) -> bytes | None:
        return self._context.get_private(collection, key)

    def get_many_private(self, collection: str, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get_private(collection, key) for key in keys]

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        self._context.put_private(collection, key, value)

    def purge_private(self, collection: str, key: str) -> None:
        self._context.purge_private(collection, key)

    def private_hash(self, collection: str, key: str) -> bytes | None:
        return self._context.private_hash(collection, key)

    def range_private(self, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._context.range_private(collection, start, end)

    def set_policy(self, key: str, policy: Policy | None) -> None:
        self._context.set_policy(key, policy)

    def emit(self, name: str, payload: bytes) -> None:
        self._context.emit(name, payload)

    def query(self, channel: str, function: str, argument: bytes) -> bytes:
        return self._context.query(channel, function, argument)
