"""Offers made and picked by hand (paper D, Table II and section IV.C; mission row D2): firm trades between two owners.

| paper D | here |
| --- | --- |
| addOffer | `add_offer`, signed by the seller: the deposit is locked |
| pickOffer | `pick_offer`, signed by the buyer: price and fee are locked, nobody else can pick |
| confirmP2L_Tx | `confirm_p2l`: the locked tokens are there, the periods are reserved, the seller is told to begin |
| PoD | part of `finalise` of the window's last period, from the meters at both ends; `proof_of_delivery` shows it |
| confirmL2P_Tx | `confirm_l2p`: what was locked goes to seller and buyer, as the proof says |

They are the three stages of paper C too: an offer is prepared until it is picked; executed when both sides' tokens
(condition 2) and their energy (condition 1) are reserved; final when energy (3) and tokens (4) went where they
should, or declined, and then fully undone. An offer's tokens come from the owners' wallets and lie in the offer's own
key, so that no offer meets another one's keys, nor the pool's. Owners sign what only they can decide; what
the contract can check alone, any operator may carry.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.rules import PRICE, Rules
from wattpool_chaincode.ledger.clearing import AgreedMatch, fee_ut_per_kwh
from wattpool_chaincode.ledger.delivery import FirmRow, read_progress
from wattpool_chaincode.ledger.firm import Outcome, Progress, settle_firm
from wattpool_chaincode.ledger.opening import read_last_period
from wattpool_chaincode.ledger.period import Phase, key, phase_of, read_entry, read_roster
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reservations import Reservation, read_reservations, write_reservations
from wattpool_chaincode.ledger.roster import latest_roster
from wattpool_chaincode.ledger.suspension import read_suspended
from wattpool_chaincode.ledger.tokens import credit_wallet, debit, require_slot, take_order, write_wallet
from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import DAY_S, Period
from wattpool_chaincode.records.units import PPM, amount_ut, divide_half_even
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry

OFFER_EVENT = "offer"
BEGIN_EVENT = "begin"
# A delivery window is at most a day of quarter-hours, and begins within a week of the offer.
MAX_WINDOW_PERIODS = 96
MAX_AHEAD_S = 7 * DAY_S
LIST_SIZE = 100
_OFFER, _OFFER_END = "offer/", "offer0"
_OPEN, _OPEN_END = "offer-open/", "offer-open0"
_PICKED, _PICKED_END = "offer-picked/", "offer-picked0"
_PROVED, _PROVED_END = "offer-proved/", "offer-proved0"

ENERGY = fields.Check("a positive number of watt-hours", lambda value: fields.COUNT.accepts(value) and value > 0)
OFFER = {
    "slot": fields.COUNT,
    "energy_wh": ENERGY,
    "price_ut_per_kwh": PRICE,
    "from_utc": fields.COUNT,
    "until_utc": fields.COUNT,
    "level": fields.one_of(*Level),
}
BOOKMARK = fields.Check(
    "an empty text or a bookmark that a list ended with",
    lambda value: isinstance(value, str) and (not value or _OPEN <= value < _OPEN_END),
)
HELD_BOOKMARK = fields.Check(
    "an empty text or a bookmark that a page of offers ended with",
    lambda value: isinstance(value, str) and (not value or _OFFER <= value < _OFFER_END),
)
PICK = {"offer": fields.DIGEST, "slot": fields.COUNT}
CANCEL = {"offer": fields.DIGEST}


class OfferPhase(StrEnum):
    """How far an offer has come."""

    OFFERED = "offered"
    PICKED = "picked"
    CONFIRMED = "confirmed"
    PROVED = "proved"
    PAID = "paid"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class Pick:
    """Who picked an offer, and on which terms.

    Attributes:
        buyer: the party.
        slot: its connection, which imports.
        level: within a feeder or between two.
        escrow_ut: price and fee of all the energy.
        roster: the version by whose rules and tariffs the trade is settled.
    """

    buyer: str
    slot: int
    level: Level
    escrow_ut: int
    roster: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Energy offered by hand.

    Attributes:
        seller: the party.
        slot: its connection, which exports.
        energy_wh: all that is to be delivered.
        price_ut_per_kwh: fees not included.
        offered_utc: the period in which it was offered.
        from_utc: start of the first period of the delivery window.
        until_utc: end of its last.
        level: how far away a buyer may be.
        deposit_ut: what the seller put aside.
        phase: how far it has come.
        held_ut: tokens that lie here now.
        pick: by whom it was picked.
        progress: what the meters proved.
        outcome: what that comes to.
    """

    seller: str
    slot: int
    energy_wh: int
    price_ut_per_kwh: int
    offered_utc: int
    from_utc: int
    until_utc: int
    level: Level
    deposit_ut: int
    phase: OfferPhase
    held_ut: int
    pick: Pick | None = None
    progress: Progress | None = None
    outcome: Outcome | None = None

    def to_json(self) -> dict[str, Any]:
        progress = None if self.progress is None else self.progress._asdict()
        return {**asdict(self), "level": self.level.value, "phase": self.phase.value, "progress": progress}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Offer":
        pick, progress, outcome = value["pick"], value["progress"], value["outcome"]
        return cls(
            **{
                **value,
                "level": Level(value["level"]),
                "phase": OfferPhase(value["phase"]),
                "pick": None if pick is None else Pick(**{**pick, "level": Level(pick["level"])}),
                "progress": None if progress is None else Progress(**progress),
                "outcome": None if outcome is None else Outcome(**outcome),
            }
        )


def add_offer(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Put an offer, signed by its seller, on the list, and lock the seller's deposit; its id is its content's.

    Raises:
        Refused: argument_malformed, roster_unknown, a `PayloadRefusal` (early if it names a time to come),
            slot_not_owned, not_admitted, suspended, not_a_period, period_unknown if the market never opened,
            window_past, window_too_far, window_too_long, over_line_limit, outside_tariffs, balance_too_low.
    """
    payload, wallet = take_order(context, argument, "offer", **OFFER)
    content = payload.content
    rules = read_roster(context, latest_roster(context)).rules_at(content["from_utc"])
    seller = _trading_slot(context, content["slot"], payload.signer)
    offer = Offer(
        seller=payload.signer,
        slot=content["slot"],
        energy_wh=content["energy_wh"],
        price_ut_per_kwh=content["price_ut_per_kwh"],
        offered_utc=payload.period_start_utc,
        from_utc=content["from_utc"],
        until_utc=content["until_utc"],
        level=Level(content["level"]),
        deposit_ut=_deposit_ut(rules, content["energy_wh"], content["price_ut_per_kwh"]),
        phase=OfferPhase.OFFERED,
        held_ut=0,
    )
    _require_window(context, rules, offer)
    _require_line(offer, seller, rules)
    if offer.price_ut_per_kwh <= seller.feed_in_ut_per_kwh:
        detail = f"{offer.price_ut_per_kwh} ut/kWh; above {seller.feed_in_ut_per_kwh} was expected"
        raise Refused(LedgerRefusal.OUTSIDE_TARIFFS, detail)
    remaining = debit(wallet, payload, offer.deposit_ut)
    offer_id = codec.content_id(payload.encode())

    write_wallet(context, payload.signer, remaining)
    context.put(_open_key(offer, offer_id), codec.encode(offer.slot))
    return _write(context, offer_id, replace(offer, held_ut=offer.deposit_ut))


def pick_offer(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Take an offer off the list for the buyer who signs, and lock its price and fee.

    Raises:
        Refused: argument_malformed, roster_unknown, a `PayloadRefusal`, offer_unknown, offer_taken, offer_cancelled,
            offer_expired, own_offer, slot_not_owned, not_admitted, suspended, out_of_reach, over_line_limit,
            outside_tariffs, balance_too_low.
    """
    payload, wallet = take_order(context, argument, "pick", **PICK)
    offer_id, slot = payload.content["offer"], payload.content["slot"]
    offer = _read(context, offer_id)
    _require_open(context, offer)
    if payload.signer == offer.seller:
        raise Refused(LedgerRefusal.OWN_OFFER)
    buyer = _trading_slot(context, slot, payload.signer)
    roster = read_roster(context, latest_roster(context))
    seller = read_entry(context, roster, offer.slot)
    level = Level.FEEDER if buyer.feeder == seller.feeder else Level.COMMUNITY
    if level is not offer.level and offer.level is Level.FEEDER:
        raise Refused(LedgerRefusal.OUT_OF_REACH, f"feeder {buyer.feeder}; {seller.feeder} was expected")
    rules = roster.rules_at(offer.from_utc)
    _require_line(offer, buyer, rules)
    agreed = _agreed(offer, slot=slot, level=level, rules=rules)
    all_in = agreed.price_ut_per_kwh + agreed.fee_ut_per_kwh
    if not (all_in < buyer.retail_ut_per_kwh and offer.price_ut_per_kwh > seller.feed_in_ut_per_kwh):
        detail = f"{all_in} ut/kWh all in; less than {buyer.retail_ut_per_kwh} was expected, and gain for the seller"
        raise Refused(LedgerRefusal.OUTSIDE_TARIFFS, detail)
    remaining = debit(wallet, payload, agreed.escrow_ut)
    pick = Pick(buyer=payload.signer, slot=slot, level=level, escrow_ut=agreed.escrow_ut, roster=roster.version)

    write_wallet(context, payload.signer, remaining)
    context.delete(_open_key(offer, offer_id))
    context.put(_picked_key(offer, offer_id), codec.encode(slot))
    held_ut = offer.held_ut + pick.escrow_ut
    return _write(context, offer_id, replace(offer, phase=OfferPhase.PICKED, held_ut=held_ut, pick=pick))


def confirm_p2l(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Reserve the delivery window for an offer whose tokens are locked, and tell the seller when to begin.

    Raises:
        Refused: argument_malformed, offer_unknown, offer_cancelled, offer_not_picked, offer_expired.
    """
    (offer_id,) = fields.read(argument, offer=fields.DIGEST)
    offer = _read(context, offer_id)
    if offer.phase in (OfferPhase.CONFIRMED, OfferPhase.PROVED, OfferPhase.PAID, OfferPhase.DECLINED):
        return _status(offer_id, offer)
    pick = _require_picked(offer)
    if _is_gate_closed(context, offer.from_utc):
        raise Refused(LedgerRefusal.OFFER_EXPIRED, f"the gate of the period at {offer.from_utc} is closed")
    if offer.held_ut != offer.deposit_ut + pick.escrow_ut:
        raise RuntimeError(f"offer {offer_id} holds {offer.held_ut} ut, not its deposit and escrow")
    rules = read_roster(context, pick.roster).rules_at(offer.from_utc)

    window = _window(offer, rules)
    reservation = Reservation(
        offer=offer_id,
        bid_slot=pick.slot,
        offer_slot=offer.slot,
        plan_wh=offer.energy_wh,
        due_wh=offer.energy_wh,
        ends=True,
        buyer=pick.buyer,
        seller=offer.seller,
    )
    write_reservations(context, reservation, window)
    context.delete(_picked_key(offer, offer_id))
    status = _write(context, offer_id, replace(offer, phase=OfferPhase.CONFIRMED))
    begin = {
        "energy_wh": offer.energy_wh,
        "from_utc": offer.from_utc,
        "offer": offer_id,
        "slot": offer.slot,
        "until_utc": offer.until_utc,
    }
    context.emit(BEGIN_EVENT, codec.encode(begin))
    return status


def confirm_l2p(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Pay out what an offer holds, as the proof of delivery says.

    Raises:
        Refused: argument_malformed, offer_unknown, offer_cancelled, offer_expired, offer_not_picked, too_early.
    """
    (offer_id,) = fields.read(argument, offer=fields.DIGEST)
    offer = _read(context, offer_id)
    if offer.phase in (OfferPhase.PAID, OfferPhase.DECLINED):
        return _status(offer_id, offer)
    pick = _require_picked(offer)
    if offer.outcome is None:
        raise Refused(LedgerRefusal.TOO_EARLY, f"the offer is {offer.phase.value}; proved was expected")
    seller_ut = offer.outcome.paid_ut + offer.outcome.to_seller_ut + offer.deposit_ut - offer.outcome.to_buyer_ut

    credit_wallet(context, offer.seller, seller_ut)
    credit_wallet(context, pick.buyer, offer.held_ut - seller_ut)
    context.delete(_proved_key(offer_id))
    phase = OfferPhase.PAID if offer.outcome.energy_wh else OfferPhase.DECLINED
    return _write(context, offer_id, replace(offer, phase=phase, held_ut=0))


def cancel_offer(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Take an offer that nobody picked off the list, signed by its seller, and return the deposit.

    Raises:
        Refused: argument_malformed, roster_unknown, a `PayloadRefusal`, offer_unknown, not_authorised if another party
            signs, offer_taken, offer_cancelled, offer_expired.
    """
    payload, wallet = take_order(context, argument, "cancel", **CANCEL)
    offer_id = payload.content["offer"]
    offer = _read(context, offer_id)
    if payload.signer != offer.seller:
        raise Refused(LedgerRefusal.NOT_AUTHORISED, f"{payload.signer}; the seller was expected")
    _require_open(context, offer)

    balance_ut = wallet.balance_ut + offer.held_ut
    write_wallet(context, offer.seller, replace(wallet, balance_ut=balance_ut, counter=payload.counter))
    context.delete(_open_key(offer, offer_id))
    return _write(context, offer_id, replace(offer, phase=OfferPhase.CANCELLED, held_ut=0))


def expire_offer(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Return all tokens of an offer that was not picked and confirmed before the gate of its window closed.

    Raises:
        Refused: argument_malformed, offer_unknown, offer_taken if it is confirmed, offer_cancelled, too_early.
    """
    (offer_id,) = fields.read(argument, offer=fields.DIGEST)
    offer = _read(context, offer_id)
    if offer.phase is OfferPhase.EXPIRED:
        return _status(offer_id, offer)
    if offer.phase not in (OfferPhase.OFFERED, OfferPhase.PICKED):
        _require_open(context, offer)
    if not _is_gate_closed(context, offer.from_utc):
        raise Refused(LedgerRefusal.TOO_EARLY, f"the gate of the period at {offer.from_utc} is not closed")

    credit_wallet(context, offer.seller, offer.deposit_ut)
    if offer.pick is None:
        context.delete(_open_key(offer, offer_id))
    else:
        credit_wallet(context, offer.pick.buyer, offer.pick.escrow_ut)
        context.delete(_picked_key(offer, offer_id))
    return _write(context, offer_id, replace(offer, phase=OfferPhase.EXPIRED, held_ut=0))


def prove_deliveries(context: Context, rows: Iterable[FirmRow]) -> tuple[dict[str, Offer], int]:
    """Return the offers whose windows end with the period of `rows`, proved, and the fees that leave them.

    Part of making a period final: nobody else can change these offers then.
    """
    proved: dict[str, Offer] = {}
    fees_ut = 0
    for row in rows:
        if not row.ends:
            continue
        offer = _read(context, row.offer)
        pick = _require_picked(offer)
        roster = read_roster(context, pick.roster)
        rules = roster.rules_at(offer.from_utc)
        outcome = settle_firm(
            _agreed(offer, slot=pick.slot, level=pick.level, rules=rules),
            row.progress,
            deposit_ut=offer.deposit_ut,
            rules=rules,
            buyer=read_entry(context, roster, pick.slot),
            seller=read_entry(context, roster, offer.slot),
        )
        fees_ut += outcome.fee_ut
        proved[row.offer] = replace(
            offer,
            phase=OfferPhase.PROVED,
            held_ut=offer.held_ut - outcome.fee_ut,
            progress=row.progress,
            outcome=outcome,
        )
    return proved, fees_ut


def write_proved(context: Context, offer_id: str, value: Offer) -> None:
    """Write an offer that was proved, and that it is to be paid out."""
    context.put(_proved_key(offer_id), codec.encode(value.slot))
    _put(context, offer_id, value)


def offer(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return an offer.

    Raises:
        Refused: argument_malformed, offer_unknown.
    """
    (offer_id,) = fields.read(argument, offer=fields.DIGEST)
    return _read(context, offer_id).to_json()


def list_offers(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return one page of the list of offers to pick, by the start of their windows; `bookmark` "" begins.

    Raises:
        Refused: argument_malformed.
    """
    (bookmark,) = fields.read(argument, bookmark=BOOKMARK)
    # What nobody can pick any more stays behind until it expires.
    start = f"{_OPEN}{_next_utc(context):011}"
    page = context.range_page(start, _OPEN_END, page_size=LIST_SIZE, bookmark=bookmark)
    ids = [name.rpartition("/")[2] for name, _ in page.items]
    listed = [{"offer": offer_id, **_read(context, offer_id).to_json()} for offer_id in ids]
    return {"bookmark": page.bookmark, "offers": listed}


def offers_due(context: Context, argument: dict[str, Any]) -> dict[str, list[str]]:
    """Return which offers anyone may take a step further, by the function that does; of many, the first.

    Raises:
        Refused: argument_malformed.
    """
    fields.read(argument)
    next_utc = _next_utc(context)
    late = [_ids(context, kind, f"{kind}{next_utc:011}") for kind in (_OPEN, _PICKED)]
    return {
        "confirm_l2p": _ids(context, _PROVED, _PROVED_END),
        "confirm_p2l": _ids(context, f"{_PICKED}{next_utc:011}", _PICKED_END),
        "expire_offer": [offer_id for ids in late for offer_id in ids],
    }


def offers_held(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return how many tokens lie in one page of all offers ever made; `bookmark` "" begins.

    Raises:
        Refused: argument_malformed.
    """
    (bookmark,) = fields.read(argument, bookmark=HELD_BOOKMARK)
    page = context.range_page(_OFFER, _OFFER_END, page_size=LIST_SIZE, bookmark=bookmark)
    return {"bookmark": page.bookmark, "held_ut": sum(codec.load(value)["held_ut"] for _, value in page.items)}


def to_begin(context: Context, argument: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a connection's meter has to deliver in a period for firm trades, or to take.

    Returns:
        Of each trade `offer`, `side` ("export" or "import"), and `energy_wh` due in this period.

    Raises:
        Refused: argument_malformed.
    """
    start_utc, slot = fields.read(argument, period=fields.COUNT, slot=fields.COUNT)
    found = read_reservations(context, start_utc)
    sides = [("export", one, one.offer_slot, one.seller) for one in found]
    sides += [("import", one, one.bid_slot, one.buyer) for one in found]
    own = [(side, one, party) for side, one, trading, party in sides if trading == slot]
    if not own:
        return []
    # What a party before promised is nothing to the one that has the connection now.
    owner = read_entry(context, read_roster(context, latest_roster(context)), slot).party
    return [{"energy_wh": one.plan_wh, "offer": one.offer, "side": side} for side, one, party in own if party == owner]


def proof_of_delivery(context: Context, argument: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the meters at both ends proved of a picked offer, by the period records of its window so far.

    Raises:
        Refused: argument_malformed, offer_unknown, offer_cancelled, offer_expired, offer_not_picked.
    """
    (offer_id,) = fields.read(argument, offer=fields.DIGEST)
    found = _read(context, offer_id)
    rules = read_roster(context, _require_picked(found).roster).rules_at(found.from_utc)
    proof = []
    for period in _window(found, rules):
        progress = read_progress(context, period.start_utc).get(offer_id)
        if progress is not None:
            seal = context.get(key("seal", period.start_utc))
            proof.append(
                {
                    "period": period.start_utc,
                    "seal": None if seal is None else codec.load(seal)["seal"],
                    **progress._asdict(),
                }
            )
    return proof


def _trading_slot(context: Context, slot: int, party: str) -> Entry:
    entry = require_slot(context, slot, party)
    if not entry.may_trade:
        raise Refused(LedgerRefusal.NOT_ADMITTED, f"slot {slot}")
    if slot in read_suspended(context):
        raise Refused(LedgerRefusal.SUSPENDED, f"slot {slot}")
    return entry


def _require_window(context: Context, rules: Rules, new: Offer) -> None:
    for start_utc in (new.offered_utc, new.from_utc, new.until_utc):
        if start_utc % rules.period_s:
            raise Refused(LedgerRefusal.NOT_A_PERIOD, f"{start_utc} is no start of a period of {rules.period_s} s")
    if new.from_utc >= new.until_utc:
        raise Refused(LedgerRefusal.NOT_A_PERIOD, "the window ends before it begins")
    # The chain's own time is the last period opened; before the first, nothing says what is past.
    last = read_last_period(context)
    if last is None:
        raise Refused(LedgerRefusal.PERIOD_UNKNOWN, "no period was opened yet")
    if new.offered_utc > last:
        raise Refused(PayloadRefusal.EARLY, f"offered in {new.offered_utc}, which is to come")
    if _is_gate_closed(context, new.from_utc):
        raise Refused(LedgerRefusal.WINDOW_PAST, f"the gate of the period at {new.from_utc} is closed")
    if new.from_utc - new.offered_utc > MAX_AHEAD_S:
        raise Refused(LedgerRefusal.WINDOW_TOO_FAR, f"{new.from_utc - new.offered_utc} s ahead of the offer")
    periods = (new.until_utc - new.from_utc) // rules.period_s
    if periods > MAX_WINDOW_PERIODS:
        raise Refused(LedgerRefusal.WINDOW_TOO_LONG, f"{periods} periods, at most {MAX_WINDOW_PERIODS} are allowed")


def _require_line(offer: Offer, entry: Entry, rules: Rules) -> None:
    """Refuse more energy than the line carries in the window (eq. (1) of paper A, in each of its periods)."""
    window = _window(offer, rules)
    most_wh = len(window) * window[0].energy_wh_at(entry.line_limit_w)
    if offer.energy_wh > most_wh:
        raise Refused(LedgerRefusal.OVER_LINE_LIMIT, f"{offer.energy_wh} Wh; the line carries {most_wh} Wh")


def _require_open(context: Context, offer: Offer) -> None:
    """Refuse an offer that cannot be picked any more."""
    if offer.phase is OfferPhase.CANCELLED:
        raise Refused(LedgerRefusal.OFFER_CANCELLED)
    if offer.phase is not OfferPhase.EXPIRED and offer.phase is not OfferPhase.OFFERED:
        raise Refused(LedgerRefusal.OFFER_TAKEN, f"the offer is {offer.phase.value}")
    if offer.phase is OfferPhase.EXPIRED or _is_gate_closed(context, offer.from_utc):
        raise Refused(LedgerRefusal.OFFER_EXPIRED, f"the gate of the period at {offer.from_utc} is closed")


def _require_picked(offer: Offer) -> Pick:
    """Return who picked an offer that is still to be delivered or paid, or refuse."""
    if offer.phase is OfferPhase.CANCELLED:
        raise Refused(LedgerRefusal.OFFER_CANCELLED)
    if offer.phase is OfferPhase.EXPIRED:
        raise Refused(LedgerRefusal.OFFER_EXPIRED)
    if offer.pick is None:
        raise Refused(LedgerRefusal.OFFER_NOT_PICKED)
    return offer.pick


def _is_gate_closed(context: Context, start_utc: int) -> bool:
    """Tell whether it is too late to reserve energy of a period."""
    phase = phase_of(context, start_utc)
    if phase is not None:
        return phase is not Phase.OPEN
    last = read_last_period(context)
    return last is not None and last > start_utc


def _next_utc(context: Context) -> int:
    """Return from when on energy can still be reserved: the start of a window, or a moment before it."""
    last = read_last_period(context)
    return 0 if last is None else last + _is_gate_closed(context, last)


def _window(offer: Offer, rules: Rules) -> list[Period]:
    return [Period(start_utc, rules.period_s) for start_utc in range(offer.from_utc, offer.until_utc, rules.period_s)]


def _deposit_ut(rules: Rules, energy_wh: int, price_ut_per_kwh: int) -> int:
    return divide_half_even(amount_ut(energy_wh, price_ut_per_kwh) * rules.firm_deposit_ppm, PPM)


def _agreed(offer: Offer, *, slot: int, level: Level, rules: Rules) -> AgreedMatch:
    return AgreedMatch(
        bid_slot=slot,
        offer_slot=offer.slot,
        level=level,
        energy_wh=offer.energy_wh,
        price_ut_per_kwh=offer.price_ut_per_kwh,
        fee_ut_per_kwh=fee_ut_per_kwh(rules, level),
    )


def _read(context: Context, offer_id: str) -> Offer:
    stored = context.get(_key(offer_id))
    if stored is None:
        raise Refused(LedgerRefusal.OFFER_UNKNOWN, offer_id)
    return Offer.from_json(codec.load(stored))


def _write(context: Context, offer_id: str, value: Offer) -> dict[str, str]:
    """Write an offer, tell whoever listens, and return its status."""
    _put(context, offer_id, value)
    status = _status(offer_id, value)
    context.emit(OFFER_EVENT, codec.encode(status))
    return status


def _status(offer_id: str, value: Offer) -> dict[str, str]:
    return {"offer": offer_id, "phase": value.phase.value}


def _put(context: Context, offer_id: str, value: Offer) -> None:
    context.put(_key(offer_id), codec.encode(value.to_json()))


def _key(offer_id: str) -> str:
    return f"{_OFFER}{offer_id}"


def _open_key(offer: Offer, offer_id: str) -> str:
    return f"{_OPEN}{offer.from_utc:011}/{offer_id}"


def _picked_key(offer: Offer, offer_id: str) -> str:
    return f"{_PICKED}{offer.from_utc:011}/{offer_id}"


def _proved_key(offer_id: str) -> str:
    return f"{_PROVED}{offer_id}"


def _ids(context: Context, start: str, end: str) -> list[str]:
    """Return the first ids in a range of keys that end with them."""
    page = context.range_page(start, end, page_size=LIST_SIZE)
    return [name.rpartition("/")[2] for name, _ in page.items]
