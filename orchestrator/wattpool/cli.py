"""The command line of Wattpool."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from wattpool.bad_input import BadInput
from wattpool.ledgers.places import fabric_path, open_fabric
from wattpool.ledgers.port import Ledger, LedgerError
from wattpool.operating import (
    bills,
    checkpoints,
    corrections,
    devices,
    feeders,
    members,
    offers,
    periods,
    receipts,
    rules,
    suspension,
    tokens,
)
from wattpool.operating.arguments import read_time
from wattpool.report.files import write_bills, write_report
from wattpool.report.formats import kwh, rounded
from wattpool.simulation.clock import SimulatedClock
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.keys import write_keys
from wattpool.simulation.profiles import (
    BUNDLED,
    BUNDLED_DAY_START_UTC,
    Profiles,
    read_profiles,
    select,
    to_periods,
)
from wattpool.simulation.report import edition_of, settled_periods, summarise
from wattpool.simulation.scenario import Scenario
from wattpool.verify import Report
from wattpool.verify import verify as verify_ledger
from wattpool.verify.export import write_export
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.records.period import DEFAULT_LENGTH_S, format_utc

BAD_INPUT_STATUS = 2
VIOLATION_STATUS = 1
INTERRUPTED_STATUS = 130

app = typer.Typer(
    help="A local electricity market on Hyperledger Fabric.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def wattpool() -> None:
    """Run and check local electricity markets."""


@app.command()
def simulate(  # noqa: PLR0913, PLR0917 -- the options of one command
    profiles: Annotated[Path | None, typer.Option(help="CSV of the homes' energy; default: bundled homes.")] = None,
    community: Annotated[Path | None, typer.Option(help="TOML of feeders, tariffs and fees; see docs.")] = None,
    pv: Annotated[str | None, typer.Option(help="Homes that keep their panels, with commas; default: half.")] = None,
    days: Annotated[int, typer.Option(help="How many days.", min=1)] = 1,
    start: Annotated[str | None, typer.Option(help="Start in UTC, such as 2017-05-05T07:00:00Z.")] = None,
    period: Annotated[int, typer.Option(help="Length of a market period in seconds.")] = DEFAULT_LENGTH_S,
    mechanism: Annotated[
        str | None, typer.Option(help="pool, uniform, pay_as_bid or mid_rate; default: the community's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Gives all keys; the same seed gives the same figures.", min=0)] = 1,
    forecast: Annotated[str, typer.Option(help="What meters expect: last (measured) or perfect.")] = "last",
    ledger: Annotated[
        str | None,
        typer.Option(help="Directory of the ledger, or fabric:CONNECTION.yaml[,...][#COMMUNITY]; default: OUT/ledger."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for the figures; default: out/COMMUNITY.")] = None,
    keys: Annotated[Path | None, typer.Option(help="Directory for the simulated keys, to try other commands.")] = None,
) -> None:
    """Let real homes trade for some days under the contract code, and write what it came to."""
    started = time.monotonic()
    chosen = _choose_profiles(profiles, start=start, days=days, pv=pv, period_s=period)
    plan = plan_for(community, chosen.households)
    scenario = Scenario(profiles=chosen, plan=plan, mechanism=mechanism or plan.mechanism, forecast=forecast, seed=seed)
    out = out or Path("out") / scenario.community
    _require_directory("--out", out)
    if keys is not None:
        _require_directory("--keys", keys)
    clock = clock_for(scenario)
    with _open(ledger or str(out / "ledger"), scenario, clock) as opened:
        simulation = Simulation(scenario, opened, clock)
        _run(simulation)
        periods = settled_periods(simulation)
        summary = summarise(simulation, periods)
        summary["ledger"] = {channel: asdict(opened.tip(channel)) for channel in CHAINCODES}
        edition = edition_of(simulation, periods)
    summary["wall_s"] = round(time.monotonic() - started)
    if keys is not None:
        write_keys(scenario.secrets, plan.homes, keys)
    out.mkdir(parents=True, exist_ok=True)
    bills = edition.bills()
    write_report(edition, bills, out / "report.html")
    write_bills(edition, bills, out / "bills")
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    _print_summary(scenario, summary, out)


@app.command()
def verify(
    ledger: Annotated[str, typer.Argument(help="Directory of a ledger, file of an export, or fabric:CONNECTION.yaml.")],
    genesis: Annotated[
        list[str] | None, typer.Option(help="CHANNEL=HASH that a chain must start from; may be repeated.")
    ] = None,
    tip: Annotated[
        list[str] | None, typer.Option(help="CHANNEL=BLOCKS:HASH of a block that a chain must have; may be repeated.")
    ] = None,
) -> None:
    """Check a ledger from its blocks alone: hashes, signatures, policies, every contract call, conservation."""
    pinned, tips = _read_pins(genesis or []), _read_tips(tip or [])
    with _progress(Console(stderr=True)) as progress:
        task = progress.add_task("verifying", total=None)
        report = _verify(ledger, pinned, tips, lambda done, total: progress.update(task, completed=done, total=total))
    for channel, checked in report.channels.items():
        typer.echo(
            f"{channel}: {checked.blocks} blocks, {checked.transactions} transactions, "
            f"genesis {checked.genesis_hash}, tip {checked.tip_hash}"
            + (f", {checked.unrepeatable} not repeatable" if checked.unrepeatable else "")
        )
    if report.violation is not None:
        typer.echo(f"violation: {report.violation}", err=True)
        raise typer.Exit(VIOLATION_STATUS)
    typer.echo("everything holds")


@app.command()
def export(
    ledger: Annotated[Path, typer.Argument(help="Directory of a ledger.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("ledger.jsonl"),
    public: Annotated[bool, typer.Option("--public", help="Leave the private values out.")] = False,  # noqa: FBT002
) -> None:
    """Write certificates, blocks and private values of a ledger as lines of JSON; docs/ledger-format.md says how."""
    try:
        heights = write_export(ledger, out, has_openings=not public)
    except OSError as error:
        raise BadInput("--out", None, f"{out} cannot be written: {error.strerror}") from error
    typer.echo(f"{', '.join(f'{blocks} blocks of {channel}' for channel, blocks in heights.items())} are in {out}")


app.command("roots")(receipts.roots)
app.command("receipt")(receipts.receipt)
app.command("check")(receipts.check)
app.command("report")(bills.report)
app.command("bill")(bills.bill)
app.command("suspend")(suspension.suspend)
app.command("reinstate")(suspension.reinstate)
app.command("void")(suspension.void)
app.add_typer(periods.app, name="period")
app.add_typer(feeders.app, name="feeder")
app.add_typer(offers.app, name="offer")
app.add_typer(tokens.app, name="tokens")
app.add_typer(members.app, name="member")
app.add_typer(devices.app, name="device")
app.add_typer(rules.app, name="rules")
app.add_typer(rules.roster_app, name="roster")
app.add_typer(corrections.app, name="correct")
app.add_typer(checkpoints.app, name="checkpoint")


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def network(context: typer.Context) -> None:
    """Found, run and look after a Hyperledger Fabric network."""
    try:
        from wattpool_network.cli import app as network_app  # noqa: PLC0415 -- an extra, and slow to import
    except ModuleNotFoundError as error:
        raise BadInput("network", None, f"needs the extra wattpool[fabric]: {error}") from error
    network_app(context.args, prog_name="wattpool network")


def main() -> None:
    """Run the command line; what is wrong with an input is one sentence on stderr and status 2."""
    try:
        app()
    except (BadInput, LedgerError) as error:
        # What another program or library said may have lines of its own.
        typer.echo(f"wattpool: {' '.join(str(error).split())}", err=True)
        sys.exit(BAD_INPUT_STATUS)


def _choose_profiles(path: Path | None, *, start: str | None, days: int, pv: str | None, period_s: int) -> Profiles:
    start_utc = None
    if start is not None:
        start_utc = read_time("--start", start)
    elif path is None and days == 1:
        start_utc = BUNDLED_DAY_START_UTC
    names = None if pv is None else [name.strip() for name in pv.split(",") if name.strip()]
    read = read_profiles(path or BUNDLED)
    return to_periods(select(read, start_utc=start_utc, days=days, pv=names), period_s)


@contextmanager
def _open(place: str, scenario: Scenario, clock: SimulatedClock) -> Iterator[Ledger]:
    path = fabric_path(place)
    if path is None:
        with open_ledger(Path(place), scenario, clock) as embedded:
            yield embedded
        return
    with open_fabric(*path) as fabric:
        yield fabric


def _verify(
    place: str,
    genesis: Mapping[str, str],
    tips: Mapping[str, tuple[int, str]],
    progress: Callable[[int, int], None],
) -> Report:
    path = fabric_path(place)
    if path is None:
        return verify_ledger(Path(place), genesis=genesis, tips=tips, progress=progress)
    try:
        from wattpool.ledgers.fabric import channels_of, organisations_of, read_connection  # noqa: PLC0415 -- an extra
        from wattpool.verify import fabric  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError as error:
        raise BadInput("LEDGER", None, f"{place} needs the extra wattpool[fabric]: {error}") from error
    files, community = path
    network = read_connection(*files)
    chaincodes = fabric.chaincodes_of(channels_of(network, community))
    with fabric.Peers(network) as peers:
        return fabric.verify(
            peers,
            chaincodes=chaincodes,
            organisations=organisations_of(network),
            genesis=genesis,
            tips=tips,
            progress=progress,
        )


def _read_pins(pins: Iterable[str]) -> dict[str, str]:
    read: dict[str, str] = {}
    for pin in pins:
        channel, equals, digest = pin.partition("=")
        if not (channel and equals and re.fullmatch("[0-9a-f]{64}", digest)):
            raise BadInput("--genesis", None, f"{pin!r} is not CHANNEL=HASH, the hash in 64 lower-case hex digits")
        read[channel] = digest
    return read


def _read_tips(tips: Iterable[str]) -> dict[str, tuple[int, str]]:
    read: dict[str, tuple[int, str]] = {}
    for tip in tips:
        found = re.fullmatch("([^=]+)=([1-9][0-9]{0,15}):([0-9a-f]{64})", tip)
        if found is None:
            raise BadInput("--tip", None, f"{tip!r} is not CHANNEL=BLOCKS:HASH, the hash in 64 lower-case hex digits")
        channel, blocks, digest = found.groups()
        read[channel] = (int(blocks), digest)
    return read


def _require_directory(option: str, path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise BadInput(option, None, f"{path} is not a directory")


def _run(simulation: Simulation) -> None:
    """Run to the end, showing how far it is; an interrupted run leaves a ledger that the same command goes on with."""
    scenario = simulation.scenario
    total = (scenario.last.end_utc - scenario.first.start_utc) // scenario.first.length_s
    with _progress(Console(stderr=True)) as progress:
        task = progress.add_task("trading", total=total)
        try:
            for period in simulation.run():
                done = (period.end_utc - scenario.first.start_utc) // scenario.first.length_s
                progress.update(task, completed=done, description=str(period))
        except KeyboardInterrupt:
            progress.stop()
            typer.echo("wattpool: interrupted; the same command goes on from here", err=True)
            raise typer.Exit(INTERRUPTED_STATUS) from None


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _print_summary(scenario: Scenario, summary: dict[str, Any], out: Path) -> None:
    table = Table(title=f"{scenario.community}: {scenario.first} to {format_utc(scenario.last.end_utc)}")
    table.add_column("home")
    columns: list[tuple[str, Callable[[dict[str, int]], str]]] = [
        ("used kWh", lambda row: kwh(row["consumed_wh"])),
        ("generated kWh", lambda row: kwh(row["generated_wh"])),
        ("own use kWh", lambda row: kwh(row["own_use_wh"])),
        ("sold kWh", lambda row: kwh(row["sold_wh"])),
        ("bought kWh", lambda row: kwh(row["bought_wh"])),
        ("to grid kWh", lambda row: kwh(row["grid_export_wh"])),
        ("from grid kWh", lambda row: kwh(row["grid_import_wh"])),
        ("tokens", lambda row: rounded(row["balance_ut"])),
        ("saving", lambda row: rounded(row["saving_ut"])),
    ]
    for name, _ in columns:
        table.add_column(name, justify="right")
    rows = summary["households_detail"]
    for name, row in rows.items():
        table.add_row(name, *(cell(row) for _, cell in columns))
    table.add_section()
    whole = {key: sum(row[key] for row in rows.values()) for key in next(iter(rows.values()))}
    table.add_row("all", *(cell(whole) for _, cell in columns))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    for line in _closing_lines(scenario, summary, out):
        typer.echo(line)


def _closing_lines(scenario: Scenario, summary: dict[str, Any], out: Path) -> Iterable[str]:
    profiles = scenario.profiles
    if profiles.is_split:
        yield (
            f"{profiles.source} has values of {profiles.measured_interval_s} s: each was split evenly over its "
            f"market periods of {profiles.interval_s} s"
        )
    yield (
        f"{kwh(summary['traded_wh'])} kWh traded of {kwh(summary['agreed_wh'])} kWh agreed, in {summary['trades']} "
        f"trades over {summary['periods']} periods; {rounded(summary['saving_ut'])} tokens saved, "
        f"{rounded(summary['fees_ut'])} tokens of network fees"
    )
    yield f"{summary['wall_s']} s; figures in {out / 'summary.json'} and {out / 'report.html'}"
    yield f"bills in {out / 'bills'}"
    tips = (f"--tip {channel}={one['blocks']}:{one['tip_hash']}" for channel, one in summary["ledger"].items())
    yield f"whoever keeps this notices if blocks are taken away: wattpool verify {' '.join(tips)}"
