"""A period's phases: what has been committed for it, and so what may come next.

`open` -> `closed` (the gate) -> `active` (trades fixed) -> `settling` -> `final` -> `sealed`. Every stage reads the
phase key and every change of phase writes it, so a call that crosses one is refused at commit (MVCC).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.rules import Rules, Version
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.period import Period
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import PAGE_SIZE, Entry, decode_page

COLLECTION = "meter_data"
PERIOD_EVENT = "period"
LAST_KEY = "period-last"
PAGES = fields.Check(
    "a list of page numbers", lambda value: isinstance(value, list) and all(map(fields.COUNT.accepts, value))
)


class Phase(StrEnum):
    """How far a period has come, in this order."""

    OPEN = "open"
    CLOSED = "closed"
    ACTIVE = "active"
    SETTLING = "settling"
    FINAL = "final"
    SEALED = "sealed"


_ORDER = {phase: position for position, phase in enumerate(Phase)}


@dataclass(frozen=True, kw_only=True)
class Roster:
    """A version of the roster as copied from the contract chain.

    Attributes:
        version: its number.
        pages: their hashes.
        versions: of the rules, oldest first.
        slots: how many there are.
    """

    version: int
    pages: tuple[str, ...]
    versions: tuple[Version, ...]
    slots: int

    @property
    def community(self) -> str:
        return self.versions[0].rules.community

    def rules_at(self, start_utc: int) -> Rules:
        """Return the rules that hold for the period starting at `start_utc`."""
        return next(one.rules for one in reversed(self.versions) if one.from_utc <= start_utc)


@dataclass(frozen=True, kw_only=True)
class PeriodState:
    """A period under a roster version, in a phase."""

    period: Period
    phase: Phase
    roster: Roster

    @cached_property
    def rules(self) -> Rules:
        return self.roster.rules_at(self.period.start_utc)


def key(kind: str, start_utc: int, part: str | int | None = None) -> str:
    """Return the key of something that belongs to a period, or of a part (page number, chunk id) of it."""
    base = f"{kind}/{start_utc:011}"
    if part is None:
        return base
    return f"{base}/{part:04}" if isinstance(part, int) else f"{base}/{part}"


def part_range(kind: str, start_utc: int) -> tuple[str, str]:
    """Return start and end of the range of all parts of one kind."""
    base = key(kind, start_utc)
    return f"{base}/", f"{base}0"


def phase_of(context: Context, start_utc: int) -> Phase | None:
    """Return how far a period has come, None if it was never opened."""
    stored = context.get(key("period", start_utc))
    return None if stored is None else Phase(codec.load(stored)["phase"])


def read_period(context: Context, start_utc: int) -> PeriodState:
    """Return a period.

    Raises:
        Refused: period_unknown.
    """
    stored = context.get(key("period", start_utc))
    if stored is None:
        raise Refused(LedgerRefusal.PERIOD_UNKNOWN, f"no period starting at {start_utc} was opened")
    value = codec.load(stored)
    roster = read_roster(context, value["roster"])
    return PeriodState(
        period=Period(start_utc, roster.rules_at(start_utc).period_s), phase=Phase(value["phase"]), roster=roster
    )


def write_phase(context: Context, state: PeriodState, phase: Phase) -> None:
    """Write the period's phase, and tell whoever listens."""
    start_utc = state.period.start_utc
    context.put(key("period", start_utc), codec.encode({"phase": phase.value, "roster": state.roster.version}))
    context.emit(PERIOD_EVENT, codec.encode({"period": start_utc, "phase": phase.value}))


def require_phase(state: PeriodState, expected: Phase) -> None:
    """Refuse a stage that comes after its phase, or before it.

    Raises:
        Refused: late, too_early.
    """
    if _ORDER[state.phase] > _ORDER[expected]:
        raise Refused(LedgerRefusal.LATE, f"the period is {state.phase.value}; {expected.value} was expected")
    if state.phase is not expected:
        raise Refused(LedgerRefusal.TOO_EARLY, f"the period is {state.phase.value}; {expected.value} was expected")


def is_past(state: PeriodState, phase: Phase) -> bool:
    """Tell whether the period has come further than `phase`: a stage repeated then has nothing to do."""
    return _ORDER[state.phase] > _ORDER[phase]


def require_previous_settled(context: Context, period: Period) -> None:
    """Refuse to meter or settle a period before the registers at its start are settled.

    Raises:
        Refused: previous_not_ready.
    """
    if phase_of(context, period.previous.start_utc) not in (None, Phase.FINAL, Phase.SEALED):
        raise Refused(LedgerRefusal.PREVIOUS_NOT_READY, "the period before is not settled")


def require_time(context: Context, rules: Rules, earliest_utc: int) -> None:
    """Refuse what comes before its time; under a simulated clock nothing is compared.

    Raises:
        Refused: too_early.
    """
    if rules.clock == "live" and context.time_utc < earliest_utc:
        raise Refused(LedgerRefusal.TOO_EARLY, f"it is {context.time_utc}; {earliest_utc} was expected at the earliest")


def read_roster(context: Context, version: int) -> Roster:
    """Return a copied version of the roster.

    Raises:
        Refused: roster_unknown.
    """
    stored = context.get(roster_key(version))
    if stored is None:
        raise Refused(LedgerRefusal.ROSTER_UNKNOWN, f"version {version} has not been copied")
    return _decode_roster(version, stored)


def read_entries(context: Context, roster: Roster, page: int) -> tuple[Entry, ...]:
    """Return page `page` of a roster.

    Raises:
        Refused: page_unknown.
    """
    if page >= len(roster.pages):
        raise Refused(LedgerRefusal.PAGE_UNKNOWN, f"page {page}; the roster has {len(roster.pages)}")
    return _page(roster.pages[page], context.get(roster_page_key(roster.pages[page])))


def read_entry(context: Context, roster: Roster, slot: int) -> Entry:
    """Return the entry of a slot of a roster."""
    page, index = page_of(slot)
    return read_entries(context, roster, page)[index]


def read_all_entries(context: Context, roster: Roster) -> list[Entry]:
    """Return all entries of a roster, by slot."""
    pages = context.get_many([roster_page_key(digest) for digest in roster.pages])
    return [entry for digest, stored in zip(roster.pages, pages, strict=True) for entry in _page(digest, stored)]


def roster_key(version: int) -> str:
    return f"roster/{version:06}"


def roster_page_key(digest: str) -> str:
    return f"roster-page/{digest}"


def page_of(slot: int) -> tuple[int, int]:
    """Return page and index of a slot."""
    return divmod(slot, PAGE_SIZE)


def read_entries_of(context: Context, roster: Roster, slots: Iterable[int]) -> dict[int, Entry]:
    """Return the entries of some slots; of the roster, only their pages are read."""
    wanted = set(slots)
    digests = [roster.pages[page] for page in sorted({page_of(slot)[0] for slot in wanted})]
    pages = context.get_many([roster_page_key(digest) for digest in digests])
    return {
        entry.slot: entry
        for digest, stored in zip(digests, pages, strict=True)
        for entry in _page(digest, stored)
        if entry.slot in wanted
    }


class Devices:
    """The entries of a roster by their devices.

    Args:
        context: of the transaction.
        roster: which they are in.
        pages: where most of them are said to stand. Only if one does not, the other pages are read, too; at 10,000
            homes they are five megabytes. What is found does not depend on it.
    """

    def __init__(self, context: Context, roster: Roster, pages: Sequence[int]) -> None:
        self._context = context
        self._entries: dict[str, Entry] = {}
        first = sorted({page for page in pages if page < len(roster.pages)})
        self._unread = [digest for page, digest in enumerate(roster.pages) if page not in first]
        self._read([roster.pages[page] for page in first])

    def find(self, device: str) -> Entry | None:
        """Return the entry of a device, None if it is in none."""
        if device not in self._entries and self._unread:
            self._read(self._unread)
            self._unread = []
        return self._entries.get(device)

    def _read(self, digests: Sequence[str]) -> None:
        pages = self._context.get_many([roster_page_key(digest) for digest in digests])
        for digest, stored in zip(digests, pages, strict=True):
            self._entries.update((entry.device, entry) for entry in _page(digest, stored))


def _page(digest: str, stored: bytes | None) -> tuple[Entry, ...]:
    if stored is None:
        raise RuntimeError(f"page {digest} of an adopted roster is not there")
    return _decode_page(stored)


# Every stage reads the same roster: its bytes are decoded once per process, the read itself stays in the read set.
@lru_cache(maxsize=4)
def _decode_roster(version: int, stored: bytes) -> Roster:
    value = codec.load(stored)
    return Roster(
        version=version,
        pages=tuple(value["pages"]),
        versions=tuple(map(Version.from_json, value["rules"])),
        slots=value["slots"],
    )


@lru_cache(maxsize=256)
def _decode_page(stored: bytes) -> tuple[Entry, ...]:
    return tuple(decode_page(stored))
