"""Tokens: bought from and redeemed at the aggregator, transferred between parties (paper D; mission row D3).

A party's *wallet* changes at once; the *purse* of each of its connections pays and earns in the market and changes
only in a period's stages. `deposit` and `withdraw` move tokens between the two when the next period opens.

Always: wallets + deposits under way + purses + escrow + the DSO's fees = bought - redeemed, and that is at most
`fields.MAX_UT`, so that no balance can be more, wherever tokens move.
"""

from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from typing import Any

from wattpool_chaincode import authentication, fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.pages import PURSE, Pages
from wattpool_chaincode.ledger.period import Roster, read_entries_of, read_entry, read_roster
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.roster import CONTRACT_CHANNEL, latest_roster
from wattpool_chaincode.organisations import AGGREGATOR, DSO, PRICES_AND_MONEY
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.payload import Payload
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry

SUPPLY_KEY = "supply"
FEES_KEY = "fees"
# A period that opens takes in at most this many deposits and withdrawals; the others wait for the next.
MAX_MOVES = 500
_MOVES, _MOVES_END = "move/", "move0"
_LAST_MOVE_KEY = "move-last"


@dataclass(frozen=True, kw_only=True)
class Wallet:
    """A party's tokens outside the market, and the counter of the last order that its owner signed."""

    balance_ut: int = 0
    counter: int = 0


@dataclass(frozen=True, kw_only=True)
class Supply:
    """All tokens ever bought and redeemed."""

    bought_ut: int = 0
    redeemed_ut: int = 0

    @property
    def issued_ut(self) -> int:
        return self.bought_ut - self.redeemed_ut


@dataclass(frozen=True, kw_only=True)
class Move:
    """What waits to go into (`deposit_ut`, already taken from the party's wallet) or out of a connection's purse."""

    party: str = ""
    deposit_ut: int = 0
    withdraw_ut: int = 0


class Wallets:
    """Wallets that one transaction credits, each read once and written back once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._wallets: dict[str, Wallet] = {}

    def credit(self, party: str, amount_ut: int) -> None:
        owned = self._wallets.get(party) or read_wallet(self._context, party)
        self._wallets[party] = replace(owned, balance_ut=owned.balance_ut + amount_ut)

    def write(self) -> None:
        for party, owned in self._wallets.items():
            write_wallet(self._context, party, owned)


def buy_tokens(context: Context, argument: dict[str, Any]) -> None:
    """Credit a party's wallet with tokens that it paid the aggregator for; once per payment reference.

    Raises:
        Refused: argument_malformed, not_authorised, reference_reused, party_unknown, balance_too_high.
    """
    party, amount_ut, reference = fields.read(
        argument, party=fields.IDENTITY, amount_ut=fields.AMOUNT, reference=fields.NAME
    )
    require_organisation(context, AGGREGATOR)
    key = f"purchase/{reference}"
    if _is_done(context, key, argument):
        return
    _party_key(context, party)
    wallet = read_wallet(context, party)
    supply = read_supply(context)
    if supply.issued_ut + amount_ut > fields.MAX_UT:
        detail = f"{amount_ut} ut on top of {supply.issued_ut} ut; at most {fields.MAX_UT} ut may be out"
        raise Refused(LedgerRefusal.BALANCE_TOO_HIGH, detail)

    context.put(key, codec.encode(argument))
    write_wallet(context, party, replace(wallet, balance_ut=wallet.balance_ut + amount_ut))
    _write_supply(context, replace(supply, bought_ut=supply.bought_ut + amount_ut))


def transfer_tokens(context: Context, argument: dict[str, Any]) -> None:
    """Move tokens from the signer's wallet to another party's.

    Raises:
        Refused: argument_malformed, roster_unknown, a `PayloadRefusal`, payer_is_payee, party_unknown, balance_too_low.
    """
    payload, wallet = take_order(context, argument, "transfer", payee=fields.IDENTITY, amount_ut=fields.AMOUNT)
    payee, amount_ut = payload.content["payee"], payload.content["amount_ut"]
    if payee == payload.signer:
        raise Refused(LedgerRefusal.PAYER_IS_PAYEE)
    _party_key(context, payee)
    payee_wallet = read_wallet(context, payee)
    remaining = debit(wallet, payload, amount_ut)

    write_wallet(context, payload.signer, remaining)
    write_wallet(context, payee, replace(payee_wallet, balance_ut=payee_wallet.balance_ut + amount_ut))


def redeem_tokens(context: Context, argument: dict[str, Any]) -> None:
    """Take tokens off the signer's wallet, for which the aggregator pays out; only the aggregator submits it.

    Raises:
        Refused: argument_malformed, not_authorised, roster_unknown, a `PayloadRefusal`, balance_too_low.
    """
    require_organisation(context, AGGREGATOR)
    payload, wallet = take_order(context, argument, "redeem", amount_ut=fields.AMOUNT)
    amount_ut = payload.content["amount_ut"]
    remaining = debit(wallet, payload, amount_ut)
    supply = read_supply(context)

    write_wallet(context, payload.signer, remaining)
    _write_supply(context, replace(supply, redeemed_ut=supply.redeemed_ut + amount_ut))


def deposit_tokens(context: Context, argument: dict[str, Any]) -> None:
    """Move tokens from the signer's wallet into the purse of one of its connections when a period opens.

    Raises:
        Refused: argument_malformed, roster_unknown, a `PayloadRefusal`, slot_not_owned, balance_too_low.
    """
    payload, wallet = take_order(context, argument, "deposit", slot=fields.COUNT, amount_ut=fields.AMOUNT)
    slot, amount_ut = payload.content["slot"], payload.content["amount_ut"]
    require_slot(context, slot, payload.signer)
    remaining = debit(wallet, payload, amount_ut)
    stored = _read_move(context, slot)
    move = _move_of(stored, payload.signer)

    write_wallet(context, payload.signer, remaining)
    _write_move(context, slot, stored, replace(move, deposit_ut=move.deposit_ut + amount_ut))


def withdraw_tokens(context: Context, argument: dict[str, Any]) -> None:
    """Move tokens out of a connection's purse when a period opens: as much as is asked and there.

    Raises:
        Refused: argument_malformed, roster_unknown, a `PayloadRefusal`, slot_not_owned.
    """
    payload, wallet = take_order(context, argument, "withdraw", slot=fields.COUNT, amount_ut=fields.AMOUNT)
    slot, amount_ut = payload.content["slot"], payload.content["amount_ut"]
    require_slot(context, slot, payload.signer)
    stored = _read_move(context, slot)
    move = _move_of(stored, payload.signer)

    write_wallet(context, payload.signer, replace(wallet, counter=payload.counter))
    _write_move(context, slot, stored, replace(move, withdraw_ut=min(move.withdraw_ut + amount_ut, fields.MAX_UT)))


def redeem_fees(context: Context, argument: dict[str, Any]) -> None:
    """Take network fees off the DSO's account, for which the aggregator pays out; once per reference.

    Raises:
        Refused: argument_malformed, not_authorised, reference_reused, balance_too_low.
    """
    amount_ut, reference = fields.read(argument, amount_ut=fields.AMOUNT, reference=fields.NAME)
    require_organisation(context, DSO)
    key = f"payout/{reference}"
    if _is_done(context, key, argument):
        return
    balance_ut = read_fees(context)
    if balance_ut < amount_ut:
        raise Refused(LedgerRefusal.BALANCE_TOO_LOW, f"{balance_ut} ut; {amount_ut} ut were asked")
    supply = read_supply(context)

    context.put(key, codec.encode(argument))
    write_fees(context, balance_ut - amount_ut)
    _write_supply(context, replace(supply, redeemed_ut=supply.redeemed_ut + amount_ut))


def wallet(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Return a party's wallet.

    Raises:
        Refused: argument_malformed.
    """
    (party,) = fields.read(argument, party=fields.IDENTITY)
    return asdict(read_wallet(context, party))


def purse(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Return what the purse of a slot holds, and what waits to move.

    Raises:
        Refused: argument_malformed.
    """
    (slot,) = fields.read(argument, slot=fields.COUNT)
    move = _read_move(context, slot)
    return {
        "balance_ut": Pages(context, PURSE)[slot],
        "deposit_ut": move.deposit_ut,
        "withdraw_ut": move.withdraw_ut,
    }


def supply(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Return tokens bought and redeemed so far, and the DSO's fees.

    Raises:
        Refused: argument_malformed.
    """
    fields.read(argument)
    return {**asdict(read_supply(context)), "fees_ut": read_fees(context)}


def fold_moves(context: Context, roster: Roster, purses: Pages, wallets: Wallets) -> None:
    """Carry out waiting deposits and withdrawals, slot by slot; part of opening a period, which writes the purses.

    What is beyond the limit comes first when the next period opens, however often the first slots move meanwhile.
    Of a party that has the slot no more, a deposit returns and a withdrawal has nothing left to take.
    """
    stored = context.get(_LAST_MOVE_KEY)
    behind = _MOVES if stored is None else _move_key(int(codec.load(stored)) + 1)
    waiting = chain(context.range(behind, _MOVES_END), context.range(_MOVES, behind))
    moves = {int(key.removeprefix(_MOVES)): Move(**codec.load(value)) for key, value in islice(waiting, MAX_MOVES)}
    entries = read_entries_of(context, roster, moves)
    for slot, move in moves.items():
        context.delete(_move_key(slot))
        if entries[slot].party != move.party:
            if move.deposit_ut:
                wallets.credit(move.party, move.deposit_ut)
            continue
        held_ut = purses[slot] + move.deposit_ut
        withdrawn_ut = min(move.withdraw_ut, held_ut)
        purses[slot] = held_ut - withdrawn_ut
        if withdrawn_ut:
            wallets.credit(move.party, withdrawn_ut)
    if len(moves) == MAX_MOVES:
        context.put(_LAST_MOVE_KEY, codec.encode(list(moves)[-1]))


def read_supply(context: Context) -> Supply:
    stored = context.get(SUPPLY_KEY)
    return Supply() if stored is None else Supply(**codec.load(stored))


def read_fees(context: Context) -> int:
    """Return the DSO's account of local network fees."""
    stored = context.get(FEES_KEY)
    return 0 if stored is None else int(codec.load(stored))


def write_fees(context: Context, balance_ut: int) -> None:
    context.put(FEES_KEY, codec.encode(balance_ut))


def take_order(
    context: Context, argument: dict[str, Any], kind: str, **content: fields.Check
) -> tuple[Payload, Wallet]:
    """Check an owner's signed order as far as it is like every other, and return it with the owner's wallet.

    Raises:
        Refused: argument_malformed, roster_unknown, a `PayloadRefusal`.
    """
    (order,) = fields.read(argument, order=fields.SIGNED)
    community = read_roster(context, latest_roster(context)).community
    payload, signed = authentication.decode(order, kind=kind, community=community, content=content)
    try:
        public_key = _party_key(context, payload.signer)
    except Refused as refusal:
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, payload.signer) from refusal
    authentication.authenticate(signed, public_key)
    owned = read_wallet(context, payload.signer)
    authentication.require_counter(payload.counter, owned.counter)
    return payload, owned


def debit(owned: Wallet, payload: Payload, amount_ut: int) -> Wallet:
    """Return a wallet after an order of its owner that takes `amount_ut` out of it.

    Raises:
        Refused: balance_too_low.
    """
    if owned.balance_ut < amount_ut:
        raise Refused(LedgerRefusal.BALANCE_TOO_LOW, f"{owned.balance_ut} ut; {amount_ut} ut were asked")
    return Wallet(balance_ut=owned.balance_ut - amount_ut, counter=payload.counter)


def read_wallet(context: Context, party: str) -> Wallet:
    stored = context.get(f"wallet/{party}")
    return Wallet() if stored is None else Wallet(**codec.load(stored))


def write_wallet(context: Context, party: str, value: Wallet) -> None:
    context.put(f"wallet/{party}", codec.encode(asdict(value)))


def credit_wallet(context: Context, party: str, amount_ut: int) -> None:
    wallets = Wallets(context)
    wallets.credit(party, amount_ut)
    wallets.write()


def require_slot(context: Context, slot: int, party: str) -> Entry:
    """Return the entry of a connection of `party` in the latest roster.

    Raises:
        Refused: roster_unknown, slot_not_owned.
    """
    roster = read_roster(context, latest_roster(context))
    entry = read_entry(context, roster, slot) if slot < roster.slots else None
    if entry is None or entry.party != party:
        raise Refused(LedgerRefusal.SLOT_NOT_OWNED, f"slot {slot}")
    return entry


def _is_done(context: Context, key: str, argument: dict[str, Any]) -> bool:
    stored = context.get(key)
    if stored is None:
        return False
    if stored != codec.encode(argument):
        raise Refused(LedgerRefusal.REFERENCE_REUSED, key)
    return True


def require_organisation(context: Context, organisation: str) -> None:
    """Refuse a submitter of any other organisation.

    Raises:
        Refused: not_authorised.
    """
    if context.submitter.msp_id != organisation:
        raise Refused(LedgerRefusal.NOT_AUTHORISED, f"{context.submitter.msp_id}; {organisation} was expected")


def _party_key(context: Context, party: str) -> bytes:
    """Return a party's public key from the contract chain, which refuses an unknown party."""
    known = codec.load(context.query(CONTRACT_CHANNEL, "party", codec.encode({"party": party})))
    return bytes.fromhex(known["public_key"])


def _write_supply(context: Context, value: Supply) -> None:
    if context.get(SUPPLY_KEY) is None:
        context.set_policy(SUPPLY_KEY, PRICES_AND_MONEY)
    context.put(SUPPLY_KEY, codec.encode(asdict(value)))


def _read_move(context: Context, slot: int) -> Move:
    stored = context.get(_move_key(slot))
    return Move() if stored is None else Move(**codec.load(stored))


def _move_of(stored: Move, party: str) -> Move:
    """Return what waits for a party; what waits for another that had the connection before is not its."""
    return stored if stored.party == party else Move(party=party)


def _write_move(context: Context, slot: int, before: Move, after: Move) -> None:
    """Write what waits for a slot; a deposit of the party before that never got in returns to its wallet."""
    if before.party != after.party and before.deposit_ut:
        credit_wallet(context, before.party, before.deposit_ut)
    context.put(_move_key(slot), codec.encode(asdict(after)))


def _move_key(slot: int) -> str:
    return f"{_MOVES}{slot:07}"
