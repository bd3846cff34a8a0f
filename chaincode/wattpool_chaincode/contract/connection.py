"""Connection points: places in the grid, under permanent pseudonyms that only the DSO can resolve."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.registry import write_once
from wattpool_chaincode.contract.rules import read_rules, require
from wattpool_chaincode.organisations import DSO, METERING_FACTS
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

MAX_LINE_LIMIT_W = 10_000_000
POWER = fields.Check(
    f"a power from 1 to {MAX_LINE_LIMIT_W} W", lambda value: type(value) is int and 0 < value <= MAX_LINE_LIMIT_W
)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A connection point: its feeder, and the most its line carries either way."""

    connection: str
    feeder: str
    line_limit_w: int


def register_connection(context: Context, argument: dict[str, Any]) -> None:
    """Record a connection point; only the DSO, whose grid it is.

    Raises:
        Refused: argument_malformed, not_authorised, not_founded, exists_with_other_content.
    """
    connection, _, _ = fields.read(argument, connection=fields.IDENTITY, feeder=fields.NAME, line_limit_w=POWER)
    require(context, DSO)
    read_rules(context)
    value = codec.encode(asdict(Connection(**argument)))
    write_once(context, _key(connection), value, identity=connection, policy=METERING_FACTS)


def read_connection(context: Context, connection: str) -> Connection:
    """Return a connection point.

    Raises:
        Refused: connection_unknown.
    """
    return _decode(connection, context.get(_key(connection)))


def read_connections(context: Context, connections: Sequence[str]) -> list[Connection]:
    """Return several connection points.

    Raises:
        Refused: connection_unknown.
    """
    return list(map(_decode, connections, context.get_many([_key(connection) for connection in connections])))


def _decode(connection: str, stored: bytes | None) -> Connection:
    if stored is None:
        raise Refused(ContractRefusal.CONNECTION_UNKNOWN, connection)
    return Connection(**codec.load(stored))


def _key(connection: str) -> str:
    return f"connection/{connection}"
