"""`wattpool offer`: trades by hand, from the offer to the payment (paper D, Table II)."""

from typing import Annotated, Any

import typer

from wattpool.bad_input import BadInput
from wattpool.offers import Terms, offer_id
from wattpool.operating.arguments import By, Key, Own, Place, read_key, read_kwh, read_period, read_tokens, require
from wattpool.operating.desk import reading, working
from wattpool.report import formats
from wattpool_chaincode import fields
from wattpool_chaincode.ledger.offers import ENERGY
from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.records.period import Period, format_utc

app = typer.Typer(help="Trades by hand between two owners.", no_args_is_help=True)

OfferId = Annotated[str, typer.Argument(metavar="OFFER", help="Id of the offer, 64 hex digits, as `list` has it.")]


@app.command()
def add(  # noqa: PLR0913, PLR0917 -- the terms of an offer
    ledger: Place,
    key: Key,
    energy: Annotated[str, typer.Option(help="To be delivered evenly over the window, in kWh, such as 1.5.")],
    price: Annotated[str, typer.Option(help="In tokens per kWh, network fee not included, such as 0.2.")],
    start: Annotated[str, typer.Option(help="When delivery begins, in UTC, such as 2017-05-05T12:00:00Z.")],
    end: Annotated[str, typer.Option(help="When it ends.")],
    connection: Own = None,
    level: Annotated[str, typer.Option(help="How far away a buyer may be: feeder or community.")] = "community",
    by: By = "members",
) -> None:
    """Offer energy to be delivered at a time to come; the deposit is locked."""
    owner_key = read_key("--key", key)
    energy_wh = require("--energy", read_kwh("--energy", energy), ENERGY)
    price_ut_per_kwh = read_tokens("--price", price)
    require("--level", level, fields.one_of(*Level))
    with working(ledger, by) as desk:
        length_s = desk.rules().period_s
        first, end_period = read_period("--start", start, length_s), read_period("--end", end, length_s)
        if end_period <= first:
            raise BadInput("--end", None, f"{end} is not after {start}")
        owner = desk.signer(owner_key)
        terms = Terms(
            slot=desk.owned(owner, connection).slot,
            energy_wh=energy_wh,
            price_ut_per_kwh=price_ut_per_kwh,
            first=first,
            last=end_period.previous,
            level=Level(level),
        )
        last_utc = desk.ask_ledger("last_period")["period"]
        offered = Period(last_utc or 0, length_s)
        order = owner.offer(terms, offered=offered, counter=desk.wallet(owner.party)["counter"] + 1)
        said = desk.ledger("add_offer", order=order.to_json())
        deposit_ut = desk.ask_ledger("offer", offer=offer_id(order))["deposit_ut"]
    _tell(said)
    typer.echo(f"deposit {formats.tokens(deposit_ut)} tokens")


@app.command("list")
def list_(ledger: Place, by: By = "members") -> None:
    """List the offers that can be picked, by the start of their windows."""
    count = 0
    with reading(ledger, by) as desk:
        connections = {entry.slot: entry.connection for entry in desk.entries()}
        for page in desk.ledger_chain.evaluate_pages("list_offers", by=desk.by):
            for one in page["offers"]:
                typer.echo(f"{one['offer']}  {_terms(one)}, from {connections[one['slot']]}")
            count += len(page["offers"])
    typer.echo(f"{count} offers")


@app.command()
def show(ledger: Place, offer: OfferId, by: By = "members") -> None:
    """Show an offer, how far it has come, and what the meters proved."""
    require("OFFER", offer, fields.DIGEST)
    with reading(ledger, by) as desk:
        found = desk.ask_ledger("offer", offer=offer)
        proof = desk.ask_ledger("proof_of_delivery", offer=offer) if found["progress"] is not None else []
    typer.echo(f"{found['phase']}: {_terms(found)}")
    typer.echo(f"{formats.tokens(found['held_ut'])} tokens are held")
    for part in proof:
        sealed = "sealed" if part["seal"] else "not sealed yet"
        typer.echo(f"{format_utc(part['period'])}: {formats.kwh(part['delivered_wh'])} kWh so far, {sealed}")
    outcome = found["outcome"]
    if outcome is not None:
        typer.echo(
            f"{formats.kwh(outcome['energy_wh'])} kWh for {formats.tokens(outcome['paid_ut'])} tokens and "
            f"{formats.tokens(outcome['fee_ut'])} of fees; compensation {formats.tokens(outcome['to_buyer_ut'])} to "
            f"the buyer, {formats.tokens(outcome['to_seller_ut'])} to the seller"
        )


@app.command()
def pick(ledger: Place, offer: OfferId, key: Key, connection: Own = None, by: By = "members") -> None:
    """Pick an offer for the connection that will take the energy; price and fee are locked."""
    require("OFFER", offer, fields.DIGEST)
    owner_key = read_key("--key", key)
    with working(ledger, by) as desk:
        owner = desk.signer(owner_key)
        slot = desk.owned(owner, connection).slot
        _tell(desk.order_on_ledger("pick_offer", owner, "pick", offer=offer, slot=slot))


@app.command()
def cancel(ledger: Place, offer: OfferId, key: Key, by: By = "members") -> None:
    """Take one's own offer off the list, if nobody has picked it; the deposit returns."""
    require("OFFER", offer, fields.DIGEST)
    owner_key = read_key("--key", key)
    with working(ledger, by) as desk:
        _tell(desk.order_on_ledger("cancel_offer", desk.signer(owner_key), "cancel", offer=offer))


@app.command()
def confirm(ledger: Place, offer: OfferId, by: By = "members") -> None:
    """Reserve the window of a picked offer, and tell the seller to begin (confirmP2L_Tx)."""
    _step("confirm_p2l", ledger, offer, by)


@app.command()
def pay(ledger: Place, offer: OfferId, by: By = "members") -> None:
    """Pay a delivered offer out as its proof of delivery says, or decline it (confirmL2P_Tx)."""
    _step("confirm_l2p", ledger, offer, by)


@app.command()
def expire(ledger: Place, offer: OfferId, by: By = "members") -> None:
    """Return the tokens of an offer that was not picked and confirmed in time."""
    _step("expire_offer", ledger, offer, by)


@app.command()
def due(ledger: Place, by: By = "members") -> None:
    """Take every offer that waits for it a step further: confirm, pay or expire; the market cycle does so, too."""
    with working(ledger, by) as desk:
        waiting = desk.ask_ledger("offers_due")
        for function, offers in waiting.items():
            for offer in offers:
                _tell(desk.ledger(function, offer=offer))
    typer.echo(f"{sum(map(len, waiting.values()))} offers")


def _step(function: str, place: str, offer: str, by: str) -> None:
    require("OFFER", offer, fields.DIGEST)
    with working(place, by) as desk:
        _tell(desk.ledger(function, offer=offer))


def _tell(status: dict[str, str]) -> None:
    typer.echo(f"{status['offer']} {status['phase']}")


def _terms(offer: dict[str, Any]) -> str:
    return (
        f"{formats.kwh(offer['energy_wh'])} kWh at {formats.price(offer['price_ut_per_kwh'])} tokens per kWh, "
        f"{format_utc(offer['from_utc'])} to {format_utc(offer['until_utc'])}, {offer['level']}"
    )
