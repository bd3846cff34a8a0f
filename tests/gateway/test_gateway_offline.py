"""Signing elsewhere: a gateway without key makes each step, another machine signs its digest."""

from collections.abc import Callable
from typing import Any, Protocol

import pytest

from fabric_gateway import Connection, FabricError, Gateway, Malformed
from gateway.clients import contract_of
from gateway.fabric_peer import CHANNEL, FabricPeer
from gateway.organisation import Member, Organisation, new_ed25519_key


class Step(Protocol):
    """What all steps have."""

    @property
    def digest(self) -> bytes: ...

    def to_bytes(self) -> bytes: ...


@pytest.fixture(params=["ECDSA", "Ed25519"])
def anne(request: pytest.FixtureRequest, organisation: Organisation) -> Member:
    return organisation.member("anne", new_ed25519_key() if request.param == "Ed25519" else None)


def signed_by(member: Member, rebuild: Callable[..., Any], step: Step) -> Any:
    """Rebuild a step from its bytes with a signature of its digest."""
    return rebuild(step.to_bytes(), signature=member.signer.sign(step.digest))


async def test_a_transaction_is_signed_elsewhere_at_every_step(peer: FabricPeer, anne: Member) -> None:
    async with Connection.open(peer.address) as connection:
        gateway = Gateway(connection, anne.identity)
        unsigned = contract_of(gateway).proposal("write", "a", endorsing_organisations=["Org1MSP"])
        proposal = signed_by(anne, gateway.proposal, unsigned)
        assert proposal.transaction_id == unsigned.transaction_id
        assert await proposal.evaluate() == b"wrote a"
        endorsed = await proposal.endorse()
        assert list(peer.requests[1].endorsing_organizations) == ["Org1MSP"]
        transaction = signed_by(anne, gateway.transaction, endorsed)
        assert transaction.result == b"wrote a"
        submitted = await transaction.submit()
        status = await signed_by(anne, gateway.commit, submitted).status()
    assert (status.transaction_id, status.is_valid) == (unsigned.transaction_id, True)
    assert peer.effects == {b"a": 1}


async def test_requests_for_events_are_signed_elsewhere(peer: FabricPeer, anne: Member) -> None:
    peer.commit("first", b"a")
    async with Connection.open(peer.address) as connection:
        gateway = Gateway(connection, anne.identity)
        network = gateway.network(CHANNEL)
        request = network.chaincode_events_request("basic", start_block=0)
        async with await signed_by(anne, gateway.chaincode_events_request, request).open() as events:
            assert (await anext(events)).transaction_id == "first"
        blocks = network.block_events_request(start_block=0, stop_block=0)
        async with await signed_by(anne, gateway.block_events_request, blocks).open() as stream:
            assert [block.header.number async for block in stream] == [0]
        blocks = network.filtered_block_events_request(start_block=0, stop_block=0)
        async with await signed_by(anne, gateway.filtered_block_events_request, blocks).open() as stream:
            assert [block.number async for block in stream] == [0]
        blocks = network.block_and_private_data_events_request(start_block=0, stop_block=0)
        async with await signed_by(anne, gateway.block_and_private_data_events_request, blocks).open() as stream:
            assert [both.block.header.number async for both in stream] == [0]


async def test_a_signed_step_keeps_its_signature_through_its_bytes(peer: FabricPeer, anne: Member) -> None:
    async with Connection.open(peer.address) as connection:
        gateway = Gateway(connection, anne.identity, anne.signer)
        keyless = Gateway(connection, anne.identity)
        proposal = contract_of(gateway).proposal("echo")
        await proposal.evaluate()
        assert await keyless.proposal(proposal.to_bytes()).evaluate() == b"echo"
        transaction = await contract_of(gateway).endorse("write", "a")
        submitted = await transaction.submit()
        await submitted.status()
        await keyless.transaction(transaction.to_bytes()).submit()
        assert (await keyless.commit(submitted.to_bytes()).status()).is_valid
    assert [block.code for block in peer.blocks] == [0, 9]


async def test_a_wrong_signature_is_refused(peer: FabricPeer, organisation: Organisation) -> None:
    anne, eve = organisation.member("anne"), organisation.member("eve")
    async with Connection.open(peer.address) as connection:
        gateway = Gateway(connection, anne.identity)
        proposal = signed_by(eve, gateway.proposal, contract_of(gateway).proposal("echo"))
        with pytest.raises(FabricError, match="access denied"):
            await proposal.endorse()


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff"])
async def test_bytes_that_are_no_step_are_refused(peer: FabricPeer, member: Member, data: bytes) -> None:
    async with Connection.open(peer.address) as connection:
        gateway = Gateway(connection, member.identity)
        for rebuild in (
            gateway.proposal,
            gateway.transaction,
            gateway.commit,
            gateway.chaincode_events_request,
            gateway.block_events_request,
            gateway.filtered_block_events_request,
            gateway.block_and_private_data_events_request,
        ):
            with pytest.raises(Malformed):
                rebuild(data)
        with pytest.raises(Malformed, match="no endorsed transaction"):
            gateway.transaction(b"")
