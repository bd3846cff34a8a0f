"""Is a policy met by those who signed: signature policies, and those that count an organisation's or a group's own.

After fabric common/cauthdsl/cauthdsl.go, common/policies/implicitmeta.go and core/policy/application.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import configtx_pb2, policies_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import policy_pb2

from wattpool.ledgers.fabric_blocks import Undecodable, decode
from wattpool.verify.fabric.membership import Identity, Members, NotMember
from wattpool_chaincode.context import Policy

_ROOT = "Channel"
_PRINCIPAL = msp_principal_pb2.MSPPrincipal
_ROLE = msp_principal_pb2.MSPRole
_META = policies_pb2.ImplicitMetaPolicy


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A signature over a message, by whoever says to be `signer` (a serialized identity)."""

    signer: bytes
    message: bytes
    signature: bytes


class Policies:
    """The policies of one configuration, and the members that can meet them."""

    def __init__(self, root: configtx_pb2.ConfigGroup, members: Members) -> None:
        self._root = root
        self._members = members

    def signers(self, signed: Sequence[Signed]) -> list[Identity]:
        """Return whose signatures hold, each once, in their order (common/policies/policy.go)."""
        found: list[Identity] = []
        for one in signed:
            try:
                identity = self._members.read(one.signer)
            except NotMember:
                continue
            seen = [(other.msp_id, other.certificate) for other in found]
            if (identity.msp_id, identity.certificate) not in seen and identity.has_signed(one.message, one.signature):
                found.append(identity)
        return found

    def has(self, path: str) -> bool:
        """Tell whether the configuration has a policy at /Channel/GROUP/.../NAME."""
        group, name = self._group(path)
        return group is not None and name in group.policies

    def is_met(self, path: str, signers: Sequence[Identity]) -> bool:
        """Tell whether signers meet the policy at /Channel/GROUP/.../NAME; one that is not there is never met."""
        group, name = self._group(path)
        return group is not None and self._is_met(group, name, signers)

    def meets_application(self, policy: bytes, signers: Sequence[Identity]) -> bool:
        """Tell whether signers meet a peer.ApplicationPolicy; what is none is never met."""
        try:
            message = decode(policy_pb2.ApplicationPolicy, policy)
        except Undecodable:
            return False
        if message.WhichOneof("Type") == "channel_config_policy_reference":
            return self.is_met(message.channel_config_policy_reference, signers)
        return self._meets(message.signature_policy, signers)

    def meets_signature(self, policy: bytes, signers: Sequence[Identity]) -> bool:
        """Tell whether signers meet a common.SignaturePolicyEnvelope; what is none is never met."""
        try:
            return self._meets(decode(policies_pb2.SignaturePolicyEnvelope, policy), signers)
        except Undecodable:
            return False

    def _group(self, path: str) -> tuple[configtx_pb2.ConfigGroup | None, str]:
        """Return the group that a policy is in, None if it is not there, and the policy's name."""
        *groups, name = path.removeprefix(f"/{_ROOT}/").split("/")
        group: configtx_pb2.ConfigGroup | None = self._root
        for one in groups:
            group = group.groups[one] if group is not None and one in group.groups else None
        return group, name

    def _is_met(self, group: configtx_pb2.ConfigGroup, name: str, signers: Sequence[Identity]) -> bool:
        if name not in group.policies:
            return False
        policy = group.policies[name].policy
        try:
            if policy.type == policies_pb2.Policy.SIGNATURE:
                return self._meets(decode(policies_pb2.SignaturePolicyEnvelope, policy.value), signers)
            if policy.type != policies_pb2.Policy.IMPLICIT_META:
                return False
            meta = decode(_META, policy.value)
        except Undecodable:
            return False
        required = {_META.ANY: 1, _META.ALL: len(group.groups), _META.MAJORITY: len(group.groups) // 2 + 1}
        met = sum(self._is_met(one, meta.sub_policy, signers) for one in group.groups.values())
        return met >= required[meta.rule] if group.groups else True

    def _meets(self, policy: policies_pb2.SignaturePolicyEnvelope, signers: Sequence[Identity]) -> bool:
        unused = list(range(len(signers)))
        return self._take(policy.rule, policy.identities, signers, unused) is not None

    def _take(
        self,
        rule: policies_pb2.SignaturePolicy,
        principals: Sequence[msp_principal_pb2.MSPPrincipal],
        signers: Sequence[Identity],
        unused: list[int],
    ) -> list[int] | None:
        """Return the signers left over when a rule has taken those it needs, or None if it is not met."""
        if rule.WhichOneof("Type") == "n_out_of":
            met = 0
            for part in rule.n_out_of.rules:
                left = self._take(part, principals, signers, unused)
                if left is not None:
                    met, unused = met + 1, left
            return unused if met >= rule.n_out_of.n else None
        if not 0 <= rule.signed_by < len(principals):
            return None
        for index in unused:
            if self._is(signers[index], principals[rule.signed_by]):
                return [one for one in unused if one != index]
        return None

    def _is(self, identity: Identity, principal: msp_principal_pb2.MSPPrincipal) -> bool:
        try:
            self._members.msps[identity.msp_id].require(identity)
            if principal.principal_classification == _PRINCIPAL.IDENTITY:
                return self._members.read(principal.principal).certificate == identity.certificate
            if principal.principal_classification != _PRINCIPAL.ROLE:
                return False
            role = decode(_ROLE, principal.principal)
        except (NotMember, Undecodable):
            return False
        msp = self._members.msps[identity.msp_id]
        return role.msp_identifier == msp.id and msp.has_role(identity, _ROLE.MSPRoleType.Name(role.role))


def to_rules(policy: bytes) -> Policy | None:
    """Return a key's own policy as the rules state it, None if it has none; its signers are peers of organisations.

    Raises:
        Undecodable: it is anything else.
    """
    if not policy:
        return None
    message = decode(policies_pb2.SignaturePolicyEnvelope, policy)
    rule = _to_rule(message.rule, [_peers_of(one) for one in message.identities])
    if isinstance(rule, str):
        raise Undecodable("a key's own policy that is one signature")
    return rule


def in_the_networks_words(policy: Policy, msp_ids: Mapping[str, str]) -> Policy:
    """Return a policy of the rules with the network's own MSP ids, by the rules' organisations, in it."""
    rules = (msp_ids[one] if isinstance(one, str) else in_the_networks_words(one, msp_ids) for one in policy.rules)
    return Policy(required=policy.required, rules=tuple(rules))


def _to_rule(rule: Any, organisations: Sequence[str]) -> Policy | str:
    if rule.WhichOneof("Type") == "n_out_of":
        parts = tuple(_to_rule(one, organisations) for one in rule.n_out_of.rules)
        return Policy(required=rule.n_out_of.n, rules=parts)
    if not 0 <= rule.signed_by < len(organisations):
        raise Undecodable("a policy with a signer that it does not name")
    return organisations[int(rule.signed_by)]


def _peers_of(principal: msp_principal_pb2.MSPPrincipal) -> str:
    role = decode(_ROLE, principal.principal)
    if principal.principal_classification != _PRINCIPAL.ROLE or role.role != _ROLE.PEER:
        raise Undecodable("a policy with other signers than peers")
    return str(role.msp_identifier)
