import csv
import io
import re
from dataclasses import replace
from importlib.resources import files

import pytest

from page_check import Page
from report_cases import NAMES, by_hand, corrected, edition
from wattpool.report import formats
from wattpool.report.reading import SettledPeriod
from wattpool.report.rendering import render_bill, render_bill_csv, render_report
from wattpool.report.texts import TEXTS
from wattpool_chaincode.market.order import Outcome

TEMPLATES = {path.name: path.read_text() for path in (files("wattpool.report") / "templates").iterdir()}


@pytest.fixture(scope="module")
def settled() -> SettledPeriod:
    (one,) = by_hand()
    return one


@pytest.mark.parametrize("knows_own_use", [True, False])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_report_is_one_well_formed_page_with_nothing_from_a_network(
    settled: SettledPeriod, zone: str, *, knows_own_use: bool
) -> None:
    about = edition([settled], zone=zone, knows_own_use=knows_own_use)
    page = Page(render_report(about, about.bills()))
    assert {"script", "img", "link"}.isdisjoint(page.tags)
    assert page.tags.count("desc") == page.tags.count("details") == 3
    assert "0.172999" in page.text
    assert ("0.120" in page.text) is knows_own_use
    assert ("01:00 +0100" if zone != "UTC" else "00:00 +0000") in page.text


def test_the_report_shows_the_period_that_was_chosen(settled: SettledPeriod) -> None:
    later = replace(settled, period=settled.period.next, aborted="flood <in> the street", negotiated=[], trades=[])
    about = edition([settled, later], knows_own_use=False)
    of_default = Page(render_report(about, about.bills())).text
    of_later = Page(render_report(about, about.bills(), chosen=later)).text
    assert "negotiated: 2017-03-20 00:00 +0000" in of_default
    assert "negotiated: 2017-03-20 00:15 +0000" in of_later
    assert "given up: flood <in> the street" in of_later


def test_a_long_negotiation_is_cut_and_says_so(settled: SettledPeriod) -> None:
    pairs = [settled.negotiated[0]._replace(outcome=Outcome.REJECTED, energy_wh=0)] * 201
    about = edition([replace(settled, negotiated=pairs)])
    text = Page(render_report(about, about.bills())).text
    assert "The first 200 of 201 pairs are shown." in text
    assert text.count("rejected") == 200


@pytest.mark.parametrize(
    ("slot", "sentences"),
    [
        (
            0,
            [
                "You used 0.120 kWh: 0.120 of your own, 0.000 from neighbours, 0.000 from the grid.",
                "You generated 0.570 kWh: 0.120 you used yourself, 0.450 went to neighbours, 0.000 to the grid.",
                "You are paid 0.077850 tokens. Without the market your bill would have been \u22120.022500",
                "you gain 0.055350.",
                "you sold to bob 0.270 0.175 \u22120.047250 0.000000 0.030",
                "You had agreed to sell 0.050 kWh more than came about",
            ],
        ),
        (
            1,
            [
                "You owe 0.073950 tokens. Without the market it would have been 0.105000: you save 0.031050.",
                "bought from neighbours 0.270 0.175 0.047250",
                "network fees on it 0.002700",
                "the rest, from the grid 0.080 0.300 0.024000",
                "total 0.073950",
                "You had agreed to buy 0.030 kWh more than came about",
            ],
        ),
    ],
)
def test_a_bill_says_in_words_what_it_comes_to(settled: SettledPeriod, slot: int, sentences: list[str]) -> None:
    about = edition([settled])
    text = " ".join(Page(render_bill(about, about.bills()[slot])).text.split())
    for sentence in sentences:
        assert sentence in text


def test_a_bill_without_trades_or_readings_says_so() -> None:
    about = edition(by_hand({}, {"ann": (0, 450)}), knows_own_use=False)
    text = Page(render_bill(about, about.bills()[1])).text
    assert "You traded with nobody." in text
    assert "All that was agreed was delivered." in text
    assert "1 periods had no reading" in text
    assert "no reading came" in text
    assert "You drew 0.000 kWh" in text


def test_a_bill_as_csv_adds_up_to_what_is_owed(settled: SettledPeriod) -> None:
    about = edition([settled], zone="Europe/Berlin")
    for bill in about.bills():
        rows = list(csv.DictReader(io.StringIO(render_bill_csv(about, bill))))
        assert sum(int(row["amount_ut"]) + int(row["fee_ut"]) for row in rows) == bill.owed_ut
        assert all(row["period_start_utc"] == "2017-03-20T00:00:00Z" for row in rows)
        assert all(row["start"] == "2017-03-20 01:00 +0100" for row in rows)
    assert render_bill_csv(about, about.bills()[1]).splitlines()[1:] == [
        "2017-03-20T00:00:00Z,2017-03-20 01:00 +0100,grid_import,,,80,80,300000,24000,0,1",
        "2017-03-20T00:00:00Z,2017-03-20 01:00 +0100,bought,ann,feeder,300,270,174999,47250,2700,1",
    ]


def test_a_bill_shows_its_corrections() -> None:
    about = edition(corrected())
    bill = about.bills()[1]
    text = " ".join(Page(render_bill(about, bill)).text.split())
    substituted = "2017-03-20 00:00 +0000 2 substituted by the network operator 0.049950 0.009000 0.019950"
    assert substituted in text
    assert "You owe 0.058950 tokens." in text
    rows = list(csv.DictReader(io.StringIO(render_bill_csv(about, bill))))
    assert [(row["kind"], row["energy_wh"], row["version"]) for row in rows] == [
        ("bought", "0", "1"),
        ("bought", "270", "2"),
        ("grid_import", "30", "2"),
    ]
    assert sum(int(row["amount_ut"]) + int(row["fee_ut"]) for row in rows) == bill.owed_ut


def test_names_are_shown_as_they_are_and_never_as_markup(settled: SettledPeriod) -> None:
    about = edition([settled], names={**NAMES, 0: "<b>&ann"})
    bills = about.bills()
    assert "<b>&ann" in Page(render_report(about, bills)).text
    assert "<b>&ann" in Page(render_bill(about, bills[1])).text


def test_all_words_are_in_the_texts_and_all_texts_are_used() -> None:
    words, named = set[str](), set[str]()
    for source in TEMPLATES.values():
        bare = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<style>.*?</style>|<[^>]*>", " ", source, flags=re.DOTALL)
        words |= set(re.findall(r"\w+", bare))
        named |= set(re.findall(r"\bt\.(\w+)", source))
    assert words == set()
    looked_up = {"others", "span"}
    prefixes = ("level_", "outcome_", "direction_", "quality_")
    shapes = {"own_use", "bought", "sold", "grid_import", "grid_export", "price_mean", "price_range", "retail"}
    shapes |= {"feed_in", "expected", "measured"}
    assert set(TEXTS) == named | looked_up | shapes | {name for name in TEXTS if name.startswith(prefixes)}


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.kwh(1_234_567), "1,234.567"),
        (formats.kwh(-5), "\u22120.005"),
        (formats.tokens(-1_000_001), "\u22121.000001"),
        (formats.rounded(5_000), "0.00"),
        (formats.rounded(15_000), "0.02"),
        (formats.rounded(-1_239_999), "\u22121.24"),
        (formats.rounded(-4_000), "0.00"),
        (formats.price(169_999), "0.169999"),
        (formats.price(170_000), "0.170"),
        (formats.price(0), "0.000"),
    ],
)
def test_numbers_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected
