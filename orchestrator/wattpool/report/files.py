"""Writing report and bills into files."""

from collections.abc import Mapping
from pathlib import Path

from wattpool.report.figures import Bill
from wattpool.report.reading import SettledPeriod
from wattpool.report.rendering import Edition, render_bill, render_bill_csv, render_report


def write_report(
    edition: Edition, bills: Mapping[int, Bill], file: Path, *, chosen: SettledPeriod | None = None
) -> None:
    """Write the report; `bills` are of all members, `chosen` is the period whose negotiation is shown."""
    file.write_text(render_report(edition, bills, chosen=chosen), encoding="utf-8")


def write_bills(edition: Edition, bills: Mapping[int, Bill], directory: Path) -> None:
    """Write the bills as HTML and CSV, named after their members, into a directory made for them."""
    directory.mkdir(parents=True, exist_ok=True)
    for slot, bill in bills.items():
        name = edition.names[slot]
        (directory / f"{name}.html").write_text(render_bill(edition, slot, bill), encoding="utf-8")
        (directory / f"{name}.csv").write_text(render_bill_csv(edition, bill), encoding="utf-8")
