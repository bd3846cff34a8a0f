"""The maths of settlement: each trade is paid for what was measured at both ends.

The gate fixed partners, prices and the most of each trade. A party's measured export or import is shared over its
trades pro rata; a trade settles for the smaller of its two shares. A forecast error costs nothing: what is not
delivered returns from escrow, what is delivered beyond is the grid's.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from wattpool_chaincode.ledger.clearing import AgreedMatch
from wattpool_chaincode.records.units import amount_ut, share_pro_rata
from wattpool_chaincode.roster import Entry


class Exchange(Protocol):
    """What counts as a slot's exchange with the grid in a period."""

    @property
    def import_wh(self) -> int: ...

    @property
    def export_wh(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledTrade:
    """A trade as it was delivered and paid; `energy_wh` is 0 if it was declined."""

    agreed: AgreedMatch
    energy_wh: int
    paid_ut: int
    fee_ut: int

    @property
    def refund_ut(self) -> int:
        return self.agreed.escrow_ut - self.paid_ut - self.fee_ut

    def to_row(self) -> list[Any]:
        """Return level, buyer, seller, agreed and settled energy, payment, fee and price."""
        agreed = self.agreed
        return [
            agreed.level.value,
            agreed.bid_slot,
            agreed.offer_slot,
            agreed.energy_wh,
            self.energy_wh,
            self.paid_ut,
            self.fee_ut,
            agreed.price_ut_per_kwh,
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a period did to one slot."""

    slot: int
    bought_wh: int
    sold_wh: int
    paid_ut: int
    fees_ut: int
    earned_ut: int
    refund_ut: int

    @property
    def credit_ut(self) -> int:
        """What returns to its purse from escrow."""
        return self.earned_ut + self.refund_ut

    @property
    def is_idle(self) -> bool:
        return not any(self.to_row()[1:])

    def to_row(self) -> list[int]:
        return [
            self.slot,
            self.bought_wh,
            self.sold_wh,
            self.paid_ut,
            self.fees_ut,
            self.earned_ut,
            self.refund_ut,
        ]


def parties_of(matches: Iterable[AgreedMatch], slots: AbstractSet[int]) -> set[int]:
    """Return the slots that trade with `slots`, and `slots` themselves."""
    found = set(slots)
    for match in matches:
        if match.bid_slot in slots or match.offer_slot in slots:
            found.update((match.bid_slot, match.offer_slot))
    return found


def settle_trades(
    matches: Sequence[AgreedMatch],
    measured: Mapping[int, Exchange],
    entries: Mapping[int, Entry],
    *,
    slots: AbstractSet[int] | None = None,
) -> list[SettledTrade]:
    """Settle every trade for min(a, e, i), e and i being the shares of measured export and import.

    A trade so small that, in whole micro-tokens, it does not beat both parties' tariffs is declined.

    Args:
        matches: all trades of the period.
        measured: at least of the parties to the trades that are settled.
        entries: of the same parties, by slot.
        slots: whose trades are settled, on either side; of all if None.
    """
    own = [
        position
        for position, match in enumerate(matches)
        if slots is None or match.bid_slot in slots or match.offer_slot in slots
    ]
    agreed_wh = [match.energy_wh for match in matches]
    exported_wh = {slot: one.export_wh for slot, one in measured.items()}
    imported_wh = {slot: one.import_wh for slot, one in measured.items()}
    sellers, buyers = [match.offer_slot for match in matches], [match.bid_slot for match in matches]
    given = share_metered(sellers, agreed_wh, exported_wh, only={sellers[position] for position in own})
    taken = share_metered(buyers, agreed_wh, imported_wh, only={buyers[position] for position in own})
    return [
        settle_trade(
            matches[position],
            min(given[position], taken[position]),
            buyer=entries[buyers[position]],
            seller=entries[sellers[position]],
        )
        for position in own
    ]


def sum_accounts(slots: Sequence[int], settled: Iterable[SettledTrade]) -> dict[int, Account]:
    """Return what the settled trades did to each of `slots`, whoever their partners are."""
    totals = {slot: [0] * 6 for slot in slots}
    for trade in settled:
        buyer, seller = totals.get(trade.agreed.bid_slot), totals.get(trade.agreed.offer_slot)
        if buyer is not None:
            buyer[0] += trade.energy_wh
            buyer[2] += trade.paid_ut
            buyer[3] += trade.fee_ut
            buyer[5] += trade.refund_ut
        if seller is not None:
            seller[1] += trade.energy_wh
            seller[4] += trade.paid_ut
    return {
        slot: Account(
            slot=slot,
            bought_wh=bought,
            sold_wh=sold,
            paid_ut=paid,
            fees_ut=fees,
            earned_ut=earned,
            refund_ut=refund,
        )
        for slot, (bought, sold, paid, fees, earned, refund) in totals.items()
    }


def share_metered(
    slots: Sequence[int],
    wanted_wh: Sequence[int],
    metered_wh: Mapping[int, int],
    *,
    only: AbstractSet[int] | None = None,
) -> list[int]:
    """Return what each trade gets of what its slot metered: all it wants if there is enough, else pro rata.

    Args:
        slots: of each trade, on the side that is shared.
        wanted_wh: by each trade.
        metered_wh: by slot; nothing where it is missing.
        only: slots whose trades are looked at, all if None; the others get nothing.
    """
    positions: dict[int, list[int]] = {}
    for position, slot in enumerate(slots):
        if only is None or slot in only:
            positions.setdefault(slot, []).append(position)
    shares = [0] * len(slots)
    for slot, own in positions.items():
        wanted = [wanted_wh[position] for position in own]
        total = min(sum(wanted), metered_wh.get(slot, 0))
        for position, share in zip(own, share_pro_rata(total, wanted), strict=True):
            shares[position] = share
    return shares


def settle_trade(match: AgreedMatch, energy_wh: int, *, buyer: Entry, seller: Entry) -> SettledTrade:
    """Return what a trade pays for `energy_wh`; declined if that does not beat both tariffs."""
    paid_ut = amount_ut(energy_wh, match.price_ut_per_kwh)
    fee_ut = amount_ut(energy_wh, match.fee_ut_per_kwh)
    beats_retail = paid_ut + fee_ut < amount_ut(energy_wh, buyer.retail_ut_per_kwh)
    beats_feed_in = paid_ut > amount_ut(energy_wh, seller.feed_in_ut_per_kwh)
    if not (beats_retail and beats_feed_in):
        energy_wh = paid_ut = fee_ut = 0
    return SettledTrade(agreed=match, energy_wh=energy_wh, paid_ut=paid_ut, fee_ut=fee_ut)
