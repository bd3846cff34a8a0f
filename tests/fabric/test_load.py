"""Many transactions at a time, then nothing for a while, then again; and large arguments."""

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from fabric import load, on_ledger
from fabric_gateway import EndorseError, Gateway, GatewayError, Reason, SubmitError, Timeouts
from wattpool_network import connection
from wattpool_network.network import Network

IN_FLIGHT = 500
MIB = 1024 * 1024
# Megabytes are signed, hashed and copied at every step.
PATIENT = Timeouts(evaluate_s=60, endorse_s=60, submit_s=60)

log = logging.getLogger(__name__)


@pytest.mark.parametrize(
    ("busy_s", "idle_s", "again_s"),
    [pytest.param(8, 5, 4, id="short"), pytest.param(300, 600, 60, id="long", marks=pytest.mark.long)],
)
def test_of_500_in_flight_none_is_lost_or_doubled_and_no_stream_breaks_before_or_after_a_pause(
    network: Network, busy_s: float, idle_s: float, again_s: float
) -> None:
    ends = on_ledger.log_ends(network)
    failures: Counter[str] = Counter()
    for work_s, rest_s in ((busy_s, idle_s), (again_s, 0)):
        with load.running(network.layout.connection, "DsoMSP", in_flight=IN_FLIGHT) as running:
            time.sleep(work_s)
        log.info("%d in flight: %s", IN_FLIGHT, running.load.figures)
        on_ledger.assert_exactly_once(network, running.acknowledged, prefix=running.prefix)
        failures += running.load.failures
        # That nothing but time passes is what is tested: pings on connections that carry nothing else.
        time.sleep(rest_s)
    assert on_ledger.resets(ends) == []
    assert not failures


def at_the_dso(network: Network, work: Callable[[Gateway], Awaitable[None]]) -> None:
    async def run() -> None:
        access = connection.read(network.layout.connection).organisations["DsoMSP"]
        async with load.opened("DsoMSP", access, timeouts=PATIENT) as gateway:
            await work(gateway)

    asyncio.run(run())


def value_of(length: int) -> bytes:
    """Return bytes in which any shift or swap shows."""
    return hashlib.shake_128(b"wattpool").digest(length)


def test_arguments_of_5_mb_come_through_whole(network: Network) -> None:
    value = value_of(5_000_000)

    async def work(gateway: Gateway) -> None:
        contract = gateway.network(load.CHANNEL).contract(load.CHAINCODE)
        assert await contract.evaluate("load:echo", value) == value
        committed = await contract.submit("load:put", "large", value)
        assert committed.result.decode() == hashlib.sha256(value).hexdigest()
        assert await contract.evaluate("load:get", "large") == value

    ends = on_ledger.log_ends(network)
    at_the_dso(network, work)
    assert on_ledger.resets(ends) == []


def test_what_is_too_large_is_told_as_such_and_nothing_breaks(network: Network) -> None:
    async def work(gateway: Gateway) -> None:
        contract = gateway.network(load.CHANNEL).contract(load.CHAINCODE)
        # More than a message may have.
        with pytest.raises(EndorseError) as unsent:
            await contract.submit("load:take", "huge", value_of(100 * MIB))
        assert unsent.value.reason is Reason.TOO_LARGE
        with pytest.raises(GatewayError) as unasked:
            await contract.evaluate("load:echo", value_of(100 * MIB))
        assert unasked.value.reason is Reason.TOO_LARGE
        # More than a block may have.
        with pytest.raises(SubmitError) as refused:
            await contract.submit("load:take", "huge", value_of(21 * MIB))
        assert refused.value.reason is Reason.TOO_LARGE
        assert not refused.value.is_outcome_unknown
        await contract.submit("load:take", "fits", value_of(19 * MIB))
        assert await contract.evaluate("load:get", "fits") == str(19 * MIB).encode()

    ends = on_ledger.log_ends(network)
    at_the_dso(network, work)
    assert on_ledger.resets(ends) == []
