"""`wattpool checkpoint`: what all blocks of both chains hash to, as two organisations found it."""

from typing import Annotated

import typer

from wattpool.bad_input import BadInput
from wattpool.checkpoints import common_root_of, vote
from wattpool.operating.arguments import By, Place, require
from wattpool.operating.desk import Desk, reading, working
from wattpool_chaincode import fields
from wattpool_chaincode.contract.checkpoint import CHAINS

app = typer.Typer(help="Checkpoints over all blocks.", no_args_is_help=True)

DIFFERS_STATUS = 1


@app.command()
def sign(ledger: Place, by: By) -> None:
    """Compute the next checkpoint from one's own blocks, and say so; once two organisations agree it stands."""
    with working(ledger, by) as desk:
        said = vote(desk.opened, by=desk.by)
        if "root" not in said:
            typer.echo(f"said by {', '.join(said['votes'])}; two organisations have to agree")
            return
        _tell(desk)


@app.command()
def show(ledger: Place, by: By = "members") -> None:
    """Show the latest checkpoint; whoever keeps its number and root notices any later change of what it covers."""
    with reading(ledger, by) as desk:
        _tell(desk)


@app.command()
def check(
    ledger: Place,
    number: Annotated[int, typer.Option(help="Which one; default: the latest.", min=0)] = 0,
    root: Annotated[str | None, typer.Option(help="As it was kept; default: as it stands on the ledger.")] = None,
    by: By = "members",
) -> None:
    """Compute a checkpoint again from all blocks that an organisation has, and compare."""
    if root is not None:
        require("--root", root, fields.DIGEST)
    with reading(ledger, by) as desk:
        found = desk.ask_contract("checkpoint", number=number)
        if not found["number"]:
            raise BadInput("--number", None, "there is no checkpoint yet")
        computed = common_root_of(desk.opened, {chain: found[chain]["blocks"] for chain in CHAINS}, by=desk.by)
    expected = root or found["root"]
    if computed != expected:
        typer.echo(f"checkpoint {found['number']}: the blocks hash to {computed}, not to {expected}", err=True)
        raise typer.Exit(DIFFERS_STATUS)
    typer.echo(f"checkpoint {found['number']} holds: {computed}")


def _tell(desk: Desk) -> None:
    found = desk.ask_contract("checkpoint", number=0)
    if not found["number"]:
        typer.echo("no checkpoint yet")
        return
    blocks = " and ".join(f"{found[chain]['blocks']} blocks of {chain}" for chain in CHAINS)
    typer.echo(f"checkpoint {found['number']} over {blocks}: {found['root']}")
