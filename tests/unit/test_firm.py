"""The maths of firm trades, against tables worked out by hand."""

import pytest

from community import RULES
from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.ledger.clearing import AgreedMatch
from wattpool_chaincode.ledger.firm import Claim, Outcome, Progress, advance, allocate, settle_firm
from wattpool_chaincode.ledger.reservations import Reservation
from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.roster import Entry

NOTHING = Progress()


def claim(*, buyer: int, seller: int, due_wh: int, plan_wh: int = 0, progress: Progress = NOTHING) -> Claim:
    """Return a claim of the offer that is named after its buyer and seller."""
    reservation = Reservation(
        offer=f"{buyer} of {seller}",
        bid_slot=buyer,
        offer_slot=seller,
        plan_wh=plan_wh or due_wh,
        due_wh=due_wh,
        ends=False,
        buyer=f"party {buyer}",
        seller=f"party {seller}",
    )
    return Claim(reservation, progress)


@pytest.mark.parametrize(
    ("claims", "metered_wh", "delivered_wh", "left_wh", "progress"),
    [
        # One trade of 500 Wh: delivered is the least of claim, export and import; the rest is who fell short.
        ([claim(buyer=0, seller=1, due_wh=500)], ({0: 500}, {1: 500}), [500], ({0: 0}, {1: 0}), [(500, 0, 0, 0)]),
        (
            [claim(buyer=0, seller=1, due_wh=500)],
            ({0: 450}, {1: 300}),
            [300],
            ({0: 150}, {1: 0}),
            [(300, 0, 150, 0)],
        ),
        ([claim(buyer=0, seller=1, due_wh=500)], ({0: 450}, {1: 700}), [450], ({0: 0}, {1: 250}), [(450, 0, 0, 50)]),
        # What the pool took in the buyer's stead was not lost.
        ([claim(buyer=0, seller=1, due_wh=500)], ({0: 450}, {1: 700}), [450], ({0: 0}, {1: 20}), [(450, 0, 0, 20)]),
        ([claim(buyer=0, seller=1, due_wh=500)], ({0: 200}, {}), [0], ({0: 200}, {}), [(0, 0, 200, 0)]),
        # What was late is claimed with what is due: 300 of 800 were delivered, 200 excused.
        (
            [claim(buyer=0, seller=1, due_wh=800, plan_wh=200, progress=Progress(300, 200, 40, 50))],
            ({0: 400}, {1: 290}),
            [290],
            ({0: 110}, {1: 0}),
            [(590, 200, 50, 50)],
        ),
        # 600 Wh exported for 500 + 250 claimed: 400 and 200; each buyer draws what its seller lacks.
        (
            [claim(buyer=0, seller=2, due_wh=500), claim(buyer=1, seller=2, due_wh=250)],
            ({0: 900, 1: 230}, {2: 600}),
            [400, 200],
            ({0: 500, 1: 30}, {2: 0}),
            [(400, 0, 100, 0), (200, 0, 30, 0)],
        ),
        # A buyer who promised two sellers 500 Wh each and takes 600 lets down both, whoever of them has less.
        (
            [claim(buyer=0, seller=1, due_wh=500), claim(buyer=0, seller=2, due_wh=500)],
            ({0: 600}, {1: 100, 2: 500}),
            [100, 300],
            ({0: 200}, {1: 0, 2: 200}),
            [(100, 0, 200, 0), (300, 0, 0, 200)],
        ),
    ],
)
def test_claims_share_what_was_measured_pro_rata(
    claims: list[Claim],
    metered_wh: tuple[dict[int, int], dict[int, int]],
    delivered_wh: list[int],
    left_wh: tuple[dict[int, int], dict[int, int]],
    progress: list[tuple[int, ...]],
) -> None:
    """What is metered, and what the pool leaves of it to the grid: import and export by slot."""
    imported_wh, exported_wh = metered_wh
    allocations = allocate(claims, excused=(), exported_wh=exported_wh, imported_wh=imported_wh)
    assert [one.delivered_wh for one in allocations] == delivered_wh
    from_grid_wh, fed_in_wh = left_wh
    assert [tuple(one) for one in advance(allocations, from_grid_wh=from_grid_wh, fed_in_wh=fed_in_wh)] == progress


def test_an_excused_claim_gets_nothing_and_owes_what_was_due_in_the_period_no_more() -> None:
    late = Progress(100, 0, 30, 0)
    claims = [
        claim(buyer=0, seller=2, due_wh=400, plan_wh=200, progress=late),
        claim(buyer=1, seller=2, due_wh=200),
    ]
    allocations = allocate(claims, excused={"0 of 2"}, exported_wh={2: 300}, imported_wh={0: 300, 1: 300})
    assert [one.delivered_wh for one in allocations] == [0, 200]
    after = advance(allocations, from_grid_wh={0: 300, 1: 100}, fed_in_wh={2: 100})
    assert after == [Progress(100, 200, 30, 0), Progress(200, 0, 0, 0)]


def entry(slot: int) -> Entry:
    return Entry(
        slot=slot,
        connection="",
        feeder="A",
        line_limit_w=10_000,
        device="",
        device_key="",
        party="",
        party_key="",
        retail_ut_per_kwh=300_000,
        feed_in_ut_per_kwh=50_000,
        generation_cost_ut_per_kwh=0,
        max_buy_ut_per_kwh=0,
        opening=(1, "", 0, 0, 0),
        installation=0,
        may_trade=True,
    )


# 1 kWh at 150,000 + 10,000 ut. Lost: by the buyer 140,000 ut/kWh, by the seller 100,000. A shortfall costs 80,000
# ut/kWh beyond a tenth; below a half the trade is declined. The deposit is 75,000 ut.
@pytest.mark.parametrize(
    ("progress", "rules", "expected"),
    [
        (Progress(1_000, 0, 0, 0), {}, (1_000, 150_000, 10_000, 0, 0)),
        # Within the tolerance, to the watt-hour.
        (Progress(900, 0, 100, 0), {}, (900, 135_000, 9_000, 0, 0)),
        (Progress(899, 0, 101, 0), {}, (899, 134_850, 8_990, 80, 0)),
        (Progress(800, 0, 200, 0), {}, (800, 120_000, 8_000, 8_000, 0)),
        (Progress(800, 0, 0, 200), {}, (800, 120_000, 8_000, 0, 8_000)),
        # Short, and nobody lost by it.
        (Progress(800, 0, 0, 0), {}, (800, 120_000, 8_000, 0, 0)),
        # Drawn once and caught up later: what counts is what is short in the end.
        (Progress(1_000, 0, 500, 0), {}, (1_000, 150_000, 10_000, 0, 0)),
        (Progress(850, 0, 500, 0), {}, (850, 127_500, 8_500, 4_000, 0)),
        # Both let each other down.
        (Progress(500, 0, 300, 200), {}, (500, 75_000, 5_000, 16_000, 8_000)),
        # One watt-hour less is declined; the 499 Wh are lost too, by whoever was let down by more.
        (Progress(499, 0, 501, 0), {}, (0, 0, 0, 72_000, 0)),
        (Progress(499, 0, 0, 501), {}, (0, 0, 0, 0, 72_000)),
        (Progress(400, 0, 300, 200), {}, (0, 0, 0, 48_000, 8_000)),
        (Progress(400, 0, 300, 300), {}, (0, 0, 0, 16_000, 16_000)),
        (Progress(0, 0, 0, 0), {}, (0, 0, 0, 0, 0)),
        # 600 Wh are excused: 400 are owed, 40 tolerated, and 200 are enough.
        (Progress(200, 600, 200, 0), {}, (200, 30_000, 2_000, 12_800, 0)),
        (Progress(199, 600, 201, 0), {}, (0, 0, 0, 28_800, 0)),
        (Progress(0, 1_000, 0, 0), {}, (0, 0, 0, 0, 0)),
        # 995 are owed: of the 99.5 that a tenth would be, whole watt-hours are tolerated.
        (Progress(800, 5, 195, 0), {}, (800, 120_000, 8_000, 7_680, 0)),
        # The shortfall price is capped at what the other side lost, and the whole at what is locked.
        (Progress(800, 0, 200, 0), {"firm_shortfall_ut_per_kwh": 500_000}, (800, 120_000, 8_000, 14_000, 0)),
        (Progress(800, 0, 0, 200), {"firm_shortfall_ut_per_kwh": 500_000}, (800, 120_000, 8_000, 0, 10_000)),
        (Progress(0, 0, 1_000, 0), {"firm_shortfall_ut_per_kwh": 500_000}, (0, 0, 0, 75_000, 0)),
        (Progress(0, 0, 0, 1_000), {"firm_tolerance_ppm": 0}, (0, 0, 0, 0, 80_000)),
        (Progress(1, 0, 999, 0), {"firm_decline_below_ppm": 0}, (1, 150, 10, 71_920, 0)),
    ],
)
def test_a_firm_trade_comes_to_what_was_worked_out_by_hand(
    progress: Progress, rules: dict[str, int], expected: tuple[int, ...]
) -> None:
    agreed = AgreedMatch(
        bid_slot=0,
        offer_slot=1,
        level=Level.FEEDER,
        energy_wh=1_000,
        price_ut_per_kwh=150_000,
        fee_ut_per_kwh=10_000,
    )
    outcome = settle_firm(
        agreed,
        progress,
        deposit_ut=75_000,
        rules=Rules(**{**RULES, **rules}),
        buyer=entry(0),
        seller=entry(1),
    )
    energy_wh, paid_ut, fee_ut, to_buyer_ut, to_seller_ut = expected
    assert outcome == Outcome(
        energy_wh=energy_wh, paid_ut=paid_ut, fee_ut=fee_ut, to_buyer_ut=to_buyer_ut, to_seller_ut=to_seller_ut
    )
