"""What the tests of the Gateway client share: a peer, an organisation, and tests that are coroutines."""

import asyncio
import inspect
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

# Without the official messages only the file that says so is collected.
if find_spec("fabric_protos") is None:
    collect_ignore_glob = ["test_ca*.py", "test_gateway_*.py"]
else:
    from gateway.fabric_peer import FabricPeer
    from gateway.organisation import Member, Organisation


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), timeout=30))
    return True


@pytest.fixture(scope="session")
def organisation() -> "Organisation":
    return Organisation("Org1MSP")


@pytest.fixture(scope="session")
def member(organisation: "Organisation") -> "Member":
    return organisation.member("anne")


@pytest.fixture
def peer() -> Iterator["FabricPeer"]:
    peer = FabricPeer()
    yield peer
    peer.stop()
