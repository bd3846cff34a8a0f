"""Compare our shim and Gateway client with the official ones for Node, on a real Fabric network of one organisation.

Each client drives each chaincode. A ratio is the median of interleaved runs: calls a second of ours against theirs, the
other end being the same. Calls of a function that does nothing show the ceiling: what client and peer cost alone.

The official client signs in JavaScript, which takes it longer than all else: used as its documentation shows, it is the
bottleneck whatever the chaincode does. So the chaincodes are compared under the official client with a signer of
OpenSSL, which its interface allows for; the clients are compared as their users have them.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import geometric_mean, median

from fabric.founded import free_port_base, installed_fabric
from fabric.official_node import Client, NodeMissing, OfficialNode
from wattpool_network import connection
from wattpool_network.commands import Binaries
from wattpool_network.errors import BinaryMissing
from wattpool_network.network import Network
from wattpool_network.topology import Chaincode, Channel, Organisation, Topology

HERE = Path(__file__).parent
ROUNDS = 5
CHANNEL = "bench"
MSP_ID = "OrgMSP"
OURS, THEIRS = "python", "node"
# The official client that signs by OpenSSL.
FAST = "node-openssl"
CLIENTS = (FAST, THEIRS, OURS)
# Client and chaincode.
Pair = tuple[str, str]
PAIRS = tuple((client, chaincode) for client in CLIENTS for chaincode in (THEIRS, OURS))
# The function that does nothing.
CEILING = "nothing"
ASSETS = 100
# How many keys `worth` reads, as a rule of a market may.
BASKET = 20
# As many at a time as keep the processors busy; a submit also waits for its block.
IN_FLIGHT = {"evaluate": 50, "submit": 250}


@dataclass(frozen=True, kw_only=True)
class Work:
    """One kind of call, made many times in a run; `call` is given a number that no other call has."""

    verb: str
    function: str
    times: int
    call: Callable[[int], tuple[str, ...]]


def _basket(number: int) -> str:
    """Return the names of some assets."""
    return json.dumps([f"asset-{(number + step) % ASSETS}" for step in range(BASKET)])


# The register grows with `create`, which all that lists it has to come before.
WORKS = (
    Work(verb="evaluate", function="inventory", times=1_000, call=lambda _: ("inventory",)),
    Work(verb="evaluate", function="worth", times=1_000, call=lambda number: ("bench:worth", _basket(number))),
    Work(verb="evaluate", function="read", times=2_000, call=lambda number: ("read", f"asset-{number % ASSETS}")),
    Work(verb="evaluate", function=CEILING, times=2_000, call=lambda _: ("bench:nothing",)),
    Work(verb="submit", function="create", times=500, call=lambda number: ("create", f"new-{number}", "5")),
    Work(verb="submit", function=CEILING, times=500, call=lambda _: ("bench:nothing",)),
)


@dataclass
class Series:
    """The runs of one pair and work: calls a second, and what a call cost the chaincode's process."""

    rates: list[float] = field(default_factory=list)
    chaincode_cpu_us: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, and print figures with their ratios; where Fabric or Node is missing, say so."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            Binaries.find()
            node = OfficialNode.install(directory / "node")
        except (BinaryMissing, NodeMissing) as missing:
            print(f"not measured: {missing}")
            return
        network = stack.enter_context(_network(directory / "state", node))
        access = connection.read(network.layout.connection)
        clients = {
            FAST: Client(node.client, access, MSP_ID, native_signing=True),
            THEIRS: Client(node.client, access, MSP_ID),
            OURS: Client((sys.executable, str(HERE / "client.py")), access, MSP_ID),
        }
        for client in clients.values():
            stack.enter_context(client)
        bench = Bench(network, clients)
        bench.fill()
        _print_head()
        ratios: dict[str, list[float]] = {}
        for work in WORKS:
            series = bench.measure(work)
            print(_row(f"{work.verb} {work.function}", *_figures(series)), flush=True)
            if work.function != CEILING:
                ratios.setdefault(work.verb, []).append(_ratio(series[FAST, OURS], series[FAST, THEIRS]))
        for verb, shims in ratios.items():
            print(f"our shim, {verb}, geometric mean without the ceiling: {geometric_mean(shims):.2f}")


@contextmanager
def _network(directory: Path, node: OfficialNode) -> Iterator[Network]:
    commands = {OURS: (sys.executable, str(HERE / "chaincode.py")), THEIRS: node.chaincode}
    topology = Topology(
        # The official chaincode is served as its own example is: in clear text.
        chaincode_tls=False,
        organisations=(Organisation(name="org", msp_id=MSP_ID, slot=0),),
        channels=(
            Channel(
                name=CHANNEL,
                chaincodes=tuple(
                    Chaincode(name=name, command=command, endorsement=f"OutOf(1, '{MSP_ID}.peer')")
                    for name, command in commands.items()
                ),
            ),
        ),
        port_base=free_port_base(),
        fabric=installed_fabric(),
    )
    network = Network(directory, topology)
    try:
        network.up()
        yield network
    finally:
        network.down(wipe=True)


class Bench:
    """A running network with a client of each kind."""

    def __init__(self, network: Network, clients: dict[str, Client]) -> None:
        self._network = network
        self._clients = clients
        self._numbers = count()

    def fill(self) -> None:
        """Have each chaincode's register list as many assets."""
        calls = [("create", f"asset-{number}", "5") for number in range(ASSETS)]
        for chaincode in (OURS, THEIRS):
            self._run("submit", (THEIRS, chaincode), calls)

    def measure(self, work: Work) -> dict[Pair, Series]:
        """Take turns among the pairs; the first round warms up connections, caches and compilers."""
        series = {pair: Series() for pair in PAIRS}
        for turn in range(1 + ROUNDS):
            for pair in PAIRS:
                calls = [work.call(next(self._numbers)) for _ in range(work.times)]
                before_us = self._cpu_us(pair)
                seconds = self._run(work.verb, pair, calls)
                if turn:
                    series[pair].rates.append(work.times / seconds)
                    series[pair].chaincode_cpu_us.append((self._cpu_us(pair) - before_us) / work.times)
        return series

    def _run(self, verb: str, pair: Pair, calls: Sequence[tuple[str, ...]]) -> float:
        client, chaincode = pair
        in_flight = IN_FLIGHT[verb]
        answer = self._clients[client].do(verb, channel=CHANNEL, chaincode=chaincode, calls=calls, in_flight=in_flight)
        if "seconds" not in answer:
            sys.exit(f"{client} could not {verb} {calls[0]} on {chaincode}: {answer}")
        return float(answer["seconds"])

    def _cpu_us(self, pair: Pair) -> float:
        """Return the processor time that a chaincode's process has taken so far (proc(5), utime and stime)."""
        pid = self._network.node_process(f"{pair[1]}-1.org").pid
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) * 1e6 / os.sysconf("SC_CLK_TCK")


def _print_head() -> None:
    print(f"Medians of {ROUNDS} interleaved runs: calls a second by client>chaincode, processor time that a call takes")
    print("of the chaincode, and calls a second of ours / theirs. 'nothing' is the ceiling that client and peer set.")
    pairs = [f"{client}>{chaincode}" for client, chaincode in PAIRS]
    print(_row("", "calls/s", *[""] * (len(pairs) - 1), "chaincode us", "", "our shim", "", "our client", ""))
    print(_row("", *pairs, THEIRS, OURS, f"{FAST}>", f"{OURS}>", f">{THEIRS}", f">{OURS}"), flush=True)


def _figures(series: dict[Pair, Series]) -> Iterator[str]:
    for pair in PAIRS:
        yield f"{median(series[pair].rates):.0f}"
    for chaincode in (THEIRS, OURS):
        yield f"{median(series[FAST, chaincode].chaincode_cpu_us):.0f}"
    for client in (FAST, OURS):
        yield f"{_ratio(series[client, OURS], series[client, THEIRS]):.2f}"
    for chaincode in (THEIRS, OURS):
        yield f"{_ratio(series[OURS, chaincode], series[THEIRS, chaincode]):.2f}"


def _row(name: str, *cells: str) -> str:
    return f"{name:20}" + "".join(f"{cell:>21}" for cell in cells)


def _ratio(ours: Series, theirs: Series) -> float:
    """Compare runs that followed one another, so that what else the machine does concerns both."""
    return median(one / other for one, other in zip(ours.rates, theirs.rates, strict=True))


if __name__ == "__main__":
    main()
