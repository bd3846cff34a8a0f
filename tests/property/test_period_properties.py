"""Whatever is asked, measured, lost or given up: tokens and watt-hours are conserved, and nobody is worse off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from community import FIRST, TARIFF, Community, Home, make, new_network, request_content, signed, small_pages, tokens
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.records.units import amount_ut

NAMES = ("ann", "bob", "cy", "dee", "eve", "fay", "gus", "hal")
LINE_LIMIT_W = 4_000
LINE_LIMIT_WH = 1_000
prices = st.integers(0, 400_000)
energies_wh = st.integers(1, LINE_LIMIT_WH) | st.integers(1, 9) | st.integers(1, LINE_LIMIT_WH)


@dataclass(frozen=True)
class Turn:
    """What one period brings.

    Attributes:
        requests: by name: balance and limit; some are refused.
        measured_wh: import and export by name; who is not here sends no record in time.
        aborted_before: the stage before which the market is given up, if any.
        withdrawals_ut: by name.
    """

    requests: Mapping[str, tuple[int, int]]
    measured_wh: Mapping[str, tuple[int, int]]
    aborted_before: str | None
    withdrawals_ut: Mapping[str, int]


@dataclass(frozen=True)
class Story:
    """A community and what its first periods bring."""

    homes: tuple[Home, ...]
    rules: Mapping[str, Any]
    tariffs: Mapping[str, Mapping[str, int]]
    page_size: int
    turns: tuple[Turn, ...]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    names = NAMES[: draw(st.integers(2, len(NAMES)))]
    homes = tuple(
        draw(
            st.builds(
                Home,
                name=st.just(name),
                feeder=st.sampled_from("ABC"),
                tariff=st.sampled_from(["green", "standard"]),
                line_limit_w=st.just(LINE_LIMIT_W),
                generation_cost_ut_per_kwh=st.integers(0, 80_000),
                max_buy_ut_per_kwh=st.integers(200_000, 400_000),
                purse_ut=st.sampled_from([1_000_000] * 6 + [50_000, 5_000, 1, 0]),
            )
        )
        for name in names
    )
    rules = {
        "mechanism": draw(st.sampled_from(["pool", "uniform"])),
        "alpha_ut_per_kwh": draw(st.integers(0, 20_000)),
        "beta_ut_per_kwh": draw(st.integers(0, 20_000)),
        "fee_feeder_ut_per_kwh": draw(st.integers(0, 30_000)),
        "fee_community_ut_per_kwh": draw(st.integers(0, 60_000)),
    }
    tariffs = {
        name: {"energy_ut_per_kwh": draw(st.integers(0, 200_000)), "feed_in_ut_per_kwh": draw(st.integers(0, 90_000))}
        for name in ("green", "standard")
    }
    return Story(
        homes=homes,
        rules=rules,
        tariffs=tariffs,
        page_size=draw(st.integers(1, len(names))),
        turns=tuple(draw_turn(draw, homes) for _ in range(draw(st.integers(1, 3)))),
    )


def draw_turn(draw: st.DrawFn, homes: Sequence[Home]) -> Turn:
    """Draw a period in which most homes ask for something that others may have, and most forecasts miss."""
    requests, measured_wh = {}, {}
    names = [home.name for home in homes]
    for home in homes:
        name = home.name
        asks = draw(st.sampled_from(["to buy", "to sell", "to buy", "to sell", "nothing", "anything"]))
        if asks == "to buy":
            requests[name] = (-draw(energies_wh), home.max_buy_ut_per_kwh - draw(st.integers(0, 150_000)))
        elif asks == "to sell":
            requests[name] = (draw(energies_wh), home.generation_cost_ut_per_kwh + draw(st.integers(0, 80_000)))
        elif asks == "anything":
            requests[name] = (draw(st.integers(-LINE_LIMIT_WH - 1, LINE_LIMIT_WH + 1)), draw(prices))
        asked_wh = requests.get(name, (0, 0))[0]
        within_line_wh = min(abs(asked_wh), LINE_LIMIT_WH)
        delivers = draw(st.sampled_from(["as asked", "as asked", "part", "anything", "no record"]))
        if delivers == "as asked":
            measured_wh[name] = (within_line_wh, 0) if asked_wh < 0 else (0, within_line_wh)
        elif delivers == "part":
            part_wh = draw(st.integers(0, within_line_wh))
            measured_wh[name] = (part_wh, 0) if asked_wh < 0 else (0, part_wh)
        elif delivers == "anything":
            measured_wh[name] = (draw(energies_wh), draw(energies_wh))
    return Turn(
        requests=requests,
        measured_wh=measured_wh,
        aborted_before=draw(st.sampled_from([None] * 20 + ["close", "clear", "activate", "report", "settle"])),
        withdrawals_ut=draw(st.dictionaries(st.sampled_from(names), st.integers(1, 100_000), max_size=2)),
    )


def hold(story: Story) -> None:
    """Tell the story and check every promise on the way."""
    with small_pages(story.page_size):
        community = Community(story.homes, rules=story.rules, tariffs=story.tariffs, page_size=story.page_size)
        period = FIRST
        late: dict[str, list[str]] = {home.name: [] for home in story.homes}
        traded_wh = 0
        for turn in story.turns:
            traded_wh += take(community, turn, period, late)
            period = period.next
        # Stories in which much is traded are the ones worth telling.
        target(traded_wh)
        require_conserved_tokens_and_equal_bytes(community)


def take(community: Community, turn: Turn, period: Period, late: dict[str, list[str]]) -> int:
    """Take one period from `open` to `seal`, check its trades, return the Wh traded.

    Records that do not come in time, in `late` by name, come with later ones.
    """
    start_utc = period.start_utc
    for name, wanted_ut in turn.withdrawals_ut.items():
        order = community.order(f"{name}'s owner", "withdraw", slot=community.slot(name), amount_ut=wanted_ut)
        community.ledger("withdraw", order=order)
    community.open(period)
    requests = [
        signed("request", name, request_content(balance_wh, limit=limit), period=period, counter=start_utc)
        for name, (balance_wh, limit) in turn.requests.items()
    ]
    community.ingest(requests, period=period)
    aborted = False
    for stage in ("close", "clear", "activate", "report", "settle"):
        if turn.aborted_before == stage:
            community.abort(period)
            aborted = True
        if stage == "report":
            records = []
            for name in community.meters:
                import_wh, export_wh = turn.measured_wh.get(name, (3, 4))
                late[name].append(community.record(name, import_wh=import_wh, export_wh=export_wh, period=period))
                if name in turn.measured_wh:
                    records += late[name]
                    late[name] = []
            assert community.report(records, period=period)["refused"] == []
        elif not aborted and stage == "clear":
            groups = len(community.ledger("period", period=start_utc)["gate"]["groups"])
            for page in range(1 if groups == 1 else groups + 1):
                community.ledger("clear", period=start_utc, page=page)
        elif not aborted and stage in ("close", "activate"):
            community.ledger(stage, period=start_utc)
    result = community.settle(period)
    community.seal(period)
    require_fair_trades(community, turn, period, result, aborted=aborted)
    return int(result["traded_wh"])


def require_fair_trades(
    community: Community, turn: Turn, period: Period, result: dict[str, Any], *, aborted: bool
) -> None:
    """Check a settled period: energy sold is energy bought, asked for and measured; each trade beats both tariffs."""
    pages = [community.ledger("settled_page", period=period.start_utc, page=page) for page in range(community.pages)]
    trades = [row for page in pages for row in page["trades"]]
    bought_wh, sold_wh = dict.fromkeys(community.meters, 0), dict.fromkeys(community.meters, 0)
    names = list(community.meters)
    for level, bid_slot, offer_slot, agreed_wh, energy_wh, paid_ut, fee_ut, price in trades:
        buyer, seller = community.homes[bid_slot], community.homes[offer_slot]
        assert 0 <= energy_wh <= agreed_wh
        fee_ut_per_kwh = community.rules[f"fee_{level}_ut_per_kwh"]
        assert (paid_ut, fee_ut) == (amount_ut(energy_wh, price), amount_ut(energy_wh, fee_ut_per_kwh))
        assert level == "community" or buyer.feeder == seller.feeder
        assert price + fee_ut_per_kwh <= turn.requests[buyer.name][1] <= buyer.max_buy_ut_per_kwh
        assert price >= turn.requests[seller.name][1] >= seller.generation_cost_ut_per_kwh
        if energy_wh:
            assert paid_ut + fee_ut < amount_ut(energy_wh, retail_ut_per_kwh(community, buyer))
            assert paid_ut > amount_ut(energy_wh, community.tariffs[seller.tariff]["feed_in_ut_per_kwh"])
        bought_wh[buyer.name] += energy_wh
        sold_wh[seller.name] += energy_wh
    for name in names:
        import_wh, export_wh = turn.measured_wh.get(name, (0, 0))
        asked_wh = turn.requests.get(name, (0, 0))[0]
        assert bought_wh[name] <= min(import_wh, max(0, -asked_wh))
        assert sold_wh[name] <= min(export_wh, max(0, asked_wh))
    statements = [
        one
        for page in range(community.pages)
        for one in community.ledger("statements", period=period.start_utc, page=page)
    ]
    assert [(one["bought_wh"], one["sold_wh"]) for one in statements] == [
        (bought_wh[name], sold_wh[name]) for name in names
    ]
    assert sum(bought_wh.values()) == sum(sold_wh.values()) == result["traded_wh"]
    assert not aborted or trades == []


def retail_ut_per_kwh(community: Community, home: Home) -> int:
    prices = {**TARIFF, **community.tariffs[home.tariff]}
    return prices["energy_ut_per_kwh"] + prices["network_ut_per_kwh"] + prices["levies_ut_per_kwh"]


def require_conserved_tokens_and_equal_bytes(community: Community) -> None:
    """Make all calls again: tokens add up after each, between stages too, and the bytes at the end are the same."""
    again = new_network()
    for call in community.calls:
        before = tokens(again)
        make(again, call)
        after = tokens(again)
        assert after.together_ut == after.issued_ut, call
        assert min(after.wallets_ut, after.purses_ut, after.escrow_ut, after.fees_ut, after.deposits_ut) >= 0
        assert call.function == "buy" or after.issued_ut == before.issued_ut
    assert again.states == community.network.states


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(story=stories())
def test_any_periods_conserve_tokens_and_energy_and_replay_to_equal_bytes(story: Story) -> None:
    hold(story)


@pytest.mark.long
@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(story=stories())
def test_many_more_periods_do_so_too(story: Story) -> None:
    hold(story)
