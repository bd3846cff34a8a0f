"""`wattpool roots`, `wattpool receipt` and `wattpool check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattpool.bad_input import BadInput
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.operating.arguments import Place, Start, read_time
from wattpool.operating.opening import open_place
from wattpool.receipts import embedded
from wattpool.receipts.check import MAX_BYTES
from wattpool.receipts.check import check as check_receipt
from wattpool.receipts.issue import FindEvidence, NoReceipt, issue
from wattpool.receipts.reason import ReceiptReason, ReceiptRefused
from wattpool.receipts.roots import PublishedRoots, read_roots
from wattpool.report.formats import tokens
from wattpool_chaincode.ledger import CHANNEL
from wattpool_chaincode.records.period import format_utc

if TYPE_CHECKING:
    from wattpool.ledgers.fabric import FabricLedger

REFUSED_STATUS = 1


def roots(
    ledger: Place,
    out: Annotated[Path, typer.Option(help="Where to write them.")] = Path("roots.json"),
) -> None:
    """Write the root certificates of a community's organisations, which it publishes."""
    with open_place(ledger, to_write=False) as opened:
        published = _published_roots(opened)
    out.write_bytes(published.encode() + b"\n")
    typer.echo(f"the roots of {ledger} are in {out}")


def receipt(
    ledger: Place,
    period: Start,
    connection: Annotated[str, typer.Option(help="Pseudonym of the connection point, 40 hex digits.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default: PERIOD-CONNECTION.receipt.")] = None,
    version: Annotated[int, typer.Option(help="Of the period; default: the latest.", min=0)] = 0,
) -> None:
    """Give a connection the receipt for one market period, as it stands after all corrections or as one left it."""
    start_utc = read_time("--period", period)
    with open_place(ledger, to_write=False) as opened:
        chain, find = Chain(opened, CHANNEL), _evidence_on(opened)
        try:
            data = issue(chain, find, period_start_utc=start_utc, connection=connection, version=version)
        except NoReceipt as error:
            raise BadInput("--connection", None, str(error)) from error
    out = out or Path(f"{start_utc}-{connection[:8]}.receipt")
    out.write_bytes(data)
    typer.echo(f"{len(data)} bytes in {out}")


def check(
    receipt: Annotated[Path, typer.Argument(help="File of a receipt.")],
    roots: Annotated[Path, typer.Option(help="The community's published root certificates.")],
) -> None:
    """Check a receipt offline, with nothing but the community's published root certificates."""
    trusted = read_roots(roots)
    try:
        checked = check_receipt(_read(receipt), trusted)
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


def _published_roots(opened: "EmbeddedLedger | FabricLedger") -> PublishedRoots:
    if isinstance(opened, EmbeddedLedger):
        return embedded.published_roots(opened)
    from wattpool.receipts import fabric  # noqa: PLC0415 -- an extra

    return fabric.published_roots(opened)


def _evidence_on(opened: "EmbeddedLedger | FabricLedger") -> FindEvidence:
    if isinstance(opened, EmbeddedLedger):
        return embedded.evidence_on(opened, CHANNEL)
    from wattpool.receipts import fabric  # noqa: PLC0415 -- an extra

    return fabric.evidence_on(opened, CHANNEL)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(str(file), None, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ReceiptRefused(ReceiptReason.MALFORMED, f"more than {MAX_BYTES} bytes")
    return data
