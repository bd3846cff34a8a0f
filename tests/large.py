"""A large made-up community, run and checked, for the tests on both ledgers."""

from wattpool.ledgers.port import Ledger
from wattpool.simulation.engine import clock_for
from wattpool.simulation.large import LargeCommunity
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.roster import page_count


def two_periods(scenario: Scenario, ledger: Ledger) -> None:
    """Run both periods and check that all that was sold and paid adds up to what the homes needed and gave."""
    large = LargeCommunity(scenario, ledger, clock_for(scenario))
    large.found()
    for period in large.periods:
        large.run(period)
    chain, homes = large.simulation.ledger, large.simulation.homes
    exported_wh = imported_wh = 0
    for period in large.periods:
        state = chain.evaluate("period", by=AGGREGATOR, period=period.start_utc)
        assert (state["phase"], state["gate"]["orders"]) == ("sealed", len(homes))
        pages = range(page_count(len(homes)))
        rows = [
            row
            for page in pages
            for row in chain.evaluate("statements", by=AGGREGATOR, period=period.start_utc, page=page)
        ]
        assert [row["slot"] for row in rows] == list(range(len(homes)))
        assert {row["quality"] for row in rows} == {"good"}
        exported_wh += sum(row["export_wh"] for row in rows)
        imported_wh += sum(row["import_wh"] for row in rows)
    flows = [home.source.flows(period) for home in homes for period in large.periods]
    assert exported_wh == sum(flow.export_wh for flow in flows)
    assert imported_wh == sum(flow.import_wh for flow in flows)
    # There is less to sell than is asked for, at less than retail: all of it finds a buyer.
    figures = summarise(large.simulation)
    assert figures["traded_wh"] == figures["agreed_wh"] == exported_wh
    assert figures["escrow_ut"] == 0
    assert figures["balances_ut"] == figures["tokens_bought_ut"]
