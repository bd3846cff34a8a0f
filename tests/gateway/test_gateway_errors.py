"""Every failure is named after its phase and carries a reason that says what to do."""

import time
from typing import Any

import grpc
import pytest

from fabric_gateway import (
    CommitStatusError,
    Connection,
    EndorseError,
    ErrorDetail,
    FabricError,
    Gateway,
    GatewayError,
    Reason,
    Refusal,
    SubmitError,
    Timeouts,
)
from gateway.clients import connected, contract_of
from gateway.fabric_peer import CHANNEL, FabricPeer, Fault
from gateway.organisation import Member, Organisation

Code = grpc.StatusCode
MINUTE_NS = 60 * 10**9
BOTH = ("peer0:7051", "Org1MSP", "one"), ("peer1:7051", "Org2MSP", "two")


def detailed(code: grpc.StatusCode, message: str, detail: str) -> Fault:
    return Fault(code, message, (("peer0:7051", "Org1MSP", detail),))


# What Fabric says, and what we make of it.
REASONS = [
    (detailed(Code.ABORTED, "failed", "chaincode response 409, taken"), Reason.CHAINCODE_REFUSED),
    (detailed(Code.ABORTED, "failed", "chaincode response 500, access denied"), Reason.CHAINCODE_REFUSED),
    (Fault(Code.UNAVAILABLE, "request unauthorized due to incorrect timestamp 1, peer time 2"), Reason.CLOCK_SKEW),
    (detailed(Code.ABORTED, "failed", "proposal client identity expired"), Reason.CERTIFICATE_EXPIRED),
    (Fault(Code.UNKNOWN, "too many requests for gateway.Gateway, exceeding (500)"), Reason.TOO_MANY_REQUESTS),
    (Fault(Code.RESOURCE_EXHAUSTED, "grpc: received message larger than max (5 vs. 4)"), Reason.TOO_LARGE),
    (Fault(Code.ABORTED, "message payload is 5 bytes and exceeds maximum allowed 4 bytes"), Reason.TOO_LARGE),
    (Fault(Code.UNAVAILABLE, "failed to get config for channel [x]: no"), Reason.CHANNEL_UNKNOWN),
    (Fault(Code.PERMISSION_DENIED, "Failed to get policy manager for channel [x]"), Reason.CHANNEL_UNKNOWN),
    (Fault(Code.FAILED_PRECONDITION, "no peers available to evaluate chaincode x"), Reason.CHAINCODE_UNKNOWN),
    (Fault(Code.FAILED_PRECONDITION, "No metadata was found for chaincode x in channel y"), Reason.CHAINCODE_UNKNOWN),
    (detailed(Code.ABORTED, "failed", "make sure the chaincode x has been successfully"), Reason.CHAINCODE_UNKNOWN),
    (detailed(Code.ABORTED, "failed", "x exists, but chaincode is not installed"), Reason.CHAINCODE_UNKNOWN),
    (detailed(Code.ABORTED, "failed", "error: chaincode stream terminated"), Reason.CHAINCODE_STOPPED),
    (detailed(Code.ABORTED, "failed", "could not launch chaincode x: connection refused"), Reason.CHAINCODE_STOPPED),
    (Fault(Code.UNAVAILABLE, "failed to find any endorsing peers for org(s): Org9MSP"), Reason.ORGANISATION_UNKNOWN),
    (detailed(Code.ABORTED, "failed", "ProposalResponsePayloads do not match"), Reason.ENDORSEMENTS_DIFFER),
    (
        Fault(Code.FAILED_PRECONDITION, "no peer combination can satisfy the endorsement policy"),
        Reason.POLICY_NOT_SATISFIABLE,
    ),
    (
        Fault(Code.FAILED_PRECONDITION, "retry specifying trusted endorsing organizations to protect transient data"),
        Reason.TRANSIENT_UNPROTECTED,
    ),
    (detailed(Code.ABORTED, "failed", "duplicate transaction found [x]"), Reason.ALREADY_COMMITTED),
    (detailed(Code.FAILED_PRECONDITION, "failed", "access denied: channel [x] creator org [y]"), Reason.ACCESS_DENIED),
    (Fault(Code.PERMISSION_DENIED, "failed evaluating policy on signed data"), Reason.ACCESS_DENIED),
    (Fault(Code.UNAVAILABLE, "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED"), Reason.TLS_REFUSED),
    (Fault(Code.ABORTED, "received unsuccessful response from orderer: status=FORBIDDEN"), Reason.ORDERER_REFUSED),
    (Fault(Code.DEADLINE_EXCEEDED, "evaluate timeout expired"), Reason.TIMED_OUT),
    (Fault(Code.UNAVAILABLE, "connection refused"), Reason.UNREACHABLE),
    (Fault(Code.INTERNAL, "Received RST_STREAM"), Reason.UNREACHABLE),
    (Fault(Code.INVALID_ARGUMENT, "an endorse request is required"), Reason.OTHER),
]


@pytest.mark.parametrize(("fault", "reason"), REASONS, ids=lambda one: str(one) if isinstance(one, Reason) else "")
async def test_fabrics_words_are_read_as_a_reason(
    peer: FabricPeer, member: Member, fault: Fault, reason: Reason
) -> None:
    peer.fail("Endorse", fault)
    async with connected(peer, member, retry=None) as gateway:
        with pytest.raises(EndorseError) as error:
            await contract_of(gateway).endorse("echo")
    assert error.value.reason is reason
    assert reason.advice in str(error.value)


def test_every_reason_but_a_request_for_blocks_is_in_the_table_and_has_advice() -> None:
    assert {reason for _, reason in REASONS} == set(Reason) - {Reason.REQUEST_REFUSED}
    assert all(reason.advice for reason in Reason)


async def test_each_phase_raises_its_own_error_with_all_that_is_known(peer: FabricPeer, member: Member) -> None:
    for method in ("Evaluate", "Endorse", "Submit", "CommitStatus", "ChaincodeEvents", "Deliver"):
        peer.fail(method, Fault(Code.ABORTED, "failed here", BOTH))
    async with connected(peer, member, retry=None) as gateway:
        contract = contract_of(gateway)
        proposal = contract.proposal("write", "a")
        errors: list[GatewayError] = []
        with pytest.raises(GatewayError) as evaluate:
            await contract.evaluate("echo")
        with pytest.raises(EndorseError) as endorse:
            await proposal.endorse()
        transaction = await proposal.endorse()
        with pytest.raises(SubmitError) as submit:
            await transaction.submit()
        submitted = await transaction.submit()
        with pytest.raises(CommitStatusError) as status:
            await submitted.status()
        with pytest.raises(GatewayError) as events:
            await anext(await gateway.network(CHANNEL).chaincode_events("basic"))
        with pytest.raises(GatewayError) as blocks:
            await anext(await gateway.network(CHANNEL).block_events())
    errors = [one.value for one in (evaluate, endorse, submit, status, events, blocks)]
    for error in errors:
        assert (error.code, error.message) == (Code.ABORTED, "failed here")
        assert error.details == tuple(ErrorDetail(address=a, msp_id=m, message=t) for a, m, t in BOTH)
        assert isinstance(error, FabricError)
        assert isinstance(error.__cause__, grpc.aio.AioRpcError)
    assert [type(error) for error in errors[:1] + errors[4:]] == [GatewayError] * 3
    assert [error.transaction_id for error in errors[1:4]] == [proposal.transaction_id] * 3
    assert "the endorsement of transaction" in str(errors[1])
    assert "Org2MSP peer1:7051: two" in str(errors[1])


async def test_a_chaincodes_own_words_are_at_hand(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member) as gateway:
        with pytest.raises(GatewayError) as evaluate:
            await contract_of(gateway).evaluate("refuse", "balance_too_low:\n10 of 20")
        with pytest.raises(EndorseError) as endorse:
            await contract_of(gateway).submit("refuse", "balance_too_low:\n10 of 20")
    refusal = Refusal(status=500, message="balance_too_low:\n10 of 20")
    assert evaluate.value.refusal == endorse.value.refusal == refusal
    assert peer.calls == {"Evaluate": 1, "Endorse": 1}


async def test_a_long_refusal_arrives_whole(peer: FabricPeer, member: Member) -> None:
    # Fabric sends it twice, in the message and in the details, and both as headers.
    words = "no " * 50_000
    async with connected(peer, member) as gateway:
        with pytest.raises(GatewayError) as error:
            await contract_of(gateway).evaluate("refuse", words)
    assert error.value.refusal == Refusal(status=500, message=words)


async def test_unreadable_details_do_not_hide_the_failure(member: Member) -> None:
    class Garbling(FabricPeer):
        def Endorse(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
            context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff"),))
            return context.abort(Code.ABORTED, f"garbled {request.channel_id}")

    garbling = Garbling()
    try:
        async with connected(garbling, member) as gateway:
            with pytest.raises(EndorseError, match=r"garbled channel.*unreadable details"):
                await contract_of(gateway).endorse("echo")
    finally:
        garbling.stop()


@pytest.mark.parametrize("skew_minutes", [-20, 20])
async def test_a_clock_that_is_wrong_is_named_in_every_phase(
    peer: FabricPeer, member: Member, skew_minutes: int
) -> None:
    async with connected(peer, member, clock_ns=lambda: time.time_ns() + skew_minutes * MINUTE_NS) as gateway:
        with pytest.raises(GatewayError, match="set the clock") as evaluate:
            await contract_of(gateway).evaluate("echo")
        with pytest.raises(EndorseError, match="set the clock") as endorse:
            await contract_of(gateway).submit("echo")
        with pytest.raises(GatewayError, match="check this machine's clock"):
            await anext(await gateway.network(CHANNEL).block_events())
    assert evaluate.value.reason is endorse.value.reason is Reason.CLOCK_SKEW
    assert (peer.calls["Evaluate"], peer.calls["Endorse"]) == (1, 1)


async def test_an_expired_certificate_is_named_in_every_phase(peer: FabricPeer, organisation: Organisation) -> None:
    expired = organisation.member("anne", is_expired=True)
    async with connected(peer, expired) as gateway:
        network = gateway.network(CHANNEL)
        with pytest.raises(GatewayError, match="reenroll") as evaluate:
            await contract_of(gateway).evaluate("echo")
        with pytest.raises(EndorseError, match="reenroll"):
            await contract_of(gateway).submit("echo")
        with pytest.raises(CommitStatusError, match="reenroll"):
            await network.commit("x").status()
        with pytest.raises(GatewayError, match="reenroll"):
            await anext(await network.chaincode_events("basic"))
        with pytest.raises(GatewayError, match="reenroll"):
            await anext(await network.block_events())
    assert evaluate.value.reason is Reason.CERTIFICATE_EXPIRED


async def test_a_revoked_identity_is_named_in_every_phase(peer: FabricPeer, organisation: Organisation) -> None:
    revoked = organisation.member("eve")
    peer.revoked.add(revoked.identity.creator)
    async with connected(peer, revoked) as gateway:
        network = gateway.network(CHANNEL)
        with pytest.raises(GatewayError, match="is revoked"):
            await contract_of(gateway).evaluate("echo")
        with pytest.raises(EndorseError, match="is revoked"):
            await contract_of(gateway).submit("echo")
        with pytest.raises(CommitStatusError, match="is revoked"):
            await network.commit("x").status()
        with pytest.raises(GatewayError, match="is revoked"):
            await anext(await network.chaincode_events("basic"))
        with pytest.raises(GatewayError, match="is revoked"):
            await anext(await network.block_events())


async def test_a_key_of_another_certificate_is_denied(peer: FabricPeer, organisation: Organisation) -> None:
    anne, bob = organisation.member("anne"), organisation.member("bob")
    async with Connection.open(peer.address) as connection:
        gateway = Gateway(connection, anne.identity, bob.signer)
        with pytest.raises(EndorseError, match="does not belong to the signing key"):
            await contract_of(gateway).submit("echo")


async def test_an_unknown_channel_and_chaincode_are_named(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member) as gateway:
        with pytest.raises(GatewayError) as channel:
            await contract_of(gateway, channel="nowhere").evaluate("echo")
        with pytest.raises(EndorseError) as chaincode:
            await contract_of(gateway, chaincode="nothing").endorse("echo")
        with pytest.raises(CommitStatusError) as status:
            await gateway.network("nowhere").commit("x").status()
        with pytest.raises(GatewayError) as events:
            await anext(await gateway.network("nowhere").chaincode_events("basic"))
        with pytest.raises(GatewayError) as blocks:
            await anext(await gateway.network("nowhere").block_events())
    assert chaincode.value.reason is Reason.CHAINCODE_UNKNOWN
    for error in (channel, status, events, blocks):
        assert error.value.reason is Reason.CHANNEL_UNKNOWN


async def test_a_peer_that_is_not_there_is_named(peer: FabricPeer, member: Member) -> None:
    peer.stop()
    async with connected(peer, member, timeouts=Timeouts(evaluate_s=0.3, endorse_s=0.3)) as gateway:
        with pytest.raises(GatewayError, match="is not within reach") as evaluate:
            await contract_of(gateway).evaluate("echo")
        with pytest.raises(EndorseError):
            await contract_of(gateway).submit("echo")
        with pytest.raises(GatewayError) as blocks:
            await anext(await gateway.network(CHANNEL).block_events())
    assert evaluate.value.reason is blocks.value.reason is Reason.UNREACHABLE
    assert peer.calls == {}


async def test_an_argument_that_is_too_large_is_refused_before_it_is_sent(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member) as gateway:
        with pytest.raises(EndorseError, match="split it into several transactions") as error:
            await contract_of(gateway).submit("size", bytes(101 * 1024 * 1024))
    assert error.value.reason is Reason.TOO_LARGE
    assert peer.calls == {}
