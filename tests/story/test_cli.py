"""The command line: what it prints and writes, and what it says to what it cannot use."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CSV = "timestamp_utc,household,consumption_wh,generation_wh\n"
WATTPOOL = [sys.executable, "-c", "from wattpool.cli import main; main()"]
ONE_DAY = [
    f"2017-03-20T{hour:02}:00:00Z,{home},{100 + hour},{generated}\n"
    for hour in range(24)
    for home, generated in (("anne", 400 if 6 < hour < 18 else 0), ("bob", 0))
]


def wattpool(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 -- our own program
        [*WATTPOOL, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    path = tmp_path / "homes.csv"
    path.write_text(CSV + "".join(ONE_DAY))
    return path


def test_a_run_writes_its_figures_and_verify_finds_nothing_wrong(tmp_path: Path, homes: Path) -> None:
    done = wattpool("simulate", "--profiles", homes, "--out", "figures", "--period", 3600, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "anne" in done.stdout
    summary = json.loads((tmp_path / "figures" / "summary.json").read_text())
    assert summary["households"] == 2
    assert summary["traded_wh"] > 0
    assert summary["ledger"]["ledger"]["blocks"] > 0
    checked = wattpool("verify", "figures/ledger", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert summary["ledger"]["ledger"]["tip_hash"] in checked.stdout
    assert "everything holds" in checked.stdout
    tips = re.findall(r"--tip \S+", done.stdout)
    assert len(tips) == 2
    exported = wattpool("export", "figures/ledger", "--out", "ledger.jsonl", cwd=tmp_path)
    assert "are in ledger.jsonl" in exported.stdout, exported.stderr
    again = wattpool("verify", "ledger.jsonl", *" ".join(tips).split(), cwd=tmp_path)
    assert again.stdout == checked.stdout
    longer = wattpool("verify", "ledger.jsonl", "--tip", f"ledger=9999:{'0' * 64}", cwd=tmp_path)
    assert (longer.returncode, "(tip)" in longer.stderr) == (1, True)


def test_with_its_keys_a_simulated_community_is_run_by_command_and_goes_on(tmp_path: Path, homes: Path) -> None:
    simulate = ("simulate", "--profiles", homes, "--out", "figures", "--period", 3600, "--keys", "keys")
    assert wattpool(*simulate, cwd=tmp_path).returncode == 0
    withdraw = ("tokens", "withdraw", "figures/ledger", "0.5", "--key", "keys/owner/anne.pem")
    done = wattpool(*withdraw, cwd=tmp_path)
    assert (done.returncode, done.stdout[:7]) == (0, "wallet "), done.stderr
    again = wattpool(*simulate, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    checked = wattpool("verify", "figures/ledger", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr


def test_export_refuses_what_is_no_ledger_and_no_place_to_write(tmp_path: Path) -> None:
    done = wattpool("export", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a ledger" in done.stderr
    done = wattpool("verify", "nowhere.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_longer_interval_is_split_and_the_report_says_so(tmp_path: Path, homes: Path) -> None:
    done = wattpool("simulate", "--profiles", homes, "--out", "figures", "--period", 1800, cwd=tmp_path)
    assert "has values of 3600 s: each was split evenly over its market periods of 1800 s" in done.stdout


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("", "homes.csv"),
        (CSV.replace(",generation_wh", ""), "homes.csv:1:"),
        (CSV + ONE_DAY[0].replace("400", "NaN").replace(",0\n", ",NaN\n"), "homes.csv:2:"),
        (CSV + ONE_DAY[0].replace("100", "-5"), "homes.csv:2:"),
        (CSV + "".join([*ONE_DAY[:2], *ONE_DAY[4:]]), "homes.csv:"),
        (CSV + "".join([*ONE_DAY[:2], ONE_DAY[1], *ONE_DAY[2:]]), "homes.csv:4:"),
        (CSV + "".join([*ONE_DAY[2:4], *ONE_DAY[:2], *ONE_DAY[4:]]), "homes.csv:"),
        (CSV + "".join(ONE_DAY).replace("Z,", "+01:00,"), "homes.csv:2:"),
    ],
    ids=["empty", "missing column", "NaN", "negative", "gap", "duplicate", "unsorted", "not UTC"],
)
def test_a_malformed_profile_is_one_sentence_with_file_and_line(
    tmp_path: Path, homes: Path, csv: str, message: str
) -> None:
    homes.write_text(csv)
    _assert_refused(wattpool("simulate", "--profiles", homes, cwd=tmp_path), message, homes)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("feeders = [", "village.toml:1:"),
        ("\nnonsense = 1\n", "village.toml:2:"),
        ("alpha_ut_per_kwh = -1\n", "village.toml:1:"),
        ("alpha_ut_per_kwh = nan\n", "village.toml:1:"),
        ('[homes.carla]\nfeeder = "A"\n', "village.toml:1:"),
        ('mechanism = "barter"\n', "village.toml:1:"),
    ],
    ids=["syntax", "unknown key", "negative", "NaN", "unknown home", "unknown mechanism"],
)
def test_a_malformed_community_is_one_sentence_with_file_and_line(
    tmp_path: Path, homes: Path, toml: str, message: str
) -> None:
    village = tmp_path / "village.toml"
    village.write_text(toml)
    done = wattpool("simulate", "--profiles", homes, "--community", village, cwd=tmp_path)
    _assert_refused(done, message, homes, village)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mechanism", "barter"], "--mechanism: 'barter'; pool or uniform or pay_as_bid or mid_rate was expected"),
        (["--forecast", "oracle"], "--forecast: 'oracle'; last or perfect was expected"),
        (["--pv", "carla"], "has no home 'carla'"),
        (["--start", "yesterday"], "--start:"),
        (["--start", "2018-01-01T00:00:00Z"], "homes.csv"),
        (["--days", "2"], "homes.csv"),
        (["--period", "700"], "--period: 700 s does not divide a day"),
        (["--profiles", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--out", "homes.csv"], "--out: homes.csv is not a directory"),
        (["--ledger", "homes.csv"], "homes.csv"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, homes: Path, arguments: list[str], message: str
) -> None:
    _assert_refused(wattpool("simulate", "--profiles", homes, *arguments, cwd=tmp_path), message, homes)


def test_a_foreign_directory_and_another_runs_ledger_are_refused(tmp_path: Path, homes: Path) -> None:
    (tmp_path / "garden").mkdir()
    (tmp_path / "garden" / "gnome").write_text("")
    common = ["simulate", "--profiles", homes, "--period", 3600]
    done = wattpool(*common, "--ledger", "garden", "--out", "figures", cwd=tmp_path)
    _assert_refused(done, "garden", homes, tmp_path / "garden")
    assert wattpool(*common, "--ledger", "ledger", "--out", "figures", cwd=tmp_path).returncode == 0
    other = wattpool(*common, "--seed", 2, "--ledger", "ledger", "--out", "others", cwd=tmp_path)
    _assert_refused(other, "is the ledger of", homes, *(tmp_path / name for name in ("garden", "ledger", "figures")))


def test_verify_refuses_what_is_no_network_and_no_hash(tmp_path: Path) -> None:
    nowhere = wattpool("verify", "fabric:nowhere.yaml", cwd=tmp_path)
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert nowhere.stderr.startswith("wattpool: ")
    assert "nowhere.yaml: No such file or directory" in nowhere.stderr
    pinned = wattpool("verify", "anything", "--genesis", "contract=abc", cwd=tmp_path)
    assert (pinned.returncode, pinned.stdout) == (2, "")
    assert "'contract=abc' is not CHANNEL=HASH" in pinned.stderr
    tip = wattpool("verify", "anything", "--tip", f"contract={'0' * 64}", cwd=tmp_path)
    assert (tip.returncode, tip.stdout) == (2, "")
    assert "is not CHANNEL=BLOCKS:HASH" in tip.stderr


def test_verify_refuses_what_is_no_ledger(tmp_path: Path) -> None:
    done = wattpool("verify", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().startswith("wattpool: ")


def test_ctrl_c_leaves_a_ledger_that_the_same_command_goes_on_with(tmp_path: Path, homes: Path) -> None:
    command = [*WATTPOOL, "simulate", "--profiles", str(homes), "--out", "figures"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:  # noqa: S603
        database = tmp_path / "figures" / "ledger" / "ledger.db-wal"
        deadline = time.monotonic() + 60
        while not (database.exists() and database.stat().st_size > 200_000):
            assert running.poll() is None
            assert time.monotonic() < deadline
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert "the same command goes on from here" in stderr
    assert not (tmp_path / "figures" / "summary.json").exists()
    again = subprocess.run(  # noqa: S603
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert again.returncode == 0, again.stderr
    summary = json.loads((tmp_path / "figures" / "summary.json").read_text())
    assert summary["periods"] == 96
    assert wattpool("verify", "figures/ledger", cwd=tmp_path).returncode == 0


def _assert_refused(done: subprocess.CompletedProcess[str], message: str, *before: Path) -> None:
    """Status 2, one sentence on stderr, nothing on stdout, and nothing written beside what was there `before`."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert set(before[0].parent.iterdir()) == set(before)
