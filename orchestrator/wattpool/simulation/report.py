"""What a simulation came to: the figures of every household and of all, read back from the ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from wattpool.client import Chain
from wattpool.report.figures import grid_bill_ut, rest_of
from wattpool.report.local_time import zone_of
from wattpool.report.reading import FirmTrade, LedgerReader, SettledPeriod, Terms
from wattpool.report.rendering import Edition
from wattpool.simulation.engine import Simulation
from wattpool.simulation.homes import Home
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_meter.flows import Flows


@dataclass(kw_only=True)
class HouseholdFigures:
    """One household over the whole run; what was bought locally counts as consumed, what was sold as generated.

    Attributes:
        consumed_wh: by the home.
        generated_wh: by its panels.
        own_use_wh: generated or discharged, and used at once.
        charged_own_wh: into its battery from its panels.
        charged_bought_wh: into its battery from what it imported.
        discharged_own_wh: by its battery, of what its panels had generated.
        discharged_bought_wh: by its battery, of what had been imported.
        battery_lost_wh: in charging.
        stored_wh: in its battery at the end.
        bought_wh: from neighbours, in the pool and by hand.
        sold_wh: to neighbours, likewise.
        grid_import_wh: from the grid.
        grid_export_wh: to the grid.
        paid_ut: to neighbours.
        fees_ut: to the DSO, for local network use.
        earned_ut: from neighbours.
        compensation_ut: owed to them for promises not kept; negative if it was paid.
        saving_ut: what the market was worth to it: the bill at the tariff alone less the bill with the market.
        balance_ut: its tokens at the end, in wallet and purse.
    """

    consumed_wh: int = 0
    generated_wh: int = 0
    own_use_wh: int = 0
    charged_own_wh: int = 0
    charged_bought_wh: int = 0
    discharged_own_wh: int = 0
    discharged_bought_wh: int = 0
    battery_lost_wh: int = 0
    stored_wh: int = 0
    bought_wh: int = 0
    sold_wh: int = 0
    grid_import_wh: int = 0
    grid_export_wh: int = 0
    paid_ut: int = 0
    fees_ut: int = 0
    earned_ut: int = 0
    compensation_ut: int = 0
    saving_ut: int = 0
    balance_ut: int = 0

    def add(
        self,
        home: Home,
        flows: Flows,
        statement: Mapping[str, Any],
        purchases: Sequence[FirmTrade],
        sales: Sequence[FirmTrade],
    ) -> None:
        """Count one period: what the source says flowed, the ledger's statement of it, and its trades by hand."""
        if (flows.import_wh, flows.export_wh) != (statement["import_wh"], statement["export_wh"]):
            raise RuntimeError(f"the ledger's statement for {home.name} is not what its meter measured")
        bought_wh, sold_wh = (sum(one.energy_wh for one in trades) for trades in (purchases, sales))
        rest = rest_of(statement, bought_wh, sold_wh)
        paid_ut = statement["paid_ut"] + sum(one.paid_ut for one in purchases)
        fees_ut = statement["fees_ut"] + sum(one.fee_ut for one in purchases)
        earned_ut = statement["earned_ut"] + sum(one.paid_ut for one in sales)
        compensation_ut = sum(one.owed_ut for one in purchases) - sum(one.owed_ut for one in sales)
        self.consumed_wh += flows.consumption_wh
        self.generated_wh += flows.generation_wh
        self.own_use_wh += flows.own_use_wh
        self.bought_wh += statement["bought_wh"] + bought_wh
        self.sold_wh += statement["sold_wh"] + sold_wh
        self.grid_import_wh += rest.import_wh
        self.grid_export_wh += rest.export_wh
        self.paid_ut += paid_ut
        self.fees_ut += fees_ut
        self.earned_ut += earned_ut
        self.compensation_ut += compensation_ut
        terms = Terms(home.connection, home.tariff.retail_ut_per_kwh, home.tariff.feed_in_ut_per_kwh, home.party)
        without = grid_bill_ut(terms, import_wh=statement["import_wh"], export_wh=statement["export_wh"])
        local = paid_ut + fees_ut - earned_ut + compensation_ut
        self.saving_ut += without - local - grid_bill_ut(terms, **rest._asdict())


def settled_periods(simulation: Simulation) -> list[SettledPeriod]:
    """Return what the ledger says of all its periods that are final, for figures, report and bills alike."""
    return LedgerReader(simulation.contract, simulation.ledger).settled_periods()


def summarise(simulation: Simulation, periods: Iterable[SettledPeriod] | None = None) -> dict[str, Any]:
    """Return the figures of a finished run, all integers, except for what only the machine knows (ledger tips, time).

    Args:
        simulation: the run.
        periods: all that are settled; read from the ledger if None.

    Raises:
        RuntimeError: if the run is not finished, the ledger contradicts the meters, or an energy or token balance does
            not close.
    """
    scenario = simulation.scenario
    settled = settled_periods(simulation) if periods is None else periods
    # Communities that were founded in many steps have periods before the first.
    own = [one for one in settled if scenario.first <= one.period <= scenario.last]
    if not own or own[-1].period != scenario.last:
        raise RuntimeError(f"the ledger has not settled {scenario.last}")
    households, totals = _add_up(simulation.homes, own)
    slots = simulation.slots()
    for home in simulation.homes:
        purse = simulation.ledger.evaluate("purse", by=AGGREGATOR, slot=slots[home.connection])
        wallet = simulation.ledger.evaluate("wallet", by=AGGREGATOR, party=home.party)
        households[home.name].balance_ut = wallet["balance_ut"] + purse["balance_ut"] + purse["deposit_ut"]
    supply = simulation.ledger.evaluate("supply", by=AGGREGATOR)
    total = _sum(list(households.values()))
    balances_ut = total.balance_ut + supply["fees_ut"]
    summary = {
        "periods": totals["periods"],
        "households": len(households),
        "consumed_wh": total.consumed_wh,
        "generated_wh": total.generated_wh,
        "own_use_wh": total.own_use_wh,
        "charged_wh": total.charged_own_wh + total.charged_bought_wh,
        "discharged_wh": total.discharged_own_wh + total.discharged_bought_wh,
        "battery_lost_wh": total.battery_lost_wh,
        "stored_wh": total.stored_wh,
        "traded_wh": totals["traded_wh"],
        "agreed_wh": totals["agreed_wh"],
        "grid_import_wh": total.grid_import_wh,
        "grid_export_wh": total.grid_export_wh,
        "trades": totals["trades"],
        "declined": totals["declined"],
        "tokens_bought_ut": supply["bought_ut"],
        "tokens_redeemed_ut": supply["redeemed_ut"],
        "balances_ut": balances_ut,
        "escrow_ut": _held_by_offers_ut(simulation.ledger),
        "fees_ut": totals["fees_ut"],
        "saving_ut": total.saving_ut,
        "connections": {home.name: home.connection for home in simulation.homes},
        "households_detail": {name: asdict(figures) for name, figures in households.items()},
    }
    _check(summary, [*households.values(), total])
    return summary


def edition_of(simulation: Simulation, periods: Sequence[SettledPeriod]) -> Edition:
    """Return what report and bills of a finished run are about, under the homes' names; `periods` are all settled."""
    slots = simulation.slots()
    sources = {home.connection: home.source for home in simulation.homes}
    zone = simulation.scenario.plan.zone
    return Edition(
        community=simulation.scenario.community,
        periods=periods,
        names={slots[home.connection]: home.name for home in simulation.homes},
        batteries=frozenset(slots[home.connection] for home in simulation.homes if home.plan.battery is not None),
        own_use=lambda connection, period: sources[connection].flows(period).own_use_wh,
        zone=zone_of(zone),
        zone_name=zone,
    )


def _add_up(
    homes: Sequence[Home], periods: Sequence[SettledPeriod]
) -> tuple[dict[str, HouseholdFigures], Counter[str]]:
    by_connection = {home.connection: home for home in homes}
    households = {home.name: _with_battery(home) for home in homes}
    totals: Counter[str] = Counter()
    for settled in periods:
        totals["periods"] += 1
        totals["agreed_wh"] += settled.agreed_wh
        for name in ("traded_wh", "trades", "declined", "fees_ut"):
            totals[name] += settled.record[name]
        totals["traded_wh"] += sum(one.energy_wh for one in settled.firm)
        totals["fees_ut"] += sum(one.fee_ut for one in settled.firm)
        purchases: dict[int, list[FirmTrade]] = defaultdict(list)
        sales: dict[int, list[FirmTrade]] = defaultdict(list)
        for one in settled.firm:
            purchases[one.buyer].append(one)
            sales[one.seller].append(one)
        for statement in settled.statements:
            home, slot = by_connection[statement["connection"]], statement["slot"]
            flows = home.source.flows(settled.period)
            households[home.name].add(home, flows, statement, purchases[slot], sales[slot])
    return households, totals


def _with_battery(home: Home) -> HouseholdFigures:
    """Return a household's figures with its battery's, which only its own model knows."""
    account = home.battery
    return HouseholdFigures(
        charged_own_wh=account.charged_own_wh,
        charged_bought_wh=account.charged_bought_wh,
        discharged_own_wh=account.discharged_own_wh,
        discharged_bought_wh=account.discharged_bought_wh,
        battery_lost_wh=account.lost_wh,
        stored_wh=account.stored_wh,
    )


def _held_by_offers_ut(ledger: Chain) -> int:
    """Return the tokens that lie in offers by hand: every period is settled, so that nothing else is in escrow."""
    return sum(int(page["held_ut"]) for page in ledger.evaluate_pages("offers_held", by=AGGREGATOR))


def _sum(households: list[HouseholdFigures]) -> HouseholdFigures:
    names = [item.name for item in fields(HouseholdFigures)]
    return HouseholdFigures(**{name: sum(getattr(one, name) for one in households) for name in names})


def _check(summary: dict[str, Any], figures: list[HouseholdFigures]) -> None:
    """Check that every household's and everybody's energy and all tokens add up, before anyone reads a figure."""
    for one in figures:
        charged_wh = one.charged_own_wh + one.charged_bought_wh
        discharged_wh = one.discharged_own_wh + one.discharged_bought_wh
        if one.consumed_wh + one.charged_bought_wh != one.own_use_wh + one.bought_wh + one.grid_import_wh:
            raise RuntimeError(f"consumption does not close: {one}")
        given_wh = one.own_use_wh + one.charged_own_wh + one.sold_wh + one.grid_export_wh
        if one.generated_wh + discharged_wh != given_wh:
            raise RuntimeError(f"generation does not close: {one}")
        if charged_wh != discharged_wh + one.battery_lost_wh + one.stored_wh:
            raise RuntimeError(f"the battery does not close: {one}")
    held = summary["balances_ut"] + summary["escrow_ut"]
    issued = summary["tokens_bought_ut"] - summary["tokens_redeemed_ut"]
    if held != issued:
        raise RuntimeError(f"{held} ut are held, {issued} ut were issued and not redeemed")
