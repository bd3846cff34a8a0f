"""The maths of firm trades: offers made and picked by hand (paper D, Table II) are promises, not forecasts.

The energy of a firm trade is due evenly over the periods of its delivery window. In each of them it may claim what is
due by its end and not delivered yet, before the pool and before the grid: a party's measured export or import is
shared over its claims pro rata, and a claim is served with the smaller of its two shares.

What a claim lacked and its buyer took from the grid instead was drawn because of the seller; what it lacked and its
seller fed into the grid was spilled because of the buyer. After the window, what is short beyond the tolerance costs
whoever let the other down the shortfall price, and at most what the other lost by it; a trade of which too little was
delivered is declined whole (paper C, "Final Stage").
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.ledger.clearing import AgreedMatch
from wattpool_chaincode.ledger.reservations import Reservation
from wattpool_chaincode.ledger.settlement import settle_trade, share_metered
from wattpool_chaincode.records.units import PPM, amount_ut
from wattpool_chaincode.roster import Entry


class Progress(NamedTuple):
    """What became of a firm trade up to the end of a period.

    Attributes:
        delivered_wh: what was exported and imported for it.
        excused_wh: what nobody owes: due in periods without data, given up or curtailed.
        drawn_wh: what the buyer took from the grid because the seller exported too little.
        spilled_wh: what the seller fed into the grid because the buyer imported too little.
    """

    delivered_wh: int = 0
    excused_wh: int = 0
    drawn_wh: int = 0
    spilled_wh: int = 0


class Claim(NamedTuple):
    """A reservation when its period is settled, and what became of its trade before."""

    reservation: Reservation
    progress: Progress

    @property
    def energy_wh(self) -> int:
        """What it may take: all that is due and was neither delivered nor excused."""
        return self.reservation.due_wh - self.progress.excused_wh - self.progress.delivered_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What a claim got: its shares of the seller's export and of the buyer's import."""

    claim: Claim
    claimed_wh: int
    given_wh: int
    taken_wh: int
    is_excused: bool

    @property
    def delivered_wh(self) -> int:
        return min(self.given_wh, self.taken_wh)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a firm trade came to, behind its window.

    Attributes:
        energy_wh: what is paid for; 0 if the trade is declined.
        paid_ut: for it, by the buyer to the seller.
        fee_ut: by the buyer to the DSO.
        to_buyer_ut: from the seller's deposit, for what the buyer had to take from the grid.
        to_seller_ut: from the buyer's escrow, for what the seller could only feed into the grid.
    """

    energy_wh: int
    paid_ut: int
    fee_ut: int
    to_buyer_ut: int
    to_seller_ut: int


def allocate(
    claims: Sequence[Claim],
    *,
    excused: Collection[str],
    exported_wh: Mapping[int, int],
    imported_wh: Mapping[int, int],
) -> list[Allocation]:
    """Share what was measured over the claims of a period; those of `excused` offers get nothing."""
    claimed_wh = [0 if claim.reservation.offer in excused else claim.energy_wh for claim in claims]
    given = share_metered([claim.reservation.offer_slot for claim in claims], claimed_wh, exported_wh)
    taken = share_metered([claim.reservation.bid_slot for claim in claims], claimed_wh, imported_wh)
    return [
        Allocation(
            claim=claim,
            claimed_wh=wanted_wh,
            given_wh=given_wh,
            taken_wh=taken_wh,
            is_excused=claim.reservation.offer in excused,
        )
        for claim, wanted_wh, given_wh, taken_wh in zip(claims, claimed_wh, given, taken, strict=True)
    ]


def advance(
    allocations: Sequence[Allocation], *, from_grid_wh: Mapping[int, int], fed_in_wh: Mapping[int, int]
) -> list[Progress]:
    """Return the progress behind a period, given what the pool left to the grid at each slot.

    A side is short by what its share lacks of the claim; no watt-hour of the grid's is counted for two claims.
    """
    lacking_wh = [one.claimed_wh - one.given_wh for one in allocations]
    declined_wh = [one.claimed_wh - one.taken_wh for one in allocations]
    drawn = share_metered([one.claim.reservation.bid_slot for one in allocations], lacking_wh, from_grid_wh)
    spilled = share_metered([one.claim.reservation.offer_slot for one in allocations], declined_wh, fed_in_wh)
    return [
        Progress(
            delivered_wh=one.claim.progress.delivered_wh + one.delivered_wh,
            excused_wh=one.claim.progress.excused_wh + (one.claim.reservation.plan_wh if one.is_excused else 0),
            drawn_wh=one.claim.progress.drawn_wh + drawn_wh,
            spilled_wh=one.claim.progress.spilled_wh + spilled_wh,
        )
        for one, drawn_wh, spilled_wh in zip(allocations, drawn, spilled, strict=True)
    ]


def settle_firm(  # noqa: PLR0913 -- a trade and all its terms
    agreed: AgreedMatch, progress: Progress, *, deposit_ut: int, rules: Rules, buyer: Entry, seller: Entry
) -> Outcome:
    """Return what a firm trade comes to, by the rules and tariffs under which it was picked.

    What was delivered of a declined trade is undone: it is the grid's at both ends, and counts as lost by the side
    that was let down by more than it let down the other.
    """
    owed_wh = agreed.energy_wh - progress.excused_wh
    is_enough = progress.delivered_wh * PPM >= owed_wh * rules.firm_decline_below_ppm
    trade = settle_trade(agreed, progress.delivered_wh if is_enough else 0, buyer=buyer, seller=seller)
    short_wh = owed_wh - trade.energy_wh
    undone_wh = progress.delivered_wh - trade.energy_wh
    drawn_wh = progress.drawn_wh + (undone_wh if progress.drawn_wh > progress.spilled_wh else 0)
    spilled_wh = progress.spilled_wh + (undone_wh if progress.spilled_wh > progress.drawn_wh else 0)

    def compensation_ut(lost_wh: int, loss_ut_per_kwh: int) -> int:
        beyond_wh = min(short_wh, lost_wh) - owed_wh * rules.firm_tolerance_ppm // PPM
        return amount_ut(max(0, beyond_wh), min(rules.firm_shortfall_ut_per_kwh, loss_ut_per_kwh))

    price, fee = agreed.price_ut_per_kwh, agreed.fee_ut_per_kwh
    return Outcome(
        energy_wh=trade.energy_wh,
        paid_ut=trade.paid_ut,
        fee_ut=trade.fee_ut,
        to_buyer_ut=min(deposit_ut, compensation_ut(drawn_wh, buyer.retail_ut_per_kwh - price - fee)),
        to_seller_ut=min(trade.refund_ut, compensation_ut(spilled_wh, price - seller.feed_in_ut_per_kwh)),
    )
