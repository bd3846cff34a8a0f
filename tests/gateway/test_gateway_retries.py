"""Trying again never turns one intention into two transactions: what came to the peer is counted."""

import asyncio

import grpc
import pytest

from fabric_gateway import (
    Backoff,
    CommitError,
    CommitStatusError,
    EndorseError,
    GatewayError,
    Reason,
    SubmitError,
    Timeouts,
    ValidationCode,
)
from gateway.clients import QUICK, connected, contract_of
from gateway.fabric_peer import MVCC, FabricPeer, Fault
from gateway.organisation import Member

Code = grpc.StatusCode
POLICY_FAILURE, PHANTOM = 10, 12

PASSING = [
    pytest.param(Fault(), id="unavailable"),
    pytest.param(Fault(Code.DEADLINE_EXCEEDED, "endorsement timeout expired"), id="deadline"),
    pytest.param(Fault(Code.UNKNOWN, "too many requests for gateway.Gateway, exceeding"), id="busy"),
    pytest.param(Fault(Code.ABORTED, "failed", (("p", "O", "x: chaincode stream terminated"),)), id="chaincode died"),
    pytest.param(Fault(Code.ABORTED, "failed", (("p", "O", "rpc error: code = Unavailable"),)), id="endorser down"),
]
FINAL = [
    pytest.param(Fault(Code.UNKNOWN, "evaluate call to endorser returned error: chaincode response 500, no")),
    pytest.param(Fault(Code.UNAVAILABLE, "request unauthorized due to incorrect timestamp 1")),
    pytest.param(Fault(Code.ABORTED, "failed", (("p", "O", "ProposalResponsePayloads do not match"),))),
    pytest.param(Fault(Code.FAILED_PRECONDITION, "no peers available to evaluate chaincode x in channel y")),
    pytest.param(Fault(Code.INVALID_ARGUMENT, "an endorse request is required")),
]


@pytest.mark.parametrize("fault", PASSING)
async def test_what_passes_is_evaluated_again_with_a_new_proposal(
    peer: FabricPeer, member: Member, fault: Fault
) -> None:
    peer.fail("Evaluate", fault, fault)
    async with connected(peer, member) as gateway:
        assert await contract_of(gateway).evaluate("echo") == b"echo"
    assert len(set(peer.transaction_ids["Evaluate"])) == peer.calls["Evaluate"] == 3


@pytest.mark.parametrize("fault", PASSING)
async def test_what_passes_is_endorsed_again_with_a_new_proposal_and_submitted_once(
    peer: FabricPeer, member: Member, fault: Fault
) -> None:
    peer.fail("Endorse", fault, fault)
    async with connected(peer, member) as gateway:
        committed = await contract_of(gateway).submit("write", "a")
    assert len(set(peer.transaction_ids["Endorse"])) == peer.calls["Endorse"] == 3
    assert peer.transaction_ids["Submit"] == [committed.transaction_id]
    assert peer.effects == {b"a": 1}


@pytest.mark.parametrize("fault", FINAL)
async def test_what_does_not_pass_is_not_tried_again(peer: FabricPeer, member: Member, fault: Fault) -> None:
    peer.fail("Evaluate", fault)
    peer.fail("Endorse", fault)
    async with connected(peer, member) as gateway:
        with pytest.raises(GatewayError):
            await contract_of(gateway).evaluate("echo")
        with pytest.raises(EndorseError):
            await contract_of(gateway).submit("write", "a")
    assert peer.calls == {"Evaluate": 1, "Endorse": 1}


@pytest.mark.parametrize("is_done", [False, True], ids=["not ordered", "ordered, unheard"])
@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.UNKNOWN, Code.INTERNAL])
async def test_a_submission_that_was_not_answered_has_one_effect(
    peer: FabricPeer, member: Member, *, code: grpc.StatusCode, is_done: bool
) -> None:
    peer.fail("Submit", *[Fault(code, "insufficient number of orderers", is_done=is_done)] * 2)
    timeouts = Timeouts(resubmit_after_s=0.05)
    async with connected(peer, member, timeouts=timeouts) as gateway:
        committed = await contract_of(gateway).submit("write", "a")
    assert peer.effects == {b"a": 1}
    assert peer.calls["Endorse"] == 1
    assert set(peer.transaction_ids["Submit"]) == {committed.transaction_id}


async def test_an_envelope_that_an_orderer_took_and_lost_is_submitted_again(peer: FabricPeer, member: Member) -> None:
    peer.lost = 2
    async with connected(peer, member, timeouts=Timeouts(resubmit_after_s=0.02)) as gateway:
        committed = await contract_of(gateway).submit("write", "a")
    assert set(peer.transaction_ids["Submit"]) == {committed.transaction_id}
    assert peer.calls["Endorse"] == 1
    assert peer.effects == {b"a": 1}


async def test_the_same_envelope_is_submitted_again_byte_by_byte(peer: FabricPeer, member: Member) -> None:
    peer.fail("Submit", Fault(), Fault())
    async with connected(peer, member) as gateway:
        await contract_of(gateway).submit("write", "a")
    submitted = {request.SerializeToString() for request in peer.requests if hasattr(request, "prepared_transaction")}
    assert peer.calls["Submit"] == 3
    assert len(submitted) == 1


async def test_a_transaction_may_be_submitted_as_often_as_one_likes(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member) as gateway:
        transaction = await contract_of(gateway).endorse("write", "a")
        for _ in range(3):
            assert (await (await transaction.submit()).status()).is_valid
        assert (await transaction.submit_and_wait()).block_number == 0
    assert [block.code for block in peer.blocks] == [0, 9, 9, 9]
    assert peer.effects == {b"a": 1}


async def test_a_transaction_whose_fate_stays_unknown_can_be_gone_on_with(peer: FabricPeer, member: Member) -> None:
    peer.lost = 1
    timeouts = Timeouts(commit_status_s=0.2, resubmit_after_s=None)
    async with connected(peer, member, timeouts=timeouts) as gateway:
        with pytest.raises(CommitStatusError) as error:
            await contract_of(gateway).submit("write", "a")
        assert error.value.reason is Reason.TIMED_OUT
        assert peer.effects == {}
        transaction = gateway.transaction(error.value.transaction)
        assert transaction.transaction_id == error.value.transaction_id
        committed = await transaction.submit_and_wait()
    assert committed.result == b"wrote a"
    assert peer.effects == {b"a": 1}


async def test_an_unanswered_submission_is_followed_by_the_question_and_not_by_another_endorsement(
    peer: FabricPeer, member: Member
) -> None:
    peer.fail("Submit", Fault(is_silent=True))
    timeouts = Timeouts(submit_s=0.1, commit_status_s=0.2, resubmit_after_s=None)
    async with connected(peer, member, timeouts=timeouts) as gateway:
        with pytest.raises(CommitStatusError):
            await contract_of(gateway).submit("write", "a", on_conflict=QUICK)
    assert peer.calls == {"Endorse": 1, "Submit": 1, "CommitStatus": 1}


REFUSED_BY_ONE = "received unsuccessful response from orderer: status=FORBIDDEN, info=x"
TOO_LARGE_FOR_ALL = "message payload is 5 bytes and exceeds maximum allowed 4 bytes"


@pytest.mark.parametrize(
    ("fault", "is_outcome_unknown"),
    [
        (Fault(Code.UNAVAILABLE, "no orderers could successfully process transaction"), True),
        (Fault(Code.DEADLINE_EXCEEDED, "submit timeout expired"), True),
        (Fault(Code.UNKNOWN, "what"), True),
        (Fault(Code.UNKNOWN, "too many requests for gateway.Gateway"), False),
        (Fault(Code.ABORTED, "received unsuccessful response from orderer: status=FORBIDDEN, info=x"), False),
        (Fault(Code.UNAVAILABLE, "insufficient number of orderers", (("o", "O", REFUSED_BY_ONE),)), True),
        (Fault(Code.UNAVAILABLE, "no orderers could", (("o", "O", "authentication handshake failed: EOF"),)), True),
        (Fault(Code.UNAVAILABLE, "insufficient number of orderers", (("o", "O", TOO_LARGE_FOR_ALL),)), False),
        (Fault(Code.FAILED_PRECONDITION, "no channel"), False),
        (Fault(Code.INVALID_ARGUMENT, "prepared transaction must be signed"), False),
    ],
)
async def test_a_failed_submission_says_whether_the_transaction_may_be_on_its_way(
    peer: FabricPeer, member: Member, fault: Fault, *, is_outcome_unknown: bool
) -> None:
    peer.fail("Submit", fault)
    async with connected(peer, member, retry=None) as gateway:
        with pytest.raises(SubmitError) as error:
            await contract_of(gateway).submit_async("write", "a")
    assert error.value.is_outcome_unknown is is_outcome_unknown


async def test_a_refusal_says_nothing_of_an_earlier_attempt_that_was_not_answered(
    peer: FabricPeer, member: Member
) -> None:
    peer.fail("Submit", Fault(is_done=True), Fault(Code.ABORTED, "received unsuccessful response from orderer: x"))
    async with connected(peer, member) as gateway:
        transaction = await contract_of(gateway).endorse("write", "a")
        with pytest.raises(SubmitError) as error:
            await transaction.submit()
        assert error.value.reason is Reason.ORDERER_REFUSED
        assert error.value.is_outcome_unknown
    assert peer.effects == {b"a": 1}


async def test_a_refusal_says_nothing_of_what_was_done_before_a_crash(peer: FabricPeer, member: Member) -> None:
    refused = Fault(Code.ABORTED, "received unsuccessful response from orderer: x")
    async with connected(peer, member) as gateway:
        transaction = await contract_of(gateway).endorse("write", "a")
        kept = transaction.to_bytes()
        await transaction.submit()
    peer.fail("Submit", refused, refused)
    async with connected(peer, member) as gateway:
        with pytest.raises(SubmitError) as error:
            await gateway.transaction(kept).submit()
        assert error.value.is_outcome_unknown
        assert (await gateway.transaction(kept).submit_and_wait()).result == b"wrote a"
    assert peer.effects == {b"a": 1}


async def test_a_refusal_says_nothing_of_an_earlier_submission(peer: FabricPeer, member: Member) -> None:
    async with connected(peer, member) as gateway:
        transaction = await contract_of(gateway).endorse("write", "a")
        await transaction.submit()
        peer.fail("Submit", Fault(Code.ABORTED, "received unsuccessful response from orderer: x"))
        with pytest.raises(SubmitError) as error:
            await transaction.submit()
    assert error.value.is_outcome_unknown


async def test_a_transaction_signed_just_now_and_refused_is_not_on_its_way(peer: FabricPeer, member: Member) -> None:
    peer.fail("Submit", Fault(Code.ABORTED, "received unsuccessful response from orderer: x"))
    async with connected(peer, member) as gateway:
        unsigned = await contract_of(gateway).endorse("write", "a")
        signature = member.signer.sign(unsigned.digest)
        with pytest.raises(SubmitError) as error:
            await gateway.transaction(unsigned.to_bytes(), signature=signature).submit_and_wait()
    assert not error.value.is_outcome_unknown


async def test_a_refused_submission_is_not_waited_for(peer: FabricPeer, member: Member) -> None:
    peer.fail("Submit", Fault(Code.ABORTED, "received unsuccessful response from orderer: status=BAD_REQUEST"))
    async with connected(peer, member) as gateway:
        with pytest.raises(SubmitError, match="refused the transaction; it will not be on the ledger"):
            await contract_of(gateway).submit("write", "a")
    assert "CommitStatus" not in peer.calls


async def test_the_commit_status_is_asked_for_until_it_is_heard(peer: FabricPeer, member: Member) -> None:
    busy = Fault(Code.UNKNOWN, "too many requests for gateway.Gateway, exceeding concurrency limit (500)")
    peer.fail("CommitStatus", Fault(), busy, Fault(Code.DEADLINE_EXCEEDED, "later"))
    async with connected(peer, member) as gateway:
        assert (await contract_of(gateway).submit("write", "a")).block_number == 0
    assert (peer.calls["CommitStatus"], peer.calls["Submit"]) == (4, 1)


@pytest.mark.parametrize("code", [MVCC, PHANTOM])
async def test_a_conflict_is_endorsed_anew_only_when_asked_for(peer: FabricPeer, member: Member, code: int) -> None:
    peer.codes.extend([code, code])
    async with connected(peer, member) as gateway:
        with pytest.raises(CommitError):
            await contract_of(gateway).submit("write", "a")
        assert peer.calls["Endorse"] == 1
        await contract_of(gateway).submit("write", "b", on_conflict=QUICK)
    assert peer.calls["Endorse"] == 3
    assert peer.effects == {b"b": 1}


async def test_conflicts_are_endorsed_anew_as_often_as_asked_for(peer: FabricPeer, member: Member) -> None:
    peer.codes.extend([MVCC] * 9)
    async with connected(peer, member) as gateway:
        with pytest.raises(CommitError) as error:
            await contract_of(gateway).submit("write", "a", on_conflict=Backoff(first_s=0.001, retries=2))
    assert error.value.code is ValidationCode.MVCC_READ_CONFLICT
    assert peer.calls["Endorse"] == 3


async def test_a_policy_failure_is_no_conflict(peer: FabricPeer, member: Member) -> None:
    peer.codes.append(POLICY_FAILURE)
    async with connected(peer, member) as gateway:
        with pytest.raises(CommitError, match="check the endorsing organisations"):
            await contract_of(gateway).submit("write", "a", on_conflict=QUICK)
    assert peer.calls["Endorse"] == 1


async def test_a_silent_peer_is_given_up_in_time(peer: FabricPeer, member: Member) -> None:
    silent = Fault(is_silent=True)
    peer.fail("Evaluate", silent)
    peer.fail("Endorse", silent)
    async with connected(peer, member, timeouts=Timeouts(evaluate_s=0.1, endorse_s=0.1)) as gateway:
        with pytest.raises(GatewayError) as error:
            await contract_of(gateway).evaluate("echo")
        assert (error.value.reason, error.value.code) == (Reason.TIMED_OUT, Code.DEADLINE_EXCEEDED)
        with pytest.raises(EndorseError):
            await contract_of(gateway).submit("write", "a")
    assert peer.calls == {"Evaluate": 1, "Endorse": 1}


async def test_retries_end_with_the_phase(peer: FabricPeer, member: Member) -> None:
    peer.fail("Evaluate", *[Fault()] * 1000)
    async with connected(peer, member, timeouts=Timeouts(evaluate_s=0.2)) as gateway:
        # On its last try the peer may be too late to fail.
        with pytest.raises(GatewayError, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
            await contract_of(gateway).evaluate("echo")
    assert 1 < peer.calls["Evaluate"] < 1000


async def test_without_backoff_nothing_is_tried_again(peer: FabricPeer, member: Member) -> None:
    peer.fail("Evaluate", Fault())
    async with connected(peer, member, retry=None) as gateway:
        with pytest.raises(GatewayError):
            await contract_of(gateway).evaluate("echo")
    assert peer.calls["Evaluate"] == 1


async def test_a_step_is_taken_once_per_call(peer: FabricPeer, member: Member) -> None:
    peer.fail("Evaluate", Fault())
    peer.fail("Endorse", Fault())
    async with connected(peer, member) as gateway:
        proposal = contract_of(gateway).proposal("echo")
        with pytest.raises(GatewayError):
            await proposal.evaluate(timeout_s=5)
        with pytest.raises(EndorseError):
            await proposal.endorse(timeout_s=5)
    assert peer.calls == {"Evaluate": 1, "Endorse": 1}


def test_pauses_grow_to_a_bound_and_are_cut_at_random() -> None:
    pauses_s = [list(Backoff(first_s=1, longest_s=4, retries=4).pauses_s()) for _ in range(200)]
    for bound, column in zip([1, 2, 4, 4], zip(*pauses_s, strict=True), strict=True):
        assert all(0 <= pause_s <= bound for pause_s in column)
        assert max(column) - min(column) > bound / 2


async def test_many_submissions_through_many_faults_have_one_effect_each(peer: FabricPeer, member: Member) -> None:
    faults = [Fault(), Fault(is_done=True), Fault(Code.DEADLINE_EXCEEDED, "x", is_done=True), Fault(Code.INTERNAL, "y")]
    for method in ("Endorse", "Submit", "CommitStatus"):
        peer.fail(method, *[fault for fault in faults if method != "Endorse" or fault.code is Code.UNAVAILABLE] * 10)
    peer.lost = 5
    timeouts = Timeouts(resubmit_after_s=0.1)
    async with connected(peer, member, max_in_flight=40, timeouts=timeouts) as gateway:
        names = [f"{n}" for n in range(60)]
        committed = await asyncio.gather(*(contract_of(gateway).submit("write", name) for name in names))
    assert peer.effects == {name.encode(): 1 for name in names}
    assert len({one.transaction_id for one in committed}) == 60
    assert set(peer.transaction_ids["Submit"]) == {one.transaction_id for one in committed}
