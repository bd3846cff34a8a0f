"""Time durable commits of the embedded ledger against a bare SQLite group commit of the same bytes.

Both write to a file of their own in the same directory, with a write-ahead log and `synchronous = FULL`. The baseline
puts the bytes of a group's transactions into one table and does nothing else. A commit of the ledger checks three
signatures of each transaction, writes state, history and indexes besides, and ends with the same `COMMIT`. Signatures
have a bar of their own, and a commit cannot be without them: their price with `cryptography` alone is taken off.
"""

import sqlite3
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Self

from bench_suite import signatures
from bench_suite.results import OUT, Bar, Curve, Panel, Result, seconds
from wattpool.ledgers.committer import Endorsed
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Call
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Context
from wattpool_chaincode.organisations import AGGREGATOR, TWO_OF_THREE
from wattpool_chaincode.records import codec

# Groups of so many transactions, and how many of them.
GROUPS = {1: 200, 10: 50, 100: 9, 500: 5}
VALUE_BYTES = 1_000
# A transaction's submitter and two endorsers.
SIGNATURES = 3
LEAST_SPEED = 0.5
CHANNEL = "bench"


def _put(context: Context, argument: dict[str, Any]) -> None:
    context.put(argument["key"], argument["value"].encode())


def run() -> Result:
    """Print what a group costs on both, and how much of the difference is signatures."""
    chaincode = Chaincode(name=CHANNEL, functions={"put": _put}, policy=TWO_OF_THREE)
    check_s = signatures.check_s()
    print(f"durable commits of values of {VALUE_BYTES} bytes; medians; a signature check {1e6 * check_s:.0f} us")
    print("group    bare ms   checks ms   ledger ms   ledger without checks ms   share of bare speed, without checks")
    curves: dict[str, list[tuple[int, float]]] = {"bare SQLite": [], "ledger": [], "ledger without checks": []}
    speeds: dict[int, float] = {}
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as directory:
        root = Path(directory)
        with (
            EmbeddedLedger.create(root / "ledger", community="bench", chaincodes={CHANNEL: chaincode}) as ledger,
            _Bare(root / "bare.db") as bare,
        ):
            keys = count()
            for group, repeats in GROUPS.items():
                rounds = []
                for _ in range(repeats):
                    endorsed = [_endorse(ledger, next(keys)) for _ in range(group)]
                    rows = [one.transaction.data for one in endorsed]
                    rounds.append((seconds(partial(bare.commit, rows)), seconds(partial(_commit, ledger, endorsed))))
                bare_s, ledger_s = (statistics.median(times) for times in zip(*rounds, strict=True))
                checks_s = SIGNATURES * group * check_s
                writing_s = ledger_s - checks_s
                speeds[group] = bare_s / writing_s
                print(
                    f"{group:>5}{1e3 * bare_s:>11.2f}{1e3 * checks_s:>12.2f}{1e3 * ledger_s:>12.2f}"
                    f"{1e3 * writing_s:>27.2f}{bare_s / ledger_s:>17.2f}{speeds[group]:>16.2f}"
                )
                for name, cost_s in zip(curves, (bare_s, ledger_s, writing_s), strict=True):
                    curves[name].append((group, 1e6 * cost_s / group))
    drawn = [Curve(name, points) for name, points in curves.items()]
    return Result(
        bars=[
            Bar(
                what=f"commits in groups of {group}, checks taken off, share of bare SQLite's speed",
                measured=speed,
                bound=LEAST_SPEED,
                is_floor=True,
            )
            for group, speed in speeds.items()
        ],
        panels=[Panel("a durable commit, per transaction", "transactions in a group", drawn)],
    )


class _Bare:
    """A table of blobs in a file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE transactions (data BLOB NOT NULL)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def commit(self, rows: Sequence[bytes]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO transactions VALUES (?)", [(row,) for row in rows])
        self._connection.execute("COMMIT")


def _endorse(ledger: EmbeddedLedger, number: int) -> Endorsed:
    argument = codec.encode({"key": f"key/{number:07}", "value": "x" * VALUE_BYTES})
    return ledger.endorse(Call(channel=CHANNEL, function="put", argument=argument), by=AGGREGATOR)


def _commit(ledger: EmbeddedLedger, group: Sequence[Endorsed]) -> None:
    for ordered in [ledger.order(one) for one in group]:
        ordered.wait()
