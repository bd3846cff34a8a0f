"""Writing report and bills into files."""

from collections.abc import Sequence
from pathlib import Path

from wattpool.report.figures import Bill
from wattpool.report.reading import SettledPeriod
from wattpool.report.rendering import Edition, render_bill, render_bill_csv, render_report


def write_report(edition: Edition, bills: Sequence[Bill], file: Path, *, chosen: SettledPeriod | None = None) -> None:
    """Write the report; `bills` are of all parties, `chosen` is the period whose negotiation is shown."""
    file.write_text(render_report(edition, bills, chosen=chosen), encoding="utf-8")


def write_bills(edition: Edition, bills: Sequence[Bill], directory: Path) -> None:
    """Write the bills as HTML and CSV, under the names that the edition gives them, into a directory made for them."""
    directory.mkdir(parents=True, exist_ok=True)
    for bill in bills:
        name = edition.name_of(bill)
        (directory / f"{name}.html").write_text(render_bill(edition, bill), encoding="utf-8")
        (directory / f"{name}.csv").write_text(render_bill_csv(edition, bill), encoding="utf-8")
