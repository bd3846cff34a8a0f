"""A Fabric network with the toy on it, and a view of it for each test."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fabric.founded import free_port_base, installed_fabric
from wattpool.ledgers.fabric import FabricLedger
from wattpool.ledgers.port import Call, Checkpoint, Commit, Event, Pending, Tip
from wattpool_network.community import community
from wattpool_network.topology import Batch, Topology

_TESTS = Path(__file__).parent.parent
TOY = ("env", f"PYTHONPATH={_TESTS}", sys.executable, "-m", "ledger.toy_on_fabric")
# Long enough for two calls of a test to share a block; small enough that what is too large is soon sent.
_BATCH = Batch(timeout_ms=500, preferred_bytes=2 * 1024 * 1024, absolute_bytes=4 * 1024 * 1024)


def toy_topology() -> Topology:
    """Return a network whose one orderer keeps transactions in the order in which they are sent."""
    made = community(command=TOY, orderers=1, port_base=free_port_base(), fabric=installed_fabric())
    return replace(made, batch=_BATCH)


class SpacedLedger:
    """A Fabric ledger as one test sees it: keys of its own, and events from now on."""

    def __init__(self, ledger: FabricLedger, space: str) -> None:
        self.whole = ledger
        self.space = space
        self._begin = {channel: Checkpoint(block=ledger.height(channel)) for channel in ("contract", "ledger")}

    def submit(self, call: Call, *, by: str) -> Commit:
        return self.whole.submit(self._inside(call), by=by)

    def submit_async(self, call: Call, *, by: str) -> Pending:
        return self.whole.submit_async(self._inside(call), by=by)

    def submit_together(self, calls: Sequence[Call], *, by: str) -> Sequence[Pending]:
        return self.whole.submit_together([self._inside(call) for call in calls], by=by)

    def evaluate(self, call: Call, *, by: str) -> bytes:
        return self.whole.evaluate(self._inside(call), by=by)

    def events(self, channel: str, *, after: Checkpoint | None = None) -> Iterator[Event]:
        return self.whole.events(channel, after=after or self._begin[channel])

    def block(self, channel: str, number: int) -> object:
        return self.whole.block(channel, number)

    def transaction(self, channel: str, transaction_id: str) -> object:
        return self.whole.transaction(channel, transaction_id)

    def block_hashes(self, channel: str, start: int, stop: int, *, by: str) -> Iterator[bytes]:
        return self.whole.block_hashes(channel, start, stop, by=by)

    def height(self, channel: str) -> int:
        return self.whole.height(channel)

    def tip(self, channel: str) -> Tip:
        return self.whole.tip(channel)

    def _inside(self, call: Call) -> Call:
        return replace(call, function=f"{self.space}/{call.function}")
