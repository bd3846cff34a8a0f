"""Time a market period through all its stages, for communities of several sizes, on either ledger.

Each community is made up: half of its homes sell and half buy. It is founded, then two periods go through the real
cycle one after the other; what the meters sign is signed beforehand, because in life they do that themselves. Times in
the chaincode are those of the slowest transaction, on any organisation.

Fabric is started for it, natively, with three organisations on this machine; `FABRIC_BIN` says where its programs are.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fabric_shim import serve
from wattpool.client import Chain, Step
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.fabric import FabricLedger, read_connection
from wattpool.ledgers.port import Ledger
from wattpool.simulation.engine import clock_for
from wattpool.simulation.large import LargeCommunity, scenario_of
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.context import Context
from wattpool_chaincode.fabric import FabricChaincode
from wattpool_chaincode.ledger import CHANNEL
from wattpool_chaincode.organisations import OPERATOR_ATTRIBUTES
from wattpool_chaincode.records import codec
from wattpool_network.commands import Binaries
from wattpool_network.community import community
from wattpool_network.errors import BinaryMissing
from wattpool_network.network import Network

# Notes a function of a chaincode, how long it ran, and how much of that it had a processor.
Note = Callable[[str, float, float], None]


@dataclass(frozen=True, kw_only=True)
class TimedChaincode(Chaincode):
    """A chaincode that notes how long each call runs."""

    note: Note

    def invoke(self, context: Context, function: str, argument: bytes) -> bytes:
        started, started_cpu = time.perf_counter(), time.thread_time()
        result = super().invoke(context, function, argument)
        self.note(function, time.perf_counter() - started, time.thread_time() - started_cpu)
        return result


@dataclass(kw_only=True)
class Stage:
    """What one stage of a period came to."""

    transactions: int = 0
    wall_s: float = 0.0
    most_bytes: int = 0
    most_s: float = 0.0
    cpu_s: float = 0.0


@dataclass
class Stages:
    """All stages, in the order in which they came."""

    by_function: dict[str, Stage] = field(default_factory=dict)

    def __getitem__(self, function: str) -> Stage:
        return self.by_function.setdefault(function, Stage())

    def note(self, function: str, seconds: float, cpu_s: float) -> None:
        stage = self[function]
        stage.most_s = max(stage.most_s, seconds)
        stage.cpu_s += cpu_s

    @property
    def wall_s(self) -> float:
        return sum(stage.wall_s for stage in self.by_function.values())

    def print(self) -> None:
        print("  stage      transactions   wall s   slowest in chaincode s   chaincode CPU s   largest argument kB")
        for function, stage in self.by_function.items():
            print(
                f"  {function:<10}{stage.transactions:>13}{stage.wall_s:>9.2f}{stage.most_s:>25.3f}"
                f"{stage.cpu_s:>18.2f}{stage.most_bytes / 1_000:>22.1f}"
            )


class TimedChain(Chain):
    """A chain that notes how long steps take until they are durable."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger, CHANNEL)
        self.stages = Stages()

    def submit_together(self, steps: Sequence[Step], *, by: str) -> list[Any]:
        started = time.perf_counter()
        results = super().submit_together(steps, by=by)
        for function in {step.function for step in steps}:
            self.stages[function].wall_s += time.perf_counter() - started
        for step in steps:
            stage = self.stages[step.function]
            stage.transactions += 1
            stage.most_bytes = max(stage.most_bytes, _size(step))
        return results


class Notes:
    """What chaincode processes wrote down, each in a file of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, int] = {}

    def writer(self) -> Note:
        """Return what notes a call in this process's file; one line is one write, whichever thread it comes from."""
        file = (self._directory / f"{os.getpid()}").open("ab", buffering=0)
        return lambda function, seconds, cpu_s: void(file.write(f"{function} {seconds} {cpu_s}\n".encode()))

    def read(self) -> Iterator[tuple[str, float, float]]:
        """Yield what was noted since the last time."""
        for path in self._directory.iterdir():
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                lines = file.readlines()
                self._read[path] = file.tell()
            for line in lines:
                function, seconds, cpu_s = line.split()
                yield function.decode(), float(seconds), float(cpu_s)


def void(_: object) -> None:
    """Make nothing of a result."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--meters", default="100,1000,10000", help="sizes, with commas")
    parser.add_argument("--ledger", choices=("embedded", "fabric"), default="embedded")
    parser.add_argument("--ports", type=int, default=7000, help="the first of 300 ports for Fabric")
    parser.add_argument("--block-ms", type=int, help="when Fabric's orderers cut a block that is not full")
    parser.add_argument("--serve", nargs=2, metavar=("NOTES", "CHAINCODE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ledger == "fabric":
        try:
            Binaries.find()
        except BinaryMissing as error:
            sys.exit(str(error))
    if arguments.serve:
        directory, name = arguments.serve
        serve(FabricChaincode(timed(CHAINCODES[name], Notes(Path(directory)).writer())))
        return
    sizes = [int(size) for size in arguments.meters.split(",")]
    rows = []
    for meters in sizes:
        # Where the ledgers of communities are: on a disk.
        out = Path(__file__).parent.parent / "out"
        out.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out) as directory:
            scenario = scenario_of(meters)
            if arguments.ledger == "fabric":
                opened = on_fabric(Path(directory).resolve(), port_base=arguments.ports, block_ms=arguments.block_ms)
            else:
                opened = on_embedded(Path(directory), scenario)
            with opened as (ledger, noted):
                rows.append((meters, measure(scenario, ledger, noted)))
    print("meters   period s   ms per meter")
    for meters, wall_s in rows:
        print(f"{meters:>6}{wall_s:>11.2f}{1_000 * wall_s / meters:>15.2f}")


# Takes what the chaincodes noted since the last time.
Noted = Callable[[], Sequence[tuple[str, float, float]]]


def measure(scenario: Scenario, ledger: Ledger, noted: Noted) -> float:
    """Run a community, print its stages, and return the wall time of its slower period."""
    meters = len(scenario.profiles.households)
    started = time.perf_counter()
    large = LargeCommunity(scenario, ledger, clock_for(scenario))
    signed = time.perf_counter()
    large.found()
    founded = time.perf_counter()
    print(f"{meters} meters: keys and signatures {signed - started:.1f} s, founding {founded - signed:.1f} s")
    walls: list[float] = []
    for period in large.periods:
        large.simulation.ledger = chain = TimedChain(ledger)
        noted()
        large.run(period)
        for function, *times in noted():
            if function in chain.stages.by_function:
                chain.stages.note(function, *times)
        load = os.getloadavg()[0]
        print(f" period {len(walls) + 1}: {chain.stages.wall_s:.2f} s; {os.cpu_count()} processors, load {load:.1f}")
        chain.stages.print()
        walls.append(chain.stages.wall_s)
    figures = summarise(large.simulation)
    if not figures["trades"]:
        sys.exit("nothing was traded")
    return max(walls)


@contextmanager
def on_embedded(directory: Path, scenario: Scenario) -> Iterator[tuple[Ledger, Noted]]:
    """Give an embedded ledger, and what its chaincodes note."""
    calls: list[tuple[str, float, float]] = []

    def noted() -> Sequence[tuple[str, float, float]]:
        taken = list(calls)
        calls.clear()
        return taken

    chaincodes = {
        channel: timed(chaincode, lambda *call: calls.append(call)) for channel, chaincode in CHAINCODES.items()
    }
    with EmbeddedLedger.create(
        directory / "ledger",
        community=scenario.community,
        chaincodes=chaincodes,
        client_attributes=OPERATOR_ATTRIBUTES,
        clock=clock_for(scenario),
    ) as ledger:
        yield ledger, noted


@contextmanager
def on_fabric(directory: Path, *, port_base: int, block_ms: int | None) -> Iterator[tuple[Ledger, Noted]]:
    """Give a new network of three organisations, and what their chaincodes note."""
    notes = directory / "notes"
    notes.mkdir()
    command = (sys.executable, str(Path(__file__).resolve()), "--serve", str(notes))
    topology = community(command=command, port_base=port_base)
    if block_ms is not None:
        topology = replace(topology, batch=replace(topology.batch, timeout_ms=block_ms))
    network = Network(directory / "network", topology)
    written = Notes(notes)
    try:
        network.up()
        with FabricLedger(read_connection(network.layout.connection)) as ledger:
            yield ledger, lambda: list(written.read())
    finally:
        Network.open(network.layout.root).down(wipe=True)


def timed(chaincode: Chaincode, note: Note) -> Chaincode:
    return TimedChaincode(**{name: getattr(chaincode, name) for name in chaincode.__dataclass_fields__}, note=note)


def _size(step: Step) -> int:
    return len(codec.encode(dict(step.argument))) + sum(map(len, step.transient.values()))


if __name__ == "__main__":
    main()
