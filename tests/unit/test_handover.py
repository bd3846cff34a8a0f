import pytest

from community import FIRST, Community, Home, identity_of
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import Period

ANN, BOB, CY = Home(name="ann"), Home(name="bob"), Home(name="cy")
SECOND = FIRST.next
THIRD = SECOND.next
DEE = "dee's owner"


@pytest.fixture
def community() -> Community:
    return Community([ANN, BOB, CY])


def balance_ut(community: Community, owner: str) -> int:
    return int(community.ledger("wallet", party=identity_of(owner))["balance_ut"])


def fix(community: Community, period: Period = FIRST) -> None:
    """Bring a period to the point where Bob has bought 300 Wh of Ann."""
    community.open(period)
    wishes = {"ann": 500, "bob": -300}
    community.ingest([community.request(name, wish, period=period) for name, wish in wishes.items()], period=period)
    assert community.fix(period)["agreed_wh"] == 300


def records(community: Community, period: Period = FIRST) -> list[str]:
    sold = community.record("ann", export_wh=500, period=period)
    bought = community.record("bob", import_wh=200, period=period)
    return [sold, bought, community.record("cy", period=period)]


def move(community: Community, home: Home, owner: str = DEE, *, counter: int = 1) -> None:
    community.move_in(home, owner, counter=counter)
    community.publish()


def test_a_purse_is_the_old_partys_when_the_first_period_of_the_new_one_opens(community: Community) -> None:
    community.open()
    community.fix()
    move(community, BOB)
    assert (community.purse_ut("bob"), balance_ut(community, BOB.owner)) == (BOB.purse_ut, 0)
    community.open(SECOND)
    assert (community.purse_ut("bob"), balance_ut(community, BOB.owner)) == (0, BOB.purse_ut)
    assert balance_ut(community, DEE) == 0
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_what_a_period_under_way_returns_is_the_old_partys(community: Community) -> None:
    fix(community)
    escrow_ut = community.tokens().escrow_ut
    move(community, BOB)
    move(community, ANN, counter=2)
    community.fill_purse("bob", 1_000)
    community.open(SECOND)
    community.report(records(community))
    result = community.settle()
    assert result["traded_wh"] == 200
    returned_ut = escrow_ut - result["paid_ut"] - result["fees_ut"]
    assert balance_ut(community, BOB.owner) == BOB.purse_ut - escrow_ut + returned_ut
    assert balance_ut(community, ANN.owner) == ANN.purse_ut + result["paid_ut"]
    assert (community.purse_ut("ann"), community.purse_ut("bob")) == (0, 1_000)
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_what_a_period_that_is_given_up_returns_is_the_old_partys(community: Community) -> None:
    fix(community)
    move(community, BOB)
    community.open(SECOND)
    community.abort()
    assert (community.purse_ut("bob"), balance_ut(community, BOB.owner)) == (0, BOB.purse_ut)


def test_each_of_several_parties_gets_what_is_its_own(community: Community) -> None:
    """Two periods are under way, each with a party that has the connection no more."""
    fix(community)
    move(community, ANN)
    fix(community, SECOND)
    move(community, ANN, "eve's owner")
    community.open(THIRD)
    for period in (FIRST, SECOND):
        community.report(records(community, period), period=period)
        community.settle(period)
    paid_ut = community.ledger("period", period=FIRST.start_utc)["result"]["paid_ut"]
    assert balance_ut(community, ANN.owner) == ANN.purse_ut + paid_ut
    assert balance_ut(community, DEE) == community.ledger("period", period=SECOND.start_utc)["result"]["paid_ut"] > 0
    assert community.purse_ut("ann") == 0
    stored = community.network.states["ledger"].public["handover/0000"]
    rows = [[SECOND.start_utc, identity_of(ANN.owner)], [THIRD.start_utc, identity_of(DEE)]]
    assert codec.decode(stored) == [rows]


def test_deposits_and_withdrawals_follow_the_latest_roster(community: Community) -> None:
    community.open()
    community.fix()
    move(community, BOB)
    for kind in ("deposit", "withdraw"):
        order = community.order(BOB.owner, kind, slot=1, amount_ut=1, counter=99)
        assert community.refusal("ledger", kind, order=order) is LedgerRefusal.SLOT_NOT_OWNED
    community.fill_purse("bob", 500)
    community.ledger("withdraw", order=community.order(DEE, "withdraw", slot=1, amount_ut=200))
    community.open(SECOND)
    # Of the old party's purse the new one's withdrawal takes nothing.
    assert (community.purse_ut("bob"), balance_ut(community, DEE)) == (300, 200)
    assert balance_ut(community, BOB.owner) == BOB.purse_ut


@pytest.mark.parametrize("is_followed", [False, True])
def test_a_deposit_of_the_old_party_that_never_got_in_returns(community: Community, *, is_followed: bool) -> None:
    community.open()
    community.fix()
    community.fill_purse("bob", 700)
    community.fill_purse("cy", 40)
    community.ledger("withdraw", order=community.order(BOB.owner, "withdraw", slot=1, amount_ut=200))
    move(community, BOB)
    if is_followed:
        community.fill_purse("bob", 30)
        assert balance_ut(community, BOB.owner) == 700
    community.open(SECOND)
    assert community.purse_ut("bob") == (30 if is_followed else 0)
    assert community.purse_ut("cy") == CY.purse_ut + 40
    assert balance_ut(community, BOB.owner) == BOB.purse_ut + 700
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_a_party_that_left_and_came_back_before_a_period_opened_keeps_its_purse(community: Community) -> None:
    community.open()
    community.fix()
    move(community, BOB)
    community.fill_purse("bob", 500)
    move(community, BOB, BOB.owner)
    community.open(SECOND)
    assert (community.purse_ut("bob"), balance_ut(community, DEE)) == (BOB.purse_ut, 500)
    assert "handover/0000" not in community.network.states["ledger"].public


def test_what_the_old_party_promised_by_hand_is_excused_and_its_energy_the_new_partys(community: Community) -> None:
    community.open()
    for name in ("ann", "bob"):
        community.fill_wallet(name, 1_000_000)
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    community.fix()
    assert len(community.ledger("to_begin", period=SECOND.start_utc, slot=0)) == 1
    move(community, ANN)
    assert community.ledger("to_begin", period=SECOND.start_utc, slot=0) == []
    community.report(records(community))
    community.settle()
    fix(community, SECOND)
    community.report(records(community, SECOND), period=SECOND)
    # All that Ann's meter gave was free for the pool.
    assert community.settle(SECOND)["traded_wh"] == 200
    assert community.ledger("confirm_l2p", offer=offer)["phase"] == "declined"
    assert balance_ut(community, ANN.owner) == 1_000_000 + ANN.purse_ut
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_an_exchanged_meter_counts_its_requests_from_the_start(community: Community) -> None:
    community.run_period({"ann": 500, "bob": -300}, {"ann": (0, 500), "bob": (300, 0)})
    community.exchange(ANN, "ann-2", closing=community.record("ann", period=SECOND), start=SECOND)
    community.publish()
    fix(community, SECOND)
    assert community.meters["ann"].counter == 1
