"""Whatever owners do with offers by hand, in whatever order: a model knows what is refused, and nothing gets lost."""

from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from community import FIRST, RULES, Community, Home, make, new_network, small_pages, snapshot
from property.machines import explore
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.records.units import amount_ut, divide_half_even

NAMES = ("ann", "bob", "cy", "dee", "eve", "fay")
FEEDERS = dict(zip(NAMES, "AABBCC", strict=True))
names = st.sampled_from(NAMES)
operators = st.sampled_from((AGGREGATOR, DSO, MEMBERS))
# Often just what was promised, or nothing.
energies_wh = st.sampled_from((0, 500, 1_000)) | st.integers(0, 1_200)
meters = dict.fromkeys(NAMES, st.tuples(energies_wh, energies_wh))
flows_wh = st.fixed_dictionaries(meters) | st.fixed_dictionaries(meters) | st.fixed_dictionaries({}, optional=meters)
terms = st.fixed_dictionaries(
    {
        "energy_wh": st.sampled_from((500, 1_000)) | st.integers(1, 1_500),
        "price_ut_per_kwh": st.integers(60_000, 270_000),
        "ahead": st.integers(-1, 2),
        "periods": st.integers(1, 3),
        "level": st.sampled_from(("feeder", "community")),
    }
)
TAKEN = ("picked", "confirmed", "proved", "paid", "declined")


@dataclass
class Trade:
    """What the model knows of an offer.

    Attributes:
        seller: name.
        terms: as offered.
        phase: how far it has come.
        buyer: name, once it is picked.
        delivered_wh: by the model, which holds if it is alone.
        excused_wh: by the model.
        due_wh: by the end of the last settled period of the window.
        is_alone: whether no other confirmed trade ever had one of its ends.
    """

    seller: str
    terms: dict[str, Any]
    phase: str = "offered"
    buyer: str = ""
    delivered_wh: int = 0
    excused_wh: int = 0
    due_wh: int = 0
    is_alone: bool = True

    @property
    def deposit_ut(self) -> int:
        return divide_half_even(amount_ut(self.terms["energy_wh"], self.terms["price_ut_per_kwh"]), 2)

    @property
    def escrow_ut(self) -> int:
        level = "feeder" if FEEDERS[self.buyer] == FEEDERS[self.seller] else "community"
        energy_wh = self.terms["energy_wh"]
        fee_ut = amount_ut(energy_wh, RULES[f"fee_{level}_ut_per_kwh"])
        return amount_ut(energy_wh, self.terms["price_ut_per_kwh"]) + fee_ut


class OffersByHand(RuleBasedStateMachine):
    """Owners offer, pick, cancel; operators carry; periods pass with and without data."""

    offers = Bundle("offers")

    def __init__(self) -> None:
        super().__init__()
        self._patches = ExitStack()
        self.trades: dict[str, Trade] = {}
        self.wallets_ut: dict[str, int] = {}
        self.period = FIRST
        self.is_open = False
        self.silent: set[str] = set()

    @initialize(page_size=st.integers(1, 6), tolerance=st.sampled_from((0, 100_000)))
    def found(self, page_size: int, tolerance: int) -> None:
        self._patches.enter_context(small_pages(page_size))
        homes = [Home(name=name, feeder=FEEDERS[name]) for name in NAMES]
        self.community = Community(homes, rules={"firm_tolerance_ppm": tolerance}, page_size=page_size)
        for name, wallet_ut in zip(NAMES, (10**6, 10**6, 10**6, 10**6, 10**6, 10**5), strict=True):
            self.community.fill_wallet(name, wallet_ut)
            self.wallets_ut[name] = wallet_ut
        self.open_period()

    @rule(target=offers, name=names, drawn=terms, by=operators)
    def add(self, name: str, drawn: dict[str, Any], by: str) -> str:
        start_utc = self.period.start_utc + drawn["ahead"] * self.period.length_s
        terms = {
            "energy_wh": drawn["energy_wh"],
            "price_ut_per_kwh": drawn["price_ut_per_kwh"],
            "from_utc": start_utc,
            "until_utc": start_utc + drawn["periods"] * self.period.length_s,
            "level": drawn["level"],
        }
        trade = Trade(seller=name, terms=terms)
        offered = self.period if self.is_open else self.period.previous
        order = self.community.offer_order(name, offered=offered, **trade.terms)
        reason = None
        if self.is_closed(start_utc):
            reason = LedgerRefusal.WINDOW_PAST
        elif self.wallets_ut[name] < trade.deposit_ut:
            reason = LedgerRefusal.BALANCE_TOO_LOW
        answer = self.call("add_offer", reason, by=by, order=order)
        if reason is not None:
            return "0" * 64
        self.wallets_ut[name] -= trade.deposit_ut
        self.trades[answer["offer"]] = trade
        return str(answer["offer"])

    @rule(target=offers, name=names, buyer=names, drawn=terms, by=operators)
    def agree(self, name: str, buyer: str, drawn: dict[str, Any], by: str) -> Any:
        """Offer, pick and confirm at one go, as far as that is possible."""
        offer = self.add(name, {**drawn, "ahead": 0, "level": "community"}, by)
        self.pick(offer, buyer, by)
        self.confirm(offer, by)
        return offer

    @rule(offer=offers, name=names, by=operators)
    def pick(self, offer: str, name: str, by: str) -> None:
        order = self.community.pick_order(name, offer)
        trade = self.trades.get(offer)
        reason = self.is_not_open(trade)
        if trade is not None and reason is None:
            trade.buyer = name
            if name == trade.seller:
                reason = LedgerRefusal.OWN_OFFER
            elif trade.terms["level"] == "feeder" and FEEDERS[name] != FEEDERS[trade.seller]:
                reason = LedgerRefusal.OUT_OF_REACH
            elif self.wallets_ut[name] < trade.escrow_ut:
                reason = LedgerRefusal.BALANCE_TOO_LOW
        self.call("pick_offer", reason, by=by, order=order)
        if trade is not None and reason is None:
            self.wallets_ut[name] -= trade.escrow_ut
            trade.phase = "picked"

    @rule(offer=offers, by=operators)
    def confirm(self, offer: str, by: str) -> None:
        trade = self.trades.get(offer)
        reason = self.is_not_picked(trade)
        if trade is not None and trade.phase == "picked" and self.is_closed(trade.terms["from_utc"]):
            reason = LedgerRefusal.OFFER_EXPIRED
        self.call("confirm_p2l", reason, by=by, offer=offer)
        if trade is not None and reason is None and trade.phase == "picked":
            trade.phase = "confirmed"
            self.look_for_company(trade)

    @rule(offer=offers, name=names)
    def cancel(self, offer: str, name: str) -> None:
        trade = self.trades.get(offer)
        is_foreign = trade is not None and name != trade.seller
        reason = LedgerRefusal.NOT_AUTHORISED if is_foreign else self.is_not_open(trade)
        order = self.community.order(f"{name}'s owner", "cancel", offer=offer)
        self.call("cancel_offer", reason, by=AGGREGATOR, order=order)
        if trade is not None and reason is None:
            self.wallets_ut[name] += trade.deposit_ut
            trade.phase = "cancelled"

    @rule(offer=offers, by=operators)
    def expire(self, offer: str, by: str) -> None:
        trade = self.trades.get(offer)
        reason: LedgerRefusal | None = None
        if trade is None:
            reason = LedgerRefusal.OFFER_UNKNOWN
        elif trade.phase == "cancelled":
            reason = LedgerRefusal.OFFER_CANCELLED
        elif trade.phase in TAKEN[1:]:
            reason = LedgerRefusal.OFFER_TAKEN
        elif trade.phase != "expired" and not self.is_closed(trade.terms["from_utc"]):
            reason = LedgerRefusal.TOO_EARLY
        self.call("expire_offer", reason, by=by, offer=offer)
        if trade is not None and reason is None and trade.phase != "expired":
            self.wallets_ut[trade.seller] += trade.deposit_ut
            if trade.phase == "picked":
                self.wallets_ut[trade.buyer] += trade.escrow_ut
            trade.phase = "expired"

    @rule(offer=offers, by=operators)
    def pay(self, offer: str, by: str) -> None:
        trade = self.trades.get(offer)
        reason = self.is_not_picked(trade)
        if trade is not None and trade.phase in ("picked", "confirmed"):
            reason = LedgerRefusal.TOO_EARLY
        self.call("confirm_l2p", reason, by=by, offer=offer)
        if trade is not None and trade.phase == "proved":
            self.require_fair_outcome(offer, trade)

    @rule(name=names, wh=energies_wh)
    @precondition(lambda self: self.is_open)
    def request(self, name: str, wh: int) -> None:
        self.community.ingest([self.community.request(name, wh or -600, period=self.period)], period=self.period)

    @rule()
    @precondition(lambda self: not self.is_open)
    def open_period(self) -> None:
        self.community.open(self.period)
        self.is_open = True

    @rule(flows=flows_wh, fault=st.sampled_from((None,) * 8 + ("abort", "A", "B")))
    def pass_period(self, flows: dict[str, tuple[int, int]], fault: str | None) -> None:
        """Close the gate, deliver, settle; who is not in `flows` sends no record in time."""
        if not self.is_open:
            self.open_period()
        period = self.period
        self.community.fix(period)
        if fault == "abort":
            self.community.abort(period)
        elif fault is not None:
            self.community.ledger("curtail", by=DSO, period=period.start_utc, feeder=fault, reason="fault")
        records = [
            self.community.record(name, import_wh=import_wh, export_wh=export_wh, period=period)
            for name, (import_wh, export_wh) in flows.items()
        ]
        self.community.report(records, period=period)
        self.community.settle(period)
        self.community.seal(period)
        self.is_open = False
        self.period = period.next
        # The record after a silent period spans both, and settles neither.
        good = {name: flow for name, flow in flows.items() if name not in self.silent}
        self.silent = set(NAMES) - set(flows)
        self.require_each_watt_hour_once(period, good)
        self.follow(period, good, fault)

    # What the model knows.

    def is_closed(self, start_utc: int) -> bool:
        return start_utc < self.period.start_utc

    def is_not_open(self, trade: Trade | None) -> LedgerRefusal | None:
        if trade is None:
            return LedgerRefusal.OFFER_UNKNOWN
        if trade.phase == "cancelled":
            return LedgerRefusal.OFFER_CANCELLED
        if trade.phase in TAKEN:
            return LedgerRefusal.OFFER_TAKEN
        return LedgerRefusal.OFFER_EXPIRED if self.is_closed(trade.terms["from_utc"]) else None

    def is_not_picked(self, trade: Trade | None) -> LedgerRefusal | None:
        if trade is None:
            return LedgerRefusal.OFFER_UNKNOWN
        return {
            "offered": LedgerRefusal.OFFER_NOT_PICKED,
            "cancelled": LedgerRefusal.OFFER_CANCELLED,
            "expired": LedgerRefusal.OFFER_EXPIRED,
        }.get(trade.phase)

    def look_for_company(self, new: Trade) -> None:
        """Note which trades share an end with another one: what they get is not worked out here."""
        for trade in self.trades.values():
            if trade is not new and trade.phase in TAKEN[1:] and {trade.seller, trade.buyer} & {new.seller, new.buyer}:
                trade.is_alone = new.is_alone = False

    def follow(self, period: Period, flows: dict[str, tuple[int, int]], fault: str | None) -> None:
        for offer, trade in self.trades.items():
            terms = trade.terms
            if trade.phase != "confirmed" or not terms["from_utc"] <= period.start_utc < terms["until_utc"]:
                continue
            periods = (terms["until_utc"] - terms["from_utc"]) // period.length_s
            number = (period.start_utc - terms["from_utc"]) // period.length_s + 1
            before_wh, trade.due_wh = trade.due_wh, terms["energy_wh"] * number // periods
            ends = (trade.seller, trade.buyer)
            if fault == "abort" or any(name not in flows or FEEDERS[name] == fault for name in ends):
                trade.excused_wh += trade.due_wh - before_wh
            else:
                missing_wh = trade.due_wh - trade.excused_wh - trade.delivered_wh
                trade.delivered_wh += min(missing_wh, flows[trade.seller][1], flows[trade.buyer][0])
            if period.end_utc == terms["until_utc"]:
                trade.phase = "proved"
                proved = self.community.ledger("offer", offer=offer)
                assert proved["progress"]["excused_wh"] == trade.excused_wh
                if trade.is_alone:
                    assert proved["progress"]["delivered_wh"] == trade.delivered_wh

    def call(self, function: str, reason: StrEnum | None, *, by: str, **argument: Any) -> Any:
        """Make a call that the model says is carried out, or refused for this reason."""
        if reason is None:
            return self.community.ledger(function, by=by, **argument)
        assert self.community.refusal("ledger", function, by=by, **argument) is reason
        return None

    # What has to hold.

    def require_fair_outcome(self, offer: str, trade: Trade) -> None:
        paid = self.community.ledger("offer", offer=offer)
        outcome, progress, terms = paid["outcome"], paid["progress"], trade.terms
        owed_wh = terms["energy_wh"] - progress["excused_wh"]
        assert paid["held_ut"] == 0
        assert outcome["energy_wh"] in (0, progress["delivered_wh"])
        assert (paid["phase"] == "paid") is (outcome["energy_wh"] > 0)
        if outcome["energy_wh"]:
            assert 2 * outcome["energy_wh"] >= owed_wh
            assert outcome["paid_ut"] == amount_ut(outcome["energy_wh"], terms["price_ut_per_kwh"])
        else:
            assert outcome["paid_ut"] == outcome["fee_ut"] == 0
        # Nobody answers for more than what is short or was lost, nor who let nobody down for anything.
        short_wh = owed_wh - outcome["energy_wh"]
        undone_wh = progress["delivered_wh"] - outcome["energy_wh"]
        gain = 250_000 - RULES[f"fee_{paid['pick']['level']}_ut_per_kwh"]
        seller_gain = terms["price_ut_per_kwh"] - 50_000
        for to_ut, lost_wh, loss in (
            (outcome["to_buyer_ut"], progress["drawn_wh"], gain - seller_gain),
            (outcome["to_seller_ut"], progress["spilled_wh"], seller_gain),
        ):
            assert 0 <= to_ut <= amount_ut(short_wh, RULES["firm_shortfall_ut_per_kwh"])
            assert to_ut <= amount_ut(lost_wh + undone_wh, loss)
            assert lost_wh or to_ut == 0
        seller_ut = trade.deposit_ut + outcome["paid_ut"] - outcome["to_buyer_ut"] + outcome["to_seller_ut"]
        self.wallets_ut[trade.seller] += seller_ut
        self.wallets_ut[trade.buyer] += trade.deposit_ut + trade.escrow_ut - outcome["fee_ut"] - seller_ut
        trade.phase = paid["phase"]

    def require_each_watt_hour_once(self, period: Period, flows: dict[str, tuple[int, int]]) -> None:
        start_utc = period.start_utc
        pages = range(self.community.pages)
        statements = [one for page in pages for one in self.community.ledger("statements", period=start_utc, page=page)]
        for name, one in zip(NAMES, statements, strict=True):
            import_wh, export_wh = flows.get(name, (0, 0))
            assert one["bought_wh"] + one["firm_bought_wh"] <= import_wh
            assert one["sold_wh"] + one["firm_sold_wh"] <= export_wh
        settled = [self.community.ledger("settled_page", period=start_utc, page=page) for page in pages]
        delivered_wh = sum(row[4] for page in settled for row in page["firm"])
        assert delivered_wh == sum(one["firm_bought_wh"] for one in statements)
        assert delivered_wh == sum(one["firm_sold_wh"] for one in statements)

    @invariant()
    def tokens_are_conserved(self) -> None:
        if not self.wallets_ut:
            return
        held = self.community.tokens()
        assert held.together_ut == held.issued_ut
        assert min(held.wallets_ut, held.offers_ut, held.escrow_ut, held.fees_ut) >= 0
        assert {name: self.community.wallet_ut(name) for name in NAMES} == self.wallets_ut

    def teardown(self) -> None:
        """Let all windows pass and everything be paid or returned: no offer keeps a token; replay gives equal bytes."""
        with self._patches:
            if not self.wallets_ut:
                return
            while any(
                trade.terms["until_utc"] > self.period.start_utc and trade.phase not in ("cancelled", "expired")
                for trade in self.trades.values()
            ):
                self.pass_period(dict.fromkeys(NAMES, (500, 500)), None)
            for offer, trade in self.trades.items():
                if trade.phase in ("offered", "picked"):
                    self.expire(offer, MEMBERS)
                self.pay(offer, DSO)
            self.tokens_are_conserved()
            assert self.community.tokens().offers_ut == 0
            again = new_network()
            for call in self.community.calls:
                make(again, call)
            assert snapshot(again) == self.community.snapshot()


def test_offers_in_any_order_keep_every_promise() -> None:
    explore(OffersByHand, examples=40)
