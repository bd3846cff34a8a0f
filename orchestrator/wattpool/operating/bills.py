"""`wattpool report` and `wattpool bill`: pages from a ledger alone, in which members go by their pseudonyms."""

from pathlib import Path
from typing import Annotated

import typer

from wattpool.bad_input import BadInput
from wattpool.client import Chain
from wattpool.operating.arguments import Place, read_time
from wattpool.operating.opening import open_place
from wattpool.report.files import write_bills, write_report
from wattpool.report.formats import pseudonym
from wattpool.report.local_time import DEFAULT, zone_of
from wattpool.report.reading import LedgerReader, SettledPeriod
from wattpool.report.rendering import Edition
from wattpool_chaincode.contract import CHANNEL as CONTRACT_CHANNEL
from wattpool_chaincode.ledger import CHANNEL as LEDGER_CHANNEL
from wattpool_chaincode.records.period import format_utc

ZoneOption = Annotated[str, typer.Option(help="Time zone of all times, such as Europe/Berlin.")]


def report(
    ledger: Place,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
    period: Annotated[
        str | None, typer.Option(help="Start in UTC of the period whose negotiation is shown; default: a lively one.")
    ] = None,
    zone: ZoneOption = DEFAULT,
) -> None:
    """Write what a community's periods came to, as one HTML file."""
    edition = _read(ledger, zone)
    chosen = None if period is None else _settled(edition, period)
    write_report(edition, edition.bills(), out, chosen=chosen)
    typer.echo(f"{len(edition.periods)} periods in {out}")


def bill(
    ledger: Place,
    connection: Annotated[str, typer.Option(help="Pseudonym of the connection point, or how it begins.")],
    party: Annotated[
        str | None,
        typer.Option(help="Pseudonym of one of those who had the connection, or how it begins; default: all of them."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory for the bill as HTML and CSV.")] = Path(),
    zone: ZoneOption = DEFAULT,
) -> None:
    """Write a member's bill, as HTML and as CSV; if the connection changed hands, one for each who had it."""
    edition = _read(ledger, zone)
    bills = [one for one in edition.bills() if connection and one.connection.startswith(connection)]
    found = {one.slot for one in bills}
    if len(found) != 1:
        raise BadInput("--connection", None, f"{connection!r} is how {len(found)} connections begin; 1 was expected")
    if party is not None:
        bills = [one for one in bills if party and one.party.startswith(party)]
        if len(bills) != 1:
            raise BadInput("--party", None, f"{party!r} is how {len(bills)} of its parties begin; 1 was expected")
    write_bills(edition, bills, out)
    for one in bills:
        typer.echo(f"bill in {out / edition.name_of(one)}.html and .csv")


def _read(ledger: str, zone: str) -> Edition:
    try:
        named = zone_of(zone)
    except ValueError as error:
        raise BadInput("--zone", None, str(error)) from error
    with open_place(ledger, to_write=False) as opened:
        reader = LedgerReader(Chain(opened, CONTRACT_CHANNEL), Chain(opened, LEDGER_CHANNEL))
        community, periods = reader.community(), reader.settled_periods()
    if not periods:
        raise BadInput(ledger, None, "has no settled period yet")
    return Edition(
        community=community.name,
        periods=periods,
        # A roster only grows.
        names={slot: pseudonym(terms.connection) for slot, terms in enumerate(periods[-1].terms)},
        own_use=None,
        zone=named,
        zone_name=zone,
    )


def _settled(edition: Edition, period: str) -> SettledPeriod:
    start_utc = read_time("--period", period)
    for settled in edition.periods:
        if settled.period.start_utc == start_utc:
            return settled
    first, last = edition.periods[0].period, edition.periods[-1].period
    raise BadInput("--period", None, f"none begins at {format_utc(start_utc)}; they begin from {first} until {last}")
