"""A day of real homes as report and bills: the pages, the ledger and the summary say the same."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from page_check import Page

WATTPOOL = [sys.executable, "-c", "from wattpool.cli import main; main()"]
COMMUNITY = 'zone = "America/Los_Angeles"\n'


def wattpool(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 -- our own program
        [*WATTPOOL, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `out`, what the bundled day came to in periods of an hour."""
    directory = tmp_path_factory.mktemp("day")
    (directory / "village.toml").write_text(COMMUNITY)
    done = wattpool("simulate", "--community", "village.toml", "--period", 3600, "--out", "out", cwd=directory)
    assert done.returncode == 0, done.stderr
    assert "out/report.html" in done.stdout
    return directory


@pytest.fixture(scope="module")
def summary(day: Path) -> Any:
    return json.loads((day / "out" / "summary.json").read_text())


def rows_of(day: Path, name: str) -> list[dict[str, str]]:
    with (day / "out" / "bills" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_each_bill_comes_to_what_the_summary_says_of_its_home(day: Path, summary: Any) -> None:
    columns = {
        "own_use": "own_use_wh",
        "bought": "bought_wh",
        "sold": "sold_wh",
        "grid_import": "grid_import_wh",
        "grid_export": "grid_export_wh",
    }
    for name, home in summary["households_detail"].items():
        rows = rows_of(day, name)
        for kind, column in columns.items():
            assert sum(int(row["energy_wh"]) for row in rows if row["kind"] == kind) == home[column]
        assert _sum(rows, "bought", "amount_ut") == home["paid_ut"]
        assert _sum(rows, "bought", "fee_ut") == home["fees_ut"]
        assert -_sum(rows, "sold", "amount_ut") == home["earned_ut"]


def test_the_bills_of_all_come_to_the_summary(day: Path, summary: Any) -> None:
    rows = [row for name in summary["households_detail"] for row in rows_of(day, name)]
    assert _sum(rows, "bought", "amount_ut") == -_sum(rows, "sold", "amount_ut")
    assert _sum(rows, "bought", "fee_ut") == summary["fees_ut"]
    assert _sum(rows, "bought", "energy_wh") == _sum(rows, "sold", "energy_wh") == summary["traded_wh"] > 0
    assert _sum(rows, "sold", "agreed_wh") == summary["agreed_wh"]


def test_the_pages_need_nothing_and_show_the_summary_s_figures(day: Path, summary: Any) -> None:
    report = Page((day / "out" / "report.html").read_text()).text
    assert _kwh(summary["traded_wh"]) in report
    assert "2017-05-05 00:00 -0700 to 2017-05-06 00:00 -0700, 24 market periods of 60 minutes" in report
    for name, home in summary["households_detail"].items():
        bill = Page((day / "out" / "bills" / f"{name}.html").read_text()).text
        assert name in report
        assert f"{_kwh(home['bought_wh'])} from neighbours, {_kwh(home['grid_import_wh'])} from the grid" in bill
        assert f"{home['saving_ut'] // 1_000_000}.{home['saving_ut'] % 1_000_000:06}" in bill


def test_a_ledger_alone_gives_the_same_report_under_pseudonyms(day: Path, summary: Any) -> None:
    done = wattpool("report", "out/ledger", "--out", "alone.html", "--zone", "America/Los_Angeles", cwd=day)
    assert (done.returncode, done.stderr) == (0, "")
    report = Page((day / "alone.html").read_text()).text
    assert _kwh(summary["traded_wh"]) in report
    name, connection = next(iter(summary["connections"].items()))
    assert connection[:8] in report
    billed = wattpool("bill", "out/ledger", "--connection", connection[:8], "--out", "mine", cwd=day)
    assert billed.returncode == 0, billed.stderr
    with (day / "mine" / f"{connection[:8]}.csv").open() as file:
        alone = list(csv.DictReader(file))
    known = [row for row in rows_of(day, name) if row["kind"] != "own_use"]
    figures = ("period_start_utc", "kind", "agreed_wh", "energy_wh", "price_ut_per_kwh", "amount_ut", "fee_ut")
    assert [[row[column] for column in figures] for row in alone] == [[row[key] for key in figures] for row in known]


def test_a_chosen_period_is_shown_with_its_day(day: Path) -> None:
    done = wattpool("report", "out/ledger", "--out", "noon.html", "--period", "2017-05-05T20:00:00Z", cwd=day)
    assert done.returncode == 0, done.stderr
    assert "negotiated: 2017-05-05 20:00 +0000" in Page((day / "noon.html").read_text()).text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "out/ledger", "--zone", "Atlantis"], "--zone: 'Atlantis' is no time zone"),
        (["report", "out/ledger", "--period", "noon"], "--period:"),
        (["report", "out/ledger", "--period", "2017-05-05T20:15:00Z"], "--period: none begins at 2017-05-05T20:15:00Z"),
        (["report", "nowhere"], "nowhere"),
        (["bill", "out/ledger", "--connection", "xyz"], "--connection: 'xyz' is how 0 connections begin"),
        (["bill", "out/ledger", "--connection", ""], "--connection: '' is how 0 connections begin"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(day: Path, arguments: list[str], message: str) -> None:
    done = wattpool(*arguments, "--out", "never", cwd=day)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (day / "never").exists()


def _sum(rows: list[dict[str, str]], kind: str, column: str) -> int:
    return sum(int(row[column]) for row in rows if row["kind"] == kind)


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh // 1_000}.{energy_wh % 1_000:03}"
