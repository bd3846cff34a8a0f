"""`wattpool tokens`: a member's wallet, and the purses of its connections."""

from typing import Annotated

import typer

from wattpool.offers import Owner
from wattpool.operating.arguments import By, Key, Own, Place, read_key, read_tokens, require
from wattpool.operating.desk import Desk, reading, working
from wattpool.report import formats
from wattpool_chaincode import fields

app = typer.Typer(help="Tokens of a member: wallet, and purses that trade in the market.", no_args_is_help=True)

PartyId = Annotated[str, typer.Argument(metavar="PARTY", help="Id of the party, 40 hex digits.")]
Amount = Annotated[str, typer.Argument(metavar="TOKENS", help="How many, such as 1.25.")]


@app.command()
def show(ledger: Place, party: PartyId, by: By = "members") -> None:
    """Show what a party's wallet and the purses of its connections hold."""
    require("PARTY", party, fields.IDENTITY)
    with reading(ledger, by) as desk:
        typer.echo(f"wallet {formats.tokens(desk.wallet(party)['balance_ut'])}")
        for entry in desk.entries():
            if entry.party == party:
                purse = desk.ask_ledger("purse", slot=entry.slot)
                typer.echo(f"purse of {entry.connection} {formats.tokens(purse['balance_ut'])}")


@app.command()
def buy(
    ledger: Place,
    party: PartyId,
    amount: Amount,
    reference: Annotated[str, typer.Option(help="Of the payment; a payment counts once.")],
    by: By = "aggregator",
) -> None:
    """Put tokens that were paid for into a party's wallet; only the aggregator sells them."""
    require("PARTY", party, fields.IDENTITY)
    require("--reference", reference, fields.NAME)
    amount_ut = _amount(amount)
    with working(ledger, by) as desk:
        desk.ledger("buy", party=party, amount_ut=amount_ut, reference=reference)
        typer.echo(f"wallet {formats.tokens(desk.wallet(party)['balance_ut'])}")


@app.command()
def deposit(ledger: Place, amount: Amount, key: Key, connection: Own = None, by: By = "members") -> None:
    """Move tokens from the wallet into a connection's purse, when the next period opens."""
    owner_key, amount_ut = read_key("--key", key), _amount(amount)
    with working(ledger, by) as desk:
        _move(desk, "deposit", desk.signer(owner_key), connection, amount_ut)


@app.command()
def withdraw(ledger: Place, amount: Amount, key: Key, connection: Own = None, by: By = "members") -> None:
    """Move tokens from a connection's purse into the wallet, when the next period opens, as far as they are there."""
    owner_key, amount_ut = read_key("--key", key), _amount(amount)
    with working(ledger, by) as desk:
        _move(desk, "withdraw", desk.signer(owner_key), connection, amount_ut)


@app.command()
def redeem(ledger: Place, amount: Amount, key: Key, by: By = "aggregator") -> None:
    """Give tokens of the wallet back, for which the aggregator pays."""
    owner_key, amount_ut = read_key("--key", key), _amount(amount)
    with working(ledger, by) as desk:
        owner = desk.signer(owner_key)
        desk.order_on_ledger("redeem", owner, "redeem", amount_ut=amount_ut)
        typer.echo(f"wallet {formats.tokens(desk.wallet(owner.party)['balance_ut'])}")


def _move(desk: Desk, function: str, owner: Owner, connection: str | None, amount_ut: int) -> None:
    slot = desk.owned(owner, connection).slot
    desk.order_on_ledger(function, owner, function, slot=slot, amount_ut=amount_ut)
    typer.echo(f"wallet {formats.tokens(desk.wallet(owner.party)['balance_ut'])}; purses move as a period opens")


def _amount(text: str) -> int:
    return require("TOKENS", read_tokens("TOKENS", text), fields.AMOUNT)
