import pytest

from wattpool_chaincode.ledger.clearing import AgreedMatch
from wattpool_chaincode.ledger.reports import Measured, Quality, Register
from wattpool_chaincode.ledger.settlement import Account, parties_of, settle_trades, share_metered, sum_accounts
from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.roster import Entry


def entry(slot: int, *, retail: int = 300_000, feed_in: int = 50_000) -> Entry:
    return Entry(
        slot=slot,
        connection=f"connection {slot}",
        feeder="A",
        line_limit_w=10_000,
        device=f"device {slot}",
        device_key="",
        party=f"party {slot}",
        party_key="",
        retail_ut_per_kwh=retail,
        feed_in_ut_per_kwh=feed_in,
        generation_cost_ut_per_kwh=0,
        max_buy_ut_per_kwh=0,
        opening=(1, "", 0, 0, 0),
        installation=0,
        may_trade=True,
    )


def match(*, buyer: int, seller: int, energy_wh: int, price: int = 100_000, fee: int = 10_000) -> AgreedMatch:
    return AgreedMatch(
        bid_slot=buyer,
        offer_slot=seller,
        level=Level.FEEDER,
        energy_wh=energy_wh,
        price_ut_per_kwh=price,
        fee_ut_per_kwh=fee,
    )


def measured(**energy_wh: int) -> dict[int, Measured]:
    """Return measurements like `in0=5, out1=7`: slot 0 imports 5 Wh, slot 1 exports 7 Wh."""
    register = Register(2, "", 0, 0, 0)
    slots = {int(name.lstrip("inout")) for name in energy_wh}
    return {
        slot: Measured(slot, register, Quality.GOOD, energy_wh.get(f"in{slot}", 0), energy_wh.get(f"out{slot}", 0))
        for slot in slots
    }


ENTRIES = {slot: entry(slot) for slot in range(5)}


@pytest.mark.parametrize(
    ("agreed", "meters", "expected_wh"),
    [
        # One pair: the least of agreed, export and import.
        ([match(buyer=0, seller=1, energy_wh=500)], measured(in0=500, out1=500), [500]),
        ([match(buyer=0, seller=1, energy_wh=500)], measured(in0=900, out1=900), [500]),
        ([match(buyer=0, seller=1, energy_wh=500)], measured(in0=499, out1=900), [499]),
        ([match(buyer=0, seller=1, energy_wh=500)], measured(in0=900, out1=7), [7]),
        ([match(buyer=0, seller=1, energy_wh=500)], measured(in0=500), [0]),
        ([match(buyer=0, seller=1, energy_wh=500)], measured(out0=500, in1=500), [0]),
        ([match(buyer=0, seller=1, energy_wh=500)], {}, [0]),
        # A seller of 600 Wh to three who exports 300: halves. The largest remainders get the odd watt-hours.
        (
            [match(buyer=slot, seller=4, energy_wh=wh) for slot, wh in ((0, 100), (1, 200), (2, 300))],
            measured(in0=999, in1=999, in2=999, out4=300),
            [50, 100, 150],
        ),
        # 100 Wh over 100, 200, 300: 16 4/6, 33 2/6, 50: the first has the largest remainder.
        (
            [match(buyer=slot, seller=4, energy_wh=wh) for slot, wh in ((0, 100), (1, 200), (2, 300))],
            measured(in0=999, in1=999, in2=999, out4=100),
            [17, 33, 50],
        ),
        # A buyer's import is shared like a seller's export; each trade settles for the smaller share, and what one
        # side has left over for a trade does not help another.
        (
            [
                match(buyer=0, seller=2, energy_wh=100),
                match(buyer=0, seller=3, energy_wh=100),
                match(buyer=1, seller=3, energy_wh=100),
            ],
            measured(in0=100, in1=100, out2=100, out3=80),
            [50, 40, 40],
        ),
    ],
)
def test_a_trade_settles_for_the_least_of_agreed_export_and_import(
    agreed: list[AgreedMatch], meters: dict[int, Measured], expected_wh: list[int]
) -> None:
    assert [trade.energy_wh for trade in settle_trades(agreed, meters, ENTRIES)] == expected_wh


@pytest.mark.parametrize(
    ("energy_wh", "price", "fee", "expected"),
    [
        # 123 Wh at 100,001 ut/kWh are 12,300.123 ut, at a fee of 10,000: 1,230 ut.
        (123, 100_001, 10_000, (123, 12_300, 1_230)),
        # Retail would be 300 ut for 1 Wh, feed-in 50 ut: 51 ut beats both, 50 ut does not beat feed-in.
        (1, 51_000, 10_000, (1, 51, 10)),
        (1, 50_499, 10_000, (0, 0, 0)),
        (1, 50_501, 10_000, (1, 51, 10)),
        # 290 + 10 ut is retail itself; 289 + 10 ut beats it; fees are rounded on their own.
        (1, 290_000, 10_000, (0, 0, 0)),
        (1, 289_499, 10_000, (1, 289, 10)),
        (1, 289_499, 10_499, (1, 289, 10)),
        (1, 289_499, 10_501, (0, 0, 0)),
        # A half goes to the even neighbour: 2 Wh at 50,250 are 100.5 ut, which is feed-in; 50,750 are 101.5, 102 ut.
        (2, 50_250, 0, (0, 0, 0)),
        (2, 50_750, 0, (2, 102, 0)),
        (0, 100_000, 10_000, (0, 0, 0)),
    ],
)
def test_a_trade_beats_both_tariffs_in_whole_micro_tokens_or_is_declined(
    energy_wh: int, price: int, fee: int, expected: tuple[int, int, int]
) -> None:
    agreed = match(buyer=0, seller=1, energy_wh=200, price=price, fee=fee)
    (trade,) = settle_trades([agreed], measured(in0=energy_wh, out1=energy_wh), ENTRIES)
    assert (trade.energy_wh, trade.paid_ut, trade.fee_ut) == expected
    assert trade.paid_ut + trade.fee_ut + trade.refund_ut == agreed.escrow_ut


@pytest.mark.parametrize("slots", [{0}, {1, 4}, {2, 3}, {0, 1, 2, 3, 4}, set()])
def test_settling_some_slots_alone_gives_their_trades_as_settling_all_does(slots: set[int]) -> None:
    agreed = [match(buyer=buyer, seller=seller, energy_wh=100 + buyer) for buyer in (0, 1, 2) for seller in (3, 4)]
    meters = measured(in0=150, in1=201, in2=33, out3=170, out4=299)
    expected = [
        trade
        for trade in settle_trades(agreed, meters, ENTRIES)
        if trade.agreed.bid_slot in slots or trade.agreed.offer_slot in slots
    ]
    enough = {slot: meters[slot] for slot in parties_of(agreed, slots)}
    assert settle_trades(agreed, enough, ENTRIES, slots=slots) == expected


def test_parties_are_the_slots_themselves_and_whom_they_trade_with() -> None:
    agreed = [match(buyer=0, seller=3, energy_wh=1), match(buyer=1, seller=3, energy_wh=1)]
    assert parties_of(agreed, {0}) == {0, 3}
    assert parties_of(agreed, {3}) == {0, 1, 3}
    assert parties_of(agreed, {4}) == {4}


def test_what_a_slot_metered_is_shared_over_its_own_trades_and_only_where_it_is_asked_for() -> None:
    assert share_metered([1, 2, 1], [5, 5, 5], {1: 6, 2: 9}) == [3, 5, 3]
    assert share_metered([1, 2, 1], [5, 5, 5], {1: 6, 2: 9}, only={1}) == [3, 0, 3]


def test_accounts_add_up_the_trades_of_their_slots_alone() -> None:
    # At 100 and a fee of 10 ut/Wh, slot 0 buys 60 of 100 Wh from 1 and all 50 Wh from 2, slot 4 buys 12 of 20 from 1.
    agreed = [
        match(buyer=0, seller=1, energy_wh=100),
        match(buyer=0, seller=2, energy_wh=50),
        match(buyer=4, seller=1, energy_wh=20),
    ]
    settled = settle_trades(agreed, measured(in0=150, out1=72, out2=50, in4=20), ENTRIES)
    nothing = {"bought_wh": 0, "sold_wh": 0, "paid_ut": 0, "fees_ut": 0, "earned_ut": 0, "refund_ut": 0}
    bought = {**nothing, "bought_wh": 110, "paid_ut": 11_000, "fees_ut": 1_100, "refund_ut": 4_400}
    accounts = sum_accounts([0, 1, 3], settled)
    assert accounts == {
        0: Account(slot=0, **bought),
        1: Account(slot=1, **{**nothing, "sold_wh": 72, "earned_ut": 7_200}),
        3: Account(slot=3, **nothing),
    }
    assert [account.is_idle for account in accounts.values()] == [False, False, True]
    assert [account.credit_ut for account in accounts.values()] == [4_400, 7_200, 0]
