"""A chaincode that does what it is told, step by step, so that a test can spell out a transaction."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from itertools import islice
from typing import Any

from wattpool.ledgers.block import Code
from wattpool.ledgers.port import Call, Commit, CommitError, Ledger, Pending
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Context, Policy
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, TWO_OF_THREE
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

COLLECTION = "meter_data"
NOON_UTC = 1_489_996_800
POLICIES = {
    None: None,
    "members": Policy(required=1, rules=(MEMBERS,)),
    "dso": Policy(required=1, rules=(DSO,)),
    "all": Policy(required=3, rules=(AGGREGATOR, DSO, MEMBERS)),
    "stranger": Policy(required=1, rules=("StrangerMSP",)),
}


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_utc = NOON_UTC

    def __call__(self) -> int:
        return self.now_utc


class ToyRefusal(StrEnum):
    """The one reason of the toy."""

    TOLD_TO = "told_to"


class Broken(Exception):
    """An invariant of the toy does not hold."""


def run(context: Context, argument: dict[str, Any]) -> object:
    """Do the steps, each a name of `STEPS` and its arguments, and return what each gives."""
    return [STEPS[name](context, *args) for name, *args in argument["steps"]]


def history(context: Context, key: str) -> list[list[str | int | None]]:
    return [[text(one.value), one.time_utc, one.transaction_id] for one in context.history(key)]


def page(context: Context, start: str, end: str, size: int, bookmark: str) -> list[object]:
    found = context.range_page(start, end, page_size=size, bookmark=bookmark)
    return [[key for key, _ in found.items], found.bookmark]


def private_hash(context: Context, key: str) -> str | None:
    found = context.private_hash(COLLECTION, key)
    return None if found is None else found.hex()


def query(context: Context, channel: str, steps: list[Any]) -> object:
    return codec.decode(context.query(channel, "run", codec.encode({"steps": steps})))


def who(context: Context) -> list[object]:
    return [context.submitter.msp_id, dict(context.submitter.attributes), context.time_utc]


def refuse(_: Context) -> None:
    raise Refused(ToyRefusal.TOLD_TO, "the test said so")


def fail(_: Context) -> None:
    raise Broken


def get_together(context: Context, keys: list[str]) -> list[str | None]:
    """Read from several threads at a time, which the embedded ledger does not offer."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return [text(value) for value in pool.map(context.get, keys)]


def text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


# Text stands for its UTF-8 bytes; private values come in the transient map, under their keys.
STEPS: Mapping[str, Callable[..., object]] = {
    "get": lambda context, key: text(context.get(key)),
    "put": lambda context, key, value: context.put(key, value.encode()),
    "put_size": lambda context, key, size_bytes: context.put(key, b"x" * size_bytes),
    "delete": lambda context, key: context.delete(key),
    "range": lambda context, start, end: [[key, text(value)] for key, value in context.range(start, end)],
    "first": lambda context, start, end, count: [key for key, _ in islice(context.range(start, end), count)],
    "page": page,
    "history": history,
    "put_private": lambda context, key: context.put_private(COLLECTION, key, context.transient[key]),
    "get_private": lambda context, key: text(context.get_private(COLLECTION, key)),
    "purge_private": lambda context, key: context.purge_private(COLLECTION, key),
    "private_hash": private_hash,
    "range_private": lambda context, start, end: [
        [key, text(value)] for key, value in context.range_private(COLLECTION, start, end)
    ],
    "set_policy": lambda context, key, policy: context.set_policy(key, POLICIES[policy]),
    "emit": lambda context, name, payload: context.emit(name, payload.encode()),
    "query": query,
    "who": who,
    "refuse": refuse,
    "break": fail,
    "get_together": get_together,
    # What no contract may do: every endorser writes something else.
    "put_chance": lambda context, key: context.put(key, os.urandom(8)),
}

CHAINCODES = {
    channel: Chaincode(name=channel, functions={"run": run}, policy=TWO_OF_THREE) for channel in ("contract", "ledger")
}


def call(*steps: list[Any], channel: str = "ledger", transient: Mapping[str, str] | None = None) -> Call:
    """Return the call that does `steps`, each a name and its arguments."""
    return Call(
        channel=channel,
        function="run",
        argument=codec.encode({"steps": list(steps)}),
        transient={name: value.encode() for name, value in (transient or {}).items()},
    )


def submit(
    ledger: Ledger,
    *steps: list[Any],
    by: str = DSO,
    channel: str = "ledger",
    transient: Mapping[str, str] | None = None,
) -> Commit:
    """Do `steps` in one transaction."""
    return ledger.submit(call(*steps, channel=channel, transient=transient), by=by)


def send(ledger: Ledger, *steps: list[Any], by: str = DSO, channel: str = "ledger") -> Pending:
    """Do `steps` in one transaction and leave it uncommitted."""
    return ledger.submit_async(call(*steps, channel=channel), by=by)


def look(ledger: Ledger, *steps: list[Any], by: str = DSO, channel: str = "ledger") -> Any:
    """Return what `steps` give on the committed state: a list, or the one result of a single step."""
    results = codec.decode(ledger.evaluate(call(*steps, channel=channel), by=by))
    return results[0] if len(steps) == 1 else results


def outcome(pending: Pending) -> Code:
    """Commit a transaction and return what became of it."""
    try:
        pending.wait()
    except CommitError as error:
        return error.code
    return Code.VALID
