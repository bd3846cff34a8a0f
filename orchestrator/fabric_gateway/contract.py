"""Calling the functions of a chaincode."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping

from fabric_gateway import messages
from fabric_gateway.errors import CONFLICTS, CommitError
from fabric_gateway.retry import Backoff, until_answered
from fabric_gateway.session import Session
from fabric_gateway.transaction import Committed, Proposal, SubmittedTransaction, Transaction

NOTHING_TRANSIENT: Mapping[str, bytes] = {}


class Contract:
    """A chaincode on a channel, or one of the contracts in it.

    Arguments are bytes or text (sent as UTF-8). `transient` is data for the endorsers' eyes only. Whoever names
    `endorsing_organisations` answers for their number: too few are found out at validation only.
    """

    def __init__(self, session: Session, *, channel: str, chaincode: str, contract: str = "") -> None:
        self.channel = channel
        self.chaincode = chaincode
        self.contract = contract
        self._session = session

    def proposal(
        self,
        function: str,
        *arguments: str | bytes,
        transient: Mapping[str, bytes] = NOTHING_TRANSIENT,
        endorsing_organisations: Iterable[str] = (),
    ) -> Proposal:
        """Make a proposal, the first step of a transaction, with a new transaction id."""
        proposed = messages.proposed_transaction(
            channel=self.channel,
            chaincode=self.chaincode,
            arguments=(f"{self.contract}:{function}" if self.contract else function, *arguments),
            transient=transient,
            endorsing_organisations=endorsing_organisations,
            creator=self._session.identity.creator,
            nonce=secrets.token_bytes(messages.NONCE_BYTES),
            time_ns=self._session.clock_ns(),
        )
        return Proposal(self._session, proposed)

    async def evaluate(
        self,
        function: str,
        *arguments: str | bytes,
        transient: Mapping[str, bytes] = NOTHING_TRANSIENT,
        endorsing_organisations: Iterable[str] = (),
    ) -> bytes:
        """Return what a function answers on the committed state; nothing is written.

        A failure that may pass is met with a new proposal, while the time for evaluation lasts.

        Raises:
            GatewayError: if no answer came about; with the chaincode's own words in `refusal`.
        """

        async def once(left_s: float) -> bytes:
            proposal = self.proposal(
                function, *arguments, transient=transient, endorsing_organisations=endorsing_organisations
            )
            return await proposal.evaluate(timeout_s=left_s)

        return await until_answered(once, timeout_s=self._session.timeouts.evaluate_s, backoff=self._session.retry)

    async def endorse(
        self,
        function: str,
        *arguments: str | bytes,
        transient: Mapping[str, bytes] = NOTHING_TRANSIENT,
        endorsing_organisations: Iterable[str] = (),
    ) -> Transaction:
        """Return an endorsed transaction, not yet submitted; retried like `evaluate`.

        Raises:
            EndorseError: if none came about; nothing is on the ledger.
        """

        async def once(left_s: float) -> Transaction:
            proposal = self.proposal(
                function, *arguments, transient=transient, endorsing_organisations=endorsing_organisations
            )
            return await proposal.endorse(timeout_s=left_s)

        return await until_answered(once, timeout_s=self._session.timeouts.endorse_s, backoff=self._session.retry)

    async def submit(
        self,
        function: str,
        *arguments: str | bytes,
        transient: Mapping[str, bytes] = NOTHING_TRANSIENT,
        endorsing_organisations: Iterable[str] = (),
        on_conflict: Backoff | None = None,
    ) -> Committed:
        """Run a function and return once its effects are on the ledger; one call has effect once at most.

        `on_conflict` says how often to endorse anew after another transaction was faster (MVCC or phantom conflict):
        then the one in conflict is known to be without effect. Without it this is left to the caller.

        Raises:
            EndorseError: if it was not endorsed; nothing is on the ledger.
            SubmitError: if the ordering service refused it; nothing is on the ledger.
            CommitStatusError: if its fate stayed unknown; go on with `Gateway.transaction(error.transaction)`.
            CommitError: if it is in a block and without effect.
        """
        pauses_s = iter(()) if on_conflict is None else on_conflict.pauses_s()
        while True:
            transaction = await self.endorse(
                function, *arguments, transient=transient, endorsing_organisations=endorsing_organisations
            )
            try:
                return await transaction.submit_and_wait()
            except CommitError as error:
                pause_s = next(pauses_s, None)
                if error.code not in CONFLICTS or pause_s is None:
                    raise
            await asyncio.sleep(pause_s)

    async def submit_async(
        self,
        function: str,
        *arguments: str | bytes,
        transient: Mapping[str, bytes] = NOTHING_TRANSIENT,
        endorsing_organisations: Iterable[str] = (),
    ) -> SubmittedTransaction:
        """Run a function and return once an orderer took the transaction; it counts when its `status` is valid.

        Raises:
            EndorseError: if it was not endorsed; nothing is on the ledger.
            SubmitError: if no orderer was seen to take it.
        """
        transaction = await self.endorse(
            function, *arguments, transient=transient, endorsing_organisations=endorsing_organisations
        )
        return await transaction.submit()
