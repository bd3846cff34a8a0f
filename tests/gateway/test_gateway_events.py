"""Chaincode events and blocks: forms, where they start, how they end, and going on from a checkpoint."""

import asyncio
import hashlib
from pathlib import Path

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2

from fabric_gateway import ChaincodeEvent, Checkpoint, FileCheckpointer, GatewayError, MemoryCheckpointer, Reason
from gateway.clients import connected, contract_of
from gateway.fabric_peer import CHANNEL, MVCC, FabricPeer, Fault
from gateway.organisation import Member


@pytest.fixture
def five(peer: FabricPeer) -> FabricPeer:
    """A peer with five blocks of one transaction each."""
    for n in range(5):
        peer.commit(f"tx{n}", str(n).encode())
    return peer


async def test_a_chaincodes_events_come_in_order_with_their_place(five: FabricPeer, member: Member) -> None:
    async with (
        connected(five, member) as gateway,
        await gateway.network(CHANNEL).chaincode_events("basic", start_block=3) as events,
    ):
        first = await anext(events)
        second = await anext(events)
    assert first == ChaincodeEvent(
        block_number=3, transaction_id="tx3", chaincode="basic", name="written", payload=b"3"
    )
    assert second.block_number == 4


async def test_without_a_start_events_begin_with_the_next_block(five: FabricPeer, member: Member) -> None:
    async with (
        connected(five, member) as gateway,
        await gateway.network(CHANNEL).chaincode_events("basic") as events,
    ):
        await asyncio.to_thread(five.wait_for, "ChaincodeEvents")
        await contract_of(gateway).submit("write", "new")
        assert (await anext(events)).payload == b"new"
    assert five.requests[0].start_position.HasField("next_commit")


async def test_an_invalid_transaction_has_no_events(peer: FabricPeer, member: Member) -> None:
    peer.codes.append(MVCC)
    async with connected(peer, member) as gateway:
        await (await contract_of(gateway).submit_async("write", "lost")).status()
        await contract_of(gateway).submit("write", "kept")
        async with await gateway.network(CHANNEL).chaincode_events("basic", start_block=0) as events:
            assert (await anext(events)).payload == b"kept"


async def test_whole_blocks_come_up_to_the_one_asked_for(five: FabricPeer, member: Member) -> None:
    async with (
        connected(five, member) as gateway,
        await gateway.network(CHANNEL).block_events(start_block=1, stop_block=3) as blocks,
    ):
        found = [block async for block in blocks]
    assert [block.header.number for block in found] == [1, 2, 3]
    assert common_pb2.Envelope.FromString(found[0].data.data[0]).payload == b"1"


async def test_filtered_blocks_tell_ids_and_codes(peer: FabricPeer, member: Member) -> None:
    peer.codes.append(MVCC)
    async with connected(peer, member) as gateway:
        submitted = await contract_of(gateway).submit_async("write", "a")
        async with await gateway.network(CHANNEL).filtered_block_events(start_block=0, stop_block=0) as blocks:
            (transaction,) = (await anext(blocks)).filtered_transactions
    assert (transaction.txid, transaction.tx_validation_code) == (submitted.transaction_id, MVCC)


async def test_blocks_come_with_their_private_data(five: FabricPeer, member: Member) -> None:
    async with connected(five, member) as gateway:
        stream = await gateway.network(CHANNEL).block_and_private_data_events(start_block=2, stop_block=2)
        async with stream:
            both = await anext(stream)
    assert both.block.header.number == 2
    assert both.private_data_map[0].data_model == rwset_pb2.TxReadWriteSet.KV


async def test_blocks_go_on_as_they_are_made(peer: FabricPeer, member: Member) -> None:
    async with (
        connected(peer, member) as gateway,
        await gateway.network(CHANNEL).block_events() as blocks,
    ):
        await asyncio.to_thread(peer.wait_for, "Deliver")
        peer.commit("first")
        assert (await anext(blocks)).header.number == 0
        peer.commit("second")
        assert (await anext(blocks)).header.number == 1


async def test_a_request_for_blocks_over_mutual_tls_names_the_certificate(peer: FabricPeer, member: Member) -> None:
    peer.tls_certificate_hash = hashlib.sha256(b"certificate").digest()
    peer.commit("first")
    async with connected(peer, member) as gateway:
        with pytest.raises(GatewayError, match="the hash of the client certificate") as error:
            await anext(await gateway.network(CHANNEL).block_events(start_block=0))
    assert error.value.reason is Reason.REQUEST_REFUSED


async def test_a_closed_stream_ends_and_frees_its_slot(five: FabricPeer, member: Member) -> None:
    async with connected(five, member, max_in_flight=2) as gateway:
        network = gateway.network(CHANNEL)
        events = await network.chaincode_events("basic", start_block=5)
        waiting = asyncio.create_task(anext(events, None))
        await asyncio.to_thread(five.wait_for, "ChaincodeEvents")
        events.close()
        events.close()
        assert await waiting is None
        assert await anext(events, None) is None
        # Of two slots one may be taken by a stream.
        assert await anext(await network.chaincode_events("basic", start_block=0))


async def test_cancelling_the_wait_ends_the_stream_and_the_waiter(five: FabricPeer, member: Member) -> None:
    async with connected(five, member, max_in_flight=2) as gateway:
        network = gateway.network(CHANNEL)
        events = await network.chaincode_events("basic", start_block=5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.05)
        assert await anext(await network.chaincode_events("basic", start_block=0))
        assert await anext(events, None) is None


async def test_a_stream_that_breaks_is_an_error_and_frees_its_slot(five: FabricPeer, member: Member) -> None:
    five.fail("ChaincodeEvents", Fault(), Fault(grpc.StatusCode.ABORTED, "ledger closed"))
    async with connected(five, member, max_in_flight=2) as gateway:
        network = gateway.network(CHANNEL)
        for words in ("connection reset", "ledger closed"):
            with pytest.raises(GatewayError, match=words):
                await anext(await network.chaincode_events("basic", start_block=0))
        assert (await anext(await network.chaincode_events("basic", start_block=0))).payload == b"0"


async def test_a_stream_may_have_a_time_limit(five: FabricPeer, member: Member) -> None:
    async with connected(five, member) as gateway:
        network = gateway.network(CHANNEL)
        events = await network.chaincode_events_request("basic", start_block=5).open(timeout_s=0.05)
        with pytest.raises(GatewayError) as error:
            await anext(events)
        assert error.value.reason is Reason.TIMED_OUT
        blocks = await network.block_events_request(start_block=5).open(timeout_s=0.05)
        with pytest.raises(GatewayError):
            await anext(blocks)


async def consume(peer: FabricPeer, member: Member, checkpointer: FileCheckpointer, *, count: int) -> list[bytes]:
    """Deal with so many events, then die between dealing with one more and saving that."""
    dealt_with = []
    async with connected(peer, member) as gateway:
        network = gateway.network(CHANNEL)
        async with await network.chaincode_events("basic", start_block=0, checkpoint=checkpointer) as events:
            async for event in events:
                dealt_with.append(event.payload)
                if len(dealt_with) > count:
                    break
                checkpointer.checkpoint_chaincode_event(event)
    return dealt_with


async def test_a_consumer_that_dies_misses_nothing(five: FabricPeer, member: Member, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    lives = [await consume(five, member, FileCheckpointer(path), count=count) for count in (1, 0, 2)]
    # The event it died over comes again, none is skipped.
    assert lives == [[b"0", b"1"], [b"1"], [b"1", b"2", b"3"]]


@pytest.mark.parametrize(
    ("transaction_id", "expected"), [("", b"2"), ("tx2", b"3"), ("tx3", b"4")], ids=["block", "in it", "elsewhere"]
)
async def test_events_go_on_behind_the_checkpoint(
    five: FabricPeer, member: Member, *, transaction_id: str, expected: bytes
) -> None:
    checkpointer = MemoryCheckpointer()
    checkpointer.checkpoint_transaction(2, transaction_id)
    async with connected(five, member) as gateway:
        network = gateway.network(CHANNEL)
        async with await network.chaincode_events("basic", start_block=0, checkpoint=checkpointer) as events:
            assert (await anext(events)).payload == expected


async def test_blocks_go_on_behind_the_checkpoint(five: FabricPeer, member: Member) -> None:
    checkpointer: MemoryCheckpointer = MemoryCheckpointer()
    checkpoint: Checkpoint = checkpointer
    async with connected(five, member) as gateway:
        network = gateway.network(CHANNEL)
        async with await network.block_events(start_block=1, checkpoint=checkpoint) as blocks:
            block = await anext(blocks)
            assert block.header.number == 1
            checkpointer.checkpoint_block(block.header.number)
        async with await network.filtered_block_events(start_block=1, checkpoint=checkpoint) as filtered:
            assert (await anext(filtered)).number == 2
