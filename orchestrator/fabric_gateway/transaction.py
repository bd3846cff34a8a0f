"""The life of a transaction, step by step: proposal, endorsed transaction, commit.

Each step is an object that can be written to bytes, signed elsewhere (its `digest` is what to sign) and rebuilt by the
gateway. A proposal is sent once per call; a transaction may be submitted as often as needed, for it counts once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

import grpc.aio
from fabric_protos.gateway import gateway_pb2

from fabric_gateway import messages
from fabric_gateway.errors import (
    CommitError,
    CommitStatusError,
    EndorseError,
    GatewayError,
    SubmitError,
    ValidationCode,
)
from fabric_gateway.retry import until_answered
from fabric_gateway.session import Session

# How soon a transaction is handed in again that no orderer was seen to take.
UNTAKEN_RESUBMIT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a transaction fared: its validation code, and the block it is in."""

    transaction_id: str
    code: ValidationCode
    block_number: int

    @property
    def is_valid(self) -> bool:
        return self.code is ValidationCode.VALID

    def check(self) -> None:
        """Do nothing if the transaction took effect.

        Raises:
            CommitError: otherwise.
        """
        if not self.is_valid:
            raise CommitError(self.code, transaction_id=self.transaction_id, block_number=self.block_number)


@dataclass(frozen=True, kw_only=True)
class Committed:
    """A transaction that took effect: what the chaincode returned, and the block it is in."""

    transaction_id: str
    block_number: int
    result: bytes


class Proposal:
    """A call of a chaincode function, to be evaluated or endorsed."""

    def __init__(self, session: Session, proposed: gateway_pb2.ProposedTransaction) -> None:
        self._session = session
        self._proposed = proposed
        self._channel = messages.channel_of_proposal(proposed.proposal.proposal_bytes)

    @property
    def transaction_id(self) -> str:
        return str(self._proposed.transaction_id)

    @property
    def digest(self) -> bytes:
        return self._session.hash(self._proposed.proposal.proposal_bytes)

    def to_bytes(self) -> bytes:
        """Return what `Gateway.proposal` takes, the signature included if there is one."""
        return bytes(self._proposed.SerializeToString())

    async def evaluate(self, *, timeout_s: float | None = None) -> bytes:
        """Run the function on one peer's committed state, throw its writes away and return its result.

        Raises:
            GatewayError: if that failed.
        """
        request = gateway_pb2.EvaluateRequest(
            transaction_id=self.transaction_id,
            channel_id=self._channel,
            proposed_transaction=await self._signed(),
            target_organizations=self._proposed.endorsing_organizations,
        )
        timeout_s = self._session.timeouts.evaluate_s if timeout_s is None else timeout_s
        connection = self._session.connection
        try:
            response = await connection.call(connection.gateway.Evaluate, request, timeout_s=timeout_s)
        except grpc.aio.AioRpcError as error:
            failure, reason = self._session.read(error)
            raise GatewayError(failure, reason=reason, transaction_id=self.transaction_id) from error
        return bytes(response.result.payload)

    async def endorse(self, *, timeout_s: float | None = None) -> "Transaction":
        """Have the function run by as many organisations as its policies ask for.

        Raises:
            EndorseError: if that failed; nothing is on the ledger.
        """
        request = gateway_pb2.EndorseRequest(
            transaction_id=self.transaction_id,
            channel_id=self._channel,
            proposed_transaction=await self._signed(),
            endorsing_organizations=self._proposed.endorsing_organizations,
        )
        timeout_s = self._session.timeouts.endorse_s if timeout_s is None else timeout_s
        connection = self._session.connection
        try:
            response = await connection.call(connection.gateway.Endorse, request, timeout_s=timeout_s)
        except grpc.aio.AioRpcError as error:
            failure, reason = self._session.read(error)
            raise EndorseError(failure, reason=reason, transaction_id=self.transaction_id) from error
        prepared = gateway_pb2.PreparedTransaction(
            transaction_id=self.transaction_id, envelope=response.prepared_transaction
        )
        return Transaction(self._session, prepared)

    async def _signed(self) -> object:
        proposal = self._proposed.proposal
        if not proposal.signature:
            proposal.signature = await self._session.sign(proposal.proposal_bytes)
        return proposal


class Commit:
    """The question how a transaction fared."""

    def __init__(self, session: Session, signed: gateway_pb2.SignedCommitStatusRequest) -> None:
        self._session = session
        self._signed = signed
        self._request = messages.parse(gateway_pb2.CommitStatusRequest, signed.request)

    @property
    def transaction_id(self) -> str:
        return str(self._request.transaction_id)

    @property
    def digest(self) -> bytes:
        return self._session.hash(self._signed.request)

    def to_bytes(self) -> bytes:
        """Return what `Gateway.commit` takes, the signature included if there is one."""
        return bytes(self._signed.SerializeToString())

    async def status(self, *, timeout_s: float | None = None) -> Status:
        """Return how the transaction fared, as soon as it is in a block; while the time lasts, ask again.

        Raises:
            CommitStatusError: if nothing was heard in time; a transaction that nobody submitted is never heard of.
        """
        timeout_s = self._session.timeouts.commit_status_s if timeout_s is None else timeout_s
        if not self._signed.signature:
            self._signed.signature = await self._session.sign(self._signed.request)
        return await until_answered(self._ask, timeout_s=timeout_s, backoff=self._session.retry)

    async def _ask(self, timeout_s: float) -> Status:
        connection = self._session.connection
        try:
            response = await connection.call(
                connection.gateway.CommitStatus, self._signed, timeout_s=timeout_s, is_waiting=True
            )
        except grpc.aio.AioRpcError as error:
            failure, reason = self._session.read(error)
            raise CommitStatusError(failure, reason=reason, transaction_id=self.transaction_id) from error
        return Status(
            transaction_id=self.transaction_id,
            code=ValidationCode(response.result),
            block_number=response.block_number,
        )


class SubmittedTransaction(Commit):
    """A transaction that the ordering service took; it counts once its status is valid."""

    def __init__(self, session: Session, signed: gateway_pb2.SignedCommitStatusRequest, *, result: bytes) -> None:
        super().__init__(session, signed)
        self._result = result

    @property
    def result(self) -> bytes:
        """What the chaincode returned; it holds only if the transaction turns out valid."""
        return self._result


class Transaction:
    """An endorsed transaction, to be submitted; `is_perhaps_ordered` if it may have been submitted before."""

    def __init__(
        self, session: Session, prepared: gateway_pb2.PreparedTransaction, *, is_perhaps_ordered: bool = False
    ) -> None:
        self._session = session
        self._prepared = prepared
        self._is_perhaps_ordered = is_perhaps_ordered
        self._channel, self._result = messages.channel_and_result(prepared.envelope)

    @property
    def transaction_id(self) -> str:
        return str(self._prepared.transaction_id)

    @property
    def result(self) -> bytes:
        """What the chaincode returned; it holds only if the transaction turns out valid."""
        return self._result

    @property
    def digest(self) -> bytes:
        return self._session.hash(self._prepared.envelope.payload)

    def to_bytes(self) -> bytes:
        """Return what `Gateway.transaction` takes, the signature included if there is one."""
        return bytes(self._prepared.SerializeToString())

    async def submit(self, *, timeout_s: float | None = None) -> SubmittedTransaction:
        """Hand the transaction to the ordering service; while the time lasts and nothing is heard, hand it in again.

        Fabric gives effect to the first envelope of a transaction id alone, so this never makes two of one.

        Raises:
            SubmitError: if the ordering service was not seen to take it.
        """
        timeout_s = self._session.timeouts.submit_s if timeout_s is None else timeout_s
        envelope = self._prepared.envelope
        if not envelope.signature:
            envelope.signature = await self._session.sign(envelope.payload)
        await until_answered(self._submit_once, timeout_s=timeout_s, backoff=self._session.retry)
        return self._submitted

    async def submit_and_wait(self) -> Committed:
        """Submit the transaction and wait until it has taken effect, by all means that cannot double it.

        Raises:
            SubmitError: if the ordering service refused it; it will not be on the ledger.
            CommitStatusError: if its fate stayed unknown; go on with `Gateway.transaction(error.transaction)`.
            CommitError: if it is in a block and without effect.
        """
        is_taken = True
        try:
            await self.submit()
        except SubmitError as error:
            if not error.is_outcome_unknown:
                raise
            is_taken = False
        try:
            async with self._resubmitted(is_taken=is_taken):
                status = await self._submitted.status()
        except CommitStatusError as error:
            error.transaction = self.to_bytes()
            raise
        status.check()
        return Committed(transaction_id=self.transaction_id, block_number=status.block_number, result=self.result)

    @cached_property
    def _submitted(self) -> SubmittedTransaction:
        request = commit_status_request(self._session, channel=self._channel, transaction_id=self.transaction_id)
        return SubmittedTransaction(self._session, request, result=self.result)

    @asynccontextmanager
    async def _resubmitted(self, *, is_taken: bool) -> AsyncIterator[None]:
        """Hand the transaction in again now and then, and soon if no orderer was seen to take it."""
        task = asyncio.create_task(self._resubmit(is_taken=is_taken))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _resubmit(self, *, is_taken: bool) -> None:
        every_s = self._session.timeouts.resubmit_after_s
        while every_s is not None:
            await asyncio.sleep(every_s if is_taken else min(every_s, UNTAKEN_RESUBMIT_S))
            # Whatever becomes of this attempt, the commit status tells what became of the transaction.
            is_taken = False
            with suppress(SubmitError):
                await self.submit()
                is_taken = True

    async def _submit_once(self, timeout_s: float) -> None:
        request = gateway_pb2.SubmitRequest(
            transaction_id=self.transaction_id,
            channel_id=self._channel,
            prepared_transaction=self._prepared.envelope,
        )
        connection = self._session.connection
        try:
            await connection.call(connection.gateway.Submit, request, timeout_s=timeout_s)
        except grpc.aio.AioRpcError as error:
            failure, reason = self._session.read(error)
            failed = SubmitError(failure, reason=reason, transaction_id=self.transaction_id)
            # An answer to this attempt says nothing of earlier ones.
            failed.is_outcome_unknown |= self._is_perhaps_ordered
            self._is_perhaps_ordered = failed.is_outcome_unknown
            raise failed from error
        self._is_perhaps_ordered = True


def commit_status_request(
    session: Session, *, channel: str, transaction_id: str
) -> gateway_pb2.SignedCommitStatusRequest:
    """Make the question how a transaction fared, without signature."""
    request = gateway_pb2.CommitStatusRequest(
        transaction_id=transaction_id, channel_id=channel, identity=session.identity.creator
    )
    return gateway_pb2.SignedCommitStatusRequest(request=request.SerializeToString())
