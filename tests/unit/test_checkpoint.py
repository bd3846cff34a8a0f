from enum import StrEnum
from typing import Any

import pytest

from community import Community
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.checkpoint import from_json, to_json
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import merkle
from wattpool_chaincode.records.merkle import Frontier


def chain(blocks: int, *, what: str = "block") -> dict[str, Any]:
    """Return the vote for a chain of so many blocks."""
    return to_json(Frontier().extended(hashes(blocks, what=what)))


def hashes(blocks: int, *, what: str = "block") -> list[bytes]:
    return [f"{what} {number}".encode() for number in range(blocks)]


@pytest.fixture
def community() -> Community:
    """Two organisations agreed on five and seven blocks."""
    community = Community([])
    for organisation in (AGGREGATOR, DSO):
        community.contract("vote_checkpoint", by=organisation, number=1, contract=chain(5), ledger=chain(7))
    return community


def test_what_two_organisations_name_is_accepted(community: Community) -> None:
    root = merkle.root([merkle.root(hashes(5)), merkle.root(hashes(7))])
    accepted = {"contract": chain(5), "ledger": chain(7), "root": root.hex()}
    assert community.contract("checkpoint", number=0) == {"number": 1, "votes": {}, **accepted}
    assert community.contract("checkpoint", number=1) == {"number": 1, "votes": {}, **accepted}


def test_one_organisation_alone_decides_nothing() -> None:
    community = Community([])
    for blocks in (5, 6):
        said = community.contract("vote_checkpoint", by=DSO, number=1, contract=chain(5), ledger=chain(blocks))
    assert {name: vote["ledger"]["blocks"] for name, vote in said["votes"].items()} == {DSO: 6}
    assert community.contract("checkpoint", number=0) == {"number": 0, **said}


def test_two_that_disagree_wait_for_the_third() -> None:
    community = Community([])
    votes = {AGGREGATOR: chain(7, what="forged"), DSO: chain(7), MEMBERS: chain(7)}
    for organisation, ledger in votes.items():
        said = community.contract("vote_checkpoint", by=organisation, number=1, contract=chain(5), ledger=ledger)
        assert ("votes" in said) is (organisation is not MEMBERS)
    assert community.contract("checkpoint", number=0)["ledger"] == chain(7)


def test_the_next_checkpoint_grows_out_of_the_peaks_of_the_one_before(community: Community) -> None:
    before = from_json(community.contract("checkpoint", number=0)["ledger"])
    grown = to_json(before.extended(hashes(12)[7:]))
    for organisation in (MEMBERS, DSO):
        community.contract("vote_checkpoint", by=organisation, number=2, contract=chain(5), ledger=grown)
    assert community.contract("checkpoint", number=0)["ledger"] == chain(12)


def test_a_vote_for_what_was_accepted_changes_nothing(community: Community) -> None:
    before = community.snapshot()
    said = community.contract("vote_checkpoint", by=MEMBERS, number=1, contract=chain(5), ledger=chain(7))
    assert said["ledger"] == chain(7)
    assert community.snapshot() == before


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[int, dict[str, Any], dict[str, Any], StrEnum]] = [
    (0, {"blocks": 1, "peaks": []}, chain(7), CallRefusal.ARGUMENT_MALFORMED),
    (0, {"blocks": 5}, chain(7), CallRefusal.ARGUMENT_MALFORMED),
    (0, {"blocks": 1, "peaks": ["00"]}, chain(7), CallRefusal.ARGUMENT_MALFORMED),
    (1, chain(4), chain(7), ContractRefusal.CHECKPOINT_DISPUTED),
    (1, chain(5), chain(7, what="forged"), ContractRefusal.CHECKPOINT_DISPUTED),
    (0, chain(4), chain(7), ContractRefusal.CHECKPOINT_NOT_NEXT),
    (3, chain(4), chain(7), ContractRefusal.CHECKPOINT_NOT_NEXT),
    (2, chain(4), chain(8), ContractRefusal.CHECKPOINT_BEHIND),
    (2, chain(5), chain(7), ContractRefusal.CHECKPOINT_BEHIND),
]


@pytest.mark.parametrize(("number", "contract", "ledger", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, number: int, contract: dict[str, Any], ledger: dict[str, Any], reason: StrEnum
) -> None:
    refused = community.refusal(
        "contract", "vote_checkpoint", by=MEMBERS, number=number, contract=contract, ledger=ledger
    )
    assert refused is reason


def test_a_checkpoint_that_is_not_there_is_refused_by_name(community: Community) -> None:
    assert community.refusal("contract", "checkpoint", number=2) is ContractRefusal.CHECKPOINT_NOT_NEXT
