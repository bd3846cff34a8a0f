"""Key-level endorsement policies: who must endorse a change of one key, in place of the chaincode's policy.

On the wire a policy is a common.SignaturePolicyEnvelope under the metadata name VALIDATION_PARAMETER
(fabric-chaincode-go pkg/statebased; fabric core/common/validation/statebased).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from google.protobuf.message import DecodeError

from fabric_shim.errors import ArgumentError

Role = Literal["MEMBER", "ADMIN", "CLIENT", "PEER", "ORDERER"]
_ROLES = get_args(Role)


@dataclass(frozen=True, order=True)
class SignedBy:
    """An endorsement by someone of one organisation, in one role."""

    msp_id: str
    role: Role = "MEMBER"


@dataclass(frozen=True)
class OutOf:
    """At least `required` of the `rules`, each a signature or a policy of its own."""

    required: int
    rules: tuple["SignedBy | OutOf", ...]

    def __post_init__(self) -> None:
        if not 1 <= self.required <= len(self.rules):
            raise ArgumentError(f"{self.required} of {len(self.rules)} rules is no policy")


Policy = SignedBy | OutOf


def all_of(msp_ids: Iterable[str], role: Role = "MEMBER") -> OutOf:
    """Return the policy that each of these organisations must endorse."""
    rules = tuple(SignedBy(msp_id, role) for msp_id in sorted(set(msp_ids)))
    return OutOf(len(rules), rules)


def encode_policy(policy: Policy) -> bytes:
    """Return the SignaturePolicyEnvelope; organisations are sorted, so that all endorsers write the same bytes."""
    signers = sorted(set(_signers(policy)))
    index = {signer: place for place, signer in enumerate(signers)}
    envelope = policies_pb2.SignaturePolicyEnvelope(
        rule=_encode_rule(policy if isinstance(policy, OutOf) else OutOf(1, (policy,)), index),
        identities=[
            msp_principal_pb2.MSPPrincipal(
                principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
                principal=msp_principal_pb2.MSPRole(
                    msp_identifier=signer.msp_id, role=msp_principal_pb2.MSPRole.MSPRoleType.Value(signer.role)
                ).SerializeToString(),
            )
            for signer in signers
        ],
    )
    return bytes(envelope.SerializeToString())


def decode_policy(data: bytes) -> Policy:
    """Return the policy in a SignaturePolicyEnvelope.

    Raises:
        ArgumentError: the bytes are none, or name signers other than by organisation and role.
    """
    try:
        envelope = policies_pb2.SignaturePolicyEnvelope.FromString(data)
        return _decode_rule(envelope.rule, [_decode_signer(identity) for identity in envelope.identities])
    except (DecodeError, IndexError) as error:
        raise ArgumentError("the bytes are no signature policy") from error


def _signers(rule: Policy) -> Iterable[SignedBy]:
    if isinstance(rule, SignedBy):
        yield rule
    else:
        for part in rule.rules:
            yield from _signers(part)


def _encode_rule(rule: Policy, index: dict[SignedBy, int]) -> Any:
    if isinstance(rule, SignedBy):
        return policies_pb2.SignaturePolicy(signed_by=index[rule])
    parts = [_encode_rule(part, index) for part in rule.rules]
    return policies_pb2.SignaturePolicy(
        n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=rule.required, rules=parts),
    )


def _decode_rule(rule: Any, signers: list[SignedBy]) -> Policy:
    match rule.WhichOneof("Type"):
        case "signed_by" if rule.signed_by >= 0:
            return signers[int(rule.signed_by)]
        case "n_out_of":
            return OutOf(rule.n_out_of.n, tuple(_decode_rule(part, signers) for part in rule.n_out_of.rules))
        case _:
            raise ArgumentError("the signature policy has a rule of an unknown kind")


def _decode_signer(identity: Any) -> SignedBy:
    if identity.principal_classification != msp_principal_pb2.MSPPrincipal.ROLE:
        raise ArgumentError("the signature policy names a signer other than by organisation and role")
    principal = msp_principal_pb2.MSPRole.FromString(identity.principal)
    if principal.role not in range(len(_ROLES)):
        raise ArgumentError(f"the signature policy names the unknown role {principal.role}")
    return SignedBy(principal.msp_identifier, _ROLES[principal.role])
