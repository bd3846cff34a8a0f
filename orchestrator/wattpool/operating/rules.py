"""`wattpool rules` and `wattpool roster`: what periods are opened under, and who may trade."""

from typing import Annotated, Any

import typer

from wattpool.bad_input import BadInput
from wattpool.operating.arguments import By, Place, is_number, read_time, require
from wattpool.operating.desk import PUBLISHED, reading, voted, working
from wattpool.roster import publish
from wattpool_chaincode.contract.rules import CHECKS
from wattpool_chaincode.records.period import format_utc

app = typer.Typer(help="The community's rules.", no_args_is_help=True)
roster_app = typer.Typer(help="Who may trade, on which terms.", no_args_is_help=True)


@app.command()
def show(
    ledger: Place,
    version: Annotated[int, typer.Option(help="Which version; default: the latest.", min=0)] = 0,
    by: By = "members",
) -> None:
    """Show a version of the rules."""
    with reading(ledger, by) as desk:
        found = desk.ask_contract("rules", version=version)
    typer.echo(f"version {found['version']}, from {format_utc(found['from_utc'])}")
    for name, value in found["rules"].items():
        typer.echo(f"{name} = {value}")


@app.command()
def vote(
    ledger: Place,
    change: Annotated[list[str], typer.Option(help="NAME=VALUE of a rule, as `show` has it; may be repeated.")],
    start: Annotated[str, typer.Option(help="Start in UTC of the first market period that it holds for.")],
    by: By,
) -> None:
    """Vote for the latest rules with some changes; once two organisations agree they are the next version."""
    from_utc = read_time("--start", start)
    changes = dict(_read_change(one) for one in change)
    with working(ledger, by) as desk:
        latest = desk.ask_contract("rules", version=0)["rules"]
        said = desk.contract("vote_rules", from_utc=from_utc, rules={**latest, **changes})
    if said["version"] is None:
        typer.echo(f"not in force yet, {voted(said['votes'])}; two organisations have to agree")
    else:
        typer.echo(f"version {said['version']} from {start}, {voted(said['votes'])}; {PUBLISHED}")


@roster_app.command("publish")
def publish_command(ledger: Place, by: By = "aggregator") -> None:
    """Publish rules, parties and devices as they are now: periods that open from now on trade by them."""
    with working(ledger, by) as desk:
        version = publish(desk.contract_chain, desk.ledger_chain, by=desk.by)
    typer.echo(f"roster {version}")


@roster_app.command("show")
def show_roster(ledger: Place, by: By = "members") -> None:
    """Show who may trade: connection, feeder, party and device of each slot."""
    with reading(ledger, by) as desk:
        for entry in desk.entries():
            state = "" if entry.may_trade else "  may not trade"
            typer.echo(
                f"{entry.slot}  {entry.connection}  feeder {entry.feeder}  party {entry.party}  "
                f"device {entry.device}{state}"
            )


def _read_change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name in CHECKS):
        raise BadInput("--change", None, f"{text!r} is not NAME=VALUE of a rule; the names are {', '.join(CHECKS)}")
    read = int(value) if is_number(value) else value
    return name, require(f"--change {name}", read, CHECKS[name])
