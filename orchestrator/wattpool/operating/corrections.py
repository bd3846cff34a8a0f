"""`wattpool correct`: what meters left open in a sealed period is filled in, and the difference is paid."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, Any

import typer

from wattpool.bad_input import BadInput
from wattpool.operating.arguments import By, Place, Start, is_number, read_key, read_period, read_text
from wattpool.operating.desk import Desk, reading, working
from wattpool.readings import find_reading
from wattpool.report import formats
from wattpool_chaincode.ledger.chunks import SALT_BYTES, encode_chunk
from wattpool_chaincode.ledger.period import key as key_of
from wattpool_chaincode.ledger.sealing import seal_content
from wattpool_chaincode.records import codec, ocmf
from wattpool_chaincode.records.ocmf import SignedRecord
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.roster import Entry

app = typer.Typer(help="Corrections of sealed periods, and what they leave due.", no_args_is_help=True)

COLUMNS = ["connection", "import_wh", "export_wh"]
SigningKey = Annotated[Path, typer.Option(help="File of the private key that the rules name, PEM.")]
Version = Annotated[int, typer.Option(help="The version that it makes; default: the next.", min=0)]


@app.command()
def substitute(  # noqa: PLR0913, PLR0917 -- the options of one command
    ledger: Place,
    values: Annotated[Path, typer.Argument(help="CSV of connection,import_wh,export_wh: what the DSO puts in.")],
    period: Start,
    key: SigningKey,
    version: Version = 0,
    by: By = "dso",
) -> None:
    """Fill gaps with what the DSO signs; the ledger marks them `substituted`."""
    dso_key = read_key("--key", key)
    read = _read_values(values)
    with working(ledger, by) as desk:
        chosen = read_period("--period", period, desk.rules().period_s)
        items = _by_slot(values, read, _entries_of(desk, chosen))
        content, transient = _content(desk, chosen, items, version)
        signed = desk.signer(dso_key).order("correction", content, counter=1, period_start_utc=chosen.start_utc)
        call = {"period": chosen.start_utc, "correction": signed.to_json()}
        desk.ledger("correct", transient=transient, **call)
        _tell(desk, chosen)


@app.command()
def late(
    ledger: Place,
    records: Annotated[Path, typer.Argument(help="Meter records at the period's start and end, OCMF, one a line.")],
    period: Start,
    version: Version = 0,
    by: By = "dso",
) -> None:
    """Fill gaps with meter records that the ledger took in with later periods; it marks them `late`."""
    read = _read_records(records)
    with working(ledger, by) as desk:
        chosen = read_period("--period", period, desk.rules().period_s)
        items = _places(desk, records, read, chosen)
        content, transient = _content(desk, chosen, items, version)
        desk.ledger("correct_late", transient=transient, period=chosen.start_utc, **content)
        _tell(desk, chosen)


@app.command()
def seal(ledger: Place, period: Start, key: SigningKey, by: By = "aggregator") -> None:
    """Seal the latest version of a period with the aggregator's key; only then can the next be made."""
    aggregator_key = read_key("--key", key)
    with working(ledger, by) as desk:
        chosen = read_period("--period", period, desk.rules().period_s)
        latest = _version(desk, chosen)
        before = _version(desk, chosen, max(1, latest["version"] - 1))
        content = seal_content(latest["result"], before["seal"] or "")
        signed = desk.signer(aggregator_key).order("seal", content, counter=1, period_start_utc=chosen.start_utc)
        call = {"period": chosen.start_utc, "version": latest["version"], "seal": signed.to_json()}
        said = desk.ledger("seal_correction", **call)
    typer.echo(f"version {latest['version']} of {chosen} sealed as {said['seal']}")


@app.command()
def show(
    ledger: Place,
    period: Start,
    version: Annotated[int, typer.Option(help="Which one; default: the latest.", min=0)] = 0,
    by: By = "members",
) -> None:
    """Show a version of a period: what it changed, who paid and got what for it, and what is still due."""
    with reading(ledger, by) as desk:
        chosen = read_period("--period", period, desk.rules().period_s)
        _tell(desk, chosen, version)


@app.command()
def due(ledger: Place, by: By = "members") -> None:
    """Pay of what corrections left due as much as wallets cover now."""
    with working(ledger, by) as desk:
        period_s = desk.rules().period_s
        # Paying changes the list: it is read whole before.
        pages = list(desk.ledger_chain.evaluate_pages("list_dues", by=desk.by))
        for one in [owed for page in pages for owed in page["dues"]]:
            left = desk.ledger("pay_due", period=one["period"], version=one["version"])
            owed_ut = sum(-amount_ut for _, amount_ut in left if amount_ut < 0)
            chosen = Period(one["period"], period_s)
            typer.echo(f"version {one['version']} of {chosen}: {formats.tokens(owed_ut)} tokens stay due")


def _version(desk: Desk, period: Period, version: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = desk.ask_ledger("correction", period=period.start_utc, version=version)
    return found


def _tell(desk: Desk, period: Period, version: int = 0) -> None:
    found = _version(desk, period, version)
    state = "sealed" if found["seal"] else "not sealed yet"
    traded = formats.kwh(found["result"]["traded_wh"])
    typer.echo(f"version {found['version']} of {period}, {state}: {traded} kWh traded")
    for party, amount_ut in found["delta"]:
        typer.echo(f"{party} {'gets' if amount_ut > 0 else 'owes'} {formats.tokens(abs(amount_ut))} tokens")
    for party, amount_ut in found["due"]:
        typer.echo(f"still due {'to' if amount_ut > 0 else 'from'} {party}: {formats.tokens(abs(amount_ut))} tokens")


def _content(
    desk: Desk, period: Period, items: Sequence[object], version: int
) -> tuple[dict[str, Any], Mapping[str, bytes]]:
    """Return what a correction says of the version that it corrects, and the values as the endorsers alone see them."""
    latest = _version(desk, period)
    chunk, data = encode_chunk(list(items), salt=token_bytes(SALT_BYTES))
    content = {
        "corrects": codec.content_id(codec.encode(latest["result"])),
        "values": chunk,
        "version": version or latest["version"] + 1,
    }
    return content, {key_of("correction", period.start_utc, chunk): data}


def _entries_of(desk: Desk, period: Period) -> list[Entry]:
    """Return who traded in a period."""
    return desk.entries(desk.ask_ledger("orders", period=period.start_utc)["roster"])


def _read_values(file: Path) -> list[tuple[int, str, int, int]]:
    """Read line, connection, import and export from a CSV."""
    try:
        rows = list(csv.reader(read_text("VALUES", file).splitlines()))
    except csv.Error as error:
        raise BadInput(str(file), None, f"is no CSV: {error}") from error
    if not rows or rows[0] != COLUMNS:
        raise BadInput(str(file), 1, f"the columns {','.join(COLUMNS)} were expected")
    read = []
    for line, row in enumerate(rows[1:], start=2):
        match row:
            case [connection, import_wh, export_wh] if is_number(import_wh) and is_number(export_wh):
                read.append((line, connection, int(import_wh), int(export_wh)))
            case _:
                raise BadInput(str(file), line, "a connection and two numbers of watt-hours were expected")
    if not read:
        raise BadInput(str(file), None, "has no value")
    return read


def _by_slot(
    file: Path, read: Iterable[tuple[int, str, int, int]], entries: Sequence[Entry]
) -> list[tuple[int, int, int]]:
    slots = {entry.connection: entry.slot for entry in entries}
    items: dict[int, tuple[int, int, int]] = {}
    for line, connection, import_wh, export_wh in read:
        slot = slots.get(connection)
        if slot is None:
            raise BadInput(str(file), line, f"no connection {connection[:80]!r} took part in the period")
        if slot in items:
            raise BadInput(str(file), line, f"connection {connection} stands twice")
        items[slot] = (slot, import_wh, export_wh)
    return [items[slot] for slot in sorted(items)]


def _read_records(file: Path) -> list[tuple[int, SignedRecord]]:
    read = []
    for line, text in enumerate(read_text("RECORDS", file).splitlines(), start=1):
        try:
            read.append((line, ocmf.read(text)))
        except ocmf.MalformedRecord as error:
            raise BadInput(str(file), line, f"not a meter record: {error}") from error
    if not read:
        raise BadInput(str(file), None, "has no record")
    return read


def _places(
    desk: Desk, file: Path, read: Iterable[tuple[int, SignedRecord]], period: Period
) -> list[tuple[int, Any, Any]]:
    """Return slot by slot where the records at both ends of a period were taken in; none for one at installation."""
    by_device = {entry.device: entry for entry in _entries_of(desk, period)}
    ends: dict[int, dict[int, SignedRecord]] = {}
    for line, signed in read:
        entry = by_device.get(signed.record.device)
        if entry is None:
            raise BadInput(str(file), line, f"device {signed.record.device} measured nothing in the period")
        if signed.record.time_utc not in (period.start_utc, period.end_utc):
            raise BadInput(str(file), line, "the record is of neither end of the period")
        ends.setdefault(entry.slot, {})[signed.record.time_utc] = signed
    items = []
    for slot, found in sorted(ends.items()):
        end, start = found.get(period.end_utc), found.get(period.start_utc)
        if end is None:
            raise BadInput(str(file), None, f"has no record of slot {slot} at the end of the period")
        before = None if start is None else _place(desk, start, period.previous)
        items.append((slot, before, _place(desk, end, period)))
    return items


def _place(desk: Desk, signed: SignedRecord, first: Period) -> Any:
    return find_reading(desk.ledger_chain, signed.hash, first=first, by=desk.by)["place"]
