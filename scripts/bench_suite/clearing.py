"""Time the market mechanisms, and measure which share of the maximum welfare they reach.

`uniform` is timed against a plain sorted sweep over tuples in the same run: the ratio is the median over repetitions
in which both take turns, so that a busy machine slows both.
"""

import random
import statistics
from collections.abc import Callable, Iterable, Sequence

from bench_suite.results import Curve, Panel, Result, seconds
from wattpool_chaincode.market import pool, uniform
from wattpool_chaincode.market.order import Match, Order, Terms

# Books of so many orders, half of them bids, and how often each is cleared.
REPETITIONS = {100: 9, 1_000: 9, 10_000: 5, 100_000: 3}
TERMS = Terms(alpha_ut_per_kwh=1_000, beta_ut_per_kwh=1_000)
STEEP_TERMS = Terms(alpha_ut_per_kwh=20_000, beta_ut_per_kwh=20_000)

Book = tuple[list[Order], list[Order]]
PlainOrder = tuple[int, bytes, int, int]
Trade = tuple[int, int, int]


def run() -> Result:
    """Clear books of several kinds and sizes, and print what that takes."""
    print("medians; ratio of uniform to the sweep; share of the maximum welfare")
    curves: dict[str, list[tuple[int, float]]] = {"sorted sweep": [], "uniform": [], "pool": []}
    print(f"pool: alpha = beta = {TERMS.alpha_ut_per_kwh} ut/kWh; steep: {STEEP_TERMS.alpha_ut_per_kwh} ut/kWh")
    print("book       orders   sweep ms  uniform ms  ratio    share   pool ms    share  steep ms    share")
    for name, make_book in (("random", random_book), ("homes", homes_book), ("works", works_book)):
        for orders, repetitions in REPETITIONS.items():
            book = make_book(random.Random(orders), orders // 2)  # noqa: S311 -- made-up orders
            times_s, row = measure(*book, repetitions=repetitions)
            print(f"{name:<8}{orders:>9}{row}")
            if name == "homes":
                for mechanism, time_s in zip(curves, times_s, strict=True):
                    curves[mechanism].append((orders, 1e6 * time_s / orders))
    drawn = [Curve(mechanism, points) for mechanism, points in curves.items()]
    return Result(panels=[Panel("clearing a book of homes, per order", "orders", drawn)])


def random_book(chance: random.Random, size: int) -> Book:
    """Limits all over: half of the orders trade."""
    return (
        [order(chance, slot, chance.randint(50_000, 300_000)) for slot in range(size)],
        [order(chance, size + slot, chance.randint(50_000, 300_000)) for slot in range(size)],
    )


def homes_book(chance: random.Random, size: int) -> Book:
    """All buyers have one retail tariff, all sellers one of three costs, and there is less wanted than offered."""
    return (
        [order(chance, slot, 260_000) for slot in range(size)],
        [order(chance, size + slot, chance.choice((90_000, 110_000, 140_000)), most_wh=750) for slot in range(size)],
    )


def works_book(chance: random.Random, size: int) -> Book:
    """One bid in a hundred is a workshop that needs a hundred times as much."""
    return (
        [order(chance, slot, 260_000, most_wh=500 if slot % 100 else 50_000) for slot in range(size)],
        [order(chance, size + slot, chance.choice((90_000, 110_000, 140_000)), most_wh=750) for slot in range(size)],
    )


def order(chance: random.Random, slot: int, limit_ut_per_kwh: int, *, most_wh: int = 500) -> Order:
    return Order(
        slot=slot,
        lot=chance.randbytes(32),
        energy_wh=chance.randint(1, most_wh),
        limit_ut_per_kwh=limit_ut_per_kwh,
    )


def measure(bids: list[Order], offers: list[Order], *, repetitions: int) -> tuple[Sequence[float], str]:
    """Return what sweep, uniform and pool take in seconds, and a row of the table."""
    plain_bids = [(-bid.limit_ut_per_kwh, bid.lot, bid.energy_wh, bid.slot) for bid in bids]
    plain_offers = [(offer.limit_ut_per_kwh, offer.lot, offer.energy_wh, offer.slot) for offer in offers]
    runs: list[Callable[[], object]] = [
        lambda: plain_sweep(plain_bids, plain_offers),
        lambda: uniform.clear(bids, offers, terms=TERMS),
        lambda: pool.clear(bids, offers, terms=TERMS),
        lambda: pool.clear(bids, offers, terms=STEEP_TERMS),
    ]
    rounds = [[seconds(run) for run in runs] for _ in range(repetitions)]
    medians_s = [statistics.median(times) for times in zip(*rounds, strict=True)]
    sweep_ms, uniform_ms, pool_ms, steep_ms = (1_000 * time_s for time_s in medians_s)
    ratio = statistics.median(uniform_s / sweep_s for sweep_s, uniform_s, *_ in rounds)

    limits = {order.slot: order.limit_ut_per_kwh for order in bids + offers}
    most = welfare(plain_sweep(plain_bids, plain_offers)[0], limits)
    uniform_share, pool_share, steep_share = (
        welfare(trades(clear(bids, offers, terms=terms)), limits) / most
        for clear, terms in ((uniform.clear, TERMS), (pool.clear, TERMS), (pool.clear, STEEP_TERMS))
    )
    return medians_s[:3], (
        f"{sweep_ms:11.2f}{uniform_ms:12.2f}{ratio:7.2f}{uniform_share:9.2%}"
        f"{pool_ms:10.2f}{pool_share:9.2%}{steep_ms:10.2f}{steep_share:9.2%}"
    )


def plain_sweep(bids: Sequence[PlainOrder], offers: Sequence[PlainOrder]) -> tuple[list[Trade], int]:
    """Sort both sides, walk them once, price halfway: the least that clears a book (no rationing, no records)."""
    demand, supply = sorted(bids), sorted(offers)
    matches = []
    bid_index = offer_index = price = 0
    bid_limit, _, bid_wh, bid_slot = demand[0]
    offer_limit, _, offer_wh, offer_slot = supply[0]
    while -bid_limit >= offer_limit:
        price = (offer_limit - bid_limit) // 2
        energy_wh = min(bid_wh, offer_wh)
        matches.append((bid_slot, offer_slot, energy_wh))
        bid_wh -= energy_wh
        offer_wh -= energy_wh
        if not bid_wh:
            bid_index += 1
            if bid_index == len(demand):
                break
            bid_limit, _, bid_wh, bid_slot = demand[bid_index]
        if not offer_wh:
            offer_index += 1
            if offer_index == len(supply):
                break
            offer_limit, _, offer_wh, offer_slot = supply[offer_index]
    return matches, price


def trades(matches: Iterable[Match]) -> list[Trade]:
    return [(match.bid_slot, match.offer_slot, match.energy_wh) for match in matches]


def welfare(trades: Iterable[Trade], limits: dict[int, int]) -> int:
    """Return the sum of (bid limit - offer limit) x energy."""
    return sum((limits[bid_slot] - limits[offer_slot]) * energy_wh for bid_slot, offer_slot, energy_wh in trades)
