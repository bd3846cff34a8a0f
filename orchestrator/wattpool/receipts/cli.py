"""`wattpool roots`, `wattpool receipt` and `wattpool check`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from wattpool.bad_input import BadInput
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.places import fabric_path, open_fabric
from wattpool.receipts.check import MAX_BYTES, check
from wattpool.receipts.embedded import evidence_on, published_roots
from wattpool.receipts.issue import FindEvidence, NoReceipt, issue
from wattpool.receipts.reason import ReceiptReason, ReceiptRefused
from wattpool.receipts.roots import PublishedRoots, read_roots
from wattpool.report.formats import tokens
from wattpool.simulation.profiles import parse_utc
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.ledger import CHANNEL
from wattpool_chaincode.records.period import format_utc

REFUSED_STATUS = 1
LedgerArgument = Annotated[str, typer.Argument(help="Directory of a ledger, or fabric:CONNECTION.yaml.")]


def roots_command(
    ledger: LedgerArgument,
    out: Annotated[Path, typer.Option(help="Where to write them.")] = Path("roots.json"),
) -> None:
    """Write the root certificates of a community's organisations, which it publishes."""
    out.write_bytes(_published_roots(ledger).encode() + b"\n")
    typer.echo(f"the roots of {ledger} are in {out}")


def receipt_command(
    ledger: LedgerArgument,
    period: Annotated[str, typer.Option(help="Start of the market period in UTC, such as 2017-05-05T19:00:00Z.")],
    connection: Annotated[str, typer.Option(help="Pseudonym of the connection point, 40 hex digits.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default: PERIOD-CONNECTION.receipt.")] = None,
    version: Annotated[int, typer.Option(help="Of the period; default: the latest.", min=0)] = 0,
) -> None:
    """Give a connection the receipt for one market period, as it stands after all corrections or as one left it."""
    try:
        start_utc = parse_utc(period)
    except ValueError as error:
        raise BadInput("--period", None, str(error)) from error
    with _open(ledger) as (chain, find_evidence):
        try:
            data = issue(chain, find_evidence, period_start_utc=start_utc, connection=connection, version=version)
        except NoReceipt as error:
            raise BadInput("--connection", None, str(error)) from error
    out = out or Path(f"{start_utc}-{connection[:8]}.receipt")
    out.write_bytes(data)
    typer.echo(f"{len(data)} bytes in {out}")


def check_command(
    receipt: Annotated[Path, typer.Argument(help="File of a receipt.")],
    roots: Annotated[Path, typer.Option(help="The community's published root certificates.")],
) -> None:
    """Check a receipt offline, with nothing but the community's published root certificates."""
    trusted = read_roots(roots)
    try:
        checked = check(_read(receipt), trusted)
    except ReceiptRefused as refused:
        typer.echo(f"{receipt}: {refused}", err=True)
        raise typer.Exit(REFUSED_STATUS) from refused
    statement = checked.statement
    start = format_utc(checked.period_start_utc)
    typer.echo(f"{checked.community}, period from {start}, version {checked.version}, clock {checked.clock}")
    typer.echo(f"connection {statement['connection']}, reading {statement['quality']}")
    typer.echo(f"imported {statement['import_wh']} Wh, of which bought {statement['bought_wh']} Wh")
    typer.echo(f"exported {statement['export_wh']} Wh, of which sold {statement['sold_wh']} Wh")
    typer.echo(
        f"paid {tokens(statement['paid_ut'])} tokens and {tokens(statement['fees_ut'])} of fees, "
        f"earned {tokens(statement['earned_ut'])}"
    )
    typer.echo(f"endorsed by {', '.join(sorted(checked.endorsers))}")
    typer.echo("the meter's own record is in it and holds" if checked.has_record else "without the meter's own record")
    typer.echo("everything holds")


def _published_roots(place: str) -> PublishedRoots:
    path = fabric_path(place)
    if path is None:
        with EmbeddedLedger.read(Path(place)) as embedded:
            return published_roots(embedded)
    with open_fabric(*path) as on_fabric:
        from wattpool.receipts import fabric  # noqa: PLC0415 -- an extra

        return fabric.published_roots(on_fabric)


@contextmanager
def _open(place: str) -> Iterator[tuple[Chain, FindEvidence]]:
    """Open the ledger chain, and what finds evidence on it."""
    path = fabric_path(place)
    if path is None:
        with EmbeddedLedger.read(Path(place), chaincodes=CHAINCODES) as embedded:
            yield Chain(embedded, CHANNEL), evidence_on(embedded, CHANNEL)
        return
    with open_fabric(*path) as on_fabric:
        from wattpool.receipts import fabric  # noqa: PLC0415 -- an extra

        yield Chain(on_fabric, CHANNEL), fabric.evidence_on(on_fabric, CHANNEL)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(str(file), None, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ReceiptRefused(ReceiptReason.MALFORMED, f"more than {MAX_BYTES} bytes")
    return data
