"""What every peer checks when a block is committed, in Fabric's order; the first thing wrong names the code."""

from collections.abc import Callable, Mapping, Sequence

from wattpool.ledgers import block, policies
from wattpool.ledgers.block import Code, Installed, Response, Transaction
from wattpool.ledgers.certificates import Member, Role
from wattpool.ledgers.store import Store
from wattpool_chaincode.context import Policy

# Returns the holder of a certificate that one of the ledger's roots issued, by fingerprint.
MemberOf = Callable[[str], Member | None]
# Tells what `wattpool_chaincode.records.signing.is_signed` tells.
IsSigned = Callable[[bytes, bytes, bytes], bool]


class Validator:
    """Validates the transactions of one block, in their order.

    Args:
        chaincode: the one installed on the block's channel.
        transactions: of the block, so that what is known of them is looked up together.
        store: in the writing transaction of the block: its state is what earlier transactions of the block left.
        member_of: looks certificates up.
        is_signed: checks signatures.
    """

    def __init__(  # noqa: PLR0913 -- what a peer knows
        self,
        channel: str,
        chaincode: Installed,
        transactions: Sequence[Transaction],
        *,
        store: Store,
        member_of: MemberOf,
        is_signed: IsSigned,
    ) -> None:
        self._channel = channel
        self._chaincode = chaincode
        self._store = store
        self._member_of = member_of
        self._is_signed = is_signed
        self._ids = store.known_ids(channel, [transaction.id for transaction in transactions])
        written = {key for transaction in transactions for key in transaction.response.written}
        self._own_policies = store.policies(channel, written)
        self._policies_changed: set[str] = set()

    def validate(self, transaction: Transaction) -> Code:
        """Return the code of the block's next transaction; if it is VALID, apply it before asking for another."""
        code = self._code(transaction)
        self._ids.add(transaction.id)
        if code is Code.VALID:
            self._policies_changed.update(transaction.response.policies)
            for key, value in transaction.response.writes.items():
                if value is None:
                    self._own_policies.pop(key, None)
        return code

    def _code(self, transaction: Transaction) -> Code:  # noqa: PLR0911 -- a flat list of checks
        proposal, response = transaction.proposal, transaction.response
        creator = self._member_of(proposal.creator)
        if creator is None or not self._is_signed_by_creator(transaction, creator):
            return Code.BAD_CREATOR_SIGNATURE
        if response.proposal_hash != proposal.hash:
            return Code.INVALID_ENDORSER_TRANSACTION
        if proposal.id != block.transaction_id(proposal.nonce, creator.pem):
            return Code.BAD_PROPOSAL_TXID
        if proposal.id in self._ids:
            return Code.DUPLICATE_TXID
        if proposal.chaincode != self._chaincode.name:
            return Code.INVALID_CHAINCODE
        if not self._is_endorsed(transaction):
            return Code.ENDORSEMENT_POLICY_FAILURE
        if self._was_read_too_early(transaction):
            return Code.MVCC_READ_CONFLICT
        if self._has_phantoms(transaction):
            return Code.PHANTOM_READ_CONFLICT
        return Code.VALID

    def _is_signed_by_creator(self, transaction: Transaction, creator: Member) -> bool:
        message = block.submitter_message(transaction.response, transaction.endorsements)
        return (
            creator.role is Role.CLIENT
            and creator.is_valid_at(transaction.proposal.time_utc)
            and self._is_signed(creator.public_key, message, transaction.signature)
        )

    def _is_endorsed(self, transaction: Transaction) -> bool:
        written = transaction.response.written
        # The endorsers could not know a policy that an earlier transaction of this block sets.
        if not self._policies_changed.isdisjoint(written):
            return False
        endorsers = self._endorsers(transaction)
        return all(
            policies.is_satisfied(policy, endorsers)
            for policy in applying_policies(
                transaction.response, policy=self._chaincode.policy, own_policies=self._own_policies
            )
        )

    def _endorsers(self, transaction: Transaction) -> frozenset[str]:
        """Return the organisations whose endorsement holds; one that does not hold counts for nothing."""
        message = block.endorser_message(transaction.response)
        endorsers = set()
        for endorsement in transaction.endorsements:
            peer = self._member_of(endorsement.endorser)
            if (
                peer is not None
                and peer.role is Role.PEER
                and peer.is_valid_at(transaction.proposal.time_utc)
                and self._is_signed(peer.public_key, message, endorsement.signature)
            ):
                endorsers.add(peer.msp_id)
        return frozenset(endorsers)

    def _was_read_too_early(self, transaction: Transaction) -> bool:
        """Tell whether a key that was read has another version by now."""
        response = transaction.response
        if any(self._store.version(self._channel, key) != version for key, version in response.reads.items()):
            return True
        for read in response.private_reads:
            found = self._store.private_hash(self._channel, read.collection, read.key_hash)
            if (None if found is None else found[1]) != read.version:
                return True
        return False

    def _has_phantoms(self, transaction: Transaction) -> bool:
        """Tell whether a range that was read would give other keys or versions by now."""
        return any(
            self._store.range_versions(self._channel, read.start, read.end) != read.found
            for read in transaction.response.ranges
        )


def applying_policies(response: Response, *, policy: Policy, own_policies: Mapping[str, Policy]) -> frozenset[Policy]:
    """Return the policies that a transaction with `response` must meet: the chaincode's or those of keys."""
    written = response.written
    own = [own_policies[key] for key in written if key in own_policies]
    return policies.applying(policy, own, without=len(written) - len(own) + len(response.private_writes))
