"""From neighbourhood to community to grid: what one level leaves unmatched goes up (mission row A9).

A level's network fee is paid by the buyer on top of the energy price, so a bid's limit at a level is what its party
pays at most, all in, less that fee. What the community leaves unmatched is the grid's, at retail and feed-in price.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from wattpool_chaincode.market.order import Match, Mechanism, Order, Terms
from wattpool_chaincode.market.rationing import share_by_uniform_rule


class Level(StrEnum):
    """Where energy is traded, from near to far; the grid beyond is not a market."""

    FEEDER = "feeder"
    COMMUNITY = "community"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a party wants to trade in one market period, or what is left of it.

    Attributes:
        slot: the party's number in the roster; one wish per slot.
        feeder: the neighbourhood it is connected to.
        lot: bytes that rank orders which nothing else tells apart.
        balance_wh: D of eq. (1): positive to sell, negative to buy, never zero.
        limit_ut_per_kwh: the most a buyer pays, fees included; the least a seller takes.
    """

    slot: int
    feeder: str
    lot: bytes
    balance_wh: int
    limit_ut_per_kwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelMatches:
    """The matches of one group: of one feeder, or of the community (`feeder` is None)."""

    level: Level
    feeder: str | None
    matches: list[Match]


def clear(
    mechanism: Mechanism, wishes: Sequence[Wish], *, fees_ut_per_kwh: Mapping[Level, int], terms: Terms
) -> list[LevelMatches]:
    """Clear each feeder, by name, then the community on what the feeders leave."""
    by_feeder: dict[str, list[Wish]] = {}
    for wish in wishes:
        by_feeder.setdefault(wish.feeder, []).append(wish)
    cleared = []
    left: list[Wish] = []
    for feeder, group in sorted(by_feeder.items()):
        matches = clear_level(mechanism, group, fee_ut_per_kwh=fees_ut_per_kwh[Level.FEEDER], terms=terms)
        cleared.append(LevelMatches(level=Level.FEEDER, feeder=feeder, matches=matches))
        left += residual(group, matches)
    matches = clear_level(mechanism, left, fee_ut_per_kwh=fees_ut_per_kwh[Level.COMMUNITY], terms=terms)
    return [*cleared, LevelMatches(level=Level.COMMUNITY, feeder=None, matches=matches)]


def clear_level(mechanism: Mechanism, wishes: Iterable[Wish], *, fee_ut_per_kwh: int, terms: Terms) -> list[Match]:
    """Clear one group by `mechanism`; the prices of its matches do not include the fee.

    A buyer whose limit does not even cover the fee takes no part: nobody is paid to take energy.
    """
    bids, offers = [], []
    for wish in wishes:
        if wish.balance_wh > 0:
            offers.append(_order(wish, wish.limit_ut_per_kwh))
        elif wish.limit_ut_per_kwh >= fee_ut_per_kwh:
            bids.append(_order(wish, wish.limit_ut_per_kwh - fee_ut_per_kwh))
    return mechanism(bids, offers, terms=terms)


def residual(wishes: Iterable[Wish], matches: Iterable[Match]) -> list[Wish]:
    """Return what goes up: the wishes less what they matched, in the same order, without those that are met."""
    change_wh: Counter[int] = Counter()
    for match in matches:
        change_wh[match.bid_slot] += match.energy_wh
        change_wh[match.offer_slot] -= match.energy_wh
    left = []
    for wish in wishes:
        change = change_wh[wish.slot]
        balance_wh = wish.balance_wh + change
        if balance_wh:
            left.append(replace(wish, balance_wh=balance_wh) if change else wish)
    return left


def within_envelopes(wishes: Sequence[Wish], envelopes: Mapping[str, Sequence[int]]) -> list[Wish]:
    """Return the wishes that go up, cut to what each feeder may import and export, the rest of them gone.

    They are cut by the uniform rule, whatever their prices: overstating wins nothing.

    Args:
        wishes: what the feeders leave.
        envelopes: import and export in watt-hours, by feeder; others are not limited.
    """
    cut: dict[int, int] = {}
    for feeder, limits_wh in sorted(envelopes.items()):
        for sign, limit_wh in zip((-1, 1), limits_wh, strict=True):
            side = [wish for wish in wishes if wish.feeder == feeder and wish.balance_wh * sign > 0]
            side.sort(key=lambda wish: (wish.lot, wish.slot))
            energies_wh = [abs(wish.balance_wh) for wish in side]
            if sum(energies_wh) > limit_wh:
                shares_wh = share_by_uniform_rule(limit_wh, energies_wh)
                cut |= {wish.slot: sign * share_wh for wish, share_wh in zip(side, shares_wh, strict=True)}
    left = [replace(wish, balance_wh=cut[wish.slot]) if wish.slot in cut else wish for wish in wishes]
    return [wish for wish in left if wish.balance_wh]


def _order(wish: Wish, limit_ut_per_kwh: int) -> Order:
    return Order(slot=wish.slot, lot=wish.lot, energy_wh=abs(wish.balance_wh), limit_ut_per_kwh=limit_ut_per_kwh)
