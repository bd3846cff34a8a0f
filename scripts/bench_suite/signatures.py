"""Time the check of a signature as the product does it against `cryptography` alone and against OpenSSL's own figure.

A check of ours finds the key of a compressed point and refuses a high s, too. OpenSSL checks a digest that is given, by
the code of its own build. The three take turns, and all count the processor's time, as `openssl speed` does.
"""

import re
import shutil
import statistics
import subprocess
from collections.abc import Callable
from time import process_time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench_suite.results import Bar, Result
from wattpool.simulation.homes import Homes, build_homes
from wattpool.simulation.large import scenario_of
from wattpool_chaincode.records import ocmf, signing

ROUNDS = 5
CHECKS = 4_000
LEAST_SHARE = 0.85
_ALGORITHM = ec.ECDSA(hashes.SHA256())
# Behind algorithm and bits of the curve: signatures and checks in a second.
_OPENSSL_LINE = re.compile(rb"^\+F[0-9]+:[0-9]+:256:[0-9.]+:([0-9.]+)$", re.MULTILINE)


def run() -> Result:
    """Check a meter's record again and again, and print how many checks a second that comes to."""
    scenario = scenario_of(2)
    home = build_homes(scenario)[0]
    text = Homes([home]).records(scenario.first)[0]
    record = ocmf.read(text)
    public_key = home.device_key.public_key()
    point = signing.public_bytes(public_key)

    rounds: dict[str, list[float]] = {"ours": [], "cryptography": [], "with reading": [], "openssl": []}
    for _ in range(ROUNDS):
        rounds["ours"].append(_a_second(lambda: record.is_signed_by(point)))
        rounds["cryptography"].append(
            _a_second(lambda: public_key.verify(record.signature, record.payload, _ALGORITHM))
        )
        rounds["with reading"].append(_a_second(lambda: ocmf.read(text).is_signed_by(point)))
        if (openssl := _openssl_a_second()) is not None:
            rounds["openssl"].append(openssl)
    print("signature checks a second: medians; share: ours against it, median of rounds")
    bars = []
    for name, found in rounds.items():
        if not found:
            print(f"  {name:<14} is not on PATH, or its `speed` says nothing that can be read")
            continue
        share = statistics.median(ours / other for ours, other in zip(rounds["ours"], found, strict=True))
        print(f"  {name:<14}{statistics.median(found):>10,.0f}{share:>8.0%}")
        if name == "openssl":
            bars = [
                Bar(what="signature checks, share of openssl speed", measured=share, bound=LEAST_SHARE, is_floor=True)
            ]
    return Result(bars=bars)


def _a_second(check: Callable[[], object]) -> float:
    started = process_time()
    for _ in range(CHECKS):
        check()
    return CHECKS / (process_time() - started)


def _openssl_a_second() -> float | None:
    program = shutil.which("openssl")
    if program is None:
        return None
    arguments = [program, "speed", "-mr", "-seconds", "1", "ecdsap256"]
    found = _OPENSSL_LINE.search(subprocess.run(arguments, check=True, capture_output=True).stdout)  # noqa: S603
    return None if found is None else float(found[1])
