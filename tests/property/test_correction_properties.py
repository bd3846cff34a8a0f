"""Whatever is filled in, in whatever order: nothing gets lost, and late records end where timely ones would have."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from community import FIRST, Community, Home, identity_of, place, small_pages
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import DSO

NAMES = ("ann", "bob", "cy", "dee", "eve", "fay")
SECOND = FIRST.next
LINE_WH = 1_000
energies_wh = st.integers(1, LINE_WH)


@dataclass(frozen=True)
class Story:
    """A period with gaps, and what is filled in.

    Attributes:
        wishes_wh: by name, to sell or to buy if negative.
        measured_wh: import and export by name.
        silent: who does not report in time.
        substitutes: lists of import and export by name of a silent home, one correction each.
        late: the silent homes in the order in which their records are used, some at once.
        wallets_ut: what owners have outside the market.
        paid_after: the numbers of the corrections after which owners buy tokens and pay what is due.
    """

    wishes_wh: Mapping[str, int]
    measured_wh: Mapping[str, tuple[int, int]]
    silent: frozenset[str]
    substitutes: tuple[Mapping[str, tuple[int, int]], ...]
    late: tuple[tuple[str, ...], ...]
    wallets_ut: Mapping[str, int]
    paid_after: frozenset[int]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    wishes_wh, measured_wh = {}, {}
    for name in NAMES:
        energy_wh = draw(energies_wh)
        delivered_wh = draw(st.sampled_from([energy_wh, energy_wh, draw(st.integers(0, LINE_WH))]))
        sells = draw(st.booleans())
        wishes_wh[name] = energy_wh if sells else -energy_wh
        measured_wh[name] = (0, delivered_wh) if sells else (delivered_wh, 0)
    silent = sorted(draw(st.sets(st.sampled_from(NAMES), min_size=1)))
    values = st.tuples(st.integers(0, LINE_WH), st.integers(0, LINE_WH))
    substitutes = draw(st.lists(st.dictionaries(st.sampled_from(silent), values, min_size=1), max_size=3))
    order = draw(st.permutations(silent))
    cut = draw(st.integers(0, len(order)))
    return Story(
        wishes_wh=wishes_wh,
        measured_wh=measured_wh,
        silent=frozenset(silent),
        substitutes=tuple(substitutes),
        late=tuple(tuple(part) for part in (order[:cut], order[cut:]) if part),
        wallets_ut={name: draw(st.sampled_from([0, 1, 9_999, 10_000_000])) for name in NAMES},
        paid_after=draw(st.frozensets(st.integers(0, 4))),
    )


def up_to_the_seals(story: Story, *, page_size: int, silent: frozenset[str]) -> tuple[Community, list[str]]:
    """Take two periods up to their seals; the silent homes are heard with the second. Returns the second's chunk."""
    homes = [Home(name=name, feeder="AB"[slot % 2], line_limit_w=4 * LINE_WH) for slot, name in enumerate(NAMES)]
    community = Community(homes, page_size=page_size)
    for name, amount_ut in story.wallets_ut.items():
        if amount_ut:
            community.fill_wallet(name, amount_ut)
    community.open()
    community.ingest([community.request(name, wish_wh) for name, wish_wh in story.wishes_wh.items()])
    community.fix()
    first = {
        name: community.record(name, import_wh=import_wh, export_wh=export_wh)
        for name, (import_wh, export_wh) in story.measured_wh.items()
    }
    community.report([record for name, record in first.items() if name not in silent])
    community.settle()
    community.seal()
    community.open(SECOND)
    community.fix(SECOND)
    chunk = [first[name] for name in NAMES if name in silent]
    chunk += [community.record(name, period=SECOND) for name in NAMES]
    community.report(chunk, period=SECOND)
    community.settle(SECOND)
    community.seal(SECOND)
    return community, chunk


def hold(story: Story, *, page_size: int) -> None:
    """Tell the story and check every promise on the way."""
    with small_pages(page_size):
        timely, _ = up_to_the_seals(story, page_size=page_size, silent=frozenset())
        community, chunk = up_to_the_seals(story, page_size=page_size, silent=story.silent)
        bought_ut: Counter[str] = Counter()
        number = 0
        for values in story.substitutes:
            items = sorted([community.slot(name), *value] for name, value in values.items())
            correction = community.correction(items)
            if any(is_same(community, name, value) for name, value in values.items()):
                assert community.refusal("ledger", "correct", **correction) is LedgerRefusal.SAME_AS_BEFORE
                continue
            community.correct(items)
            require_conserved(community, bought_ut, is_paid=number in story.paid_after)
            number += 1
        heard = [name for name in NAMES if name in story.silent]
        for names in story.late:
            places = [
                [community.slot(name), None, place(chunk, heard.index(name), period=SECOND)]
                for name in sorted(names, key=NAMES.index)
            ]
            community.correct_late(places)
            require_conserved(community, bought_ut, is_paid=number in story.paid_after)
            number += 1
        target(community.version()["result"]["traded_wh"])
        require_as_in_time(community, timely, bought_ut)


def is_same(community: Community, name: str, value: tuple[int, int]) -> bool:
    version = community.version()["version"]
    page, index = divmod(community.slot(name), community.page_size)
    one = community.ledger("corrected_statements", period=FIRST.start_utc, version=version, page=page)[index]
    return bool((one["quality"], one["import_wh"], one["export_wh"]) == ("substituted", *value))


def require_conserved(community: Community, bought_ut: Counter[str], *, is_paid: bool) -> None:
    """Check tokens and energy of the latest version; let owners buy the tokens they lack and pay, if they do."""
    latest = community.version()
    if is_paid:
        for party, due_ut in latest["due"]:
            if due_ut < 0 and party != DSO:
                bought_ut[party] -= due_ut
                reference = f"bill-{len(community.calls)}"
                community.ledger("buy", party=party, amount_ut=-due_ut, reference=reference)
        community.ledger("pay_due", period=FIRST.start_utc, version=latest["version"])
    tokens = community.tokens()
    assert tokens.together_ut == tokens.issued_ut
    assert min(tokens.wallets_ut, tokens.purses_ut, tokens.fees_ut) >= 0
    assert tokens.escrow_ut == 0
    assert sum(amount_ut for _, amount_ut in latest["delta"]) == sum(due_ut for _, due_ut in latest["due"]) == 0
    statements = [community.corrected(name) for name in NAMES]
    bought_wh, sold_wh = (sum(one[side] for one in statements) for side in ("bought_wh", "sold_wh"))
    assert bought_wh == sold_wh == latest["result"]["traded_wh"]
    assert all(one["bought_wh"] <= one["import_wh"] and one["sold_wh"] <= one["export_wh"] for one in statements)


def require_as_in_time(community: Community, timely: Community, bought_ut: Counter[str]) -> None:
    """Check that all is as if nobody had been late: trades, statements, and what everyone has or is due to get."""
    latest = community.version()
    for page in range(community.pages):
        argument: dict[str, Any] = {"period": FIRST.start_utc, "page": page}
        corrected = community.ledger("corrected_page", version=latest["version"], **argument)
        settled = timely.ledger("settled_page", **argument)
        assert [corrected[name] for name in ("accounts", "firm", "trades")] == [
            settled[name] for name in ("accounts", "firm", "trades")
        ]
    due_ut: Counter[str] = Counter()
    for number in range(2, latest["version"] + 1):
        for party, amount_ut in community.version(number=number)["due"]:
            due_ut[party] += amount_ut
    for name in NAMES:
        party = identity_of(f"{name}'s owner")
        has_ut = community.wallet_ut(name) + community.purse_ut(name) + due_ut[party] - bought_ut[party]
        assert has_ut == timely.wallet_ut(name) + timely.purse_ut(name)
    fees_ut = community.ledger("supply")["fees_ut"] + due_ut[DSO]
    assert fees_ut == timely.ledger("supply")["fees_ut"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(story=stories(), page_size=st.integers(1, len(NAMES)))
def test_corrections_conserve_everything_and_late_records_end_where_timely_ones_do(
    story: Story, page_size: int
) -> None:
    hold(story, page_size=page_size)


@pytest.mark.long
@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(story=stories(), page_size=st.integers(1, len(NAMES)))
def test_many_more_corrections_do_so_too(story: Story, page_size: int) -> None:
    hold(story, page_size=page_size)
