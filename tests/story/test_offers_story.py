"""Two neighbours trade by hand at midday, beside the pool and on a real ledger, and anyone can check it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wattpool.client import Chain
from wattpool.offers import Owner, Terms, offer_id
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.homes import Home
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC, read_profiles, select, to_periods
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool.verify import verify
from wattpool_chaincode.organisations import AGGREGATOR, MEMBERS
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.records.units import amount_ut

HOUR_S = 3_600
FIRST = Period(BUNDLED_DAY_START_UTC, HOUR_S)
PRICE = 200_000
TOKENS_UT = 5_000_000


@dataclass(frozen=True)
class Told:
    """What is left of the day to look at."""

    directory: Path
    seller: Home
    buyer: Home
    window: tuple[Period, ...]
    offer: dict[str, Any]
    proof: list[dict[str, Any]]
    statements: dict[str, list[dict[str, Any]]]
    wallets_ut: tuple[int, int]
    summary: dict[str, Any]


class Desk:
    """Where an owner's orders are carried to the ledger."""

    def __init__(self, ledger: Chain, home: Home, *, community: str) -> None:
        self.ledger = ledger
        self.home = home
        self.owner = Owner(community=community, key=home.owner_key)

    @property
    def wallet(self) -> dict[str, int]:
        return dict(self.ledger.evaluate("wallet", by=MEMBERS, party=self.home.party))

    def fill(self) -> None:
        reference = f"{self.home.name}-by-hand"
        self.ledger.submit("buy", by=AGGREGATOR, party=self.home.party, amount_ut=TOKENS_UT, reference=reference)

    def next_counter(self) -> int:
        return self.wallet["counter"] + 1


def best_pair(simulation: Simulation) -> tuple[Home, Home, tuple[Period, Period]]:
    """Return who exports most in two hours, a home of the same feeder that imports in both of them, and the hours."""

    def exported_wh(home: Home, first: Period) -> int:
        return min(home.source.flows(first).export_wh, home.source.flows(first.next).export_wh)

    def imported_wh(home: Home, first: Period) -> int:
        return min(home.source.flows(first).import_wh, home.source.flows(first.next).import_wh)

    hours = [Period(FIRST.start_utc + number * HOUR_S, HOUR_S) for number in range(4, 23)]
    homes = simulation.homes
    _, seller, buyer, first = max(
        (
            (min(exported_wh(seller, first), imported_wh(buyer, first)), seller, buyer, first)
            for first in hours
            for seller in homes
            for buyer in homes
            if seller is not buyer and seller.plan.feeder == buyer.plan.feeder
        ),
        key=lambda found: found[0],
    )
    return seller, buyer, (first, first.next)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    directory = tmp_path_factory.mktemp("offers") / "ledger"
    profiles = to_periods(select(read_profiles(), start_utc=FIRST.start_utc, days=1), HOUR_S)
    plan = plan_for(None, profiles.households)
    scenario = Scenario(profiles=profiles, plan=plan, mechanism=plan.mechanism, forecast="last", seed=1)
    clock = clock_for(scenario)
    with open_ledger(directory, scenario, clock) as ledger:
        simulation = Simulation(scenario, ledger, clock)
        seller, buyer, window = best_pair(simulation)
        chain = simulation.ledger
        selling, buying = (Desk(chain, home, community=scenario.community) for home in (seller, buyer))
        run = simulation.run()
        # While a period is delivered and another one waits for it, this one's gate is the next to close.
        for period in run:
            if period.next.next.next == window[0]:
                break
        selling.fill()
        buying.fill()
        before_ut = (selling.wallet["balance_ut"], buying.wallet["balance_ut"])
        offer = trade(simulation, selling, buying, window)
        for _ in run:
            pass
        assert chain.submit("confirm_l2p", by=MEMBERS, offer=offer)["phase"] == "paid"
        slots = simulation.slots()
        statements = [chain.evaluate("statements", by=AGGREGATOR, period=one.start_utc, page=0) for one in window]
        return Told(
            directory=directory,
            seller=seller,
            buyer=buyer,
            window=window,
            offer=chain.evaluate("offer", by=MEMBERS, offer=offer),
            proof=chain.evaluate("proof_of_delivery", by=MEMBERS, offer=offer),
            statements={home.name: [page[slots[home.connection]] for page in statements] for home in (seller, buyer)},
            wallets_ut=(
                selling.wallet["balance_ut"] - before_ut[0],
                buying.wallet["balance_ut"] - before_ut[1],
            ),
            summary=summarise(simulation),
        )


def trade(simulation: Simulation, selling: Desk, buying: Desk, window: tuple[Period, Period]) -> str:
    """Offer four fifths of what the seller will have, and let the buyer find, pick and pay it."""
    chain, slots = simulation.ledger, simulation.slots()
    energy_wh = 2 * min(selling.home.source.flows(one).export_wh for one in window) * 4 // 5
    energy_wh = min(energy_wh, 2 * min(buying.home.source.flows(one).import_wh for one in window))
    terms = Terms(
        slot=slots[selling.home.connection],
        energy_wh=energy_wh,
        price_ut_per_kwh=PRICE,
        first=window[0],
        last=window[1],
    )
    offered = Period(chain.evaluate("last_period", by=MEMBERS)["period"], HOUR_S)
    order = selling.owner.offer(terms, offered=offered, counter=selling.next_counter())
    chain.submit("add_offer", by=MEMBERS, order=order.to_json())
    (listed,) = chain.evaluate("list_offers", by=MEMBERS, bookmark="")["offers"]
    assert listed["offer"] == offer_id(order)
    slot = slots[buying.home.connection]
    pick = buying.owner.pick(listed["offer"], slot=slot, counter=buying.next_counter())
    chain.submit("pick_offer", by=AGGREGATOR, order=pick.to_json())
    chain.submit("confirm_p2l", by=AGGREGATOR, offer=listed["offer"])
    (begin,) = chain.evaluate("to_begin", by=MEMBERS, period=window[0].start_utc, slot=terms.slot)
    assert begin == {"energy_wh": energy_wh // 2, "offer": listed["offer"], "side": "export"}
    return str(listed["offer"])


def test_what_was_promised_is_delivered_and_paid_to_the_micro_token(told: Told) -> None:
    energy_wh = told.offer["energy_wh"]
    assert energy_wh > 0
    assert told.offer["outcome"]["energy_wh"] == energy_wh
    paid_ut, fee_ut = amount_ut(energy_wh, PRICE), amount_ut(energy_wh, 15_000)
    assert told.wallets_ut == (paid_ut, -paid_ut - fee_ut)


def test_each_watt_hour_is_traded_by_hand_or_in_the_pool_or_is_the_grids(told: Told) -> None:
    firm_wh = 0
    for period, sold, bought in zip(
        told.window, told.statements[told.seller.name], told.statements[told.buyer.name], strict=True
    ):
        assert sold["export_wh"] == told.seller.source.flows(period).export_wh
        assert sold["firm_sold_wh"] + sold["sold_wh"] <= sold["export_wh"]
        assert bought["firm_bought_wh"] + bought["bought_wh"] <= bought["import_wh"]
        assert sold["firm_sold_wh"] == bought["firm_bought_wh"]
        firm_wh += sold["firm_sold_wh"]
    assert firm_wh == told.offer["energy_wh"]
    assert told.summary["trades"] > 0


def test_the_proof_of_delivery_is_in_sealed_period_records(told: Told) -> None:
    assert [one["period"] for one in told.proof] == [period.start_utc for period in told.window]
    assert [one["delivered_wh"] for one in told.proof] == [told.offer["energy_wh"] // 2, told.offer["energy_wh"]]
    assert all(one["seal"] for one in told.proof)


def test_anyone_can_check_the_day(told: Told) -> None:
    report = verify(told.directory)
    assert report.violation is None
    assert [checked.unrepeatable for checked in report.channels.values()] == [0, 0]
