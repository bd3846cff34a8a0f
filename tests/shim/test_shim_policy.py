"""Key-level endorsement policies and their bytes."""

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from hypothesis import given
from hypothesis import strategies as st

from fabric_shim import ArgumentError, OutOf, Policy, SignedBy, all_of
from fabric_shim.policy import decode_policy, encode_policy

signers = st.builds(SignedBy, st.sampled_from(["A", "B", "C", "D"]), st.sampled_from(["MEMBER", "PEER", "ADMIN"]))
policies = st.recursive(
    signers,
    lambda rules: st.lists(rules, min_size=1, max_size=3).flatmap(
        lambda some: st.integers(1, len(some)).map(lambda required: OutOf(required, tuple(some)))
    ),
    max_leaves=6,
)


@given(policy=policies)
def test_a_policy_survives_its_bytes(policy: Policy) -> None:
    expected = policy if isinstance(policy, OutOf) else OutOf(1, (policy,))
    assert decode_policy(encode_policy(policy)) == expected


def test_organisations_are_sorted_and_named_once() -> None:
    policy = OutOf(1, (SignedBy("Z"), OutOf(2, (SignedBy("A"), SignedBy("Z"), SignedBy("A", "PEER")))))
    envelope = policies_pb2.SignaturePolicyEnvelope.FromString(encode_policy(policy))
    names = [msp_principal_pb2.MSPRole.FromString(one.principal).msp_identifier for one in envelope.identities]
    assert names == ["A", "A", "Z"]
    assert envelope.version == 0
    assert [rule.signed_by for rule in envelope.rule.n_out_of.rules[1].n_out_of.rules] == [0, 2, 1]


def test_all_of_is_what_the_go_shim_writes() -> None:
    envelope = policies_pb2.SignaturePolicyEnvelope.FromString(encode_policy(all_of(["Org2MSP", "Org1MSP", "Org1MSP"])))
    assert envelope.rule.n_out_of.n == 2
    assert [rule.signed_by for rule in envelope.rule.n_out_of.rules] == [0, 1]
    assert all(rule.HasField("signed_by") for rule in envelope.rule.n_out_of.rules)
    assert [one.principal for one in envelope.identities] == [
        msp_principal_pb2.MSPRole(msp_identifier=name).SerializeToString() for name in ("Org1MSP", "Org2MSP")
    ]


@pytest.mark.parametrize(("required", "count"), [(0, 1), (2, 1), (1, 0), (-1, 1)])
def test_a_policy_that_asks_for_nothing_or_too_much_is_refused(required: int, count: int) -> None:
    with pytest.raises(ArgumentError, match="no policy"):
        OutOf(required, (SignedBy("A"),) * count)


def unreadable() -> dict[str, bytes]:
    principal = msp_principal_pb2.MSPPrincipal
    rule = policies_pb2.SignaturePolicy
    role = msp_principal_pb2.MSPRole
    envelopes = {
        "index beyond": policies_pb2.SignaturePolicyEnvelope(rule=rule(signed_by=1)),
        "negative index": policies_pb2.SignaturePolicyEnvelope(
            rule=rule(signed_by=-1), identities=[principal(principal=role(msp_identifier="A").SerializeToString())]
        ),
        "no rule": policies_pb2.SignaturePolicyEnvelope(),
        "by unit": policies_pb2.SignaturePolicyEnvelope(
            rule=rule(signed_by=0), identities=[principal(principal_classification=principal.ORGANIZATION_UNIT)]
        ),
        "unknown role": policies_pb2.SignaturePolicyEnvelope(
            rule=rule(signed_by=0), identities=[principal(principal=b"\x0a\x01A\x10\x63")]
        ),
    }
    return {name: envelope.SerializeToString() for name, envelope in envelopes.items()} | {"garbage": b"\xff"}


@pytest.mark.parametrize("name", unreadable())
def test_bytes_that_are_no_policy_of_organisations_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="signature policy"):
        decode_policy(unreadable()[name])
