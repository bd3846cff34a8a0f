"""Whatever is asked, measured, lost or given up: tokens and watt-hours are conserved, and nobody is worse off."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from community import (
    FIRST,
    TARIFF,
    Community,
    Home,
    identity_of,
    make,
    new_network,
    request_content,
    signed,
    small_pages,
    tokens,
)
from wattpool_chaincode.market.mechanisms import MECHANISMS, ON_MEASURED
from wattpool_chaincode.organisations import DSO, MEMBERS
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.records.units import amount_ut

NAMES = ("ann", "bob", "cy", "dee", "eve", "fay", "gus", "hal")
LINE_LIMIT_W = 4_000
LINE_LIMIT_WH = 1_000
prices = st.integers(0, 400_000)
SUSPENDING = ("open", "ingest", "close", "clear", "activate", "report", "settle", "second page")
energies_wh = st.integers(1, LINE_LIMIT_WH) | st.integers(1, 9) | st.integers(1, LINE_LIMIT_WH)


@dataclass(frozen=True)
class Turn:
    """What one period brings.

    Attributes:
        requests: by name: balance and limit; some are refused.
        measured_wh: import and export by name; who is not here sends no record in time.
        aborted_before: the stage before which the market is given up, if any.
        withdrawals_ut: by name.
        moved: whose connections another party has from this period on.
        exchanged: whose meters another one has followed by then.
        suspended_before: by name, the stage before which it is suspended; until the next period opens.
        is_open_while_next: the next period opens before this one is metered.
        envelopes: import and export in watt-hours that the DSO allows, by feeder.
    """

    requests: Mapping[str, tuple[int, int]]
    measured_wh: Mapping[str, tuple[int, int]]
    aborted_before: str | None
    withdrawals_ut: Mapping[str, int]
    moved: tuple[str, ...]
    exchanged: tuple[str, ...]
    suspended_before: Mapping[str, str]
    is_open_while_next: bool
    envelopes: Mapping[str, tuple[int, int]]


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
        "mechanism": draw(st.sampled_from(sorted(MECHANISMS))),
        "alpha_ut_per_kwh": draw(st.integers(0, 20_000)),
        "beta_ut_per_kwh": draw(st.integers(0, 20_000)),
        "pool_time_limit_s": draw(st.sampled_from([900, 1_800, 2_700])),
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
    few = st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)
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
        moved=draw(few),
        exchanged=draw(few),
        suspended_before=draw(st.dictionaries(st.sampled_from(names), st.sampled_from(SUSPENDING), max_size=1)),
        is_open_while_next=draw(st.booleans()),
        envelopes=draw(
            st.dictionaries(
                st.sampled_from(sorted({home.feeder for home in homes})),
                st.tuples(energies_wh, energies_wh),
                max_size=1,
            )
        ),
    )


def hold(story: Story) -> None:
    """Tell the story and check every promise on the way."""
    with small_pages(story.page_size):
        community = Community(story.homes, rules=story.rules, tariffs=story.tariffs, page_size=story.page_size)
        period = FIRST
        late: dict[str, list[str]] = {home.name: [] for home in story.homes}
        used_wh = {home.name: (0, 0) for home in story.homes}
        traded_wh = 0
        begun: Begun | None = None
        for turn in story.turns:
            now = begin(community, turn, period, late, used_wh)
            if begun is not None:
                traded_wh += end(community, begun)
                begun = None
            if turn.is_open_while_next:
                begun = now
            else:
                traded_wh += end(community, now)
            period = period.next
        if begun is not None:
            traded_wh += end(community, begun)
        # Stories in which much is traded are the ones worth telling.
        target(traded_wh)
        require_all_energy(community, used_wh)
        require_conserved_tokens_and_equal_bytes(community)


class Begun(NamedTuple):
    """A period whose market is fixed or given up, and the records that come in time."""

    turn: Turn
    period: Period
    records: list[str]


def begin(
    community: Community,
    turn: Turn,
    period: Period,
    late: dict[str, list[str]],
    used_wh: dict[str, tuple[int, int]],
) -> Begun:
    """Take one period from `open` to delivery.

    Records that do not come in time, in `late` by name, come with later ones of the same meter. What each home took
    from the grid and gave is added up in `used_wh`.
    """
    for name, wanted_ut in turn.withdrawals_ut.items():
        order = community.order(community.owners[name], "withdraw", slot=community.slot(name), amount_ut=wanted_ut)
        community.ledger("withdraw", order=order)
    for slot in range(len(community.meters)):
        decide(community, "reinstate", slot)
    change_people(community, turn, period, late, used_wh)
    limit_feeders(community, turn, period)
    aborted = False
    for stage in ("open", "ingest", "close", "clear", "activate"):
        suspend(community, turn, stage)
        if turn.aborted_before == stage:
            community.abort(period)
            aborted = True
        if not aborted:
            take_stage(community, turn, period, stage)
    records = []
    for name in community.meters:
        flow_wh = turn.measured_wh.get(name, (3, 4))
        late[name].append(use(community, name, flow_wh, period, used_wh))
        if name in turn.measured_wh:
            records += late[name]
            late[name] = []
    return Begun(turn, period, records)


def take_stage(community: Community, turn: Turn, period: Period, stage: str) -> None:
    start_utc = period.start_utc
    if stage == "open":
        community.open(period)
    elif stage == "ingest":
        requests = []
        for name, (wish_wh, limit) in turn.requests.items():
            content = request_content(wish_wh, limit=limit)
            requests.append(signed("request", community.device(name), content, period=period, counter=start_utc))
        community.ingest(requests, period=period)
    elif stage == "clear":
        groups = len(community.ledger("period", period=start_utc)["gate"]["groups"])
        for page in range(1 if groups == 1 else groups + 1):
            community.ledger("clear", period=start_utc, page=page)
    else:
        community.ledger(stage, period=start_utc)


def end(community: Community, begun: Begun) -> int:
    """Take one period from delivery to `seal`, check its trades, return the Wh traded."""
    turn, period = begun.turn, begun.period
    suspend(community, turn, "report")
    if turn.aborted_before == "report":
        community.abort(period)
    assert community.report(begun.records, period=period)["refused"] == []
    suspend(community, turn, "settle")
    if turn.aborted_before == "settle":
        community.abort(period)
    suspended = suspended_slots(community)
    for page in range(community.pages):
        if page == 1:
            suspend(community, turn, "second page")
        community.ledger("settle", period=period.start_utc, page=page)
    result = community.ledger("finalise", period=period.start_utc)
    community.seal(period)
    require_fair_trades(community, begun, result, suspended=suspended)
    return int(result["traded_wh"])


def limit_feeders(community: Community, turn: Turn, period: Period) -> None:
    """Set the envelopes of a period."""
    for feeder, limits_wh in turn.envelopes.items():
        import_w, export_w = (limit_wh * 3_600 // period.length_s for limit_wh in limits_wh)
        community.ledger(
            "set_envelope", by=DSO, period=period.start_utc, feeder=feeder, import_w=import_w, export_w=export_w
        )


def change_people(
    community: Community,
    turn: Turn,
    period: Period,
    late: dict[str, list[str]],
    used_wh: dict[str, tuple[int, int]],
) -> None:
    """Let parties move and meters be exchanged at the start of a period; a new party brings tokens along."""
    homes = {home.name: home for home in community.homes}
    for name in turn.moved:
        community.move_in(homes[name], f"{name}-{period.start_utc}'s owner")
    for name in turn.exchanged:
        closing = use(community, name, (5, 6), period, used_wh, time_utc=period.start_utc + 1)
        community.exchange(homes[name], f"{name}-{period.start_utc}", closing=closing, start=period)
        late[name] = []
    if turn.moved or turn.exchanged:
        community.publish()
    for name in turn.moved:
        community.fill_purse(name, 500_000)


def use(
    community: Community,
    name: str,
    flow_wh: tuple[int, int],
    period: Period,
    used_wh: dict[str, tuple[int, int]],
    **changes: Any,
) -> str:
    """Let a home take from the grid and give to it, and return its meter's record of that."""
    import_wh, export_wh = flow_wh
    used_wh[name] = (used_wh[name][0] + import_wh, used_wh[name][1] + export_wh)
    return community.record(name, import_wh=import_wh, export_wh=export_wh, period=period, **changes)


def suspend(community: Community, turn: Turn, stage: str) -> None:
    for name, before in turn.suspended_before.items():
        if before == stage:
            decide(community, "suspend", community.slot(name))


def decide(community: Community, function: str, slot: int) -> None:
    for organisation in (DSO, MEMBERS):
        community.ledger(function, by=organisation, slot=slot, reason="")


def suspended_slots(community: Community) -> set[int]:
    return {slot for slot in range(len(community.meters)) if community.ledger("suspension", slot=slot)["suspended"]}


def require_all_energy(community: Community, used_wh: Mapping[str, tuple[int, int]]) -> None:
    """Check that what the meters of each connection measured, one after the other, is all that it used, once."""
    state = community.network.states["contract"].public
    for number, (name, meter) in enumerate(community.meters.items()):
        slot = codec.decode(state[f"slot/{number:07}"])
        opening = codec.decode(state[f"device/{identity_of(community.device(name))}"])["opening"]
        measured_wh = (meter.import_wh - opening[2], meter.export_wh - opening[3])
        assert (slot["import_wh"] + measured_wh[0], slot["export_wh"] + measured_wh[1]) == used_wh[name]


def require_fair_trades(community: Community, begun: Begun, result: dict[str, Any], *, suspended: set[int]) -> None:
    """Check a settled period: energy sold is energy bought, asked for and measured; each trade beats both tariffs."""
    turn, period = begun.turn, begun.period
    pages = [community.ledger("settled_page", period=period.start_utc, page=page) for page in range(community.pages)]
    trades = [row for page in pages for row in page["trades"]]
    bought_wh, sold_wh = dict.fromkeys(community.meters, 0), dict.fromkeys(community.meters, 0)
    is_asked = community.rules["mechanism"] not in ON_MEASURED
    across_wh: Counter[str] = Counter()
    names = list(community.meters)
    for level, bid_slot, offer_slot, agreed_wh, energy_wh, paid_ut, fee_ut, price in trades:
        buyer, seller = community.homes[bid_slot], community.homes[offer_slot]
        assert 0 <= energy_wh <= agreed_wh
        assert not (energy_wh and suspended & {bid_slot, offer_slot})
        fee_ut_per_kwh = community.rules[f"fee_{level}_ut_per_kwh"]
        assert (paid_ut, fee_ut) == (amount_ut(energy_wh, price), amount_ut(energy_wh, fee_ut_per_kwh))
        assert level == "community" or buyer.feeder == seller.feeder
        if is_asked:
            assert price + fee_ut_per_kwh <= turn.requests[buyer.name][1] <= buyer.max_buy_ut_per_kwh
            assert price >= turn.requests[seller.name][1] >= seller.generation_cost_ut_per_kwh
        if level == "community":
            across_wh[buyer.feeder] -= agreed_wh
            across_wh[seller.feeder] += agreed_wh
        if energy_wh:
            assert paid_ut + fee_ut < amount_ut(energy_wh, retail_ut_per_kwh(community, buyer))
            assert paid_ut > amount_ut(energy_wh, community.tariffs[seller.tariff]["feed_in_ut_per_kwh"])
        bought_wh[buyer.name] += energy_wh
        sold_wh[seller.name] += energy_wh
    for name in names:
        import_wh, export_wh = turn.measured_wh.get(name, (0, 0))
        asked_wh = turn.requests.get(name, (0, 0))[0]
        assert bought_wh[name] <= (min(import_wh, max(0, -asked_wh)) if is_asked else max(0, import_wh - export_wh))
        assert sold_wh[name] <= (min(export_wh, max(0, asked_wh)) if is_asked else max(0, export_wh - import_wh))
    for feeder, (import_limit_wh, export_limit_wh) in turn.envelopes.items():
        assert not is_asked or -import_limit_wh <= across_wh[feeder] <= export_limit_wh
    statements = [
        one
        for page in range(community.pages)
        for one in community.ledger("statements", period=period.start_utc, page=page)
    ]
    assert [(one["bought_wh"], one["sold_wh"]) for one in statements] == [
        (bought_wh[name], sold_wh[name]) for name in names
    ]
    assert sum(bought_wh.values()) == sum(sold_wh.values()) == result["traded_wh"]
    assert turn.aborted_before is None or trades == []


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
