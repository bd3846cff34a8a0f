"""Options of the whole test run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--ledger",
        choices=("embedded", "fabric"),
        default="embedded",
        help="the ledger that the suite in tests/ledger runs on",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--ledger") == "fabric":
        raise pytest.UsageError("--ledger=fabric: there is no Fabric ledger yet, run with --ledger=embedded")
