"""`wattpool simulate`, killed at any moment and given again until it is through."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.verify import verify
from wattpool_chaincode.chaincodes import CHAINCODES

# The command line, saying when it was told of a commit.
PROGRAM = dedent(
    """
    from wattpool.cli import main
    from wattpool.ledgers.committer import Ordered

    wait = Ordered.wait

    def wait_and_say(self):
        commit = wait(self)
        print("committed", commit.channel, commit.block, commit.transaction_id, flush=True)
        return commit

    Ordered.wait = wait_and_say
    main()
    """
)


def command(out: Path) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "simulate", "--period", "3600", "--out", str(out)]


def kill_after(commits: int, out: Path) -> list[str]:
    """Run until so many commits are acknowledged, kill it at once, return those that it still told us of."""
    with subprocess.Popen(command(out), stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 -- ours
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(commits)]
        child.send_signal(signal.SIGKILL)
        told += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    # The last line may be cut off.
    return [line.strip().removeprefix("committed ") for line in told if line.endswith("\n")]


def carried(out: Path) -> set[str]:
    with EmbeddedLedger.read(out / "ledger") as ledger:
        return {
            f"{channel} {number} {transaction.id}"
            for channel in CHAINCODES
            for number in range(ledger.height(channel))
            for transaction in ledger.block(channel, number).transactions
        }


def outcome(out: Path) -> tuple[dict[str, Any], dict[str, dict[str, bytes]]]:
    """Return the figures, less what tells runs of one scenario apart, and the world state."""
    summary = json.loads((out / "summary.json").read_text())
    del summary["wall_s"], summary["ledger"]
    with EmbeddedLedger.read(out / "ledger") as ledger:
        return summary, {channel: dict(ledger.state(channel)) for channel in CHAINCODES}


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.long)])
def test_a_killed_command_given_again_loses_nothing_and_ends_as_one_that_was_not(tmp_path: Path, kills: int) -> None:
    chosen = random.Random(kills)  # noqa: S311 -- repeatable
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    told: list[str] = []
    for _ in range(kills):
        told += kill_after(chosen.randint(1, 16), killed)
        assert set(told) <= carried(killed)
        assert verify(killed / "ledger").violation is None
    for out in (killed, whole):
        subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL, timeout=300)  # noqa: S603 -- ours
    assert outcome(killed) == outcome(whole)
    assert verify(killed / "ledger").violation is None
