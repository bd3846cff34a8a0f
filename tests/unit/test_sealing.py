from enum import StrEnum

import pytest

from community import FIRST, Community, Home, identity_of, signed
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.sealing import seal_content
from wattpool_chaincode.organisations import MEMBERS
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.ocmf import NO_HASH

SECOND = FIRST.next


@pytest.fixture
def community() -> Community:
    """The first period is sealed; the second one waits for its seal."""
    community = Community([Home(name="ann"), Home(name="bob")])
    community.run_period({"ann": 500, "bob": -300}, {"ann": (0, 500), "bob": (300, 0)})
    community.open(SECOND)
    community.fix(SECOND)
    community.settle(SECOND)
    return community


def test_seals_form_a_chain(community: Community) -> None:
    first = community.ledger("period", period=FIRST.start_utc)["seal"]
    second = community.seal(SECOND)
    assert first["previous"] == NO_HASH
    assert second["previous"] == first["seal"]
    assert community.ledger("period", period=SECOND.start_utc)["phase"] == "sealed"


def test_a_seal_is_the_id_of_what_was_signed(community: Community) -> None:
    result = community.ledger("period", period=FIRST.start_utc)["result"]
    content = {"previous": NO_HASH, "result": codec.content_id(codec.encode(result))}
    text, _ = signed("seal", "seal", content, period=FIRST)
    seal = community.ledger("period", period=FIRST.start_utc)["seal"]["seal"]
    assert seal == codec.content_id(text.encode())


def test_sealing_again_changes_nothing_whatever_is_signed(community: Community) -> None:
    sealed = community.seal(SECOND)
    before = community.snapshot()
    assert community.ledger("seal", by=MEMBERS, period=SECOND.start_utc, seal=[]) == sealed
    assert community.snapshot() == before


CONTENT = {"previous": NO_HASH, "result": NO_HASH}
# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[int, object, StrEnum]] = [
    (SECOND.next.start_utc, "seal", CallRefusal.ARGUMENT_MALFORMED),
    (SECOND.next.start_utc, [], LedgerRefusal.PERIOD_UNKNOWN),
    (SECOND.start_utc, [signed("seal", "ann", CONTENT, community="elsewhere")[0], ""], PayloadRefusal.UNSIGNED),
    (SECOND.start_utc, signed("seal", "ann", {}, community="elsewhere"), PayloadRefusal.MALFORMED),
    (SECOND.start_utc, signed("seal", "ann", CONTENT, community="elsewhere"), PayloadRefusal.FOREIGN_COMMUNITY),
    (SECOND.start_utc, signed("seal", "ann", CONTENT, period=FIRST), PayloadRefusal.LATE),
    (SECOND.start_utc, signed("seal", "ann", CONTENT, period=SECOND.next), PayloadRefusal.EARLY),
    (SECOND.start_utc, signed("seal", "ann", CONTENT, period=SECOND), PayloadRefusal.SIGNER_UNKNOWN),
    (
        SECOND.start_utc,
        signed("seal", "ann", CONTENT, period=SECOND, signer=identity_of("seal")),
        PayloadRefusal.WRONGLY_SIGNED,
    ),
    (SECOND.start_utc, signed("seal", "seal", CONTENT, period=SECOND), LedgerRefusal.SEAL_FOR_ANOTHER),
]


@pytest.mark.parametrize(("period", "seal", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, period: int, seal: object, reason: StrEnum
) -> None:
    assert community.refusal("ledger", "seal", period=period, seal=seal) is reason


def test_a_seal_that_leaves_the_one_before_out_is_for_another_chain(community: Community) -> None:
    content = seal_content(community.ledger("period", period=SECOND.start_utc)["result"], NO_HASH)
    seal = signed("seal", "seal", content, period=SECOND)
    refused = community.refusal("ledger", "seal", period=SECOND.start_utc, seal=seal)
    assert refused is LedgerRefusal.SEAL_FOR_ANOTHER


def test_a_period_is_sealed_when_it_is_final_and_the_one_before_is_sealed() -> None:
    community = Community([Home(name="ann")])
    community.open()
    community.fix()
    seal = signed("seal", "seal", CONTENT, period=FIRST)
    assert community.refusal("ledger", "seal", period=FIRST.start_utc, seal=seal) is LedgerRefusal.TOO_EARLY
    community.settle()
    community.open(SECOND)
    community.fix(SECOND)
    community.settle(SECOND)
    seal = signed("seal", "seal", CONTENT, period=SECOND)
    refused = community.refusal("ledger", "seal", period=SECOND.start_utc, seal=seal)
    assert refused is LedgerRefusal.PREVIOUS_NOT_READY


def test_the_transaction_that_sealed_a_period_is_told(community: Community) -> None:
    sealed = community.ledger("sealed_by", period=FIRST.start_utc, version=0)
    assert (sealed["length_s"], sealed["pages"], sealed["version"]) == (900, 1, 1)
    assert sealed["transaction"]
    assert community.refusal("ledger", "sealed_by", period=SECOND.start_utc, version=1) is LedgerRefusal.TOO_EARLY
