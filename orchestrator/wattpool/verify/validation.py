"""Which validation code a transaction deserves, from its bytes and the replayed state; the first thing wrong decides.

The order is Fabric's (core/committer/txvalidator, core/handlers/validation, core/ledger/kvledger/txmgmt/validation).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wattpool.ledgers import block, policies
from wattpool.ledgers.block import Code, Installed, Response, Transaction, Version
from wattpool.ledgers.certificates import Member, Role
from wattpool.verify.report import Broken, ViolationKind
from wattpool.verify.state import State
from wattpool_chaincode.context import Policy
from wattpool_chaincode.records import signing

# A proposal's time differs at most that much from the endorsers' clocks (core.yaml peer.authentication.timewindow).
TIME_WINDOW_S = 15 * 60


@dataclass(frozen=True)
class Verdict:
    """A code, and why it is not VALID: the kind of violation it is to call such a transaction valid, and a clause."""

    code: Code
    what: ViolationKind = ViolationKind.CODE
    why: str = ""


_VALID = Verdict(Code.VALID)


@dataclass(kw_only=True)
class BlockRules:
    """What decides over the transactions of one block, in their order.

    Attributes:
        chaincode: installed on the channel.
        state: behind the transactions before.
        members: all who may sign, by fingerprint of their certificates.
        ids: of all transactions before, this block's included.
    """

    chaincode: Installed
    state: State[Policy]
    members: Mapping[str, Member]
    ids: set[str]
    _policies_changed: set[str] = field(default_factory=set)

    def require_code(self, transaction: Transaction, recorded: Code) -> None:
        """Check the code of the block's next transaction; apply the transaction before the next one comes.

        Raises:
            Broken: what makes it invalid though it is marked as valid, or code.
        """
        verdict = self._judge(transaction)
        self.ids.add(transaction.id)
        if verdict.code is Code.VALID:
            self._policies_changed.update(transaction.response.policies)
        if verdict.code is recorded:
            return
        if recorded is Code.VALID:
            raise Broken(verdict.what, f"marked as valid, though {verdict.why}")
        why = f" ({verdict.why})" if verdict.why else ""
        raise Broken(ViolationKind.CODE, f"marked as {recorded}; {verdict.code} was expected{why}")

    def _judge(self, transaction: Transaction) -> Verdict:
        for check in (self._judge_submitter, self._judge_call, self._judge_reads):
            verdict = check(transaction)
            if verdict is not None:
                return verdict
        return _VALID

    def _judge_submitter(self, transaction: Transaction) -> Verdict | None:
        """Judge who sent it, and that it is one whole under its own id."""
        proposal, response = transaction.proposal, transaction.response
        creator = self.members.get(proposal.creator)
        problem = _certificate_problem(creator, Role.CLIENT, proposal.time_utc)
        if problem or creator is None:
            return Verdict(Code.BAD_CREATOR_SIGNATURE, ViolationKind.CERTIFICATE, f"the submitter's {problem}")
        message = block.submitter_message(response, transaction.endorsements)
        if not signing.is_signed(creator.public_key, message, transaction.signature):
            why = "the signature is not its submitter's"
            return Verdict(Code.BAD_CREATOR_SIGNATURE, ViolationKind.SIGNATURE, why)
        if response.proposal_hash != proposal.hash:
            why = "the response answers another proposal"
            return Verdict(Code.INVALID_ENDORSER_TRANSACTION, ViolationKind.ENDORSEMENT, why)
        if proposal.id != block.transaction_id(proposal.nonce, creator.pem):
            why = "its id is not the hash of nonce and certificate"
            return Verdict(Code.BAD_PROPOSAL_TXID, ViolationKind.TRANSACTION_ID, why)
        return None

    def _judge_call(self, transaction: Transaction) -> Verdict | None:
        """Judge that it is new, calls what is installed, and has the endorsements that it needs."""
        proposal = transaction.proposal
        if proposal.id in self.ids:
            return Verdict(Code.DUPLICATE_TXID, ViolationKind.DOUBLED, "it is in the channel already")
        if proposal.chaincode != self.chaincode.name:
            return Verdict(Code.INVALID_CHAINCODE, ViolationKind.CODE, f"it calls chaincode {proposal.chaincode!r}")
        problem = self._endorsement_problem(transaction)
        if problem:
            return Verdict(Code.ENDORSEMENT_POLICY_FAILURE, ViolationKind.ENDORSEMENT, problem)
        return None

    def _judge_reads(self, transaction: Transaction) -> Verdict | None:
        """Judge that what it read is still so."""
        changed = self._changed_read(transaction.response)
        if changed is not None:
            why = f"{changed} has changed since it was read"
            return Verdict(Code.MVCC_READ_CONFLICT, ViolationKind.READS, why)
        for one in transaction.response.ranges:
            now = tuple((key, stored.version) for key, stored in self.state.range(one.start, one.end))
            if now != one.found:
                why = f"the range from {one.start!r} to {one.end!r} has changed since it was read"
                return Verdict(Code.PHANTOM_READ_CONFLICT, ViolationKind.READS, why)
        return None

    def _endorsement_problem(self, transaction: Transaction) -> str | None:
        response = transaction.response
        # A policy counts for later blocks only: who endorsed for this one could not know it.
        unknown = self._policies_changed & response.written
        if unknown:
            return f"the policy of {min(unknown)!r} changed earlier in the block"
        written = [self.state.get(key) for key in response.written]
        own = [stored.policy for stored in written if stored is not None and stored.policy is not None]
        without = len(written) - len(own) + len(response.private_writes)
        endorsers = self._endorsers(transaction)
        for policy in policies.applying(self.chaincode.policy, own, without=without):
            if not policies.is_satisfied(policy, endorsers):
                holding = ", ".join(sorted(endorsers)) or "nobody"
                return f"only the endorsements of {holding} hold; {_in_words(policy)} was expected"
        return None

    def _endorsers(self, transaction: Transaction) -> set[str]:
        """Return the organisations whose endorsement holds; one that does not hold counts for nothing."""
        message = block.endorser_message(transaction.response)
        holding = set()
        for endorsement in transaction.endorsements:
            peer = self.members.get(endorsement.endorser)
            if _certificate_problem(peer, Role.PEER, transaction.proposal.time_utc) or peer is None:
                continue
            if signing.is_signed(peer.public_key, message, endorsement.signature):
                holding.add(peer.msp_id)
        return holding

    def _changed_read(self, response: Response) -> str | None:
        """Return what was read at another version than it has now."""
        for key, version in response.reads.items():
            stored = self.state.get(key)
            if (None if stored is None else stored.version) != version:
                return repr(key)
        for read in response.private_reads:
            hashed = self.state.private((read.collection, read.key_hash))
            if (None if hashed is None else hashed.version) != read.version:
                return f"the private value {read.key_hash} of {read.collection!r}"
        return None


def versions_read(response: Response) -> Iterable[Version]:
    """Yield the versions of all that a transaction read and found."""
    for version in response.reads.values():
        if version is not None:
            yield version
    for one in response.ranges:
        yield from (version for _, version in one.found)
    for read in response.private_reads:
        if read.version is not None:
            yield read.version


def _certificate_problem(member: Member | None, role: Role, time_utc: int) -> str | None:
    if member is None:
        return "certificate is none of the ledger's"
    if member.role is not role:
        return f"certificate is that of a {member.role}"
    if not member.is_valid_at(time_utc):
        return f"certificate was not valid at {time_utc}"
    return None


def _in_words(policy: Policy) -> str:
    rules = ", ".join(rule if isinstance(rule, str) else f"({_in_words(rule)})" for rule in policy.rules)
    return f"{policy.required} of {rules}"
