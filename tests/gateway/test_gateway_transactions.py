"""Evaluating and submitting: what is sent, what comes back, and what needs no peer to be refused."""

import asyncio

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2

from fabric_gateway import CommitError, Committed, Connection, Gateway, NoSigner, Status, Timeouts, ValidationCode
from gateway.clients import connected, contract_of
from gateway.fabric_peer import CHANNEL, MVCC, FabricPeer
from gateway.organisation import Member, Organisation


async def test_a_function_is_evaluated_without_a_trace_on_the_ledger(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member) as gateway:
        assert await contract_of(gateway).evaluate("echo", "text", b"\xff\x00") == b"echo|text|\xff\x00"
    assert peer.blocks == []
    assert peer.calls == {"Evaluate": 1}


async def test_a_submitted_transaction_returns_when_it_is_on_the_ledger(peer: FabricPeer, member: Member) -> None:
    peer.commit("earlier")
    async with connected(peer, member) as gateway:
        committed = await contract_of(gateway).submit("write", "a")
    assert committed == Committed(transaction_id=peer.transaction_ids["Endorse"][0], block_number=1, result=b"wrote a")
    assert peer.calls == {"Endorse": 1, "Submit": 1, "CommitStatus": 1}


async def test_an_asynchronous_submission_returns_the_result_before_the_commit(
    peer: FabricPeer, member: Member
) -> None:
    async with connected(peer, member) as gateway:
        submitted = await contract_of(gateway).submit_async("write", "a")
        assert submitted.result == b"wrote a"
        assert "CommitStatus" not in peer.calls
        status = await submitted.status()
    assert status == Status(transaction_id=submitted.transaction_id, code=ValidationCode.VALID, block_number=0)
    assert status.is_valid


async def test_an_invalid_transaction_is_a_commit_error(peer: FabricPeer, member: Member) -> None:
    peer.codes.append(MVCC)
    async with connected(peer, member) as gateway:
        with pytest.raises(CommitError, match="MVCC_READ_CONFLICT: a key it read was changed meanwhile") as error:
            await contract_of(gateway).submit("write", "a")
    assert error.value.code is ValidationCode.MVCC_READ_CONFLICT
    assert error.value.transaction_id == peer.transaction_ids["Submit"][0]
    assert error.value.block_number == 0
    assert peer.calls["Endorse"] == 1


async def test_a_code_that_is_newer_than_the_client_is_invalid(peer: FabricPeer, member: Member) -> None:
    peer.codes.append(99)
    async with connected(peer, member) as gateway:
        submitted = await contract_of(gateway).submit_async("write", "a")
        status = await submitted.status()
        assert status.code is ValidationCode.INVALID_OTHER_REASON
        assert not status.is_valid
        with pytest.raises(CommitError):
            status.check()


async def test_transient_data_reaches_the_chaincode_and_not_the_ledger(peer: FabricPeer, member: Member) -> None:
    transient = {"b": b"2", "a": b"1"}
    async with connected(peer, member) as gateway:
        contract = contract_of(gateway)
        assert await contract.evaluate("transient", transient=transient) == b"a1b2"
        assert (await contract.submit("transient", transient=transient)).result == b"a1b2"
    assert b"a1b2" in peer.blocks[0].envelope.payload
    assert b"TransientMap" not in peer.blocks[0].envelope.payload


async def test_endorsing_organisations_are_asked_for(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member) as gateway:
        contract = contract_of(gateway)
        await contract.evaluate("echo", endorsing_organisations=["Org1MSP"])
        await contract.endorse("echo", endorsing_organisations=["Org1MSP", "Org2MSP"])
        await contract.endorse("echo")
    assert list(peer.requests[0].target_organizations) == ["Org1MSP"]
    assert list(peer.requests[1].endorsing_organizations) == ["Org1MSP", "Org2MSP"]
    assert list(peer.requests[2].endorsing_organizations) == []


async def test_a_function_of_a_named_contract_is_called_by_both_names(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member) as gateway:
        assert await contract_of(gateway, contract="market").evaluate("echo") == b"market:echo"


async def test_a_proposal_is_laid_out_as_fabric_expects(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member, clock_ns=lambda: 1_700_000_000_000_000_007) as gateway:
        proposal = contract_of(gateway).proposal("echo", "a")
        other = contract_of(gateway).proposal("echo", "a")
    sent = proposal_pb2.Proposal.FromString(proposal._proposed.proposal.proposal_bytes)  # noqa: SLF001 -- its bytes
    header = common_pb2.Header.FromString(sent.header)
    channel = common_pb2.ChannelHeader.FromString(header.channel_header)
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(sent.payload)
    specification = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
    assert (channel.timestamp.seconds, channel.timestamp.nanos) == (1_700_000_000, 7)
    assert (channel.channel_id, channel.tx_id) == (CHANNEL, proposal.transaction_id)
    assert specification.type == chaincode_pb2.ChaincodeSpec.NODE
    assert list(specification.input.args) == [b"echo", b"a"]
    assert proposal.transaction_id != other.transaction_id


async def test_the_status_of_a_transaction_can_be_asked_by_its_id(peer: FabricPeer, member: Member) -> None:
    peer.commit("earlier")
    async with connected(peer, member) as gateway:
        status = await gateway.network(CHANNEL).commit("earlier").status()
    assert status == Status(transaction_id="earlier", code=ValidationCode.VALID, block_number=0)


async def test_several_identities_share_a_connection(peer: FabricPeer, organisation: Organisation) -> None:
    anne, bob = organisation.member("anne"), organisation.member("bob")
    async with Connection.open(peer.address) as connection:
        await contract_of(Gateway(connection, anne.identity, anne.signer)).submit("write", "a")
        await contract_of(Gateway(connection, bob.identity, bob.signer)).submit("write", "b")
    assert peer.effects == {b"a": 1, b"b": 1}


async def test_without_signer_nothing_is_sent(peer: FabricPeer, member: Member) -> None:
    async with Connection.open(peer.address) as connection:
        with pytest.raises(NoSigner, match="sign the digest elsewhere"):
            await contract_of(Gateway(connection, member.identity)).evaluate("echo")
    assert not peer.calls


async def test_a_cancelled_call_is_cancelled_at_the_peer_and_frees_its_slot(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member, max_in_flight=2, timeouts=Timeouts(resubmit_after_s=None)) as gateway:
        waiting = asyncio.create_task(gateway.network(CHANNEL).commit("never").status())
        await asyncio.to_thread(peer.wait_for, "CommitStatus")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        peer.commit("earlier")
        assert (await gateway.network(CHANNEL).commit("earlier").status()).is_valid


async def test_cancelling_a_submission_leaves_no_task_behind(peer: FabricPeer, member: Member) -> None:
    peer.lost = 1
    before = asyncio.all_tasks()
    async with connected(peer, member) as gateway:
        waiting = asyncio.create_task(contract_of(gateway).submit("write", "a"))
        await asyncio.to_thread(peer.wait_for, "CommitStatus")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert asyncio.all_tasks() == before
    assert peer.effects == {}
