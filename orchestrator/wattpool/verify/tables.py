"""The tables that can be computed from the chains, compared row by row with what the replay gives."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from wattpool.ledgers import policies
from wattpool.verify.file import LedgerFile, Row
from wattpool.verify.report import Violated, Violation, ViolationKind
from wattpool.verify.state import State
from wattpool_chaincode.context import Policy
from wattpool_chaincode.records import codec

_END: Row = ()


def require_tables(file: LedgerFile, states: Mapping[str, State[Policy]]) -> None:
    """Check that the file's tables, as far as it has them, are those of `states`, by channel, and hold no other row.

    Raises:
        Violated: state, policies, history, private_state, index.
    """
    _require_private_data(file, states)
    if not file.has_state:
        return
    _compare(ViolationKind.STATE, file.state_rows(), _state_rows(states), places=2)
    _compare(ViolationKind.POLICIES, file.policy_rows(), _policy_rows(states), places=2)
    _compare(ViolationKind.HISTORY, file.history_rows(), _history_rows(states), places=4)
    _compare(ViolationKind.PRIVATE_STATE, file.private_state_rows(), _private_state_rows(states), places=3)
    for channel, block, identity in file.transactions_outside_blocks():
        detail = "the transaction is in no block"
        raise Violated(
            Violation(what=ViolationKind.INDEX, channel=channel, block=block, transaction=identity, detail=detail)
        )


def _compare(what: ViolationKind, found: Iterator[Row], expected: Iterator[Row], *, places: int) -> None:
    """Walk two tables side by side, both sorted by their first `places` columns, the channel first of all."""
    for right, row in zip_longest(expected, found, fillvalue=_END):
        if row == right:
            continue
        if row == _END or (right != _END and _order(row, places) > _order(right, places)):
            detail = f"the row of {_name(right, places)} is missing"
        elif right == _END or _order(row, places) < _order(right, places):
            detail = f"there is a row of {_name(row, places)}, which no block gives"
        else:
            detail = f"{_name(row, places)} has {_short(row[places:])}; the blocks give {_short(right[places:])}"
        raise Violated(Violation(what=what, channel=(row or right)[0], detail=detail))


def _require_private_data(file: LedgerFile, states: Mapping[str, State[Policy]]) -> None:
    """Check that nothing is kept but what was written and not purged; that it is there was checked block by block."""
    for channel, collection, key_hash, *version in file.private_data_rows():
        past = states[channel].private_past.get((collection, key_hash), []) if channel in states else []
        purged = [index for index, (_, value_hash) in enumerate(past) if value_hash is None]
        kept = past[purged[-1] + 1 :] if purged else past
        if tuple(version) not in [one for one, _ in kept]:
            detail = f"a private value {key_hash} of {collection!r} is kept, which no block gives"
            raise Violated(Violation(what=ViolationKind.PRIVATE_STATE, channel=channel, detail=detail))


def _state_rows(states: Mapping[str, State[Policy]]) -> Iterator[Row]:
    for channel, state in sorted(states.items()):
        for key, stored in state.range("", ""):
            yield (channel, key.encode(), *stored.version, stored.value)


def _policy_rows(states: Mapping[str, State[Policy]]) -> Iterator[Row]:
    for channel, state in sorted(states.items()):
        for key, stored in state.range("", ""):
            if stored.policy is not None:
                policy = codec.encode(policies.to_json(stored.policy))
                yield (channel, key.encode(), policy)


def _history_rows(states: Mapping[str, State[Policy]]) -> Iterator[Row]:
    for channel, state in sorted(states.items()):
        for key in state.names():
            for version in state.past[key]:
                yield (channel, key.encode(), *version)


def _private_state_rows(states: Mapping[str, State[Policy]]) -> Iterator[Row]:
    for channel, state in sorted(states.items()):
        for place in sorted(state.private_past):
            hashed = state.private(place)
            if hashed is not None:
                yield (channel, *place, hashed.value_hash, *hashed.version)


def _order(row: Row, places: int) -> list[tuple[str, Any]]:
    """Return what rows are sorted by, even if the file has text or nothing where a number belongs."""
    return [(type(one).__name__, one) for one in row[:places]]


def _name(row: Row, places: int) -> str:
    return " ".join(one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in row[1:places])


def _short(row: Row) -> str:
    return ", ".join(str(one)[:80] for one in row)
