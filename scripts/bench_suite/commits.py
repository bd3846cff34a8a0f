"""Time durable commits of the embedded ledger against bare SQLite, which is handed the same rows.

Both write to a file of their own in the same directory, with the same tables and indexes, a write-ahead log and
`synchronous = FULL`, and end with a `COMMIT`. The ledger makes transactions into bytes, checks them and works out the
rows of blocks, transactions, state and history. Bare SQLite gets these very rows, read back from the ledger, and
inserts each table's by one `executemany`; how fast the ledger is beside that is the bar.

Two more lines have no bar. "bytes alone" puts the transactions' bytes into one table of blobs, which answers no
question about them. "endorsed elsewhere" is the ledger's commit of transactions that it did not sign itself, so that it
checks all three signatures of each.
"""

import sqlite3
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from bench_suite.results import OUT, Bar, Curve, Panel, Result, seconds
from wattpool.ledgers import directory
from wattpool.ledgers.committer import Endorsed
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Call
from wattpool.ledgers.store import Store
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Context
from wattpool_chaincode.organisations import AGGREGATOR, TWO_OF_THREE
from wattpool_chaincode.records import codec

# Groups of so many transactions, each a block, and how many of them.
GROUPS = {1: 200, 10: 60, 100: 30, 500: 20}
VALUE_BYTES = 1_000
LEAST_SPEED = 0.5
CHANNEL = "bench"
BARE, LEDGER = "bare SQLite", "ledger"
LINES = ("bytes alone", BARE, LEDGER, "endorsed elsewhere")
# The tables that such a block has rows in, and their columns that number the block.
TABLES = {"blocks": "number", "transactions": "block", "state": "block", "history": "block"}

Rows = Mapping[str, Sequence[tuple[Any, ...]]]


def _put(context: Context, argument: dict[str, Any]) -> None:
    context.put(argument["key"], argument["value"].encode())


def run() -> Result:
    """Print what a group costs on each, and how fast the ledger is beside the others."""
    chaincodes = {CHANNEL: Chaincode(name=CHANNEL, functions={"put": _put}, policy=TWO_OF_THREE)}
    print(f"durable commits of values of {VALUE_BYTES} bytes; means; the ledger's speed as a share of bare SQLite's")
    print("group" + "".join(f"{name + ' ms':>23}" for name in LINES) + "    share")
    curves: dict[str, list[tuple[int, float]]] = {name: [] for name in LINES}
    speeds: dict[int, float] = {}
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as scratch:
        root = Path(scratch)
        with (
            EmbeddedLedger.create(root / "ledger", community="bench", chaincodes=chaincodes) as ledger,
            EmbeddedLedger.create(root / "other", community="bench", chaincodes=chaincodes) as other,
            EmbeddedLedger.read(root / "other", chaincodes=chaincodes) as elsewhere,
            closing(sqlite3.connect(directory.database(root / "ledger"))) as reader,
            closing(_bare(root / "bare.db")) as bare,
            closing(_bare(root / "bytes.db")) as blobs,
        ):
            keys = count()
            for group, repeats in GROUPS.items():
                rounds = []
                for _ in range(repeats):
                    numbers = [next(keys) for _ in range(group)]
                    foreign = [_endorse(elsewhere, number) for number in numbers]
                    foreign_s = seconds(partial(_commit, other, foreign))
                    own = [_endorse(ledger, number) for number in numbers]
                    own_s = seconds(partial(_commit, ledger, own))
                    bare_s = seconds(partial(_insert, bare, _rows(reader, ledger.height(CHANNEL) - 1)))
                    bodies = {"bodies": [(one.transaction.data,) for one in own]}
                    rounds.append((seconds(partial(_insert, blobs, bodies)), bare_s, own_s, foreign_s))
                # Means, since every so often a commit moves the write-ahead log into the file: its price, too.
                costs_s = dict(zip(LINES, map(statistics.mean, zip(*rounds, strict=True)), strict=True))
                speeds[group] = costs_s[BARE] / costs_s[LEDGER]
                print(
                    f"{group:>5}"
                    + "".join(f"{1e3 * cost_s:>23.2f}" for cost_s in costs_s.values())
                    + f"{speeds[group]:>9.2f}"
                )
                for name, cost_s in costs_s.items():
                    curves[name].append((group, 1e6 * cost_s / group))
    drawn = [Curve(name, points) for name, points in curves.items()]
    return Result(
        bars=[
            Bar(
                what=f"commits in groups of {group}, share of bare SQLite's speed",
                measured=speed,
                bound=LEAST_SPEED,
                is_floor=True,
            )
            for group, speed in speeds.items()
        ],
        panels=[Panel("a durable commit, per transaction", "transactions in a group", drawn)],
    )


def _bare(path: Path) -> sqlite3.Connection:
    """Make a file with the ledger's tables, and one of blobs."""
    Store.create(path, b"")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE bodies (data BLOB NOT NULL)")
    return connection


def _rows(reader: sqlite3.Connection, block: int) -> Rows:
    """Return what a block put into each table."""
    return {
        table: reader.execute(f"SELECT * FROM {table} WHERE {column} = ?", (block,)).fetchall()  # noqa: S608 -- ours
        for table, column in TABLES.items()
    }


def _insert(connection: sqlite3.Connection, rows: Rows) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table, inserted in rows.items():
        marks = ",".join("?" * len(inserted[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", inserted)  # noqa: S608 -- ours
    connection.execute("COMMIT")


def _endorse(ledger: EmbeddedLedger, number: int) -> Endorsed:
    argument = codec.encode({"key": f"key/{number:07}", "value": "x" * VALUE_BYTES})
    return ledger.endorse(Call(channel=CHANNEL, function="put", argument=argument), by=AGGREGATOR)


def _commit(ledger: EmbeddedLedger, group: Sequence[Endorsed]) -> None:
    for ordered in [ledger.order(one) for one in group]:
        ordered.wait()
