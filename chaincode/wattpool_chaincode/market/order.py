"""Orders and matches: what every market mechanism takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Outcome(StrEnum):
    """How a pair came to its price, or did not."""

    ACCEPTED = "accepted"  # at the price asked (paper A, Table 2, lines 9-10)
    COUNTERED = "countered"  # at the buyer's counter price (lines 13-14 and 18-19)
    REJECTED = "rejected"  # the counter price is below generation cost (lines 16-17)
    CLEARED = "cleared"  # without a negotiation (all mechanisms but the pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A wish to buy or to sell in one market period.

    Attributes:
        slot: the party's number in the roster; one order per slot and side.
        lot: bytes that rank orders which nothing else tells apart; worth one watt-hour at most.
        energy_wh: how much, positive.
        limit_ut_per_kwh: the most a bid pays, the least an offer takes, fees not included.
    """

    slot: int
    lot: bytes
    energy_wh: int
    limit_ut_per_kwh: int


class Match(NamedTuple):
    """Energy that one bid takes, or might have taken, from one offer.

    A tuple, made by keyword: a clearing makes thousands, and a frozen dataclass takes more than twice as long to make.

    Attributes:
        bid_slot: the buyer.
        offer_slot: the seller.
        energy_wh: agreed energy; 0 if rejected.
        price_ut_per_kwh: agreed price; the counter price if rejected.
        asked_ut_per_kwh: the seller's price, eq. (2) of paper A; his limit in `pay_as_bid`, else the price.
        bid_ut_per_kwh: the buyer's price, eq. (3); else the price.
        outcome: how it came to that.
    """

    bid_slot: int
    offer_slot: int
    energy_wh: int
    price_ut_per_kwh: int
    asked_ut_per_kwh: int
    bid_ut_per_kwh: int
    outcome: Outcome


def cleared(bid: Order, offer: Order, energy_wh: int, *, price_ut_per_kwh: int) -> Match:
    """Return a match at a price that nobody asked or bid."""
    return Match(
        bid_slot=bid.slot,
        offer_slot=offer.slot,
        energy_wh=energy_wh,
        price_ut_per_kwh=price_ut_per_kwh,
        asked_ut_per_kwh=price_ut_per_kwh,
        bid_ut_per_kwh=price_ut_per_kwh,
        outcome=Outcome.CLEARED,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a clearing goes by, besides the orders.

    Attributes:
        alpha_ut_per_kwh: what each interested buyer adds to a seller's price (eq. (2)).
        beta_ut_per_kwh: what each seller in the pool takes off a buyer's price (eq. (3)).
        partners: buyer and seller of each pair that a coalition still holds together, in the order they were formed.
    """

    alpha_ut_per_kwh: int
    beta_ut_per_kwh: int
    partners: tuple[tuple[int, int], ...] = ()


class Mechanism(Protocol):
    """A way to match the bids and offers of one group (a feeder, the community) in one period."""

    def __call__(self, bids: Sequence[Order], offers: Sequence[Order], *, terms: Terms) -> list[Match]:
        """Return the matches, rejected ones included; no order is filled above its energy or past its limit."""
