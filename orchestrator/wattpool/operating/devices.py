"""`wattpool device`: the exchange of a meter, and what happened to one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wattpool.bad_input import BadInput
from wattpool.operating.arguments import (
    By,
    ByEach,
    Place,
    Reason,
    read_key,
    read_kwh,
    read_organisation,
    read_text,
    require,
)
from wattpool.operating.desk import Desk, reading, working
from wattpool.report import formats
from wattpool_chaincode import fields
from wattpool_chaincode.organisations import AGGREGATOR, DSO
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.payload import Malformed, Payload, Signed

app = typer.Typer(help="Meters: one takes the place of another.", no_args_is_help=True)

DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="Id of the device, 40 hex digits.")]


@app.command()
def show(ledger: Place, device: DeviceId, by: By = "members") -> None:
    """Show what the smart-meter contract knows of a device, and what happened to it."""
    require("DEVICE", device, fields.IDENTITY)
    with reading(ledger, by) as desk:
        meter = desk.ask_contract("meter", meter=device)
        past = desk.ask_contract("voidings", device=device)
    typer.echo(f"feeder {meter['position']}, {meter['goal']}, {'void' if past['void'] else 'not void'}")
    for event in past["events"]:
        votes = f", {', '.join(event['votes'])}" if "votes" in event else ""
        typer.echo(f"{'voided' if event['void'] else 'reinstated'}: {event['reason']}{votes}")


@app.command()
def exchange(  # noqa: PLR0913, PLR0917 -- what an exchange is made of
    ledger: Place,
    device: DeviceId,
    install: Annotated[Path, typer.Option(help="File of the new device's signed installation, a JSON pair.")],
    opening: Annotated[Path, typer.Option(help="File of the new device's first record, OCMF.")],
    reason: Reason,
    key: Annotated[Path | None, typer.Option(help="File of the owner's private key, PEM; for the aggregator.")] = None,
    closing: Annotated[Path | None, typer.Option(help="File of the old device's last record, OCMF.")] = None,
    registers: Annotated[
        str | None, typer.Option(help="IMPORT,EXPORT in kWh that the DSO read off an old device that is dead.")
    ] = None,
    by: ByEach = ["aggregator", "dso"],  # noqa: B006 -- Typer reads it
) -> None:
    """Let a new device take a device's place: the aggregator admits it, the DSO retires the old one and admits it."""
    acting = [read_organisation("--by", name) for name in by]
    require("DEVICE", device, fields.IDENTITY)
    require("--reason", reason, fields.TEXT)
    installed, payload = _read_install(install)
    first = read_text("--opening", opening).strip()
    last = _read_closing(closing, registers)
    owner_key = None if key is None else read_key("--key", key)
    if AGGREGATOR in acting and owner_key is None:
        raise BadInput("--key", None, "the owner's key is needed to mandate the new device")
    with working(ledger, by[0]) as desk:
        if AGGREGATOR in acting and owner_key is not None:
            content = {"device": payload.signer, "point": payload.content["point"]}
            mandate = desk.signer(owner_key).order("mandate", content, counter=1).to_json()
            arguments = {"install": installed.to_json(), "mandate": mandate, "opening": first}
            desk.of(AGGREGATOR).contract("register_device", **arguments)
            _approve(desk.of(AGGREGATOR), payload.signer)
        if DSO in acting:
            total = desk.of(DSO).contract("retire_device", device=device, closing=last, reason=reason)
            typer.echo(
                f"{device} retired at {formats.kwh(total['import_wh'])} kWh in, {formats.kwh(total['export_wh'])} out"
            )
            _approve(desk.of(DSO), payload.signer)


def _approve(desk: Desk, device: str) -> None:
    is_admitted = desk.contract("approve_device", device=device)["admitted"]
    typer.echo(f"{device} {'admitted' if is_admitted else 'approved'} by {desk.by}")


def _read_install(file: Path) -> tuple[Signed, Payload]:
    """Read what a device signed as it was installed.

    Raises:
        BadInput: if it is anything else; whether it is signed is the contract's to say.
    """
    try:
        signed = Signed.from_json(codec.decode(read_text("--install", file).strip().encode()))
        payload = Payload.decode("install", signed.payload)
    except (codec.NotCanonical, Malformed) as error:
        raise BadInput("--install", None, f"{file} is not a signed installation: {error}") from error
    if not fields.IDENTITY.accepts(payload.content.get("point")):
        raise BadInput("--install", None, f"{file} names no metering point")
    return signed, payload


def _read_closing(closing: Path | None, registers: str | None) -> str | dict[str, Any]:
    if (closing is None) is (registers is None):
        raise BadInput("--closing", None, "either a record or --registers was expected")
    if closing is not None:
        return read_text("--closing", closing).strip()
    values = (registers or "").split(",")
    if len(values) != 2:  # noqa: PLR2004 -- import and export
        raise BadInput("--registers", None, f"{registers!r} is not IMPORT,EXPORT in kWh")
    import_wh, export_wh = (read_kwh("--registers", value) for value in values)
    return {"import_wh": import_wh, "export_wh": export_wh}
