"""Time a market period through all its stages, for communities of several sizes, on either ledger, and their receipts.

Each community is made up: half of its homes sell and half buy. It is founded, then two periods go through the real
cycle one after the other; what the meters sign is signed beforehand, because in life they do that themselves. Times in
the chaincode are those of the slowest transaction, on any organisation.

Usage on Fabric: `scripts/bench --period --ledger fabric`. It is started for that, natively, with three organisations on
this machine; `FABRIC_BIN` says where its programs are.
"""

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench_suite import receipts
from bench_suite.results import OUT, Bar, Curve, Panel, Result
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

SIZES = (100, 1_000, 10_000)
MOST_S = 15.0
MOST_IN_CONTRACT_S = 3.0
# What a meter may cost in the largest community, against one in whichever smaller community it costs least.
MOST_GROWTH = 1.1

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
    def most_in_contract_s(self) -> float:
        """What the stage with most to do kept a processor busy in the chaincode, all transactions together."""
        return max(stage.cpu_s for stage in self.by_function.values())

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


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a community came to: its slower period, and on an embedded ledger a receipt."""

    meters: int
    period_s: float
    contract_s: float
    receipt: receipts.Measured | None

    @property
    def meter_s(self) -> float:
        return self.period_s / self.meters


def run() -> Result:
    """Take communities of all sizes through two periods on embedded ledgers, and print every stage."""
    found = [on_a_ledger(meters) for meters in SIZES]
    print_all(found)
    *smaller, largest = found
    growth = largest.meter_s / min(one.meter_s for one in smaller)
    bars = [
        Bar(what=f"s for a period of {largest.meters} meters", measured=largest.period_s, bound=MOST_S),
        Bar(what="s in the contract, slowest stage", measured=largest.contract_s, bound=MOST_IN_CONTRACT_S),
        Bar(what="cost per meter, against smaller communities", measured=growth, bound=MOST_GROWTH),
    ]
    for one in found:
        if one.receipt is not None:
            bars += one.receipt.bars(one.meters)
    curve = Curve("embedded ledger", [(one.meters, 1e6 * one.meter_s) for one in found])
    return Result(bars=bars, panels=[Panel("a period through all stages, per meter", "meters", [curve])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--meters", default=",".join(map(str, SIZES)), help="sizes, with commas")
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
    ports = arguments.ports if arguments.ledger == "fabric" else None
    print_all([on_a_ledger(meters, fabric_ports=ports, block_ms=arguments.block_ms) for meters in sizes])


def on_a_ledger(meters: int, *, fabric_ports: int | None = None, block_ms: int | None = None) -> Measured:
    """Measure a community on a new ledger: on Fabric if there are ports for it, else an embedded one."""
    scenario = scenario_of(meters)
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as directory:
        if fabric_ports is None:
            opened = on_embedded(Path(directory), scenario)
        else:
            opened = on_fabric(Path(directory).resolve(), port_base=fabric_ports, block_ms=block_ms)
        with opened as (ledger, noted):
            return measure(scenario, ledger, noted)


def print_all(found: Sequence[Measured]) -> None:
    print("meters   period s   ms per meter   receipt bytes   check ms")
    for one in found:
        receipt = "" if one.receipt is None else f"{one.receipt.size:>16}{1_000 * one.receipt.check_s:>11.2f}"
        print(f"{one.meters:>6}{one.period_s:>11.2f}{1_000 * one.meter_s:>15.2f}{receipt}")


# Takes what the chaincodes noted since the last time.
Noted = Callable[[], Sequence[tuple[str, float, float]]]


def measure(scenario: Scenario, ledger: Ledger, noted: Noted) -> Measured:
    """Run a community and print its stages."""
    meters = len(scenario.profiles.households)
    started = time.perf_counter()
    large = LargeCommunity(scenario, ledger, clock_for(scenario))
    signed = time.perf_counter()
    large.found()
    founded = time.perf_counter()
    print(f"{meters} meters: keys and signatures {signed - started:.1f} s, founding {founded - signed:.1f} s")
    # Meters live elsewhere: what they prepared here does not count when the ledger's garbage is collected.
    gc.collect()
    gc.freeze()
    measured: list[Stages] = []
    for period in large.periods:
        large.simulation.ledger = chain = TimedChain(ledger)
        noted()
        large.run(period)
        for function, *times in noted():
            if function in chain.stages.by_function:
                chain.stages.note(function, *times)
        load = os.getloadavg()[0]
        print(f" period {len(measured) + 1}: {chain.stages.wall_s:.2f} s; {os.cpu_count()} processors, load {load:.1f}")
        chain.stages.print()
        measured.append(chain.stages)
    gc.unfreeze()
    figures = summarise(large.simulation)
    if not figures["trades"]:
        sys.exit("nothing was traded")
    home = large.simulation.homes[meters // 2]
    return Measured(
        meters=meters,
        period_s=max(stages.wall_s for stages in measured),
        contract_s=max(stages.most_in_contract_s for stages in measured),
        receipt=receipts.measure(ledger, home.connection, scenario.first)
        if isinstance(ledger, EmbeddedLedger)
        else None,
    )


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
    here = Path(__file__).resolve()
    # Chaincode is started without this process's environment.
    program = (
        f"import sys; sys.path.insert(0, {str(here.parent.parent)!r}); from bench_suite.period import main; main()"
    )
    command = (sys.executable, "-c", program, "--serve", str(notes))
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
