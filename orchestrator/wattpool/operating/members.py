"""`wattpool member`: joining, moving in and out, another supplier, other limits."""

from typing import Annotated

import typer

from wattpool.operating.arguments import (
    By,
    ByEach,
    Connection,
    Key,
    Place,
    read_key,
    read_organisation,
    read_tokens,
    require,
)
from wattpool.operating.desk import reading, working
from wattpool.report import formats
from wattpool_chaincode import fields
from wattpool_chaincode.contract.rules import PRICE
from wattpool_chaincode.organisations import AGGREGATOR, DSO
from wattpool_chaincode.records import signing

app = typer.Typer(help="Members: they join, move, and change supplier or limits.", no_args_is_help=True)

Tariff = Annotated[str, typer.Option(help="Name of the tariff.")]
GenerationCost = Annotated[str, typer.Option(help="The least that is sold for, in tokens per kWh.")]
MaxBuy = Annotated[str, typer.Option(help="The most that is paid, fees included, in tokens per kWh.")]


@app.command()
def show(
    ledger: Place, party: Annotated[str, typer.Argument(help="Id of the party, 40 hex digits.")], by: By = "members"
) -> None:
    """Show a party: tariff, limits, connections."""
    require("PARTY", party, fields.IDENTITY)
    with reading(ledger, by) as desk:
        found = desk.ask_contract("party", party=party)
        connections = [entry.connection for entry in desk.entries() if entry.party == party]
    typer.echo(
        f"tariff {found['tariff']}, sells from {formats.price(found['generation_cost_ut_per_kwh'])} and buys up to "
        f"{formats.price(found['max_buy_ut_per_kwh'])} tokens per kWh"
    )
    for connection in connections:
        typer.echo(f"connection {connection}")


@app.command()
def join(  # noqa: PLR0913, PLR0917 -- what an account is made of
    ledger: Place,
    key: Key,
    tariff: Tariff,
    max_buy: MaxBuy,
    generation_cost: GenerationCost = "0",
    by: By = "aggregator",
) -> None:
    """Open an account for the owner of a key."""
    owner_key = read_key("--key", key)
    content = {
        "public_key": signing.public_bytes(owner_key).hex(),
        "tariff": require("--tariff", tariff, fields.NAME),
        **_limits(generation_cost, max_buy),
    }
    with working(ledger, by) as desk:
        said = desk.contract("register_party", join=desk.signer(owner_key).order("join", content, counter=1).to_json())
    typer.echo(f"party {said['party']}")


@app.command("move-in")
def move_in(
    ledger: Place,
    connection: Connection,
    key: Key,
    by: ByEach = ["aggregator", "dso"],  # noqa: B006 -- Typer reads it
) -> None:
    """Let the key's owner take a connection over, whose party moves out; the aggregator and the DSO agree."""
    acting = [read_organisation("--by", name) for name in by]
    owner_key = read_key("--key", key)
    with working(ledger, by[0]) as desk:
        owner, entry = desk.signer(owner_key), desk.connected(connection)
        if AGGREGATOR in acting:
            desk.of(AGGREGATOR).order_on_contract("move_in", owner, "move_in", connection=entry.connection)
            typer.echo(f"{entry.connection} ordered by {owner.party}")
        if DSO in acting:
            desk.of(DSO).contract("approve_move_in", connection=entry.connection, party=owner.party)
            typer.echo(f"{entry.connection} is {owner.party}'s with the next roster")


@app.command()
def supplier(ledger: Place, key: Key, tariff: Tariff, by: By = "members") -> None:
    """Change the key's owner over to another tariff, with the next roster."""
    owner_key = read_key("--key", key)
    require("--tariff", tariff, fields.NAME)
    with working(ledger, by) as desk:
        owner = desk.signer(owner_key)
        desk.order_on_contract("change_tariff", owner, "tariff", tariff=tariff)
    typer.echo(f"{owner.party} has the tariff {tariff} with the next roster")


@app.command()
def limits(ledger: Place, key: Key, max_buy: MaxBuy, generation_cost: GenerationCost = "0", by: By = "members") -> None:
    """Set the limits within which the meters of the key's owner trade, with the next roster."""
    owner_key = read_key("--key", key)
    content = _limits(generation_cost, max_buy)
    with working(ledger, by) as desk:
        owner = desk.signer(owner_key)
        desk.order_on_contract("change_limits", owner, "limits", **content)
    typer.echo(f"{owner.party} sells from {generation_cost} and buys up to {max_buy} with the next roster")


def _limits(generation_cost: str, max_buy: str) -> dict[str, int]:
    return {
        "generation_cost_ut_per_kwh": require(
            "--generation-cost", read_tokens("--generation-cost", generation_cost), PRICE
        ),
        "max_buy_ut_per_kwh": require("--max-buy", read_tokens("--max-buy", max_buy), PRICE),
    }
