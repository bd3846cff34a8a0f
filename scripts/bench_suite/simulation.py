"""Time a simulation against what it cannot do without: its signatures, checks of the homes', and its durable commits.

Usage: `scripts/bench --simulation [PROFILES.csv [DAYS]]`; by default the bundled homes for three days.
"""

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from bench_suite.results import OUT, Result
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import BUNDLED, read_profiles, select, to_periods
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool.verify import verify
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.records import signing

REPEATS = 2_000
# Of a home in a period: its request and its record. Of a transaction: its submitter and two endorsers.
SIGNATURES_PER_HOME_PERIOD = 2
SIGNATURES_PER_TRANSACTION = 3
ROW = bytes(10_000)


def run(profiles_path: str | None = None, days: str = "3") -> Result:
    """Run, verify, and print figures with their ratios."""
    path = BUNDLED if profiles_path is None else Path(profiles_path)
    profiles = to_periods(select(read_profiles(path), days=int(days)), 900)
    plan = plan_for(None, profiles.households)
    scenario = Scenario(profiles=profiles, plan=plan, mechanism="pool", forecast="last", seed=1)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as directory:
        sign_s, check_s = _signature_s()
        commit_s = _commit_s(Path(directory) / "bare.db")
        ledger = Path(directory) / "ledger"
        started = time.perf_counter()
        blocks, transactions = _run(scenario, ledger)
        run_s = time.perf_counter() - started
        started = time.perf_counter()
        report = verify(ledger)
        verify_s = time.perf_counter() - started
    if report.violation is not None:
        sys.exit(f"the ledger does not hold: {report.violation}")
    homes, periods = len(profiles.households), profiles.intervals
    homes_signatures = SIGNATURES_PER_HOME_PERIOD * homes * periods
    # A ledger does not check what it signed itself.
    signatures = homes_signatures + SIGNATURES_PER_TRANSACTION * transactions
    floor_s = signatures * sign_s + homes_signatures * check_s + blocks * commit_s
    household_days = homes * int(days)
    print(f"{homes} homes, {periods} periods, {transactions} transactions in {blocks} blocks")
    print(f"  sign {sign_s * 1e6:.0f} us, check {check_s * 1e6:.0f} us, bare SQLite commit {commit_s * 1e6:.0f} us")
    print(f"  simulate {run_s:.2f} s: {household_days / run_s:.1f} households x days per second")
    print(f"  {run_s / floor_s:.2f} times its signatures and commits alone ({floor_s:.2f} s)")
    print(f"  verify   {verify_s:.2f} s: {verify_s / run_s:.2f} times the run")
    return Result()


def _run(scenario: Scenario, directory: Path) -> tuple[int, int]:
    clock = clock_for(scenario)
    with open_ledger(directory, scenario, clock) as ledger:
        simulation = Simulation(scenario, ledger, clock)
        for _ in simulation.run():
            pass
        summarise(simulation)
        tips = [ledger.tip(channel) for channel in CHAINCODES]
        return sum(tip.blocks for tip in tips), sum(tip.transactions for tip in tips)


def _signature_s() -> tuple[float, float]:
    key = ec.generate_private_key(ec.SECP256R1())
    public_key, message = signing.public_bytes(key), bytes(400)
    signature = signing.sign(key, message)
    return _time(lambda: signing.sign(key, message)), _time(lambda: signing.is_signed(public_key, message, signature))


def _commit_s(path: Path) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (value BLOB)")
    seconds = _time(lambda: connection.execute("INSERT INTO rows VALUES (?)", (ROW,)), repeats=REPEATS // 4)
    connection.close()
    return seconds


def _time(action: Callable[[], object], *, repeats: int = REPEATS) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        action()
    return (time.perf_counter() - started) / repeats


if __name__ == "__main__":
    run(*sys.argv[1:])
