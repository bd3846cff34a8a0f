"""Tokens bought, sent, moved, redeemed, in any order: a model knows what is refused and where they all are."""

from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from community import FIRST, Community, Home, identity_of, signed
from property.machines import explore
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec

MOST_UT = 2**50
NOBODY = "nobody"
# Ann has two connections.
OWNERS = ("ann's owner", "bob's owner", "cy's owner")
SLOT_OWNERS = (OWNERS[0], OWNERS[1], OWNERS[2], OWNERS[0])
_NO_MOVE = b'{"deposit_ut":0,"withdraw_ut":0}'
WALLET_UT = 1_000_000

operators = st.sampled_from((*[AGGREGATOR] * 6, DSO, MEMBERS))
owners = st.sampled_from((*OWNERS * 4, NOBODY))
references = st.sampled_from("abcdefghijklmnopqrst")
# Mostly what somebody may have; few strategies, because drawing is most of what this test costs.
_USUAL_UT = (1, 2, 33_333, 100_000, 250_000, 400_001, WALLET_UT)
amounts_ut = st.sampled_from((*_USUAL_UT * 3, 0, MOST_UT, MOST_UT + 1))
# Again and again to the limit of all that may be out, and back.
issued_ut = st.sampled_from((*_USUAL_UT, *[MOST_UT // 2] * 6, 0, MOST_UT))
# How far behind the owner's next counter an order's is.
behind = st.sampled_from((*[0] * 9, 1))


@dataclass(frozen=True, kw_only=True)
class Order:
    """A call about tokens; what its function does not ask for is ignored.

    Attributes:
        function: its name.
        amount_ut: how much.
        owner: who buys, or signs.
        payee: who is paid.
        slot: whose purse.
        reference: of a payment.
        behind: how far the counter lags.
    """

    function: str
    amount_ut: int
    owner: str = ""
    payee: str = ""
    slot: int = 0
    reference: str = ""
    behind: int = 0


def _places() -> st.SearchStrategy[tuple[str, int]]:
    """Draw an owner and a slot, mostly the owner's own."""
    own = [(owner, slot) for slot, owner in enumerate(SLOT_OWNERS)]
    return st.sampled_from((*own * 3, (OWNERS[0], 1), (OWNERS[2], len(SLOT_OWNERS)), (NOBODY, 0)))


def _move(function: str) -> st.SearchStrategy[Order]:
    return st.builds(
        lambda place, amount_ut, late: Order(
            function=function, owner=place[0], slot=place[1], amount_ut=amount_ut, behind=late
        ),
        _places(),
        amounts_ut,
        behind,
    )


purchases = st.builds(Order, function=st.just("buy"), amount_ut=issued_ut, owner=owners, reference=references)
transfers = st.builds(
    Order, function=st.just("transfer"), amount_ut=amounts_ut, owner=owners, payee=owners, behind=behind
)
redemptions = st.builds(Order, function=st.just("redeem"), amount_ut=issued_ut, owner=owners, behind=behind)
deposits, withdrawals = _move("deposit"), _move("withdraw")
together = st.one_of(
    *(st.lists(one, min_size=2, max_size=3) for one in (purchases, transfers, redemptions, deposits, withdrawals))
)


@dataclass
class Model:
    """Where all tokens are, worked out without the rules; a method carries an order out, or says why not."""

    wallets_ut: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OWNERS, 0))
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OWNERS, 0))
    purses_ut: list[int] = field(default_factory=lambda: [0] * len(SLOT_OWNERS))
    deposits_ut: list[int] = field(default_factory=lambda: [0] * len(SLOT_OWNERS))
    withdrawals_ut: list[int] = field(default_factory=lambda: [0] * len(SLOT_OWNERS))
    fees_ut: int = 0
    issued_ut: int = 0
    paid: dict[str, tuple[str, int]] = field(default_factory=dict)
    paid_out: dict[str, int] = field(default_factory=dict)

    def take(self, order: Order, by: str) -> StrEnum | None:
        if order.function in ("buy", "redeem_fees"):
            return self.buy(order, by) if order.function == "buy" else self.redeem_fees(order, by)
        if order.function == "redeem" and by != AGGREGATOR:
            return LedgerRefusal.NOT_AUTHORISED
        reason = self.read(order) or self.check(order)
        if reason is None:
            self.counters[order.owner] += 1
            self.move(order)
        return reason

    def buy(self, order: Order, by: str) -> StrEnum | None:
        if not 0 < order.amount_ut <= MOST_UT:
            return CallRefusal.ARGUMENT_MALFORMED
        if by != AGGREGATOR:
            return LedgerRefusal.NOT_AUTHORISED
        payment = (order.owner, order.amount_ut)
        if order.reference in self.paid:
            return None if self.paid[order.reference] == payment else LedgerRefusal.REFERENCE_REUSED
        if order.owner == NOBODY:
            return ContractRefusal.PARTY_UNKNOWN
        if self.issued_ut + order.amount_ut > MOST_UT:
            return LedgerRefusal.BALANCE_TOO_HIGH
        self.paid[order.reference] = payment
        self.wallets_ut[order.owner] += order.amount_ut
        self.issued_ut += order.amount_ut
        return None

    def redeem_fees(self, order: Order, by: str) -> StrEnum | None:
        if not 0 < order.amount_ut <= MOST_UT:
            return CallRefusal.ARGUMENT_MALFORMED
        if by != DSO:
            return LedgerRefusal.NOT_AUTHORISED
        if order.reference in self.paid_out:
            return None if self.paid_out[order.reference] == order.amount_ut else LedgerRefusal.REFERENCE_REUSED
        if self.fees_ut < order.amount_ut:
            return LedgerRefusal.BALANCE_TOO_LOW
        self.paid_out[order.reference] = order.amount_ut
        self.fees_ut -= order.amount_ut
        self.issued_ut -= order.amount_ut
        return None

    def read(self, order: Order) -> StrEnum | None:
        if not 0 < order.amount_ut <= MOST_UT:
            return PayloadRefusal.MALFORMED
        if order.owner == NOBODY:
            return PayloadRefusal.SIGNER_UNKNOWN
        return PayloadRefusal.REPLAYED if order.behind else None

    def check(self, order: Order) -> StrEnum | None:
        if order.function == "transfer":
            if order.payee == order.owner:
                return LedgerRefusal.PAYER_IS_PAYEE
            if order.payee == NOBODY:
                return ContractRefusal.PARTY_UNKNOWN
        if order.function in ("deposit", "withdraw") and (
            order.slot >= len(SLOT_OWNERS) or SLOT_OWNERS[order.slot] != order.owner
        ):
            return LedgerRefusal.SLOT_NOT_OWNED
        if order.function != "withdraw" and self.wallets_ut[order.owner] < order.amount_ut:
            return LedgerRefusal.BALANCE_TOO_LOW
        return None

    def move(self, order: Order) -> None:
        if order.function == "withdraw":
            self.withdrawals_ut[order.slot] = min(MOST_UT, self.withdrawals_ut[order.slot] + order.amount_ut)
            return
        self.wallets_ut[order.owner] -= order.amount_ut
        if order.function == "transfer":
            self.wallets_ut[order.payee] += order.amount_ut
        elif order.function == "deposit":
            self.deposits_ut[order.slot] += order.amount_ut
        else:
            self.issued_ut -= order.amount_ut

    def open_period(self) -> None:
        for slot, owner in enumerate(SLOT_OWNERS):
            held_ut = self.purses_ut[slot] + self.deposits_ut[slot]
            out_ut = min(held_ut, self.withdrawals_ut[slot])
            self.purses_ut[slot] = held_ut - out_ut
            self.wallets_ut[owner] += out_ut
            self.deposits_ut[slot] = self.withdrawals_ut[slot] = 0


@lru_cache(maxsize=1)
def founded() -> tuple[Community, Model]:
    """Return a community that has traded once, so that the DSO has fees, and what the model says of it."""
    homes = [Home(name=name, purse_ut=0) for name in ("ann", "bob", "cy")]
    community = Community([*homes, Home(name="dee", owned_with="ann", purse_ut=0)])
    model = Model()

    def carry_out(order: Order) -> None:
        community.ledger(order.function, **argument_of(order, model.counters.get(order.owner, 0) + 1))
        assert model.take(order, AGGREGATOR) is None

    for number, owner in enumerate(OWNERS):
        carry_out(Order(function="buy", amount_ut=2 * WALLET_UT, owner=owner, reference=f"first-{number}"))
        carry_out(Order(function="deposit", amount_ut=WALLET_UT, owner=owner, slot=number))
    result = community.run_period({"ann": 900, "bob": -900}, {"ann": (0, 900), "bob": (900, 0)})
    model.open_period()
    assert result["fees_ut"] > 0
    model.purses_ut[0] += result["paid_ut"]
    model.purses_ut[1] -= result["paid_ut"] + result["fees_ut"]
    model.fees_ut = result["fees_ut"]
    return community, model


def argument_of(order: Order, counter: int) -> dict[str, Any]:
    """Return the argument of an order's function, signed if it has to be."""
    if order.function == "buy":
        return {
            "party": identity_of(order.owner),
            "amount_ut": order.amount_ut,
            "reference": order.reference,
        }
    if order.function == "redeem_fees":
        return {"amount_ut": order.amount_ut, "reference": order.reference}
    return {"order": list(signed_order(order, counter - order.behind))}


@lru_cache(maxsize=100_000)
def signed_order(order: Order, counter: int) -> tuple[str, ...]:
    content: dict[str, Any] = {"amount_ut": order.amount_ut}
    if order.function == "transfer":
        content["payee"] = identity_of(order.payee)
    elif order.function in ("deposit", "withdraw"):
        content["slot"] = order.slot
    return tuple(signed(order.function, order.owner, content, counter=counter))


class Tokens(RuleBasedStateMachine):
    """Owners and operators send orders, alone and several in one transaction; periods open."""

    def __init__(self) -> None:
        super().__init__()
        self.period = FIRST

    @initialize()
    def found(self) -> None:
        self.community, self.model = deepcopy(founded())

    @rule(order=purchases, by=operators)
    def buy(self, order: Order, by: str) -> None:
        self.send(order, by)

    @rule(order=transfers, by=operators)
    def transfer(self, order: Order, by: str) -> None:
        self.send(order, by)

    @rule(order=redemptions, by=operators)
    def redeem(self, order: Order, by: str) -> None:
        self.send(order, by)

    @rule(order=deposits, by=operators)
    def deposit(self, order: Order, by: str) -> None:
        self.send(order, by)

    @rule(order=withdrawals, by=operators)
    def withdraw(self, order: Order, by: str) -> None:
        self.send(order, by)

    @rule(amount_ut=st.integers(1, 10_000), reference=references, by=st.sampled_from((DSO, DSO, AGGREGATOR)))
    def redeem_fees(self, amount_ut: int, reference: str, by: str) -> None:
        self.send(Order(function="redeem_fees", amount_ut=amount_ut, reference=reference), by)

    @rule(several=together, by=operators)
    def send_together(self, several: list[Order], by: str) -> None:
        """All of them, or none."""
        after = deepcopy(self.model)
        arguments = []
        reason = None
        for order in several:
            arguments.append(argument_of(order, after.counters.get(order.owner, 0) + 1))
            reason = reason or after.take(order, by)
        self.call("batch", reason, by=by, call=several[0].function, arguments=arguments)
        if reason is None:
            self.model = after

    @rule(again=st.booleans())
    def open_period(self, again: bool) -> None:  # noqa: FBT001 -- drawn
        """Open the next period, and once more; the one before was given up, if it is not the first."""
        if self.period != FIRST:
            self.community.abort(self.period)
        self.period = self.period.next
        self.community.open(self.period)
        self.model.open_period()
        if again:
            before = self.community.snapshot()
            self.community.open(self.period)
            assert self.community.snapshot() == before

    def send(self, order: Order, by: str) -> None:
        argument = argument_of(order, self.model.counters.get(order.owner, 0) + 1)
        self.call(order.function, self.model.take(order, by), by=by, **argument)

    def call(self, function: str, reason: StrEnum | None, *, by: str, **argument: Any) -> None:
        """Make a call that the model says is carried out, or refused for this reason."""
        if reason is None:
            self.community.ledger(function, by=by, **argument)
        else:
            assert self.community.refusal("ledger", function, by=by, **argument) is reason

    @invariant()
    def every_token_is_where_the_model_has_it(self) -> None:
        if not hasattr(self, "model"):
            return
        state, model = self.community.network.states["ledger"].public, self.model
        wallets = {owner: codec.decode(state[f"wallet/{identity_of(owner)}"]) for owner in OWNERS}
        purses_ut = codec.decode(state["purse/0000"])
        # A page grows with the slots that were written.
        purses_ut += [0] * (len(SLOT_OWNERS) - len(purses_ut))
        moves = [codec.decode(state.get(f"move/{slot:07}", _NO_MOVE)) for slot in range(len(SLOT_OWNERS))]
        fees_ut, supply = codec.decode(state["fees"]), codec.decode(state["supply"])
        deposits_ut = [move["deposit_ut"] for move in moves]
        held_ut = sum(wallet["balance_ut"] for wallet in wallets.values()) + sum(purses_ut) + sum(deposits_ut) + fees_ut
        assert held_ut == supply["bought_ut"] - supply["redeemed_ut"] == model.issued_ut <= MOST_UT
        for owner, wallet in wallets.items():
            assert wallet == {"balance_ut": model.wallets_ut[owner], "counter": model.counters[owner]}
        assert (purses_ut, deposits_ut, fees_ut) == (model.purses_ut, model.deposits_ut, model.fees_ut)
        assert [move["withdraw_ut"] for move in moves] == model.withdrawals_ut

    def teardown(self) -> None:
        """Nothing that the model does not know of holds a token."""
        if hasattr(self, "model"):
            held = self.community.tokens()
            assert held.together_ut == held.issued_ut == self.model.issued_ut


def test_tokens_are_conserved_in_any_order_of_calls() -> None:
    explore(Tokens, examples=60)
