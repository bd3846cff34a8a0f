"""`wattpool suspend`, `wattpool void` and `wattpool reinstate`: who may not trade for the time being."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wattpool.bad_input import BadInput
from wattpool.operating.arguments import By, Connection, Place, Reason, read_text, require
from wattpool.operating.desk import PUBLISHED, Desk, voted, working
from wattpool_chaincode import fields

_PAIR = 2


def suspend(ledger: Place, connection: Connection, reason: Reason, by: By) -> None:
    """Vote for shutting a connection out of the market; it counts at once when two organisations say so."""
    require("--reason", reason, fields.TEXT)
    with working(ledger, by) as desk:
        _tell(_decide(desk, "suspend", connection, reason))


def reinstate(
    ledger: Place,
    reason: Reason,
    by: By,
    connection: Annotated[str | None, typer.Option(help="That is suspended: its pseudonym, or how it begins.")] = None,
    device: Annotated[str | None, typer.Option(help="That is void: its id, 40 hex digits.")] = None,
) -> None:
    """Vote for letting a suspended connection, or a void device, trade again."""
    require("--reason", reason, fields.TEXT)
    if (connection is None) is (device is None):
        raise BadInput("--connection", None, "either a connection or a --device was expected")
    if device is not None:
        require("--device", device, fields.IDENTITY)
    with working(ledger, by) as desk:
        if connection is not None:
            _tell(_decide(desk, "reinstate", connection, reason))
            return
        said = desk.contract("reinstate_device", device=device, reason=reason)
    typer.echo(f"{'void' if said['void'] else 'not void'}, {voted(said['votes'])}; {PUBLISHED}")


def void(
    ledger: Place,
    records: Annotated[Path, typer.Argument(help="File of two records of one number, OCMF, one a line.")],
    by: By,
) -> None:
    """Void the device that signed two records that contradict each other."""
    pair = read_text("RECORDS", records).splitlines()
    if len(pair) != _PAIR:
        raise BadInput(str(records), None, f"{len(pair)} lines; two records were expected")
    with working(ledger, by) as desk:
        said = desk.contract("void_device", records=pair)
    state = "void" if said["void"] else "reinstated, and stays so"
    typer.echo(f"{said['device']} {state}; {PUBLISHED}")


def _decide(desk: Desk, function: str, connection: str, reason: str) -> dict[str, Any]:
    said: dict[str, Any] = desk.ledger(function, slot=desk.connected(connection).slot, reason=reason)
    return said


def _tell(said: dict[str, Any]) -> None:
    typer.echo(f"{'suspended' if said['suspended'] else 'not suspended'}, {voted(said['votes'])}")
