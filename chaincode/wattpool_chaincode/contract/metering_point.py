"""Metering points: what is measured at a connection, under permanent pseudonyms as the connections themselves.

A connection, what is measured at it, the device that measures and the party that pays change at different times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.connection import read_connection
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.registry import write_once
from wattpool_chaincode.contract.rules import read_rules, require
from wattpool_chaincode.organisations import DSO, METERING_FACTS
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused


class Kind(StrEnum):
    """What a metering point measures, in an import and an export register."""

    GRID = "grid"  # what the connection takes from the grid and gives to it; the market settles on it
    LOAD = "load"
    GENERATION = "generation"
    STORAGE = "storage"


@dataclass(frozen=True, kw_only=True)
class MeteringPoint:
    """A metering point at a connection."""

    point: str
    connection: str
    kind: Kind


def register_metering_point(context: Context, argument: dict[str, Any]) -> None:
    """Record a metering point at a connection; only the DSO, who keeps the register of both.

    Raises:
        Refused: argument_malformed, not_authorised, not_founded, connection_unknown, exists_with_other_content.
    """
    point, connection, _ = fields.read(
        argument, point=fields.IDENTITY, connection=fields.IDENTITY, kind=fields.one_of(*Kind)
    )
    require(context, DSO)
    read_rules(context)
    read_connection(context, connection)
    write_once(context, _key(point), codec.encode(argument), identity=point, policy=METERING_FACTS)


def read_metering_point(context: Context, point: str) -> MeteringPoint:
    """Return a metering point.

    Raises:
        Refused: point_unknown.
    """
    return _decode(point, context.get(_key(point)))


def read_metering_points(context: Context, points: Sequence[str]) -> list[MeteringPoint]:
    """Return several metering points.

    Raises:
        Refused: point_unknown.
    """
    return list(map(_decode, points, context.get_many([_key(point) for point in points])))


def _decode(point: str, stored: bytes | None) -> MeteringPoint:
    if stored is None:
        raise Refused(ContractRefusal.POINT_UNKNOWN, point)
    value = codec.load(stored)
    return MeteringPoint(**{**value, "kind": Kind(value["kind"])})


def _key(point: str) -> str:
    return f"point/{point}"
