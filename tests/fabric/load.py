"""A load of transactions: each intention is a key that it alone puts, and is to be on the ledger exactly once.

Also a program, `python load.py CONNECTION_FILE MSP_ID OUTBOX COUNT`: a client that may be killed at any moment and goes
on from its outbox when it is started again.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

from fabric_gateway import (
    Backoff,
    CommitError,
    CommitStatusError,
    Connection,
    Contract,
    EndorseError,
    FabricError,
    Gateway,
    Identity,
    PrivateKeySigner,
    Reason,
    SubmitError,
    Timeouts,
    Tls,
)
from fabric_gateway.connection import MAX_IN_FLIGHT
from fabric_gateway.gateway import DEFAULT_TIMEOUTS
from wattpool_network.connection import OrganisationAccess
from wattpool_network.connection import read as connection_of
from wattpool_network.readiness import until

CHANNEL = "ledger"
CHAINCODE = "ledger"
# A network that is backed up or comes back from a crash is away for less.
SETTLING_DEADLINE_S = 240.0
PROGRESS_DEADLINE_S = 120.0
_WITHOUT_EFFECT = Backoff(first_s=0.2, longest_s=1.0)


class Outbox:
    """What became of each intention so far: endorsed and perhaps on its way, or acknowledged as valid."""

    def __init__(self) -> None:
        self.endorsed: dict[str, bytes] = {}
        self.acknowledged: dict[str, str] = {}

    def note_endorsed(self, intention: str, transaction: bytes) -> None:
        """Note the transaction that is about to be submitted; none of before is on the ledger."""
        self.endorsed[intention] = transaction

    def note_without_effect(self, intention: str) -> None:
        """Note that whatever was endorsed is without effect; a file need not know, for that stays so."""
        self.endorsed.pop(intention, None)

    def note_acknowledged(self, intention: str, transaction_id: str) -> None:
        """Note that the commit status was valid."""
        del self.endorsed[intention]
        self.acknowledged[intention] = transaction_id


class FileOutbox(Outbox):
    """An outbox that is on disk before anything is sent, and is read back as far as it was written."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        file.touch()
        whole, newline, _ = file.read_text().rpartition("\n")
        for line in whole.splitlines():
            intention, kind, value = json.loads(line)
            if kind == "endorsed":
                super().note_endorsed(intention, bytes.fromhex(value))
            else:
                super().note_acknowledged(intention, value)
        # What stands behind the last whole line was never followed by a submission.
        os.truncate(file, len(whole + newline))
        self._file = file.open("a")

    def note_endorsed(self, intention: str, transaction: bytes) -> None:
        super().note_endorsed(intention, transaction)
        self._append(intention, "endorsed", transaction.hex())

    def note_acknowledged(self, intention: str, transaction_id: str) -> None:
        super().note_acknowledged(intention, transaction_id)
        self._append(intention, "acknowledged", transaction_id)

    def _append(self, *words: str) -> None:
        self._file.write(json.dumps(words) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@dataclass(kw_only=True)
class Load:
    """Clients of organisations that carry out intentions, `in_flight` at a time, through each one's own peer."""

    organisations: tuple[tuple[str, OrganisationAccess], ...]
    in_flight: int
    outbox: Outbox = field(default_factory=Outbox)
    # What failed in passing, by the reason or code told.
    failures: Counter[str] = field(default_factory=Counter)
    longest_pause_s: float = 0.0
    running_s: float = 0.0
    _last: float = field(default=0.0, init=False)

    async def run(self, intentions: Iterable[str]) -> None:
        """Carry out all intentions; one that the outbox knows goes on where it was.

        Raises:
            FabricError: if one fails for good, or is not settled in time.
        """
        started = self._last = time.monotonic()
        pending = iter(intentions)
        async with AsyncExitStack() as stack:
            gateways = [
                # Who waits for a commit takes a slot, and a quarter of them is kept free.
                await stack.enter_async_context(opened(msp_id, access, max_in_flight=2 * self.in_flight))
                for msp_id, access in self.organisations
            ]
            async with asyncio.TaskGroup() as group:
                for _, gateway in zip(range(self.in_flight), cycle(gateways), strict=False):
                    group.create_task(self._work(gateway, pending))
        self.running_s = self._last - started

    @property
    def figures(self) -> str:
        """What there is to tell of the load."""
        done = len(self.outbox.acknowledged)
        return (
            f"{done} transactions in {self.running_s:.1f} s, {done / max(self.running_s, 0.001):.0f} per second, "
            f"longest pause {self.longest_pause_s:.1f} s, failed in passing: {dict(self.failures)}"
        )

    async def _work(self, gateway: Gateway, intentions: Iterator[str]) -> None:
        for intention in intentions:
            if intention not in self.outbox.acknowledged:
                async with asyncio.timeout(SETTLING_DEADLINE_S):
                    transaction_id = await self._carry_out(gateway, intention)
                self.outbox.note_acknowledged(intention, transaction_id)
                now = time.monotonic()
                self.longest_pause_s = max(self.longest_pause_s, now - self._last)
                self._last = now

    async def _carry_out(self, gateway: Gateway, intention: str) -> str:
        contract = gateway.network(CHANNEL).contract(CHAINCODE)
        pauses_s = _WITHOUT_EFFECT.pauses_s()
        while True:
            try:
                return await self._once(gateway, contract, intention)
            except (EndorseError, SubmitError) as error:
                if error.reason is Reason.CHAINCODE_REFUSED:
                    raise
                self.failures[f"{error.phase}: {error.reason}"] += 1
            except CommitError as error:
                self.failures[error.code.name] += 1
            # All of these are known to be without effect, so another transaction is no second one.
            self.outbox.note_without_effect(intention)
            await asyncio.sleep(next(pauses_s))

    async def _once(self, gateway: Gateway, contract: Contract, intention: str) -> str:
        kept = self.outbox.endorsed.get(intention)
        if kept is None:
            transaction = await contract.endorse("load:put", intention, intention)
            self.outbox.note_endorsed(intention, transaction.to_bytes())
        else:
            transaction = gateway.transaction(kept)
        while True:
            try:
                return (await transaction.submit_and_wait()).transaction_id
            except CommitStatusError as error:
                self.failures[f"{error.phase}: {error.reason}"] += 1


@dataclass(kw_only=True)
class Running:
    """A load in the background."""

    load: Load
    prefix: str
    thread: threading.Thread
    failed: list[BaseException]

    @property
    def acknowledged(self) -> dict[str, str]:
        """The intentions known to be on the ledger so far, with their transactions."""
        return dict(self.load.outbox.acknowledged)

    def await_progress(self, transactions: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.load.outbox.acknowledged) + transactions
        assert until(lambda: self._has(wanted), deadline_s=PROGRESS_DEADLINE_S), self.load.figures
        assert not self.failed, self.failed

    def _has(self, wanted: int) -> bool:
        return len(self.load.outbox.acknowledged) >= wanted or not self.thread.is_alive()


@contextmanager
def running(connection_file: Path, *organisations: str, in_flight: int = 6) -> Iterator[Running]:
    """Run a load meanwhile, by clients of the organisations of these MSP ids; at the end every intention is settled."""
    access = connection_of(connection_file).organisations
    load = Load(organisations=tuple((msp_id, access[msp_id]) for msp_id in organisations), in_flight=in_flight)
    prefix = f"load{time.time_ns()}-"
    stop = threading.Event()
    failed: list[BaseException] = []

    def intentions() -> Iterator[str]:
        numbers = count()
        while not stop.is_set():
            yield f"{prefix}{next(numbers)}"

    def run() -> None:
        try:
            asyncio.run(load.run(intentions()))
        except* (FabricError, TimeoutError) as group:
            failed.extend(group.exceptions)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Running(load=load, prefix=prefix, thread=thread, failed=failed)
    finally:
        stop.set()
        thread.join()
    assert not failed, failed


@asynccontextmanager
async def opened(
    msp_id: str,
    access: OrganisationAccess,
    *,
    name: str = "client",
    max_in_flight: int = MAX_IN_FLIGHT,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
) -> AsyncIterator[Gateway]:
    """Open an organisation's own peer, as its client or admin."""
    client = access.identities[name]
    identity = Identity(msp_id=msp_id, certificate_pem=client.certificate.read_bytes())
    signer = PrivateKeySigner.load(client.key.read_bytes())
    tls = Tls(root_pem=access.tls_root.read_bytes())
    async with Connection.open(access.peers[0], tls=tls, max_in_flight=max_in_flight) as connection:
        yield Gateway(connection, identity, signer, timeouts=timeouts)


def main(connection_file: str, msp_id: str, outbox: str, how_many: str) -> None:
    """Carry out so many intentions, but for those that the outbox has as acknowledged."""
    access = connection_of(Path(connection_file)).organisations[msp_id]
    load = Load(organisations=((msp_id, access),), in_flight=20, outbox=FileOutbox(Path(outbox)))
    asyncio.run(load.run(f"{Path(outbox).stem}-{number}" for number in range(int(how_many))))


if __name__ == "__main__":
    main(*sys.argv[1:])
