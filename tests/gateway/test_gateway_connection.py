"""The connection: TLS, message sizes, keepalive, and no more calls in flight than the peer bears."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from fabric_gateway import Connection, EndorseError, Gateway, GatewayError, Reason, Timeouts, Tls, blocking
from gateway.clients import QUICK, connected, contract_of
from gateway.fabric_peer import CHANNEL, FabricPeer
from gateway.organisation import Member, Organisation


@pytest.fixture
def tls_peer(organisation: Organisation) -> Iterator[FabricPeer]:
    """A peer that wants a client certificate, and names itself peer.example."""
    server = organisation.member("peer")
    peer = FabricPeer(
        private_key_certificate_chain_pairs=[(server.key_pem, server.identity.certificate_pem)],
        root_certificates=organisation.root_pem,
        require_client_auth=True,
    )
    yield peer
    peer.stop()


async def test_mutual_tls_ties_requests_for_blocks_to_the_connection(
    tls_peer: FabricPeer, organisation: Organisation, member: Member
) -> None:
    tls = Tls(
        root_pem=organisation.root_pem,
        client_certificate_pem=member.identity.certificate_pem,
        client_key_pem=member.key_pem,
        server_name="peer.example",
    )
    tls_peer.tls_certificate_hash = tls.client_certificate_hash
    tls_peer.commit("first")
    async with Connection.open(tls_peer.address, tls=tls) as connection:
        gateway = Gateway(connection, member.identity, member.signer)
        assert await contract_of(gateway).evaluate("echo") == b"echo"
        async with await gateway.network(CHANNEL).block_events(start_block=0) as blocks:
            assert (await anext(blocks)).header.number == 0


@pytest.mark.parametrize("what", ["another root", "another name", "no certificate"])
async def test_tls_that_does_not_hold_is_not_used(
    tls_peer: FabricPeer, organisation: Organisation, member: Member, what: str
) -> None:
    root_pem = Organisation("Org2MSP").root_pem if what == "another root" else organisation.root_pem
    is_anonymous = what == "no certificate"
    tls = Tls(
        root_pem=root_pem,
        client_certificate_pem=None if is_anonymous else member.identity.certificate_pem,
        client_key_pem=None if is_anonymous else member.key_pem,
        server_name="other.example" if what == "another name" else "peer.example",
    )
    async with Connection.open(tls_peer.address, tls=tls) as connection:
        gateway = Gateway(connection, member.identity, member.signer, retry=QUICK, timeouts=Timeouts(evaluate_s=0.5))
        with pytest.raises(GatewayError) as error:
            await contract_of(gateway).evaluate("echo")
    # A server that wants a certificate only hangs up.
    expected = Reason.UNREACHABLE if is_anonymous else Reason.TLS_REFUSED
    assert error.value.reason is expected
    assert tls_peer.calls == {}


async def test_arguments_and_results_of_many_megabytes_pass(peer: FabricPeer, member: Member) -> None:
    argument = bytes(5 * 1024 * 1024)
    async with connected(peer, member) as gateway:
        assert await contract_of(gateway).evaluate("size", argument) == b"5242880"
        assert await contract_of(gateway).evaluate(argument.decode()) == argument


async def test_no_more_calls_are_in_flight_than_allowed_and_none_is_lost(peer: FabricPeer, member: Member) -> None:
    peer.limit = 8
    peer.may_answer.clear()
    async with connected(peer, member, max_in_flight=8, retry=None) as gateway:
        contract = contract_of(gateway)
        calls = [asyncio.create_task(contract.submit("write", str(n))) for n in range(60)]
        await asyncio.to_thread(peer.wait_for, "Endorse", 8)
        assert peer.calls["Endorse"] == 8
        peer.may_answer.set()
        await asyncio.gather(*calls)
    assert peer.most_in_flight == 8
    assert peer.effects == {str(n).encode(): 1 for n in range(60)}


async def test_a_peer_that_others_keep_busy_is_asked_again(peer: FabricPeer, member: Member) -> None:
    peer.limit = 4
    async with connected(peer, member, max_in_flight=20) as gateway:
        await asyncio.gather(*(contract_of(gateway).submit("write", str(n)) for n in range(40)))
    assert peer.effects == {str(n).encode(): 1 for n in range(40)}


async def test_a_peer_that_stays_busy_is_named(peer: FabricPeer, member: Member) -> None:
    peer.limit = 0
    async with connected(peer, member, timeouts=Timeouts(endorse_s=0.1)) as gateway:
        with pytest.raises(EndorseError, match="have fewer calls in flight") as error:
            await contract_of(gateway).submit("write", "a")
    assert error.value.reason is Reason.TOO_MANY_REQUESTS


async def test_what_waits_leaves_room_for_what_acts(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member, max_in_flight=4) as gateway:
        network = gateway.network(CHANNEL)
        blocks = [await network.block_events() for _ in range(5)]
        events = [await network.chaincode_events("basic") for _ in range(3)]
        another = asyncio.create_task(network.chaincode_events("basic"))
        await asyncio.to_thread(peer.wait_for, "ChaincodeEvents", 3)
        assert await contract_of(gateway).evaluate("echo") == b"echo"
        assert (peer.calls["ChaincodeEvents"], another.done()) == (3, False)
        events.pop().close()
        events.append(await another)
        for stream in [*blocks, *events]:
            stream.close()


async def test_transactions_that_wait_for_their_commit_can_still_be_handed_in_again(
    peer: FabricPeer, member: Member
) -> None:
    peer.lost = 12
    timeouts = Timeouts(resubmit_after_s=0.05)
    async with connected(peer, member, max_in_flight=2, timeouts=timeouts) as gateway:
        await asyncio.gather(*(contract_of(gateway).submit("write", str(n)) for n in range(6)))
    assert peer.effects == {str(n).encode(): 1 for n in range(6)}
    assert peer.calls["Endorse"] == 6


def test_fewer_than_two_calls_in_flight_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 2 at least"):
        blocking.Connection("127.0.0.1:1", max_in_flight=1)


async def test_the_time_for_a_call_begins_when_it_may_run(peer: FabricPeer, member: Member) -> None:
    peer.may_answer.clear()
    async with connected(peer, member, max_in_flight=2) as gateway:
        first = asyncio.gather(*(contract_of(gateway).evaluate("echo", text) for text in "ab"))
        await asyncio.to_thread(peer.wait_for, "Evaluate", 2)
        proposal = contract_of(gateway).proposal("echo", "2")
        second = asyncio.create_task(proposal.evaluate(timeout_s=0.2))
        await asyncio.wait([second], timeout=0.3)
        assert not second.done()
        peer.may_answer.set()
        assert await first == [b"echo|a", b"echo|b"]
        assert await second == b"echo|2"


async def test_pings_are_rarer_than_a_peer_bears_and_messages_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    channel = grpc.aio.insecure_channel

    def noted(address: str, options: list[tuple[str, Any]]) -> grpc.aio.Channel:
        seen.update(options)
        return channel(address, options)

    monkeypatch.setattr(grpc.aio, "insecure_channel", noted)
    async with Connection.open("127.0.0.1:1"):
        assert seen["grpc.keepalive_time_ms"] > 60_000
        assert seen["grpc.max_receive_message_length"] == seen["grpc.max_send_message_length"] == 100 * 1024 * 1024


async def test_a_gateway_leaves_the_connection_to_its_owner(peer: FabricPeer, member: Member) -> None:
    channel = grpc.aio.insecure_channel(peer.address)
    gateway = Gateway(Connection(channel), member.identity, member.signer)
    assert await contract_of(gateway).evaluate("echo") == b"echo"
    del gateway
    other = Gateway(Connection(channel), member.identity, member.signer)
    assert await contract_of(other).evaluate("echo") == b"echo"
    await channel.close()
