"""The client for code without an event loop does what the other does."""

import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from fabric_gateway import Backoff, CommitError, EndorseError, GatewayError, ValidationCode, blocking
from fabric_gateway import contract as contract_module
from fabric_gateway import events as events_module
from fabric_gateway import gateway as gateway_module
from fabric_gateway import network as network_module
from fabric_gateway import transaction as transaction_module
from gateway.fabric_peer import CHANNEL, MVCC, FabricPeer, Fault
from gateway.organisation import Member

PAIRS = [
    (gateway_module.Gateway, blocking.Gateway),
    (network_module.Network, blocking.Network),
    (contract_module.Contract, blocking.Contract),
    (transaction_module.Proposal, blocking.Proposal),
    (transaction_module.Transaction, blocking.Transaction),
    (transaction_module.Commit, blocking.Commit),
    (transaction_module.SubmittedTransaction, blocking.SubmittedTransaction),
    (events_module.ChaincodeEventsRequest, blocking.EventsRequest),
    (events_module.BlockEventsRequest, blocking.EventsRequest),
    (events_module.EventStream, blocking.EventStream),
]


@pytest.fixture
def connection(peer: FabricPeer) -> Iterator[blocking.Connection]:
    with blocking.Connection(peer.address) as connection:
        yield connection


@pytest.fixture
def gateway(connection: blocking.Connection, member: Member) -> blocking.Gateway:
    return blocking.Gateway(connection, member.identity, member.signer, retry=Backoff(first_s=0.001))


@pytest.fixture
def contract(gateway: blocking.Gateway) -> blocking.Contract:
    return gateway.network(CHANNEL).contract("basic")


@pytest.mark.parametrize(("asynchronous", "other"), PAIRS, ids=lambda kind: kind.__module__ + "." + kind.__name__)
def test_every_method_has_its_counterpart(asynchronous: type, other: type) -> None:
    def methods(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}

    assert methods(asynchronous) == methods(other)


def test_a_function_is_evaluated_and_submitted(peer: FabricPeer, contract: blocking.Contract) -> None:
    peer.fail("Endorse", Fault())
    assert contract.evaluate("echo", "a") == b"echo|a"
    assert contract.submit("write", "a").result == b"wrote a"
    submitted = contract.submit_async("write", "b")
    assert submitted.result == b"wrote b"
    assert submitted.status().block_number == 1
    peer.codes.append(MVCC)
    assert contract.submit("write", "c", on_conflict=Backoff(first_s=0.001)).block_number == 3
    assert peer.effects == {b"a": 1, b"b": 1, b"c": 1}


def test_errors_come_through(peer: FabricPeer, contract: blocking.Contract) -> None:
    with pytest.raises(EndorseError):
        contract.submit("refuse", "no")
    with pytest.raises(GatewayError, match="chaincode response 500, no"):
        contract.evaluate("refuse", "no")
    peer.codes.append(MVCC)
    with pytest.raises(CommitError) as error:
        contract.submit("write", "a")
    assert error.value.code is ValidationCode.MVCC_READ_CONFLICT


def test_every_step_is_signed_elsewhere(connection: blocking.Connection, member: Member) -> None:
    gateway = blocking.Gateway(connection, member.identity)
    sign = member.signer.sign
    unsigned = gateway.network(CHANNEL).contract("basic").proposal("write", "a")
    proposal = gateway.proposal(unsigned.to_bytes(), signature=sign(unsigned.digest))
    assert proposal.evaluate() == b"wrote a"
    endorsed = proposal.endorse()
    transaction = gateway.transaction(endorsed.to_bytes(), signature=sign(endorsed.digest))
    assert transaction.result == b"wrote a"
    submitted = transaction.submit()
    commit = gateway.commit(submitted.to_bytes(), signature=sign(submitted.digest))
    assert commit.status().transaction_id == transaction.transaction_id == commit.transaction_id
    network = gateway.network(CHANNEL)
    events = network.chaincode_events_request("basic", start_block=0)
    with gateway.chaincode_events_request(events.to_bytes(), signature=sign(events.digest)).open() as stream:
        assert next(stream).payload == b"a"
    blocks = network.block_events_request(start_block=0, stop_block=0)
    assert len(list(gateway.block_events_request(blocks.to_bytes(), signature=sign(blocks.digest)).open())) == 1
    blocks = network.filtered_block_events_request(start_block=0, stop_block=0)
    filtered = gateway.filtered_block_events_request(blocks.to_bytes(), signature=sign(blocks.digest))
    assert len(list(filtered.open())) == 1
    blocks = network.block_and_private_data_events_request(start_block=0, stop_block=0)
    both = gateway.block_and_private_data_events_request(blocks.to_bytes(), signature=sign(blocks.digest))
    assert len(list(both.open())) == 1


def test_a_transaction_is_endorsed_first_and_submitted_later(
    peer: FabricPeer, gateway: blocking.Gateway, contract: blocking.Contract
) -> None:
    transaction = contract.endorse("write", "a")
    assert peer.effects == {}
    committed = transaction.submit_and_wait()
    assert gateway.network(CHANNEL).commit(committed.transaction_id).status().is_valid


def test_events_and_blocks_are_iterated_over(peer: FabricPeer, gateway: blocking.Gateway) -> None:
    network = gateway.network(CHANNEL)
    for n in range(3):
        peer.commit(f"tx{n}", str(n).encode())
    with network.chaincode_events("basic", start_block=1) as events:
        assert [next(events).payload, next(events).payload] == [b"1", b"2"]
    assert list(events) == []
    assert [block.header.number for block in network.block_events(start_block=1, stop_block=2)] == [1, 2]
    assert [block.number for block in network.filtered_block_events(start_block=2, stop_block=2)] == [2]
    private = network.block_and_private_data_events(start_block=0, stop_block=0)
    assert [both.block.header.number for both in private] == [0]


def test_another_thread_may_close_a_stream(peer: FabricPeer, gateway: blocking.Gateway) -> None:
    events = gateway.network(CHANNEL).chaincode_events("basic")
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.extend(events))
    waiting.start()
    peer.wait_for("ChaincodeEvents")
    events.close()
    waiting.join(10)
    assert not waiting.is_alive()
    assert found == []


def test_many_threads_share_a_connection(peer: FabricPeer, contract: blocking.Contract) -> None:
    threads = [threading.Thread(target=contract.submit, args=("write", str(n))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert peer.effects == {str(n).encode(): 1 for n in range(20)}


def test_two_connections_do_not_disturb_each_other(
    peer: FabricPeer, contract: blocking.Contract, member: Member
) -> None:
    with blocking.Connection(peer.address) as other:
        second = blocking.Gateway(other, member.identity, member.signer).network(CHANNEL).contract("basic")
        for n in range(5):
            assert contract.evaluate("echo", str(n)) == second.evaluate("echo", str(n))
    assert contract.evaluate("echo") == b"echo"


def test_closing_ends_the_thread_and_all_that_wait(peer: FabricPeer, member: Member) -> None:
    connection = blocking.Connection(peer.address)
    network = blocking.Gateway(connection, member.identity, member.signer).network(CHANNEL)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            network.commit("never").status()
        except (CancelledError, GatewayError) as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    peer.wait_for("CommitStatus")
    connection.close()
    connection.close()
    waiting.join(10)
    assert len(ended) == 1
    assert "fabric-gateway" not in {thread.name for thread in threading.enumerate()}
