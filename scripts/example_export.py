"""Writes docs/examples/export.jsonl anew: a community that is founded, has a tariff, and agrees on a checkpoint.

Its keys are new every time, so the table of its hashes in docs/ledger-format.md is written anew, too.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from wattpool.checkpoints import vote
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.verify.export import write_export
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.organisations import AGGREGATOR, DSO, OPERATOR_ATTRIBUTES
from wattpool_chaincode.records import codec

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLE = DOCS / "examples/export.jsonl"
PAGE = DOCS / "ledger-format.md"
NOON_UTC = 1_489_996_800
RULES = {
    "community": "street",
    "period_s": 900,
    "clock": "simulated",
    "mechanism": "pool",
    "alpha_ut_per_kwh": 30_000,
    "beta_ut_per_kwh": 15_000,
    "pool_time_limit_s": 900,
    "fee_feeder_ut_per_kwh": 15_000,
    "fee_community_ut_per_kwh": 30_000,
    "gate_lead_s": 300,
    "report_due_s": 86_400,
    "firm_deposit_ppm": 500_000,
    "firm_tolerance_ppm": 50_000,
    "firm_decline_below_ppm": 500_000,
    "firm_shortfall_ut_per_kwh": 100_000,
    "seal_key": "03b2fb7e3e8ac82e099b34981ad2c28414a25badeba511509a115eeefabb62b9b5",
    "correction_key": "03b2fb7e3e8ac82e099b34981ad2c28414a25badeba511509a115eeefabb62b9b5",
}
TARIFF = {
    "name": "standard",
    "energy_ut_per_kwh": 180_000,
    "network_ut_per_kwh": 90_000,
    "levies_ut_per_kwh": 30_000,
    "feed_in_ut_per_kwh": 80_000,
}


def rows() -> Iterator[tuple[str, str]]:
    """Yield what the page names of the example, and its hash."""
    for line in map(json.loads, EXAMPLE.read_text().splitlines()):
        match line["kind"]:
            case "genesis":
                yield "genesis", hash_of(line["genesis"])
            case "certificate":
                yield f"fingerprint of a certificate of {line['msp_id']}", line["fingerprint"]
            case "block":
                block = line["block"]
                name = f"block {block['number']}"
                (transaction,) = block.pop("transactions")
                yield (
                    f"{name}, `{transaction['proposal']['function']}`: id of the transaction",
                    transaction["proposal"]["id"],
                )
                yield f"{name}: proposal", transaction["response"]["proposal"]
                yield f"{name}: response", hash_of(transaction["response"])
                yield f"{name}: `data_hash`", block["data_hash"]
                yield name, hash_of(block)
            case "end":
                yield "all lines but the last", line["hash"]


def hash_of(value: object) -> str:
    return sha256(codec.encode(value)).hexdigest()


with tempfile.TemporaryDirectory() as scratch:
    directory = Path(scratch) / "ledger"
    with EmbeddedLedger.create(
        directory,
        community="street",
        chaincodes=CHAINCODES,
        client_attributes=OPERATOR_ATTRIBUTES,
        clock=lambda: NOON_UTC,
    ) as ledger:
        contract = Chain(ledger, "contract")
        contract.submit("found", by=AGGREGATOR, **RULES)
        contract.submit("set_tariff", by=AGGREGATOR, **TARIFF)
        for organisation in (DSO, AGGREGATOR):
            checkpoint = vote(ledger, by=organisation)
    write_export(directory, EXAMPLE)
table = "".join(
    f"| {what} | `{digest}` |\n" for what, digest in (*rows(), ("root of checkpoint 1", checkpoint["root"]))
)
head, mark, rest = PAGE.read_text().rpartition("| what | hash |\n| --- | --- |\n")
PAGE.write_text(head + mark + table + re.sub(r"\A(\|[^\n]*\n)*", "", rest))
