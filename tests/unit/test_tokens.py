from enum import StrEnum
from typing import Any

import pytest

from community import FIRST, Community, Home, Tokens, identity_of, signed, unfounded
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.fields import MAX_UT
from wattpool_chaincode.ledger import tokens
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, PRICES_AND_MONEY

ANN, BOB = "ann's owner", "bob's owner"
PAYMENT: dict[str, Any] = {"party": identity_of(ANN), "amount_ut": 1_000, "reference": "bank-1"}


@pytest.fixture
def community() -> Community:
    """Ann holds 1,000 ut and has signed nothing yet; Bob holds nothing; nobody's purse holds anything."""
    community = Community([Home(name="ann", purse_ut=0), Home(name="bob", purse_ut=0)])
    community.ledger("buy", **PAYMENT)
    return community


def test_a_payment_is_credited_once(community: Community) -> None:
    before = community.snapshot()
    assert community.ledger("buy", **PAYMENT) is None
    assert community.snapshot() == before
    assert community.ledger("wallet", party=identity_of(ANN)) == {"balance_ut": 1_000, "counter": 0}
    assert community.ledger("supply") == {"bought_ut": 1_000, "redeemed_ut": 0, "fees_ut": 0}


def test_payments_add_up(community: Community) -> None:
    community.ledger("buy", **{**PAYMENT, "amount_ut": 500, "reference": "bank-2"})
    assert community.wallet_ut("ann") == 1_500
    assert community.ledger("supply") == {"bought_ut": 1_500, "redeemed_ut": 0, "fees_ut": 0}


def test_only_aggregator_and_members_together_can_make_tokens(community: Community) -> None:
    assert community.network.states["ledger"].policies["supply"] == PRICES_AND_MONEY


def test_a_transfer_moves_tokens(community: Community) -> None:
    community.ledger("transfer", order=community.order(ANN, "transfer", payee=identity_of(BOB), amount_ut=300))
    assert (community.wallet_ut("ann"), community.wallet_ut("bob")) == (700, 300)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("transfer", {"payee": identity_of(BOB), "amount_ut": 300}),
        ("redeem", {"amount_ut": 300}),
        ("deposit", {"slot": 0, "amount_ut": 300}),
        ("withdraw", {"slot": 0, "amount_ut": 300}),
    ],
)
def test_an_order_is_carried_out_once(community: Community, kind: str, content: dict[str, Any]) -> None:
    order = community.order(ANN, kind, **content)
    community.ledger(kind, order=order)
    assert community.refusal("ledger", kind, order=order) is PayloadRefusal.REPLAYED


def test_redeemed_tokens_are_gone(community: Community) -> None:
    community.ledger("redeem", order=community.order(ANN, "redeem", amount_ut=400))
    assert community.ledger("supply") == {"bought_ut": 1_000, "redeemed_ut": 400, "fees_ut": 0}
    assert community.wallet_ut("ann") == 600


def test_a_deposit_leaves_the_wallet_at_once_and_reaches_the_purse_when_a_period_opens(community: Community) -> None:
    for amount_ut in (100, 200):
        community.ledger("deposit", order=community.order(ANN, "deposit", slot=0, amount_ut=amount_ut))
    assert community.ledger("purse", slot=0) == {"balance_ut": 0, "deposit_ut": 300, "withdraw_ut": 0}
    assert community.tokens() == Tokens(
        wallets_ut=700, deposits_ut=300, purses_ut=0, escrow_ut=0, fees_ut=0, issued_ut=1_000
    )
    community.open()
    assert community.ledger("purse", slot=0) == {"balance_ut": 300, "deposit_ut": 0, "withdraw_ut": 0}


def test_a_withdrawal_gives_as_much_as_is_asked_and_there(community: Community) -> None:
    community.ledger("deposit", order=community.order(ANN, "deposit", slot=0, amount_ut=300))
    community.ledger("withdraw", order=community.order(ANN, "withdraw", slot=0, amount_ut=100))
    community.open()
    assert (community.purse_ut("ann"), community.wallet_ut("ann")) == (200, 800)
    for _ in range(2):
        community.ledger("withdraw", order=community.order(ANN, "withdraw", slot=0, amount_ut=MAX_UT))
    assert community.ledger("purse", slot=0)["withdraw_ut"] == MAX_UT
    community.ledger("close", period=FIRST.start_utc)
    community.ledger("clear", period=FIRST.start_utc, page=0)
    community.ledger("activate", period=FIRST.start_utc)
    community.open(FIRST.next)
    assert (community.purse_ut("ann"), community.wallet_ut("ann")) == (0, 1_000)


def test_two_purses_of_one_owner_are_withdrawn_into_one_wallet() -> None:
    community = Community([Home(name="ann", purse_ut=500), Home(name="barn", purse_ut=500, owned_with="ann")])
    for slot in (0, 1):
        community.ledger("withdraw", order=community.order(ANN, "withdraw", slot=slot, amount_ut=400))
    community.open()
    assert (community.purse_ut("ann"), community.purse_ut("barn")) == (100, 100)
    assert community.wallet_ut("ann") == community.wallet_ut("barn") == 800


def test_moves_beyond_the_limit_of_an_opening_wait_for_the_next(
    community: Community, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MAX_MOVES", 1)
    community.ledger("transfer", order=community.order(ANN, "transfer", payee=identity_of(BOB), amount_ut=500))
    for owner, slot in ((ANN, 0), (BOB, 1)):
        community.ledger("deposit", order=community.order(owner, "deposit", slot=slot, amount_ut=500))
    community.open()
    assert (community.purse_ut("ann"), community.purse_ut("bob")) == (500, 0)
    community.abort()
    community.open(FIRST.next)
    assert (community.purse_ut("ann"), community.purse_ut("bob")) == (500, 500)


def test_whoever_moves_every_period_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_MOVES", 2)
    names = [f"home-{number}" for number in range(5)]
    community = Community([Home(name=name, purse_ut=0) for name in names])
    for name in names:
        community.ledger("buy", party=identity_of(f"{name}'s owner"), amount_ut=100, reference=name)
    period, served = FIRST, []
    for _ in range(5):
        # Slots 0 and 1 deposit again as soon as they may; the others wait with one deposit each.
        for slot, name in enumerate(names):
            if not community.ledger("purse", slot=slot)["deposit_ut"] and (slot < 2 or not community.purse_ut(name)):
                order = community.order(f"{name}'s owner", "deposit", slot=slot, amount_ut=10)
                community.ledger("deposit", order=order)
        before = [community.purse_ut(name) for name in names]
        community.open(period)
        served.append([slot for slot, name in enumerate(names) if community.purse_ut(name) > before[slot]])
        community.abort(period)
        period = period.next
    assert served == [[0, 1], [2, 3], [0, 4], [0, 1], [0, 1]]


def test_the_dso_redeems_its_fees_once_per_reference() -> None:
    community = Community([Home(name="ann"), Home(name="bob")])
    community.run_period({"ann": 500, "bob": -300}, {"ann": (0, 500), "bob": (300, 0)})
    # 300 Wh at a fee of 10,000 ut/kWh.
    assert community.ledger("supply")["fees_ut"] == 3_000
    for _ in range(2):
        community.ledger("redeem_fees", by=DSO, amount_ut=1_000, reference="bank-9")
    assert community.ledger("supply")["fees_ut"] == 2_000
    assert community.ledger("supply")["redeemed_ut"] == 1_000
    refused = community.refusal("ledger", "redeem_fees", by=DSO, amount_ut=2_001, reference="bank-10")
    assert refused is LedgerRefusal.BALANCE_TOO_LOW
    community.ledger("redeem_fees", by=DSO, amount_ut=2_000, reference="bank-10")
    assert community.ledger("supply")["fees_ut"] == 0
    # Whoever pays in and whoever is paid out number their payments each for themselves.
    community.ledger("buy", party=identity_of(ANN), amount_ut=1_000, reference="bank-9")
    refused = community.refusal("ledger", "redeem_fees", by=DSO, amount_ut=1, reference="bank-9")
    assert refused is LedgerRefusal.REFERENCE_REUSED
    assert community.tokens().together_ut == community.tokens().issued_ut


def test_all_tokens_together_fit_one_balance(community: Community) -> None:
    room = {**PAYMENT, "amount_ut": MAX_UT - 1_000, "party": identity_of(BOB)}
    community.ledger("buy", **{**room, "reference": "bank-2"})
    drop = {**PAYMENT, "amount_ut": 1, "reference": "bank-3"}
    assert community.refusal("ledger", "buy", **drop) is LedgerRefusal.BALANCE_TOO_HIGH
    # Wherever they move, no wallet and no purse can hold more; what is redeemed makes room.
    payee, amount_ut = identity_of(ANN), MAX_UT - 1_000
    community.ledger("transfer", order=community.order(BOB, "transfer", payee=payee, amount_ut=amount_ut))
    community.ledger("deposit", order=community.order(ANN, "deposit", slot=0, amount_ut=MAX_UT))
    community.open()
    assert community.purse_ut("ann") == MAX_UT
    community.ledger("withdraw", order=community.order(ANN, "withdraw", slot=0, amount_ut=MAX_UT))
    community.abort()
    community.open(FIRST.next)
    assert community.wallet_ut("ann") == MAX_UT
    community.ledger("redeem", order=community.order(ANN, "redeem", amount_ut=1))
    assert community.ledger("buy", **drop) is None


def transfer(name: str = ANN, *, payee: str = BOB, amount_ut: int = 1, **changes: Any) -> dict[str, Any]:
    content = {"payee": identity_of(payee), "amount_ut": amount_ut}
    return {"order": signed("transfer", name, content, **changes)}


def move(kind: str, *, name: str = ANN, slot: int = 0, amount_ut: int = 1) -> dict[str, Any]:
    return {"order": signed(kind, name, {"slot": slot, "amount_ut": amount_ut})}


# Each row is also wrong in ways that the rows below it name, so that the table shows the precedence.
REFUSED: list[tuple[str, str, dict[str, Any], StrEnum]] = [
    ("buy", DSO, {**PAYMENT, "amount_ut": 0}, CallRefusal.ARGUMENT_MALFORMED),
    ("buy", AGGREGATOR, {**PAYMENT, "amount_ut": MAX_UT + 1}, CallRefusal.ARGUMENT_MALFORMED),
    ("buy", DSO, PAYMENT, LedgerRefusal.NOT_AUTHORISED),
    ("buy", AGGREGATOR, {**PAYMENT, "party": identity_of("eve")}, LedgerRefusal.REFERENCE_REUSED),
    (
        "buy",
        AGGREGATOR,
        {**PAYMENT, "party": identity_of("eve"), "amount_ut": MAX_UT, "reference": "bank-2"},
        ContractRefusal.PARTY_UNKNOWN,
    ),
    ("buy", AGGREGATOR, {**PAYMENT, "amount_ut": MAX_UT, "reference": "bank-2"}, LedgerRefusal.BALANCE_TOO_HIGH),
    ("transfer", MEMBERS, {"order": "order"}, CallRefusal.ARGUMENT_MALFORMED),
    ("transfer", MEMBERS, {"order": [transfer()["order"][0], ""]}, PayloadRefusal.UNSIGNED),
    ("transfer", MEMBERS, transfer(amount_ut=-1, community="elsewhere"), PayloadRefusal.MALFORMED),
    ("transfer", MEMBERS, move("deposit"), PayloadRefusal.MALFORMED),
    ("transfer", MEMBERS, transfer("eve", community="elsewhere"), PayloadRefusal.FOREIGN_COMMUNITY),
    ("transfer", MEMBERS, transfer("eve"), PayloadRefusal.SIGNER_UNKNOWN),
    ("transfer", MEMBERS, transfer("eve", signer="no id"), PayloadRefusal.SIGNER_UNKNOWN),
    ("transfer", MEMBERS, transfer("eve", signer=identity_of(ANN), counter=0), PayloadRefusal.WRONGLY_SIGNED),
    ("transfer", MEMBERS, transfer(payee=ANN, counter=0), PayloadRefusal.REPLAYED),
    ("transfer", MEMBERS, transfer(payee=ANN, amount_ut=MAX_UT), LedgerRefusal.PAYER_IS_PAYEE),
    ("transfer", MEMBERS, transfer(payee="eve", amount_ut=MAX_UT), ContractRefusal.PARTY_UNKNOWN),
    ("transfer", MEMBERS, transfer(amount_ut=1_001), LedgerRefusal.BALANCE_TOO_LOW),
    ("redeem", DSO, {"order": []}, LedgerRefusal.NOT_AUTHORISED),
    ("redeem", AGGREGATOR, {"order": []}, PayloadRefusal.MALFORMED),
    (
        "redeem",
        AGGREGATOR,
        {"order": signed("redeem", ANN, {"amount_ut": 1_001})},
        LedgerRefusal.BALANCE_TOO_LOW,
    ),
    ("deposit", MEMBERS, move("deposit", slot=1, amount_ut=1_001), LedgerRefusal.SLOT_NOT_OWNED),
    ("deposit", MEMBERS, move("deposit", slot=2), LedgerRefusal.SLOT_NOT_OWNED),
    ("deposit", MEMBERS, move("deposit", amount_ut=1_001), LedgerRefusal.BALANCE_TOO_LOW),
    ("withdraw", MEMBERS, move("withdraw", name=BOB), LedgerRefusal.SLOT_NOT_OWNED),
    ("withdraw", MEMBERS, move("withdraw", slot=500), LedgerRefusal.SLOT_NOT_OWNED),
    ("redeem_fees", AGGREGATOR, {"amount_ut": 0, "reference": "bank-1"}, CallRefusal.ARGUMENT_MALFORMED),
    ("redeem_fees", AGGREGATOR, {"amount_ut": 1, "reference": "bank-1"}, LedgerRefusal.NOT_AUTHORISED),
    ("redeem_fees", DSO, {"amount_ut": 1, "reference": "bank-1"}, LedgerRefusal.BALANCE_TOO_LOW),
    ("wallet", DSO, {"party": "ann"}, CallRefusal.ARGUMENT_MALFORMED),
    ("purse", DSO, {"slot": -1}, CallRefusal.ARGUMENT_MALFORMED),
    ("supply", DSO, {"of": "tokens"}, CallRefusal.ARGUMENT_MALFORMED),
]


@pytest.mark.parametrize(("function", "by", "argument", "reason"), REFUSED)
def test_what_breaks_a_rule_is_refused_by_name(
    community: Community, function: str, by: str, argument: dict[str, Any], reason: StrEnum
) -> None:
    assert community.refusal("ledger", function, by=by, **argument) is reason


def test_orders_wait_for_a_roster() -> None:
    assert unfounded().refusal("ledger", "transfer", **transfer()) is LedgerRefusal.ROSTER_UNKNOWN


def test_a_purse_that_nobody_has_is_empty(community: Community) -> None:
    assert community.ledger("purse", slot=12_345) == {"balance_ut": 0, "deposit_ut": 0, "withdraw_ut": 0}
