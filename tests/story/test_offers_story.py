"""Two neighbours trade by hand at midday, beside the pool and on a real ledger, and anyone can check it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from page_check import Page
from story.bundled_day import HOUR_S, scenario
from wattpool.client import Chain
from wattpool.offers import Owner, Terms, offer_id
from wattpool.report.figures import Kind
from wattpool.report.rendering import Edition, render_bill, render_report
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.homes import Home
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC
from wattpool.simulation.report import edition_of, settled_periods, summarise
from wattpool.verify import verify
from wattpool_chaincode.organisations import AGGREGATOR, MEMBERS
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.records.units import amount_ut

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
    begin: list[dict[str, Any]]
    offer: dict[str, Any]
    unwanted: list[dict[str, Any]]
    due: dict[str, list[str]]
    proof: list[dict[str, Any]]
    statements: dict[str, list[dict[str, Any]]]
    wallets_ut: tuple[int, int]
    summary: dict[str, Any]
    edition: Edition
    later_ut: int
    later_summary: dict[str, Any]


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
    chosen = scenario()
    clock = clock_for(chosen)
    with open_ledger(directory, chosen, clock) as ledger:
        simulation = Simulation(chosen, ledger, clock)
        seller, buyer, window = best_pair(simulation)
        chain = simulation.ledger
        selling, buying = (Desk(chain, home, community=chosen.community) for home in (seller, buyer))
        run = simulation.run()
        # While a period is delivered and another one waits for it, this one's gate is the next to close.
        for period in run:
            if period.next.next.next == window[0]:
                break
        selling.fill()
        buying.fill()
        before_ut = (selling.wallet["balance_ut"], buying.wallet["balance_ut"])
        offer, unwanted = trade(simulation, selling, buying, window)
        for _ in run:
            pass
        slots = simulation.slots()
        summary, edition = summarise(simulation), edition_of(simulation, settled_periods(simulation))
        later = offer_for_later(simulation, selling)
        statements = [chain.evaluate("statements", by=AGGREGATOR, period=one.start_utc, page=0) for one in window]
        return Told(
            directory=directory,
            seller=seller,
            buyer=buyer,
            window=window,
            begin=chain.evaluate("to_begin", by=MEMBERS, period=window[0].start_utc, slot=slots[seller.connection]),
            offer=chain.evaluate("offer", by=MEMBERS, offer=offer),
            unwanted=[chain.evaluate("offer", by=MEMBERS, offer=one) for one in unwanted],
            due=chain.evaluate("offers_due", by=MEMBERS),
            proof=chain.evaluate("proof_of_delivery", by=MEMBERS, offer=offer),
            statements={home.name: [page[slots[home.connection]] for page in statements] for home in (seller, buyer)},
            wallets_ut=(
                selling.wallet["balance_ut"] + later["held_ut"] - before_ut[0],
                buying.wallet["balance_ut"] - before_ut[1],
            ),
            summary=summary,
            edition=edition,
            later_ut=later["held_ut"],
            later_summary=summarise(simulation),
        )


def trade(simulation: Simulation, selling: Desk, buying: Desk, window: tuple[Period, Period]) -> tuple[str, list[str]]:
    """Offer four fifths of what the seller will have, and let the buyer find and pick it; nobody picks two others.

    Returns:
        The id of the offer, and those of the others.
    """
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
    unwanted = []
    for few_wh in (1, 2):
        order = selling.owner.offer(replace(terms, energy_wh=few_wh), offered=offered, counter=selling.next_counter())
        chain.submit("add_offer", by=MEMBERS, order=order.to_json())
        unwanted.append(offer_id(order))
    return str(listed["offer"]), unwanted


def offer_for_later(simulation: Simulation, selling: Desk) -> dict[str, Any]:
    """Leave an offer on the list for a period after the run."""
    last = simulation.scenario.last
    slot = simulation.slots()[selling.home.connection]
    terms = Terms(slot=slot, energy_wh=100, price_ut_per_kwh=PRICE, first=last.next, last=last.next)
    order = selling.owner.offer(terms, offered=last, counter=selling.next_counter())
    simulation.ledger.submit("add_offer", by=MEMBERS, order=order.to_json())
    return dict(simulation.ledger.evaluate("offer", by=MEMBERS, offer=offer_id(order)))


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


def test_the_cycle_confirms_pays_and_expires_what_is_due(told: Told) -> None:
    assert [(one["energy_wh"], one["side"]) for one in told.begin] == [(told.offer["energy_wh"] // 2, "export")]
    assert (told.offer["phase"], told.offer["held_ut"]) == ("paid", 0)
    # Both give their deposits back to one wallet.
    assert [(one["phase"], one["held_ut"]) for one in told.unwanted] == [("expired", 0)] * 2
    assert told.due == {"confirm_l2p": [], "confirm_p2l": [], "expire_offer": []}


def test_an_offer_that_is_still_open_holds_tokens_that_count(told: Told) -> None:
    assert told.later_ut > 0
    assert (told.summary["escrow_ut"], told.later_summary["escrow_ut"]) == (0, told.later_ut)
    assert told.later_summary["balances_ut"] == told.summary["balances_ut"] - told.later_ut


def test_the_bills_of_all_come_to_the_records_and_the_summary(told: Told) -> None:
    bills = told.edition.bills()
    outcome, records = told.offer["outcome"], [one.record for one in told.edition.periods]

    def total(kind: Kind) -> tuple[int, int, int]:
        sums = [bill.sums[kind] for bill in bills]
        return sum(one.energy_wh for one in sums), sum(one.amount_ut for one in sums), sum(one.fee_ut for one in sums)

    firm = (outcome["energy_wh"], outcome["paid_ut"], outcome["fee_ut"])
    pool = tuple(sum(one[name] for one in records) for name in ("traded_wh", "paid_ut", "fees_ut"))
    assert (total(Kind.FIRM_BOUGHT), total(Kind.FIRM_SOLD)) == (firm, (firm[0], -firm[1], 0))
    assert (total(Kind.BOUGHT), total(Kind.SOLD)) == (pool, (pool[0], -pool[1], 0))
    assert told.summary["traded_wh"] == firm[0] + pool[0]
    assert told.summary["fees_ut"] == firm[2] + pool[2]
    by_name = {told.edition.names[bill.slot]: bill for bill in bills}
    for name, home in told.summary["households_detail"].items():
        bill = by_name[name]
        assert (bill.bought_wh, bill.sold_wh, bill.saving_ut) == (home["bought_wh"], home["sold_wh"], home["saving_ut"])
        assert bill.sums[Kind.GRID_IMPORT].energy_wh == home["grid_import_wh"]
        assert bill.sums[Kind.GRID_EXPORT].energy_wh == home["grid_export_wh"]
        assert (bill.consumption_wh, bill.generation_wh) == (home["consumed_wh"], home["generated_wh"])


def test_the_pages_say_with_whom_one_traded_by_hand(told: Told) -> None:
    bills = told.edition.bills()
    bill = next(one for one in bills if one.connection == told.buyer.connection)
    text = " ".join(Page(render_bill(told.edition, bill)).text.split())
    assert f"you bought by hand from {told.seller.name}" in text
    assert f"{bill.bought_wh / 1_000:.3f} from neighbours" in text
    assert f"{told.summary['traded_wh'] / 1_000:.3f}" in Page(render_report(told.edition, bills)).text


def test_the_proof_of_delivery_is_in_sealed_period_records(told: Told) -> None:
    assert [one["period"] for one in told.proof] == [period.start_utc for period in told.window]
    assert [one["delivered_wh"] for one in told.proof] == [told.offer["energy_wh"] // 2, told.offer["energy_wh"]]
    assert all(one["seal"] for one in told.proof)


def test_anyone_can_check_the_day(told: Told) -> None:
    report = verify(told.directory)
    assert report.violation is None
    assert [checked.unrepeatable for checked in report.channels.values()] == [0, 0]
