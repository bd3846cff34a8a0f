"""Options and fixtures of the whole test run."""

from collections.abc import Generator

import pytest
from hypothesis import Phase, settings

from wattpool_network.commands import Binaries
from wattpool_network.errors import BinaryMissing

# scripts/mutate runs the properties thousands of times: the same few examples each time, none of them made smaller.
settings.register_profile(
    "mutation",
    settings.get_profile("ci"),
    max_examples=30,
    phases=[Phase.explicit, Phase.generate],
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--ledger",
        choices=("embedded", "fabric"),
        default="embedded",
        help="the ledger that the tests of the port and of the market run on",
    )


@pytest.fixture(scope="session")
def fabric() -> Binaries:
    """Fabric's programs, if they are on this machine."""
    try:
        return Binaries.find()
    except BinaryMissing as error:
        raise pytest.skip.Exception(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have all tests that skip for want of Fabric told in one line, which needs one place for all."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value.__cause__, BinaryMissing):
        report.longrepr = (str(item.config.rootpath / "tests" / "fabric"), 1, str(call.excinfo.value))
    return report
