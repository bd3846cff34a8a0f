"""`wattpool feeder`: what the DSO says about its grid, period by period."""

from collections.abc import Iterator
from typing import Annotated

import typer

from wattpool.bad_input import BadInput
from wattpool.operating.arguments import By, Place, Reason, Start, read_kw, read_period, read_time, require
from wattpool.operating.desk import working
from wattpool_chaincode import fields
from wattpool_chaincode.records.period import DAY_S, Period

app = typer.Typer(help="What the DSO says about its grid.", no_args_is_help=True)

Feeder = Annotated[str, typer.Argument(help="Name of the feeder, as the roster has it.")]
End = Annotated[str | None, typer.Option(help="End in UTC of the last such period, a day later at most; default: one.")]
Power = Annotated[str, typer.Option(help="In kW, such as 12.5.")]


@app.command()
def envelope(  # noqa: PLR0913, PLR0917 -- the options of one command
    ledger: Place,
    feeder: Feeder,
    start: Start,
    max_import: Power,
    max_export: Power,
    end: End = None,
    by: By = "dso",
) -> None:
    """Limit what a feeder may agree to exchange with the others, before the gates of these periods close."""
    import_w, export_w = read_kw("--max-import", max_import), read_kw("--max-export", max_export)
    require("FEEDER", feeder, fields.NAME)
    with working(ledger, by) as desk:
        for period in _read_span(start, end, desk.rules().period_s):
            desk.ledger("set_envelope", period=period.start_utc, feeder=feeder, import_w=import_w, export_w=export_w)
            typer.echo(f"{period}: feeder {feeder} imports at most {max_import} kW and exports at most {max_export} kW")


@app.command()
def curtail(  # noqa: PLR0913, PLR0917 -- the options of one command
    ledger: Place, feeder: Feeder, start: Start, reason: Reason, end: End = None, by: By = "dso"
) -> None:
    """State that the grid did not let a feeder deliver: nobody there answers for what was promised by hand."""
    require("--reason", reason, fields.TEXT)
    require("FEEDER", feeder, fields.NAME)
    with working(ledger, by) as desk:
        for period in _read_span(start, end, desk.rules().period_s):
            desk.ledger("curtail", period=period.start_utc, feeder=feeder, reason=reason)
            typer.echo(f"{period}: feeder {feeder} was curtailed")


def _read_span(start: str, end: str | None, length_s: int) -> Iterator[Period]:
    """Return the periods between two times, one if there is no end; nothing is sent if they cannot be used."""
    first = read_period("--start", start, length_s)
    end_utc = first.end_utc if end is None else read_time("--end", end)
    if end_utc % length_s or not 0 < end_utc - first.start_utc <= DAY_S:
        raise BadInput("--end", None, f"{end} is not the end of a market period within a day of the start")
    return (Period(utc, length_s) for utc in range(first.start_utc, end_utc, length_s))
