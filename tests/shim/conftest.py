"""A chaincode server for each test, whose contract is a function of the test."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fabric_shim import Response, Server, Stub

MISSING = [name for name in ("fabric_protos", "grpc", "hpack") if find_spec(name) is None]
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MISSING:
        terminalreporter.write_line(f"SKIPPED tests/shim: needs {', '.join(MISSING)}; see chaincode/fabric_shim")


class FunctionChaincode:
    """A chaincode that is one function."""

    def __init__(self, run: "Callable[[Stub], Response]") -> None:
        self._run = run

    def invoke(self, stub: "Stub") -> "Response":
        return self._run(stub)


Serve = Callable[..., "Server"]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves a contract function, with settings of `ServerConfig`, until the test is over."""
    from fabric_shim import Server, ServerConfig  # noqa: PLC0415 -- the tests may run without its dependencies

    servers = []

    def start(run: "Callable[[Stub], Response]", **settings: object) -> Server:
        config = {"package_id": "toy:1234", "address": "localhost:0", "drain_s": 5.0} | settings
        server = Server(FunctionChaincode(run), ServerConfig(**config))  # type: ignore[arg-type]
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
