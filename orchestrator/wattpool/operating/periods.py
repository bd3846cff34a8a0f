"""`wattpool period`: how far a market period has come, and giving its market up."""

from typing import Annotated

import typer

from wattpool.operating.arguments import By, Place, Reason, Start, read_period, require
from wattpool.operating.desk import reading, voted, working
from wattpool.report import formats
from wattpool_chaincode import fields
from wattpool_chaincode.records.period import Period, format_utc

app = typer.Typer(help="Market periods.", no_args_is_help=True)


@app.command()
def show(
    ledger: Place,
    start: Annotated[str | None, typer.Option(help="Start in UTC; default: the last one that was opened.")] = None,
    by: By = "members",
) -> None:
    """Show a period: its phase, and what has been agreed, settled and sealed."""
    with reading(ledger, by) as desk:
        length_s = desk.rules().period_s
        last = desk.ask_ledger("last_period")["period"]
        if start is None and last is None:
            typer.echo("no period was opened yet")
            return
        period = Period(last, length_s) if start is None else read_period("--start", start, length_s)
        state = desk.ask_ledger("period", period=period.start_utc)
    typer.echo(f"{format_utc(period.start_utc)}, {length_s} s: {state['phase'] or 'not opened'}")
    if "abort" in state:
        typer.echo(f"given up: {state['abort']['reason']}, {voted(state['abort']['votes'])}")
    if "deal" in state:
        deal = state["deal"]
        typer.echo(
            f"agreed: {deal['trades']} trades, {formats.kwh(deal['agreed_wh'])} kWh, "
            f"{formats.tokens(deal['escrow_ut'])} tokens in escrow"
        )
    if "result" in state:
        result = state["result"]
        typer.echo(f"settled: {result['trades']} trades, {formats.kwh(result['traded_wh'])} kWh")
    if "seal" in state:
        typer.echo("sealed by the aggregator")


@app.command()
def abort(ledger: Place, start: Start, reason: Reason, by: By) -> None:
    """Vote for giving up a period's market before it settles; with two organisations every escrow returns."""
    require("--reason", reason, fields.TEXT)
    with working(ledger, by) as desk:
        period = read_period("--start", start, desk.rules().period_s)
        said = desk.ledger("abort", period=period.start_utc, reason=reason)
    typer.echo(f"{said['phase']}, {voted(said['votes'])}; two organisations have to agree")
