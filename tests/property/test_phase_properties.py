"""The stages of periods in any order, wrong or again: a model knows what each may do, and nothing is made or lost."""

from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from community import FIRST, SALT, Community, Home, chunk, copies, signed, small_pages
from property.machines import explore
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.sealing import seal_content
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records.period import Period

# One sells, a neighbour of the feeder and one behind another feeder buy; two slots make a page.
FEEDERS = {"ann": "A", "bob": "A", "cy": "B"}
NAMES = tuple(FEEDERS)
PAGE_SIZE = 2
PAGES = 2
MOST_WH = 2_500
# Below that, whole micro-tokens may hide the gain, and a trade is declined.
NEVER_DECLINED_WH = 100
PHASES = ("", "open", "closed", "active", "settling", "final", "sealed")
NOTHING = "0" * 64

operators = st.sampled_from((AGGREGATOR, DSO, MEMBERS))
names = st.sampled_from(NAMES)
energies_wh = st.sampled_from((0, 1, 100, 333, 500, 1_000, 1_000))
pages = st.sampled_from((0, 0, 1, 1, 2, 3))
# How far behind the period that comes next.
periods = st.sampled_from((0, *[1] * 5, *[2] * 5, *[3] * 3, 4))


@dataclass
class Life:
    """What the model knows of a period.

    Attributes:
        phase: how far it has come.
        asked_wh: by name.
        agreed_wh: by buyer, once the gate has closed.
        cleared: pages.
        settled: pages.
        votes: for giving it up.
        measured_wh: import and export by name, of those that reported.
        quality: of each slot's statement, once it is settled.
        values_wh: import and export by name as the latest version has them.
        version: the latest.
        seals: of all versions that are sealed.
    """

    phase: str = ""
    asked_wh: dict[str, int] = field(default_factory=dict)
    agreed_wh: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    cleared: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    votes: set[str] = field(default_factory=set)
    measured_wh: dict[str, tuple[int, int]] = field(default_factory=dict)
    suspended: frozenset[str] = frozenset()
    quality: dict[str, str] = field(default_factory=dict)
    values_wh: dict[str, tuple[int, int]] = field(default_factory=dict)
    version: int = 1
    seals: list[str] = field(default_factory=list)

    def has_come(self, phase: str) -> bool:
        return PHASES.index(self.phase) >= PHASES.index(phase)

    def not_in(self, phase: str) -> LedgerRefusal | None:
        """Return why what needs a phase is refused, if it is."""
        if self.phase == phase:
            return None
        return LedgerRefusal.LATE if self.has_come(phase) else LedgerRefusal.TOO_EARLY

    @property
    def clear_pages(self) -> int:
        return 1 if self.groups == 1 else self.groups + 1


@lru_cache(maxsize=1)
def founded() -> Community:
    homes = [Home(name=name, feeder=feeder, purse_ut=20_000_000) for name, feeder in FEEDERS.items()]
    community = Community(homes, page_size=PAGE_SIZE)
    for name in NAMES:
        community.fill_wallet(name, 100_000)
    return community


class PeriodLife(RuleBasedStateMachine):
    """Stages of the last few periods are called as they come; `go_on` takes those whose turn it is."""

    def __init__(self) -> None:
        super().__init__()
        self.lives: list[Life] = []
        self.suspended: set[str] = set()
        self.wanted: dict[str, set[str]] = {name: set() for name in NAMES}
        self.chunks = 0

    @initialize()
    def found(self) -> None:
        self.community = deepcopy(founded())
        self.open(0, 1)

    # Which period, and what the model knows of it; one that was never opened is not in `lives`.

    def at(self, back: int) -> tuple[int, Period]:
        number = max(0, len(self.lives) - back)
        return number, self.period(number)

    def one_of(self, numbers: list[int], back: int) -> tuple[int, Period]:
        """Return one of these if there are any: what can happen to them is rare otherwise."""
        if not numbers or back == 0:
            return self.at(back)
        number = numbers[-1 - back % len(numbers)]
        return number, self.period(number)

    def period(self, number: int) -> Period:
        return Period(FIRST.start_utc + number * FIRST.length_s)

    def life(self, number: int) -> Life:
        return self.lives[number] if number < len(self.lives) else Life()

    def is_before_settled(self, number: int) -> bool:
        return number == 0 or self.life(number - 1).has_come("final")

    # The stages.

    @rule(ahead=st.sampled_from((*[0] * 7, 1)), roster=st.sampled_from((*[1] * 7, 9)))
    def open(self, ahead: int, roster: int) -> None:
        number = len(self.lives) + ahead
        reason = None
        if roster != 1:
            reason = LedgerRefusal.ROSTER_UNKNOWN
        elif ahead and self.lives:
            reason = LedgerRefusal.PERIOD_NOT_NEXT
        elif self.lives and not self.lives[-1].has_come("active"):
            reason = LedgerRefusal.PREVIOUS_NOT_READY
        if reason is None and ahead:
            return  # Any period may be the first one; this model's is `FIRST`.
        self.call("open", reason, period=self.period(number).start_utc, roster=roster)
        if reason is None:
            self.lives.append(Life(phase="open"))

    @rule(back=periods)
    def open_again(self, back: int) -> None:
        number, period = self.at(max(1, back))
        if number < len(self.lives):
            self.call_again("open", period=period.start_utc, roster=9)

    @rule(back=periods, wishes_wh=st.dictionaries(names, energies_wh, min_size=1))
    def ingest(self, back: int, wishes_wh: dict[str, int]) -> None:
        number, period = self.at(back)
        life = self.life(number)
        reason = self.unknown(number) or life.not_in("open")
        requests = []
        if reason is None:
            for name, wish_wh in wishes_wh.items():
                requests.append(self.community.request(name, wish_wh if name == "ann" else -wish_wh, period=period))
                if name not in self.suspended:
                    life.asked_wh[name] = wish_wh
        sent = chunk("request", requests, period=period, salt=self.salt())
        self.call("ingest", reason, **sent)
        if reason is None:
            self.call_again("ingest", **sent)

    @rule(back=periods)
    def close(self, back: int) -> None:
        number, period = self.at(back)
        life = self.life(number)
        if life.has_come("closed"):
            self.call_again("close", period=period.start_utc)
            return
        self.call("close", self.unknown(number), period=period.start_utc)
        if life.phase:
            asked_wh = {name: wh for name, wh in life.asked_wh.items() if wh and name not in self.suspended}
            # Feeders are cleared together as long as their orders make no more than a page.
            life.groups = 1 if len(asked_wh) <= PAGE_SIZE else len(set(FEEDERS.values()))
            offered_wh = asked_wh.get("ann", 0)
            for buyer in ("bob", "cy"):
                life.agreed_wh[buyer] = min(offered_wh, asked_wh.get(buyer, 0))
                offered_wh -= life.agreed_wh[buyer]
            life.phase = "closed"

    @rule(back=periods, page=pages)
    def clear(self, back: int, page: int) -> None:
        number, period = self.at(back)
        life = self.life(number)
        if page in life.cleared:
            self.call_again("clear", period=period.start_utc, page=page)
            return
        reason = self.unknown(number) or life.not_in("closed")
        if reason is None and page >= life.clear_pages:
            reason = LedgerRefusal.PAGE_UNKNOWN
        elif reason is None and page == life.groups > 1 and len(life.cleared) < page:
            reason = LedgerRefusal.PAGE_MISSING
        self.call("clear", reason, period=period.start_utc, page=page)
        if reason is None:
            life.cleared.add(page)

    @rule(back=periods)
    def activate(self, back: int) -> None:
        number, period = self.at(back)
        life = self.life(number)
        if life.has_come("active"):
            self.call_again("activate", period=period.start_utc)
            return
        reason = self.unknown(number) or life.not_in("closed")
        if reason is None and len(life.cleared) < life.clear_pages:
            reason = LedgerRefusal.PAGE_MISSING
        deal = self.call("activate", reason, period=period.start_utc)
        if reason is None:
            assert deal["agreed_wh"] == sum(life.agreed_wh.values())
            life.phase = "active"

    @rule(back=periods, by=operators)
    def abort(self, back: int, by: str) -> None:
        number, period = self.at(back)
        life = self.life(number)
        if len(life.votes) == 2 or by in life.votes:
            self.call_again("abort", by=by, period=period.start_utc, reason="again")
            return
        reason = self.unknown(number)
        if reason is None and life.has_come("settling"):
            reason = LedgerRefusal.LATE
        self.call("abort", reason, by=by, period=period.start_utc, reason="fault")
        if reason is None:
            life.votes.add(by)
        if len(life.votes) == 2:
            life.phase, life.agreed_wh = "active", {}

    @rule(back=periods, flows_wh=st.dictionaries(names, st.tuples(energies_wh, energies_wh)))
    def report(self, back: int, flows_wh: dict[str, tuple[int, int]]) -> None:
        number, period = self.at(back)
        life = self.life(number)
        reason = self.unknown(number) or life.not_in("active")
        if reason is None and not self.is_before_settled(number):
            reason = LedgerRefusal.PREVIOUS_NOT_READY
        records = []
        if reason is None:
            for name, (import_wh, export_wh) in flows_wh.items():
                if name not in life.measured_wh:
                    records.append(self.community.record(name, import_wh=import_wh, export_wh=export_wh, period=period))
                    life.measured_wh[name] = (import_wh, export_wh)
        sent = chunk("record", records, period=period, salt=self.salt())
        told = self.call("report", reason, **sent)
        if reason is None:
            assert told["refused"] == []
            self.call_again("report", **sent)

    @rule(back=periods, page=pages)
    def settle(self, back: int, page: int) -> None:
        number, period = self.at(back)
        life = self.life(number)
        if page in life.settled:
            self.call_again("settle", period=period.start_utc, page=page)
            return
        reason = self.unknown(number) or life.not_in("settling" if page else "active")
        if reason is None and not self.is_before_settled(number):
            reason = LedgerRefusal.PREVIOUS_NOT_READY
        elif reason is None and page >= PAGES:
            reason = LedgerRefusal.PAGE_UNKNOWN
        self.call("settle", reason, period=period.start_utc, page=page)
        if reason is None:
            life.settled.add(page)
            if page == 0:
                life.phase, life.suspended = "settling", frozenset(self.suspended)

    @rule(back=periods)
    def finalise(self, back: int) -> None:
        number, period = self.at(back)
        life = self.life(number)
        if life.has_come("final"):
            self.call_again("finalise", period=period.start_utc)
            return
        reason = self.unknown(number) or life.not_in("settling")
        if reason is None and len(life.settled) < PAGES:
            reason = LedgerRefusal.PAGE_MISSING
        result = self.call("finalise", reason, period=period.start_utc)
        if reason is None:
            life.phase = "final"
            self.measure(number)
            self.require_each_watt_hour_once(life, period, result)

    @rule(back=periods, is_wrong=st.sampled_from((False, False, False, True)))
    def seal(self, back: int, is_wrong: bool) -> None:  # noqa: FBT001 -- drawn
        number, period = self.at(back)
        life = self.life(number)
        content = {"previous": NOTHING, "result": NOTHING}
        if life.has_come("final") and not is_wrong:
            before = self.life(number - 1).seals if number else []
            content = seal_content(self.version(period, 1)["result"], before[0] if before else NOTHING)
        seal = signed("seal", "seal", content, period=period)
        if life.phase == "sealed":
            self.call_again("seal", period=period.start_utc, seal=seal)
            return
        reason = self.unknown(number) or life.not_in("final")
        if reason is None and number and self.life(number - 1).phase != "sealed":
            reason = LedgerRefusal.PREVIOUS_NOT_READY
        elif reason is None and is_wrong:
            reason = LedgerRefusal.SEAL_FOR_ANOTHER
        sealed = self.call("seal", reason, period=period.start_utc, seal=seal)
        if reason is None:
            life.phase = "sealed"
            life.seals.append(sealed["seal"])

    @rule(
        back=periods, name=names, flow_wh=st.tuples(energies_wh, energies_wh), is_too_much=st.sampled_from((0, 0, 0, 1))
    )
    def correct(self, back: int, name: str, flow_wh: tuple[int, int], is_too_much: int) -> None:
        number, period = self.one_of([at for at, life in enumerate(self.lives) if life.phase == "sealed"], back)
        life = self.life(number)
        import_wh, export_wh = flow_wh[0] + is_too_much * MOST_WH, flow_wh[1]
        value = [NAMES.index(name), import_wh, export_wh]
        if life.phase != "sealed":
            sent = chunk("correction", [value], period=period)
            content = {"corrects": NOTHING, "version": 2, "values": sent["chunk"]}
            order = signed("correction", "correction", content, period=period)
            too_early = self.unknown(number) or LedgerRefusal.TOO_EARLY
            self.call("correct", too_early, period=period.start_utc, correction=order, transient=sent["transient"])
            return
        arguments = self.community.correction([value], period=period, salt=self.salt())
        reason: LedgerRefusal | None = None
        if len(life.seals) < life.version:
            reason = LedgerRefusal.TOO_EARLY
        elif life.quality[name] == "good":
            reason = LedgerRefusal.ALREADY_MEASURED
        elif max(import_wh, export_wh) > MOST_WH:
            reason = LedgerRefusal.OVER_LINE_LIMIT
        elif (life.quality[name], life.values_wh[name]) == ("substituted", (import_wh, export_wh)):
            reason = LedgerRefusal.SAME_AS_BEFORE
        result = self.call("correct", reason, **arguments)
        if reason is None:
            life.version += 1
            life.quality[name], life.values_wh[name] = "substituted", (import_wh, export_wh)
            self.call_again("correct", **arguments)
            self.require_corrected(life, period, result)

    @rule(back=periods)
    def seal_correction(self, back: int) -> None:
        number, period = self.one_of([at for at, life in enumerate(self.lives) if life.version > 1], back)
        life = self.life(number)
        if life.version == 1:
            seal = signed("seal", "seal", {"previous": NOTHING, "result": NOTHING}, period=period)
            reason = self.unknown(number) or LedgerRefusal.VERSION_UNKNOWN
            self.call("seal_correction", reason, period=period.start_utc, version=2, seal=seal)
            return
        content = seal_content(self.version(period, life.version)["result"], life.seals[life.version - 2])
        seal = signed("seal", "seal", content, period=period)
        arguments: dict[str, Any] = {"period": period.start_utc, "version": life.version, "seal": seal}
        if len(life.seals) == life.version:
            self.call_again("seal_correction", **arguments)
            return
        life.seals.append(self.call("seal_correction", None, **arguments)["seal"])

    @rule(name=names, by=operators, wanted=st.sampled_from(("suspend", "reinstate")))
    def vote(self, name: str, by: str, wanted: str) -> None:
        told = self.call(wanted, None, by=by, slot=NAMES.index(name), reason="")
        if (name in self.suspended) is (wanted == "suspend"):
            self.wanted[name].discard(by)
        else:
            self.wanted[name].add(by)
            if len(self.wanted[name]) == 2:
                self.suspended ^= {name}
                self.wanted[name].clear()
        assert told["suspended"] is (name in self.suspended)

    @rule(slot=st.integers(len(NAMES), 9), by=operators)
    def vote_about_nobody(self, slot: int, by: str) -> None:
        self.call("suspend", LedgerRefusal.SLOT_UNKNOWN, by=by, slot=slot, reason="")

    # Stages in their order, so that much happens.

    @rule(
        gates=st.integers(0, 5),
        deliveries=st.integers(0, 5),
        wishes_wh=st.fixed_dictionaries(dict.fromkeys(NAMES, energies_wh)),
        flows_wh=st.fixed_dictionaries(
            {"ann": st.tuples(energies_wh, energies_wh)},
            optional=dict.fromkeys(NAMES[1:], st.tuples(energies_wh, energies_wh)),
        ),
        shut_out=st.sampled_from((*[None] * 6, *NAMES)),
        goal=st.sampled_from(("final", "sealed", "sealed", "sealed")),
    )
    def go_on(  # noqa: PLR0913, PLR0917 -- drawn
        self,
        gates: int,
        deliveries: int,
        wishes_wh: dict[str, int],
        flows_wh: dict[str, tuple[int, int]],
        shut_out: str | None,
        goal: str,
    ) -> None:
        """Take the latest period some stages towards `active`, then the oldest some towards the goal.

        Who is shut out is so from before the gate, if it closes, to the end.
        """
        for _ in range(gates):
            self.take_to_active(wishes_wh, shut_out)
        if shut_out is not None:
            self.decide(shut_out, "suspend")
        for _ in range(deliveries):
            self.take_towards(goal, flows_wh)
        if shut_out is not None:
            self.decide(shut_out, "reinstate")

    def take_to_active(self, wishes_wh: dict[str, int], shut_out: str | None) -> None:
        match self.lives[-1].phase:
            case "open":
                self.ingest(1, wishes_wh)
                if shut_out is not None:
                    self.decide(shut_out, "suspend")
                self.close(1)
            case "closed":
                for page in range(self.lives[-1].clear_pages):
                    self.clear(1, page)
                self.activate(1)
            case _:
                self.open(0, 1)

    def take_towards(self, goal: str, flows_wh: dict[str, tuple[int, int]]) -> None:
        number = next((at for at, life in enumerate(self.lives) if not life.has_come(goal)), len(self.lives))
        back = len(self.lives) - number
        match self.life(number).phase:
            case "active":
                self.report(back, flows_wh)
                self.settle(back, 0)
            case "settling":
                self.settle(back, 1)
                self.finalise(back)
            case "final":
                self.seal(back, is_wrong=False)

    @rule(back=periods)
    def give_up(self, back: int) -> None:
        for organisation in (DSO, MEMBERS):
            self.abort(back, organisation)

    @rule(name=names, wanted=st.sampled_from(("suspend", "reinstate")))
    def decide(self, name: str, wanted: str) -> None:
        for organisation in (AGGREGATOR, DSO):
            self.vote(name, organisation, wanted)

    # Calls that the model says what becomes of.

    def unknown(self, number: int) -> LedgerRefusal | None:
        return None if number < len(self.lives) else LedgerRefusal.PERIOD_UNKNOWN

    def call(self, function: str, refusal: StrEnum | None, *, by: str = AGGREGATOR, **argument: Any) -> Any:
        """Make a call that is carried out, or refused for this reason."""
        if refusal is None:
            return self.community.ledger(function, by=by, **argument)
        assert self.community.refusal("ledger", function, by=by, **argument) is refusal
        return None

    def call_again(self, function: str, *, by: str = AGGREGATOR, **argument: Any) -> None:
        """Make a call that was carried out before: it changes nothing."""
        before = copies(self.community.network)
        self.community.ledger(function, by=by, **argument)
        assert copies(self.community.network) == before

    def salt(self) -> bytes:
        self.chunks += 1
        return SALT[:-4] + self.chunks.to_bytes(4)

    def version(self, period: Period, number: int) -> Any:
        return self.community.ledger("correction", period=period.start_utc, version=number)

    # What has to hold.

    def measure(self, number: int) -> None:
        """Note what the period is worth for settlement: a record after a silent period spans both."""
        life = self.lives[number]
        for name in NAMES:
            was_heard = number == 0 or name in self.lives[number - 1].measured_wh
            is_good = name in life.measured_wh and was_heard
            life.quality[name] = "good" if is_good else "missing"
            life.values_wh[name] = life.measured_wh[name] if is_good else (0, 0)

    def traded_wh(self, life: Life) -> dict[str, tuple[int, int]]:
        """Return the least and the most that each buyer gets by what was measured or put in."""
        imports_wh = {name: 0 if name in life.suspended else life.values_wh[name][0] for name in NAMES}
        export_wh = 0 if "ann" in life.suspended else life.values_wh["ann"][1]
        bounds = {}
        for buyer, agreed_wh in life.agreed_wh.items():
            most_wh = min(agreed_wh, imports_wh[buyer], export_wh)
            has_all = export_wh >= sum(life.agreed_wh.values()) and most_wh >= NEVER_DECLINED_WH
            bounds[buyer] = (most_wh if has_all else 0, most_wh)
        return bounds

    def require_bounds(self, life: Life, statements: dict[str, Any], result: Any) -> None:
        bounds = self.traded_wh(life)
        export_wh = life.values_wh["ann"][1]
        bought_wh = {name: one["bought_wh"] for name, one in statements.items()}
        for name, wh in bought_wh.items():
            least_wh, most_wh = bounds.get(name, (0, 0))
            assert least_wh <= wh <= most_wh
        assert {name: one["sold_wh"] for name, one in statements.items() if name != "ann"} == {"bob": 0, "cy": 0}
        assert sum(bought_wh.values()) == statements["ann"]["sold_wh"] == result["traded_wh"] <= export_wh
        assert sum(one["paid_ut"] for one in statements.values()) == statements["ann"]["earned_ut"] == result["paid_ut"]
        assert sum(one["fees_ut"] for one in statements.values()) == result["fees_ut"]

    def require_each_watt_hour_once(self, life: Life, period: Period, result: Any) -> None:
        found = [self.community.ledger("statements", period=period.start_utc, page=page) for page in range(PAGES)]
        statements = dict(zip(NAMES, (one for page in found for one in page), strict=True))
        for name, one in statements.items():
            assert (one["quality"] == "good") is (life.quality[name] == "good")
            assert (one["import_wh"], one["export_wh"]) == life.values_wh[name]
        self.require_bounds(life, statements, result)

    def require_corrected(self, life: Life, period: Period, result: Any) -> None:
        version = life.version
        statements: dict[str, Any] = {}
        for page in range(PAGES):
            by = result["pages"][page]
            if by == 1:
                found = self.community.ledger("statements", period=period.start_utc, page=page)
            else:
                found = self.community.ledger("corrected_statements", period=period.start_utc, version=by, page=page)
            statements |= {NAMES[one["slot"]]: one for one in found}
        assert result["version"] == version
        self.require_bounds(life, statements, result)

    @invariant()
    def tokens_are_conserved(self) -> None:
        if not hasattr(self, "community"):
            return
        held = self.community.tokens()
        assert held.together_ut == held.issued_ut
        assert min(held.wallets_ut, held.deposits_ut, held.purses_ut, held.escrow_ut, held.fees_ut) >= 0


def test_no_order_of_stages_makes_or_loses_anything() -> None:
    with small_pages(PAGE_SIZE):
        explore(PeriodLife, examples=40)
