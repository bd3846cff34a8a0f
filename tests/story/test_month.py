"""A month of six homes, worked out by hand in `month/README.md`, comes out the same on a real ledger.

`month/month.toml` says what the homes asked for and measured, and to the micro-token what has to come of it.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from community import FIRST, RULES, Community, Home, Tokens, identity_of, place, signed
from community_on_ledger import CommandLine
from page_check import Page
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Call
from wattpool.report.figures import Bill, Kind, Stay, bills, grid_bill_ut, no_own_use, rest_of
from wattpool.report.local_time import stamp
from wattpool.report.reading import LedgerReader
from wattpool.verify import verify
from wattpool_chaincode.contract import CONTRACT
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, OPERATOR_ATTRIBUTES
from wattpool_chaincode.records import codec, ocmf
from wattpool_chaincode.records.ocmf import MeterRecord
from wattpool_chaincode.records.period import DAY_S, Period

HERE = Path(__file__).parent / "month"
TABLE: dict[str, Any] = tomllib.loads((HERE / "month.toml").read_text())
DAYS = range(1, 31)
EXCHANGE, OUTAGE, MOVE, PAY_OUT, END = (TABLE[name] for name in ("exchange", "outage", "move", "pay_out", "end"))
OFFERS: dict[str, Any] = TABLE["offers"]
TRADING = [int(day) for day, told in TABLE["days"].items() if "trades" in told]
BUYER, SELLER = attrgetter("buyer"), attrgetter("seller")
HOMES = {
    name: Home(name=name, feeder=home["feeder"], tariff=home["tariff"], purse_ut=home["purse_ut"])
    for name, home in TABLE["homes"].items()
}


def day_of(number: int) -> Period:
    """Return a day of the month; the first begins with what the meters say at their installation."""
    return Period(FIRST.start_utc + (number - 1) * DAY_S, DAY_S)


def told_of(day: int) -> Mapping[str, Any]:
    """Return what the table says of a day, nothing if it is a quiet one."""
    return dict(TABLE["days"].get(str(day), {}))


def owner_on(day: int, name: str) -> str:
    """Return who lives in a home."""
    return str(MOVE["new_owner"]) if name == MOVE["home"] and day > MOVE["last_day"] else name


def party_of(member: str) -> str:
    return identity_of(f"{member}'s owner")


@dataclass
class Month:
    """The community, the ledger on which each of its calls is repeated, and what was seen there on the way."""

    community: Community
    ledger: EmbeddedLedger
    directory: Path
    purses_ut: dict[int, dict[str, int]] = field(default_factory=dict)
    wallets_ut: dict[str, dict[str, int]] = field(default_factory=dict)
    tokens: dict[int, Tokens] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    _records: dict[int, list[str]] = field(default_factory=dict)
    _late: list[str] = field(default_factory=list)
    _repeated: int = 0

    def tell(self) -> None:
        """Live through the month."""
        for day in DAYS:
            # The gate after Bob's last day closes while that day is delivered.
            if day != MOVE["last_day"] + 1:
                self.before_gate(day)
                self.gate(day)
            if day == MOVE["last_day"]:
                self.move()
            self.book(day)
            self.after_booking(day)
            self.see_tokens(day)

    def before_gate(self, day: int) -> None:
        for name, amount_ut in told_of(day).get("top_up", {}).items():
            self.community.fill_purse(name, amount_ut)
        if day == EXCHANGE["first_day"]:
            self.exchange()
        if day == TABLE["rules_later"]["from_day"]:
            self.change_rules()
        if day == PAY_OUT["withdrawn_day"]:
            owner = self.community.owners[PAY_OUT["home"]]
            slot = self.community.slot(PAY_OUT["home"])
            order = self.community.order(owner, "withdraw", slot=slot, amount_ut=PAY_OUT["withdrawn_ut"])
            self.community.ledger("withdraw", order=order)

    def gate(self, day: int) -> None:
        """Open a day, take in the requests, fix the trades; what is offered by hand is offered then."""
        period = day_of(day)
        self.community.open(period)
        requests = [self.request(name, row, period) for name, row in told_of(day).get("requests", {}).items()]
        if requests:
            self.community.ingest(requests, period=period)
        self.community.fix(period)
        for kind, offer in OFFERS.items():
            if offer["offered_day"] == day:
                self.promise(kind, offer)

    def request(self, name: str, row: Sequence[int], period: Period) -> list[str]:
        generation_w, consumption_w, battery_wh, limit = row
        meter = self.community.meters[name]
        meter.counter += 1
        content = {
            "battery_wh": battery_wh,
            "consumption_w": consumption_w,
            "generation_w": generation_w,
            "limit_ut_per_kwh": limit,
        }
        return signed("request", self.community.device(name), content, period=period, counter=meter.counter)

    def book(self, day: int) -> None:
        """Report a day, settle and seal it; the meter that is cut off is heard later."""
        period, records = day_of(day), []
        for name, usual in TABLE["quiet"].items():
            import_wh, export_wh = told_of(day).get("measured", {}).get(name, usual)
            record = self.community.record(name, import_wh=import_wh, export_wh=export_wh, period=period)
            if name == OUTAGE["home"] and day in OUTAGE["days"]:
                self._late.append(record)
            else:
                records.append(record)
        if day == OUTAGE["heard_day"]:
            # The records of one meter follow each other.
            records = [*self._late, *records]
        self._records[day] = records
        self.community.report(records, period=period)
        self.community.settle(period)
        self.community.seal(period)

    def after_booking(self, day: int) -> None:
        if day == OUTAGE["days"][0]:
            self.substitute()
        if day == OUTAGE["heard_day"]:
            self.hear()
        for kind, offer in OFFERS.items():
            if offer["last_day"] == day:
                self.community.ledger("confirm_l2p", offer=self.offers[kind])
                self.see_wallets(f"{kind} paid", offer["wallets_after"])
        if day == MOVE["last_day"]:
            self.redeem(MOVE["home"], MOVE["redeemed_ut"], at="moved out")
        if day == PAY_OUT["withdrawn_day"]:
            self.redeem(PAY_OUT["home"], PAY_OUT["redeemed_ut"], at="paid out")

    def exchange(self) -> None:
        home, start = HOMES[EXCHANGE["home"]], day_of(EXCHANGE["first_day"])
        (closing,) = (
            text
            for text in self._records[EXCHANGE["first_day"] - 1]
            if ocmf.read(text).record.device == identity_of(home.name)
        )
        self.community.exchange(home, f"{home.name}-2", closing=closing, start=start)
        self.community.publish()
        retired = identity_of(home.name)
        self.seen["closing"] = self.community.contract(
            "retire_device", by=DSO, device=retired, closing=closing, reason="calibration expired"
        )

    def substitute(self) -> None:
        """The DSO says what it thinks the silent meter took; a wallet covers part of it."""
        name, (day, _) = OUTAGE["home"], OUTAGE["days"]
        self.community.fill_wallet(name, OUTAGE["first_top_up_ut"])
        self.community.correct([[self.community.slot(name), *OUTAGE["substitute_wh"]]], period=day_of(day))
        self.see_version(day)

    def hear(self) -> None:
        """The rest is paid, and the meter's own records take the place of the substitute."""
        name, slot = OUTAGE["home"], self.community.slot(OUTAGE["home"])
        first, second = OUTAGE["days"]
        self.community.fill_wallet(name, OUTAGE["second_top_up_ut"])
        self.community.ledger("pay_due", period=day_of(first).start_utc, version=2)
        at_start, between, at_end = (
            self.place_of(name, number, taken_in)
            for number, taken_in in (
                (first - 1, first - 1),
                (first, OUTAGE["heard_day"]),
                (second, OUTAGE["heard_day"]),
            )
        )
        self.community.correct_late([[slot, at_start, between]], period=day_of(first))
        self.see_version(first)
        self.community.correct_late([[slot, between, at_end]], period=day_of(second))
        self.see_version(second)
        self.see_wallets("corrected", OUTAGE["wallets_after"])
        self.seen["fees corrected"] = self.evaluate("supply")["fees_ut"]

    def place_of(self, name: str, day: int, taken_in: int) -> list[Any]:
        """Return where a meter's record of a day was taken in."""
        texts = self._records[taken_in]
        (index,) = (
            index
            for index, text in enumerate(texts)
            if (found := ocmf.read(text).record).device == identity_of(name)
            and found.period_start_utc == day_of(day).start_utc
        )
        return place(texts, index, period=day_of(taken_in))

    def move(self) -> None:
        """Let the new owner in: the next day, which hands the purse over, opens before this one is settled."""
        name, following = MOVE["home"], day_of(MOVE["last_day"] + 1)
        self.community.move_in(HOMES[name], f"{MOVE['new_owner']}'s owner")
        self.community.publish()
        self.community.fill_purse(name, MOVE["top_up_ut"])
        self.community.open(following)
        self.see_wallets("handed over", [name])
        self.community.fix(following)

    def redeem(self, member: str, amount_ut: int, *, at: str) -> None:
        order = self.community.order(f"{member}'s owner", "redeem", amount_ut=amount_ut)
        self.see_wallets(f"before {at}", [member])
        self.community.ledger("redeem", order=order)
        self.see_wallets(at, [member])

    def promise(self, kind: str, offer: Mapping[str, Any]) -> None:
        self.community.fill_wallet(offer["seller"], offer["seller_top_up_ut"])
        self.community.fill_wallet(offer["buyer"], offer["buyer_top_up_ut"])
        self.offers[kind] = self.community.add_offer(
            offer["seller"],
            offered=day_of(offer["offered_day"]),
            energy_wh=offer["energy_wh"],
            price_ut_per_kwh=offer["price_ut_per_kwh"],
            from_utc=day_of(offer["first_day"]).start_utc,
            until_utc=day_of(offer["last_day"]).end_utc,
        )
        self.community.pick_offer(offer["buyer"], self.offers[kind])
        self.see_wallets(f"{kind} locked", offer["wallets_locked"])

    def change_rules(self) -> None:
        later = {name: value for name, value in TABLE["rules_later"].items() if name != "from_day"}
        rules = {**RULES, **TABLE["rules"], **later}
        start_utc = day_of(TABLE["rules_later"]["from_day"]).start_utc
        for organisation in (AGGREGATOR, MEMBERS):
            self.community.contract("vote_rules", by=organisation, from_utc=start_utc, rules=rules)
        self.community.publish()

    # What the real ledger says.

    def repeat(self) -> None:
        """Make on the ledger all calls of the community that are not there yet."""
        for call in self.community.calls[self._repeated :]:
            sent = Call(channel=call.channel, function=call.function, argument=call.argument, transient=call.transient)
            self.ledger.submit(sent, by=call.by)
        self._repeated = len(self.community.calls)

    def evaluate(self, query: str, *, channel: str = "ledger", **argument: Any) -> Any:
        self.repeat()
        return Chain(self.ledger, channel).evaluate(query, by=AGGREGATOR, **argument)

    def see_tokens(self, day: int) -> None:
        slots = enumerate(HOMES)
        self.purses_ut[day] = {name: self.evaluate("purse", slot=slot)["balance_ut"] for slot, name in slots}
        self.tokens[day] = self.community.tokens()

    def see_wallets(self, when: str, members: Iterable[str]) -> None:
        self.wallets_ut[when] = {one: self.evaluate("wallet", party=party_of(one))["balance_ut"] for one in members}

    def see_version(self, day: int) -> None:
        start_utc = day_of(day).start_utc
        said = self.evaluate("correction", period=start_utc, version=0)
        page = self.evaluate("corrected_page", period=start_utc, version=said["version"], page=0)
        statements = self.evaluate("corrected_statements", period=start_utc, version=said["version"], page=0)
        self.seen[f"day {day}, version {said['version']}"] = (said, page, statements)

    def page_of_roster(self) -> str:
        """Return the hash of the only page of the latest roster."""
        version = self.evaluate("roster")["version"]
        (page,) = self.evaluate("roster", channel="contract", version=version)["pages"]
        return str(page)

    def reading(self, day: int, record: str) -> MeterRecord:
        text = self.evaluate("reading", period=day_of(day).start_utc, record=record)["record"]
        return ocmf.read(text).record

    def settled(self, day: int) -> list[Mapping[str, Any]]:
        """Return the statements of a day's last version, by slot."""
        start_utc = day_of(day).start_utc
        version = self.evaluate("correction", period=start_utc, version=0)["version"]
        return list(self.evaluate("corrected_statements", period=start_utc, version=version, page=0))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """The month, lived through on the embedded ledger."""
    community = Community(list(HOMES.values()), rules=TABLE["rules"], tariffs=TABLE["tariffs"])
    directory = tmp_path_factory.mktemp("month") / "ledger"
    with EmbeddedLedger.create(
        directory,
        community=RULES["community"],
        chaincodes={"contract": CONTRACT, "ledger": LEDGER},
        client_attributes=OPERATOR_ATTRIBUTES,
    ) as ledger:
        told = Month(community, ledger, directory)
        told.tell()
        yield told


def test_each_gate_closes_on_what_eq_1_the_purses_and_firm_trades_leave(month: Month) -> None:
    for day in TRADING:
        orders = month.evaluate("orders", period=day_of(day).start_utc)["orders"]
        book = {list(HOMES)[slot]: balance_wh for slot, _, balance_wh, _ in orders}
        assert (day, book) == (day, told_of(day)["book"])


def test_each_trade_is_agreed_settled_and_paid_to_the_micro_token(month: Month) -> None:
    for day in DAYS:
        page = month.evaluate("settled_page", period=day_of(day).start_utc, page=0)
        assert (day, sorted(named(page["trades"]))) == (day, sorted(told_of(day).get("trades", [])))
        result = month.evaluate("period", period=day_of(day).start_utc)["result"]
        record = [result["traded_wh"], result["paid_ut"], result["fees_ut"]]
        assert (day, record) == (day, told_of(day).get("record", [0, 0, 0]))


def test_the_pool_accepts_counters_and_rejects_by_eqs_2_and_3(month: Month) -> None:
    for day in TRADING:
        if "negotiated" in told_of(day):
            cleared = month.evaluate("cleared_page", period=day_of(day).start_utc, page=0)
            rows = [[*head, asked, bid, outcome] for *head, _, asked, bid, outcome in named(cleared)]
            assert rows == told_of(day)["negotiated"]


def test_each_day_gives_each_home_what_its_trades_come_to(month: Month) -> None:
    for day in DAYS:
        sums = {name: Counter[str]() for name in HOMES}
        for _, buyer, seller, _, energy_wh, paid_ut, fee_ut, _ in told_of(day).get("trades", []):
            sums[buyer].update(bought_wh=energy_wh, paid_ut=paid_ut, fees_ut=fee_ut)
            sums[seller].update(sold_wh=energy_wh, earned_ut=paid_ut)
        statements = month.evaluate("statements", period=day_of(day).start_utc, page=0)
        for (name, expected), said in zip(sums.items(), statements, strict=True):
            heard = name != OUTAGE["home"] or day not in OUTAGE["days"]
            measured = told_of(day).get("measured", {}).get(name, TABLE["quiet"][name]) if heard else [0, 0]
            assert (day, name, said["quality"]) == (day, name, "good" if heard else "missing")
            assert (day, name, [said["import_wh"], said["export_wh"]]) == (day, name, measured)
            columns = ("bought_wh", "sold_wh", "paid_ut", "fees_ut", "earned_ut")
            assert (day, name, {one: said[one] for one in columns}) == (
                day,
                name,
                {one: expected[one] for one in columns},
            )


def test_each_purse_is_as_worked_out_after_each_day(month: Month) -> None:
    purses_ut = {name: home.purse_ut for name, home in HOMES.items()}
    for day in DAYS:
        purses_ut |= told_of(day).get("purses", {})
        assert (day, month.purses_ut[day]) == (day, purses_ut)
        assert month.tokens[day].together_ut == month.tokens[day].issued_ut


def test_the_exchange_of_a_meter_carries_its_registers_over_once(month: Month) -> None:
    import_wh, export_wh = EXCHANGE["closing_wh"]
    assert month.seen["closing"] == {"import_wh": import_wh, "export_wh": export_wh}
    number = list(HOMES).index(EXCHANGE["home"])
    month.repeat()
    slot = codec.decode(dict(month.ledger.state("contract"))[f"slot/{number:07}"])
    assert [slot["import_wh"], slot["export_wh"]] == EXCHANGE["carried_over_wh"]
    opening = month.evaluate("roster_page", channel="contract", page=month.page_of_roster())[number]["opening"]
    assert opening[2:4] == EXCHANGE["new_opening_wh"]


@pytest.mark.parametrize("told", TABLE["corrections"], ids=lambda told: f"day {told['day']}, version {told['version']}")
def test_each_correction_moves_the_difference(month: Month, told: Mapping[str, Any]) -> None:
    said, page, statements = month.seen[f"day {told['day']}, version {told['version']}"]
    assert said["version"] == told["version"]
    result, eve = said["result"], statements[list(HOMES).index(OUTAGE["home"])]
    assert [eve["quality"], eve["import_wh"]] == told["eve"]
    (trade,) = (row for row in named(page["trades"]) if row[1] == OUTAGE["home"])
    assert trade[4:7] == told["trade"]
    assert [result["traded_wh"], result["paid_ut"], result["fees_ut"]] == told["record"]
    assert payments(said["delta"]) == told["delta"]
    assert payments(said["due"]) == told["due"]


def test_dues_are_paid_when_wallets_cover_them(month: Month) -> None:
    assert month.wallets_ut["corrected"] == OUTAGE["wallets_after"]
    assert month.seen["fees corrected"] == OUTAGE["fees_after_ut"]
    assert month.evaluate("list_dues", bookmark="")["dues"] == []


def test_who_moves_out_takes_purse_and_refund_along(month: Month) -> None:
    name = MOVE["home"]
    assert month.wallets_ut["handed over"] == {name: MOVE["purse_handed_over_ut"]}
    assert month.wallets_ut["before moved out"] == {name: MOVE["purse_handed_over_ut"] + MOVE["refund_ut"]}
    assert month.wallets_ut["moved out"] == {name: 0}


@pytest.mark.parametrize("kind", OFFERS)
def test_an_offer_by_hand_is_locked_proved_and_paid_or_declined(month: Month, kind: str) -> None:
    told = OFFERS[kind]
    said = month.evaluate("offer", offer=month.offers[kind])
    assert (said["deposit_ut"], said["pick"]["escrow_ut"]) == (told["deposit_ut"], told["escrow_ut"])
    assert month.wallets_ut[f"{kind} locked"] == told["wallets_locked"]
    proof = month.evaluate("proof_of_delivery", offer=month.offers[kind])
    proved = ("delivered_wh", "excused_wh", "drawn_wh", "spilled_wh")
    assert [[one[column] for column in proved] for one in proof] == told["progress"]
    outcome = ("energy_wh", "paid_ut", "fee_ut", "to_buyer_ut", "to_seller_ut")
    assert [said["outcome"][column] for column in outcome] == told["outcome"]
    assert (said["phase"], said["held_ut"]) == (told["phase"], 0)
    assert month.wallets_ut[f"{kind} paid"] == told["wallets_after"]


def test_in_the_end_all_tokens_and_all_watt_hours_are_accounted_for(month: Month) -> None:
    supply = month.evaluate("supply")
    wallets_ut = {one: month.evaluate("wallet", party=party_of(one))["balance_ut"] for one in END["wallets"]}
    assert month.purses_ut[DAYS[-1]] == END["purses"]
    assert wallets_ut == END["wallets"]
    assert supply == {name: END[name] for name in ("bought_ut", "redeemed_ut", "fees_ut")}
    together_ut = sum(END["purses"].values()) + sum(wallets_ut.values()) + supply["fees_ut"]
    assert together_ut == supply["bought_ut"] - supply["redeemed_ut"]
    statements = month.settled(DAYS[-1])
    records = [month.reading(DAYS[-1], one["record"]) for one in statements]
    assert {name: [record.import_wh, record.export_wh] for name, record in zip(HOMES, records, strict=True)} == END[
        "registers"
    ]


def test_the_month_of_each_member_comes_to_what_was_worked_out(month: Month) -> None:
    reader = LedgerReader(Chain(month.ledger, "contract"), Chain(month.ledger, "ledger"))
    sums = {member: [0] * 12 for member in END["members"]}
    for day, settled in zip(DAYS, reader.settled_periods(), strict=True):
        for slot, (name, one) in enumerate(zip(HOMES, month.settled(day), strict=True)):
            by_hand = [sum(firm.energy_wh for firm in settled.firm if end(firm) == slot) for end in (BUYER, SELLER)]
            rest = rest_of(one, *by_hand)
            columns = [one[column] for column in ("import_wh", "export_wh", "bought_wh", "sold_wh")]
            columns += [*by_hand, *rest, *(one[column] for column in ("paid_ut", "fees_ut", "earned_ut"))]
            columns += [grid_bill_ut(settled.terms[slot], import_wh=rest.import_wh, export_wh=rest.export_wh)]
            for member in (owner_on(day, name), "all"):
                sums[member] = [total + value for total, value in zip(sums[member], columns, strict=True)]
    assert sums == END["members"]


def test_each_bill_comes_to_its_party_s_days_alone(month: Month) -> None:
    month.repeat()
    reader = LedgerReader(Chain(month.ledger, "contract"), Chain(month.ledger, "ledger"))
    found = {bill.party: bill for bill in bills(reader.settled_periods(), no_own_use)}
    assert set(found) == {party_of(member) for member in END["bills"]}
    for member, expected in END["bills"].items():
        bill = found[party_of(member)]
        assert (member, columns_of(bill)) == (member, END["members"][member])
        (stay,) = bill.stays
        first_day, last_day, *amounts_ut = expected
        assert stay == Stay(day_of(first_day), day_of(last_day), last_day - first_day + 1)
        pool = sum(bill.sums[kind].owed_ut for kind in (Kind.BOUGHT, Kind.SOLD))
        by_hand = sum(bill.sums[kind].owed_ut for kind in (Kind.FIRM_BOUGHT, Kind.FIRM_SOLD, Kind.COMPENSATION))
        supplier = sum(bill.sums[kind].owed_ut for kind in (Kind.GRID_IMPORT, Kind.GRID_EXPORT))
        found_ut = [pool, by_hand, supplier, bill.owed_ut, bill.alone_ut, bill.saving_ut]
        assert (member, found_ut) == (member, amounts_ut)
    eve = found[party_of(OUTAGE["home"])]
    assert [(one.period, one.version, one.due_ut) for one in eve.corrections] == [
        (day_of(told["day"]), told["version"], 0) for told in TABLE["corrections"]
    ]


def test_who_moved_out_and_who_moved_in_get_a_bill_each(
    month: Month, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    month.repeat()
    wattpool = CommandLine(capsys, monkeypatch)
    connection = HOMES[MOVE["home"]].connection[:8]
    old, new = party_of(MOVE["home"]), party_of(MOVE["new_owner"])
    command = ("bill", month.directory, "--connection", connection, "--out")
    for party in ("", "xyz"):
        message = f"--party: {party!r} is how 0 of its parties begin; 1 was expected"
        assert wattpool.refusal(*command, tmp_path / "none", "--party", party) == message
    wattpool(*command, tmp_path / "one", "--party", new[:8])
    wattpool(*command, tmp_path / "all")
    names = {party: f"{connection}-{party[:8]}" for party in (old, new)}
    assert {file.name for file in (tmp_path / "one").iterdir()} == {f"{names[new]}.html", f"{names[new]}.csv"}
    texts = {}
    for party, name in names.items():
        texts[party] = " ".join(Page((tmp_path / "all" / f"{name}.html").read_text()).text.split())
    assert (tmp_path / "one" / f"{names[new]}.csv").read_bytes() == (
        tmp_path / "all" / f"{names[new]}.csv"
    ).read_bytes()
    moved = stamp(day_of(MOVE["last_day"]).end_utc, UTC)
    assert f"Final bill: you moved out on {moved}." in texts[old]
    assert f"to {moved}, 17 market periods" in texts[old]
    assert "You drew 116.500 kWh: 14.900 from neighbours, 101.600 from the grid." in texts[old]
    assert "You owe 33.102462 tokens. Without the market it would have been 34.950000" in texts[old]
    assert "Final bill" not in texts[new]
    assert f"{moved} to " in texts[new]
    assert "You drew 87.600 kWh: 3.600 from neighbours, 84.000 from the grid." in texts[new]


def test_anyone_can_check_the_month(month: Month) -> None:
    month.repeat()
    report = verify(month.directory)
    assert report.violation is None
    assert sum(one.transactions for one in report.channels.values()) == len(month.community.calls)


def test_the_page_and_the_table_show_the_same_figures() -> None:
    shown = set(re.findall(r"\d{1,3}(?:,\d{3})*", (HERE / "README.md").read_text()))
    assert {f"{abs(figure):,}" for figure in figures(TABLE)} <= shown


def columns_of(bill: Bill) -> list[int]:
    """Return what the table has of a member: energy, then money in the pool and at the supplier."""
    sums = bill.sums
    kinds = (Kind.BOUGHT, Kind.SOLD, Kind.FIRM_BOUGHT, Kind.FIRM_SOLD, Kind.GRID_IMPORT, Kind.GRID_EXPORT)
    energy_wh = [bill.consumption_wh, bill.generation_wh, *(sums[kind].energy_wh for kind in kinds)]
    pool_ut = [sums[Kind.BOUGHT].amount_ut, sums[Kind.BOUGHT].fee_ut, -sums[Kind.SOLD].amount_ut]
    return [*energy_wh, *pool_ut, sums[Kind.GRID_IMPORT].amount_ut + sums[Kind.GRID_EXPORT].amount_ut]


def named(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return trades or pairs with the names of buyers and sellers."""
    names = list(HOMES)
    return [[level, names[buyer], names[seller], *rest] for level, buyer, seller, *rest in rows]


def payments(rows: Sequence[Sequence[Any]]) -> dict[str, int]:
    """Return delta payments or dues by name."""
    names = {DSO: "dso", **{party_of(name): name for name in HOMES}}
    return {names[party]: amount_ut for party, amount_ut in rows}


def figures(value: object) -> Iterator[int]:
    """Yield all numbers in a table."""
    match value:
        case int():
            yield value
        case dict() | list():
            for one in value.values() if isinstance(value, dict) else value:
                yield from figures(one)
