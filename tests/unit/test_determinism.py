import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from community import FIRST, Community, Home, signed
from wattpool_chaincode.market.mechanisms import MECHANISMS

TESTS = Path(__file__).parents[1]
# What requests are ready to pay beats it, so that a buyer who pays just that gains too.
BEATEN = {"energy_ut_per_kwh": 170_000}
HOMES = [
    Home(name="ann"),
    Home(name="bob", max_buy_ut_per_kwh=200_000),
    Home(name="cy", feeder="B"),
    Home(name="dee", feeder="B", generation_cost_ut_per_kwh=80_000),
    Home(name="eve", feeder="C", tariff="green"),
    Home(name="fay", feeder="C", purse_ut=200_000),
]


def day(mechanism: str) -> str:
    """Run 96 periods with wrong forecasts, lost records, substitutes, a void meter; return hashes of what is left."""
    community = Community(
        HOMES,
        rules={"mechanism": mechanism},
        tariffs={"green": {**BEATEN, "feed_in_ut_per_kwh": 70_000}, "standard": BEATEN},
    )
    period, results = FIRST, []
    for number in range(96):
        if number == 48:
            tamper = {"household_power_w": 0, "power_flow_w": 0, "tamper": True}
            states = [signed("state", home.name, {**tamper, "tamper": home.name == "cy"}) for home in HOMES]
            results.append(community.contract("update_meters", states=states))
            community.publish()
        # Sun and load that move with the period and the home; forecasts are those of the period before.
        flows_wh = [(97 * slot + 131 * number) % 900 - 450 for slot in range(len(HOMES))]
        wishes_wh = {home.name: flow + 13 for home, flow in zip(HOMES, flows_wh, strict=True)}
        measured_wh = {
            home.name: (max(0, -flow), max(0, flow))
            for slot, (home, flow) in enumerate(zip(HOMES, flows_wh, strict=True))
            if (number + slot) % 7
        }
        results.append(community.run_period(wishes_wh, measured_wh, period=period))
        silent = -number % 7
        if silent < len(HOMES):
            results.append(community.correct([[silent, 40, 60]], period=period))
        period = period.next
    answers = sha256(repr(results).encode()).hexdigest()
    return f"{community.tokens()} {answers} {sha256(community.snapshot()).hexdigest()}"


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
def test_a_day_leaves_equal_bytes_whatever_the_hash_seed(mechanism: str) -> None:
    outputs = {
        subprocess.run(  # noqa: S603 -- this very file, run by the interpreter that runs the tests
            [sys.executable, __file__, mechanism],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(TESTS)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "4294967295")
    }
    assert len(outputs) == 1
    assert "fees_ut=0" not in outputs.pop(), "nothing was traded"


if __name__ == "__main__":
    sys.stdout.write(day(sys.argv[1]))
