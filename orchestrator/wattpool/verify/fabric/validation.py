"""Which validation code a transaction deserves, from the blocks alone; the first thing wrong decides.

As in Fabric, all transactions of a block are judged in two rounds: first each by itself against the state before the
block (core/common/validation/msgvalidation.go, core/committer/txvalidator/v20, core/common/validation/statebased),
then, in their order, what they read against the state that those before them leave
(core/ledger/kvledger/txmgmt/validation/validator.go).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import collection_pb2, policy_pb2, transaction_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2

from wattpool.ledgers.fabric_blocks import (
    CALL,
    CONFIG,
    Called,
    Effect,
    Envelope,
    Undecodable,
    code_name,
    decode,
    decode_call,
    decode_envelope,
)
from wattpool.verify.fabric import ranges
from wattpool.verify.fabric.configuration import LIFECYCLE, Configuration
from wattpool.verify.fabric.membership import Identity, NotMember
from wattpool.verify.fabric.policy import Signed
from wattpool.verify.fabric.world import World
from wattpool.verify.report import Broken, ViolationKind

# The namespace in which a channel keeps the definitions of its chaincodes.
LIFECYCLE_NAMESPACE = "_lifecycle"
VALID = transaction_pb2.VALID


@dataclass(frozen=True)
class Verdict:
    """A code, and why it is not VALID: the kind of violation it is to call such a transaction valid, and a clause.

    Attributes:
        is_exact: no other code says the same. What cannot be decoded has several, depending on where it breaks.
    """

    code: int
    what: ViolationKind = ViolationKind.CODE
    why: str = ""
    is_exact: bool = True


@dataclass
class Judged:
    """A transaction with what the first round made of it."""

    envelope: Envelope | None
    call: Called | None
    verdict: Verdict

    @property
    def id(self) -> str | None:
        return None if self.envelope is None else self.envelope.id


@dataclass(frozen=True)
class _Definition:
    """A chaincode as the channel has defined it: its policy and, by collection, the policies of those that have one."""

    policy: bytes
    collections: dict[str, bytes]


_VALID = Verdict(VALID)


@dataclass(kw_only=True)
class BlockRules:
    """What decides over the transactions of one block.

    Attributes:
        configuration: in force before the block.
        world: behind the transactions before.
        ids: of all transactions in the blocks before.
    """

    configuration: Configuration
    world: World
    ids: set[str]
    _policies_changed: set[tuple[str, str, str]] = field(default_factory=set)
    _definitions: dict[str, _Definition | None] = field(default_factory=dict)

    def judge(self, transactions: Sequence[bytes]) -> list[Judged]:
        """Judge all transactions of the block by themselves; the second round is `judge_reads`."""
        judged = [self._judge(data) for data in transactions]
        seen: set[str] = set()
        for one in judged:
            if one.verdict.code != VALID or one.call is None or one.id is None:
                continue
            if one.id in seen:
                one.verdict = _doubled()
            seen.add(one.id)
        return judged

    def judge_reads(self, call: Called) -> Verdict:
        """Judge whether what a call read is still so, behind the transactions applied so far."""
        for effect in call.effects:
            changed = self._changed_read(effect)
            if changed is not None:
                why = f"{changed} has changed since it was read"
                return Verdict(transaction_pb2.MVCC_READ_CONFLICT, ViolationKind.READS, why)
            state = self.world.state(effect.namespace)
            for one in effect.ranges:
                if not ranges.is_unchanged(one, state):
                    why = f"the range from {one.start!r} to {one.end!r} has changed since it was read"
                    return Verdict(transaction_pb2.PHANTOM_READ_CONFLICT, ViolationKind.READS, why)
            changed = self._changed_private_read(effect)
            if changed is not None:
                why = f"{changed} has changed since it was read"
                return Verdict(transaction_pb2.MVCC_READ_CONFLICT, ViolationKind.READS, why)
        return _VALID

    def _judge(self, data: bytes) -> Judged:
        envelope, call = None, None
        try:
            envelope = decode_envelope(data)
            verdict = self._judge_sender(envelope)
            if verdict is None and envelope.kind == CALL:
                call = decode_call(envelope)
                verdict = self._judge_call(envelope, call)
        except Undecodable as error:
            verdict = Verdict(
                transaction_pb2.BAD_PAYLOAD, ViolationKind.MALFORMED, f"it cannot be decoded: {error}", is_exact=False
            )
        if verdict is None and call is not None:
            for effect in call.effects:
                self._policies_changed.update(_policies(effect))
        return Judged(envelope, call, verdict or _VALID)

    def _judge_sender(self, envelope: Envelope) -> Verdict | None:
        """Judge who sent it, and that it is one whole under its own id."""
        if envelope.kind not in {CALL, CONFIG} or envelope.epoch or not envelope.nonce or not envelope.creator:
            why = f"its header is that of no transaction (kind {envelope.kind})"
            return Verdict(transaction_pb2.BAD_COMMON_HEADER, ViolationKind.MALFORMED, why)
        try:
            creator = self.configuration.members.require(envelope.creator)
        except NotMember as error:
            why = f"the submitter is no member: {error}"
            return Verdict(transaction_pb2.BAD_CREATOR_SIGNATURE, ViolationKind.CERTIFICATE, why)
        if not creator.has_signed(envelope.payload, envelope.signature):
            why = "the signature is not its submitter's"
            return Verdict(transaction_pb2.BAD_CREATOR_SIGNATURE, ViolationKind.SIGNATURE, why)
        if envelope.kind == CALL and envelope.id != sha256(envelope.nonce + envelope.creator).hexdigest():
            why = "its id is not the hash of nonce and certificate"
            return Verdict(transaction_pb2.BAD_PROPOSAL_TXID, ViolationKind.TRANSACTION_ID, why)
        return None

    def _judge_call(self, envelope: Envelope, call: Called) -> Verdict | None:
        """Judge that it is new, calls what is defined, and has the endorsements that it needs."""
        if call.proposal_hash != call.answered_hash:
            why = "the response answers another proposal"
            return Verdict(transaction_pb2.INVALID_ENDORSER_TRANSACTION, ViolationKind.ENDORSEMENT, why)
        if envelope.channel != self.configuration.channel:
            why = f"it was proposed for channel {envelope.channel!r}"
            return Verdict(transaction_pb2.TARGET_CHAIN_NOT_FOUND, ViolationKind.TRANSACTION_ID, why)
        if envelope.id in self.ids:
            return _doubled()
        return self._judge_answer(call) or self._judge_endorsements(call)

    def _judge_answer(self, call: Called) -> Verdict | None:
        """Judge that what answered is what was called, and wrote what an answer can hold."""
        name, version = call.responded
        if not call.chaincode or call.chaincode != name or not version:
            why = f"{name!r} {version!r} answered a call of {call.chaincode!r}"
            return Verdict(transaction_pb2.INVALID_CHAINCODE, ViolationKind.CODE, why)
        if call.event is not None and call.event_chaincode != call.chaincode:
            why = f"its event is one of {call.event_chaincode!r}"
            return Verdict(transaction_pb2.INVALID_OTHER_REASON, ViolationKind.CODE, why)
        namespaces = [effect.namespace for effect in call.effects]
        if len(set(namespaces)) < len(namespaces):
            return Verdict(transaction_pb2.ILLEGAL_WRITESET, ViolationKind.CODE, "it writes one namespace twice")
        return None

    def _judge_endorsements(self, call: Called) -> Verdict | None:
        written = {effect.namespace for effect in call.effects if effect.has_writes}
        signed = [
            Signed(signer=one.endorser, message=call.signed_response + one.endorser, signature=one.signature)
            for one in call.endorsements
        ]
        signers = self.configuration.policies.signers(signed)
        for namespace in sorted({call.chaincode, *written}):
            if namespace not in self._definitions:
                self._definitions[namespace] = self._definition(namespace)
            definition = self._definitions[namespace]
            if definition is None:
                why = f"chaincode {namespace!r} is not defined on the channel"
                return Verdict(transaction_pb2.INVALID_CHAINCODE, ViolationKind.CODE, why)
            problem = self._endorsement_problem(call.effect(namespace), definition, signers)
            if problem is not None:
                return Verdict(transaction_pb2.ENDORSEMENT_POLICY_FAILURE, ViolationKind.ENDORSEMENT, problem)
        return None

    def _endorsement_problem(self, effect: Effect, definition: _Definition, signers: Sequence[Identity]) -> str | None:
        # A policy counts for later blocks only: who endorsed for this one could not know it.
        unknown = self._policies_changed.intersection(_written(effect))
        if unknown:
            return f"the policy of {min(unknown)[2]!r} changed earlier in the block"
        holding = ", ".join(sorted(signer.msp_id for signer in signers)) or "nobody"
        policies = self.configuration.policies
        public = {*effect.writes, *effect.policies}
        own = {key: policy for key in public if (policy := self._own_policy(effect.namespace, key))}
        for key, policy in sorted(own.items()):
            if not policies.meets_signature(policy, signers):
                return f"only the endorsements of {holding} hold, which is less than the policy of {key!r} asks"
        needed = [definition.policy] if len(own) < len(public) else []
        for collection in effect.collections:
            if collection.writes or collection.policies:
                if collection.name not in definition.collections:
                    return f"collection {collection.name!r} is not defined"
                needed.append(definition.collections[collection.name])
        for policy in needed if needed or own else [definition.policy]:
            if not policies.meets_application(policy, signers):
                return f"only the endorsements of {holding} hold, which is less than the policy asks"
        return None

    def _own_policy(self, namespace: str, key: str) -> bytes | None:
        stored = self.world.state(namespace).get(key)
        return None if stored is None else stored.policy

    def _changed_read(self, effect: Effect) -> str | None:
        """Return what was read at another version than it has now."""
        state = self.world.state(effect.namespace)
        for key, version in effect.reads.items():
            stored = state.get(key)
            now = None if stored is None else stored.version
            if now != version or self.world.is_changed(effect.namespace, "", key.encode()):
                return repr(key)
        return None

    def _changed_private_read(self, effect: Effect) -> str | None:
        state = self.world.state(effect.namespace)
        for collection in effect.collections:
            for key_hash, version in collection.reads.items():
                hashed = state.private((collection.name, key_hash))
                now = None if hashed is None else hashed.version
                changed = self.world.is_changed(effect.namespace, collection.name, bytes.fromhex(key_hash))
                if now != version or changed:
                    return f"the private value {key_hash} of {collection.name!r}"
        return None

    # Chaincodes as the channel has defined them

    def _definition(self, namespace: str) -> _Definition | None:
        own = dict(self._own_collections())
        if namespace == LIFECYCLE_NAMESPACE:
            return _Definition(self._lifecycle_policy(), own)
        info = self._field(namespace, "ValidationInfo")
        if info is None:
            return None
        validation = decode(chaincode_definition_pb2.ChaincodeValidationInfo, info)
        package = decode(collection_pb2.CollectionConfigPackage, self._field(namespace, "Collections") or b"")
        policy = validation.validation_parameter
        for one in package.config:
            collection = one.static_collection_config
            has_own = collection.HasField("endorsement_policy")
            own[collection.name] = collection.endorsement_policy.SerializeToString() if has_own else policy
        return _Definition(policy, own)

    def _field(self, chaincode: str, name: str) -> bytes | None:
        """Return a field of a chaincode's definition (core/chaincode/lifecycle/serializer.go)."""
        stored = self.world.state(LIFECYCLE_NAMESPACE).get(f"namespaces/fields/{chaincode}/{name}")
        return None if stored is None else bytes(decode(db_pb2.StateData, stored.value).Bytes)

    def _lifecycle_policy(self) -> bytes:
        if self.configuration.policies.has(LIFECYCLE):
            return _reference(LIFECYCLE)
        msp_ids = sorted(self.configuration.organisations.values())
        return _members_policy(msp_ids, len(msp_ids) // 2 + 1)

    def _own_collections(self) -> Iterator[tuple[str, bytes]]:
        """Yield the private collection that each organisation has without being asked, and its policy."""
        for name, msp_id in self.configuration.organisations.items():
            path = f"/Channel/Application/{name}/Endorsement"
            has_own = self.configuration.policies.has(path)
            yield f"_implicit_org_{msp_id}", _reference(path) if has_own else _members_policy([msp_id], 1)


def require_code(verdict: Verdict, recorded: int) -> None:
    """Check the code that the peer gave.

    Raises:
        Broken: what makes a transaction invalid though it is marked as valid, or code.
    """
    if verdict.code == recorded or (not verdict.is_exact and recorded not in {VALID, transaction_pb2.NOT_VALIDATED}):
        return
    if recorded == VALID:
        raise Broken(verdict.what, f"marked as valid, though {verdict.why}")
    why = f" ({verdict.why})" if verdict.why else ""
    raise Broken(ViolationKind.CODE, f"marked as {code_name(recorded)}; {code_name(verdict.code)} was expected{why}")


def _doubled() -> Verdict:
    return Verdict(transaction_pb2.DUPLICATE_TXID, ViolationKind.DOUBLED, "it is in the channel already")


def _policies(effect: Effect) -> Iterator[tuple[str, str, str]]:
    yield from ((effect.namespace, "", key) for key in effect.policies)
    for one in effect.collections:
        yield from ((effect.namespace, one.name, key_hash) for key_hash in one.policies)


def _written(effect: Effect) -> Iterator[tuple[str, str, str]]:
    yield from ((effect.namespace, "", key) for key in effect.writes)
    for one in effect.collections:
        yield from ((effect.namespace, one.name, key_hash) for key_hash in one.writes)
    yield from _policies(effect)


def _reference(path: str) -> bytes:
    return bytes(policy_pb2.ApplicationPolicy(channel_config_policy_reference=path).SerializeToString())


def _members_policy(msp_ids: Sequence[str], required: int) -> bytes:
    """Return the application policy that members of so many organisations sign (common/policydsl)."""
    role = msp_principal_pb2.MSPRole
    envelope = policies_pb2.SignaturePolicyEnvelope(
        rule=policies_pb2.SignaturePolicy(
            n_out_of=policies_pb2.SignaturePolicy.NOutOf(
                n=required, rules=[policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(msp_ids))]
            )
        ),
        identities=[
            msp_principal_pb2.MSPPrincipal(
                principal=role(msp_identifier=msp_id, role=role.MEMBER).SerializeToString(),
            )
            for msp_id in msp_ids
        ],
    )
    return bytes(policy_pb2.ApplicationPolicy(signature_policy=envelope).SerializeToString())
