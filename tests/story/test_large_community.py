"""Communities whose stages take several chunks and pages."""

from pathlib import Path

import pytest

from large import two_periods
from wattpool.simulation.engine import clock_for, open_ledger
from wattpool.simulation.large import scenario_of
from wattpool.verify import verify


@pytest.mark.parametrize("mechanism", ["pool", "mid_rate"])
def test_a_community_of_several_pages_trades_all_it_can_and_verifies(tmp_path: Path, mechanism: str) -> None:
    scenario = scenario_of(1_100, mechanism=mechanism)
    with open_ledger(tmp_path / "ledger", scenario, clock_for(scenario)) as ledger:
        two_periods(scenario, ledger)
    assert verify(tmp_path / "ledger").violation is None


@pytest.mark.long
def test_ten_thousand_homes_trade_all_they_can(tmp_path: Path) -> None:
    scenario = scenario_of(10_000)
    with open_ledger(tmp_path / "ledger", scenario, clock_for(scenario)) as ledger:
        two_periods(scenario, ledger)
