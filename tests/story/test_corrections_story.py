"""An outage, a substitute, records that come late, bills paid late: on a real ledger, and anyone can check it."""

import subprocess
import sys
from pathlib import Path

from community import FIRST, Community, Home, place
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Call
from wattpool.verify import verify
from wattpool.verify.export import write_export
from wattpool_chaincode.contract import CONTRACT
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.organisations import OPERATOR_ATTRIBUTES

SECOND = FIRST.next
THIRD = SECOND.next
WISHES_WH = {"ann": 800, "bob": -500, "cy": 300, "dee": -900}
MEASURED_WH = {"ann": (0, 700), "bob": (600, 0), "cy": (0, 350), "dee": (100, 0)}
STRANGER = Path(__file__).parents[2] / "docs/examples/verify_export.py"
SILENT = ("bob", "cy")


def tell() -> Community:
    """Bob's and Cy's meters are cut off for two periods; the DSO substitutes, until they are heard in the third."""
    feeders = {"ann": "A", "bob": "A", "cy": "B", "dee": "B"}
    community = Community([Home(name=name, feeder=feeder) for name, feeder in feeders.items()])
    unheard: dict[str, list[str]] = {name: [] for name in SILENT}
    for period in (FIRST, SECOND, THIRD):
        community.open(period)
        requests = [community.request(name, wish_wh, period=period) for name, wish_wh in WISHES_WH.items()]
        community.ingest(requests, period=period)
        community.fix(period)
        records: list[str] = []
        for name, (import_wh, export_wh) in MEASURED_WH.items():
            record = community.record(name, import_wh=import_wh, export_wh=export_wh, period=period)
            if name in SILENT:
                unheard[name].append(record)
            else:
                records.append(record)
        if period == THIRD:
            records += [record for name in SILENT for record in unheard[name]]
        community.report(records, period=period)
        community.settle(period)
        community.seal(period)

    bob, cy = (community.slot(name) for name in SILENT)
    # Nobody has anything in a wallet: all of it is due, and paid by the next bill.
    community.correct([[bob, 400, 0], [cy, 0, 200]])
    community.fill_wallet("bob", 20_000)
    community.ledger("pay_due", period=FIRST.start_utc, version=2)
    community.fill_wallet("bob", 100_000)
    community.fill_wallet("dee", 100_000)
    community.ledger("pay_due", period=FIRST.start_utc, version=2)
    for number, period in enumerate((FIRST, SECOND)):
        values = []
        for slot, first in ((bob, 2), (cy, 5)):
            before = None if number == 0 else place(records, first + number - 1, period=THIRD)
            values.append([slot, before, place(records, first + number, period=THIRD)])
        community.correct_late(values, period=period)
    return community


def test_an_outage_is_filled_and_paid_and_every_version_can_be_checked(tmp_path: Path) -> None:
    community = tell()
    # In the end the two periods are as the third, in which all records came in time.
    for period in (FIRST, SECOND):
        for name in MEASURED_WH:
            said, in_time = community.corrected(name, period), community.statement(name, THIRD)
            assert [said[key] for key in ("bought_wh", "sold_wh", "import_wh", "export_wh")] == [
                in_time[key] for key in ("bought_wh", "sold_wh", "import_wh", "export_wh")
            ]
    assert [community.version(FIRST, number)["result"]["traded_wh"] for number in (1, 2, 3)] == sorted(
        {community.version(FIRST, number)["result"]["traded_wh"] for number in (1, 2, 3)}
    )
    assert community.version(FIRST, 2)["due"] == []

    chaincodes = {"contract": CONTRACT, "ledger": LEDGER}
    with EmbeddedLedger.create(
        tmp_path / "ledger", community="demo", chaincodes=chaincodes, client_attributes=OPERATOR_ATTRIBUTES
    ) as ledger:
        for call in community.calls:
            argument, transient = call.argument, call.transient
            ledger.submit(
                Call(channel=call.channel, function=call.function, argument=argument, transient=transient), by=call.by
            )
    write_export(tmp_path / "ledger", tmp_path / "export.jsonl")
    done = subprocess.run(  # noqa: S603 -- our own program, without our own packages
        [sys.executable, "-I", STRANGER, tmp_path / "export.jsonl"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = verify(tmp_path / "ledger")
    assert report.violation is None
    assert sum(one.transactions for one in report.channels.values()) == len(community.calls)
