"""Runs all parts, or those that are named; prints their tables and what met its bar, and draws how cost grows."""

import argparse
import time

from bench_suite import clearing, commits, period, plot, signatures, simulation
from bench_suite.results import OUT

PARTS = {
    "signatures": signatures.run,
    "commits": commits.run,
    "clearing": clearing.run,
    "simulation": simulation.run,
    "period": period.run,
}


def main() -> None:
    """Run the parts one after the other; a bar that was missed is printed and is no failure of the program."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)}; default: all")
    names = parser.parse_args().parts or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"{', '.join(unknown)}: known are {', '.join(PARTS)}")
    started = time.monotonic()
    results = []
    for name in names:
        print(f"== {name}")
        results.append(PARTS[name]())
    print("== bars")
    for result in results:
        for bar in result.bars:
            print(bar)
    panels = [panel for result in results for panel in result.panels]
    if panels:
        OUT.mkdir(exist_ok=True)
        plot.write(panels, OUT / "bench.svg")
        print(f"cost as numbers grow: {OUT / 'bench.svg'}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
