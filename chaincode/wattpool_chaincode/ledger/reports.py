"""Reports: the meters' signed OCMF records, of which neighbouring register readings give a period's energy.

A lost record costs resolution, never energy: the registers go on, and what cannot be told to belong to one period is
not settled alone. A device's records are taken in order; earlier ones that come late move its registers on.

No authentic record locks its device out: one with readings that cannot be true is the next link of the chain all the
same, and settles nothing. What is kept of it never lies below what was kept before, so that no energy counts twice.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from wattpool_chaincode import fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger import chunks
from wattpool_chaincode.ledger.chunks import RECORDS, Refusals
from wattpool_chaincode.ledger.pages import REGISTER, Pages
from wattpool_chaincode.ledger.period import (
    PAGES,
    Devices,
    PeriodState,
    Phase,
    read_period,
    require_phase,
    require_previous_settled,
    require_time,
)
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.records import ocmf
from wattpool_chaincode.records.ocmf import MeterRecord, SignedRecord, TimeStatus
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry


class RecordRefusal(StrEnum):
    """Why a record that is authentic is refused, in the order in which it is checked after `PayloadRefusal`."""

    FORKED = "forked"
    CHAIN_BROKEN = "chain_broken"


class Quality(StrEnum):
    """What a period's energy is worth for settlement."""

    GOOD = "good"
    SPAN = "span"  # the readings lie further apart than one period
    UNSURE = "unsure"  # at one end or both, the clock was not synchronised, or the meter in error, suspect or disputed
    SUSPECT = "suspect"  # a register went backwards, or by more than the line carries
    MISSING = "missing"  # no record came in time
    LATE = "late"  # missing or a span at first; the meter's records give it after all
    SUBSTITUTED = "substituted"  # what the DSO puts in for what the meter left open


# What a meter measured well is never replaced; a substitute is, by another or by records that come late.
MEASURED = (Quality.GOOD, Quality.LATE)


class Register(NamedTuple):
    """A device's registers at a period's end, as its last record says; a suspect one only ever raises them."""

    number: int
    hash: str
    import_wh: int
    export_wh: int
    time_utc: int
    sure: bool = True  # its clock was synchronised, it reported no error, and its readings can be true
    installation: int = 0  # how many devices measured the connection before it


@dataclass(frozen=True, slots=True)
class Measured:
    """One device's registers after a period, and the energy of the period; with no energy unless quality is good."""

    slot: int
    register: Register
    quality: Quality
    import_wh: int
    export_wh: int

    def to_row(self) -> list[Any]:
        return [self.slot, list(self.register), self.quality.value, self.import_wh, self.export_wh]

    @classmethod
    def from_row(cls, row: list[Any]) -> "Measured":
        slot, register, quality, import_wh, export_wh = row
        return cls(slot, Register(*register), Quality(quality), import_wh, export_wh)


def report(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Take in a chunk of meter records after delivery, once the period before is settled.

    All records of one device come in one chunk. A repeated chunk changes nothing. `pages` is as in `ingest`.

    Raises:
        Refused: argument_malformed, period_unknown, late, too_early, previous_not_ready, chunk_absent,
            chunk_malformed.
    """
    start_utc, chunk, pages = fields.read(argument, period=fields.COUNT, chunk=fields.DIGEST, pages=PAGES)
    state = read_period(context, start_utc)
    summary = chunks.read_summary(context, RECORDS, start_utc, chunk)
    if summary is not None:
        return summary
    require_phase(state, Phase.ACTIVE)
    require_time(context, state.rules, state.period.end_utc)
    require_previous_settled(context, state.period)
    devices = Devices(context, state.roster, pages)
    registers = Pages(context, REGISTER)

    def evaluate(items: list[Any]) -> tuple[list[list[Any]], Refusals]:
        measured: dict[int, Measured] = {}
        refused: Refusals = []
        for index, item in enumerate(items):
            try:
                result = _measure(item, state, devices, registers, measured)
            except Refused as refusal:
                refused.append((index, refusal.reason.value))
            else:
                measured[result.slot] = result
        return [result.to_row() for result in measured.values()], refused

    return chunks.take_in(context, RECORDS, start_utc=start_utc, chunk=chunk, evaluate=evaluate)


def reading(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return the meter `record` of a period that has this hash, as its meter signed it, and where it was taken in.

    The `place` is that of a late record in a correction: the period, the chunk, and the index in it.

    Raises:
        Refused: argument_malformed, record_unknown.
    """
    start_utc, digest = fields.read(argument, period=fields.COUNT, record=fields.DIGEST)
    for chunk in chunks.list_chunks(context, RECORDS, start_utc):
        for index, item in enumerate(chunks.read_items(context, RECORDS, start_utc, chunk)):
            if isinstance(item, str) and _hash_of(item) == digest:
                return {"place": [start_utc, chunk, index], "record": item}
    raise Refused(LedgerRefusal.RECORD_UNKNOWN, f"{digest} in the period at {start_utc}")


def _measure(
    item: object, state: PeriodState, devices: Devices, registers: Pages, measured: dict[int, Measured]
) -> Measured:
    signed = _read(item)
    record = signed.record
    if record.community != state.rules.community:
        raise Refused(PayloadRefusal.FOREIGN_COMMUNITY, f"for {record.community!r}")
    if record.period_start_utc > state.period.start_utc:
        raise Refused(PayloadRefusal.EARLY, f"for the period {record.period_start_utc}, which is to come")
    entry = devices.find(record.device)
    if entry is None:
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, record.device)
    if not signed.is_signed_by(bytes.fromhex(entry.device_key)):
        raise Refused(PayloadRefusal.WRONGLY_SIGNED)
    known = measured.get(entry.slot)
    last = known.register if known is not None else _last(entry, registers[entry.slot])
    after = Register(
        record.number,
        signed.hash,
        record.import_wh,
        record.export_wh,
        record.time_utc,
        sure=is_sure(record),
        installation=entry.installation,
    )
    _require_next(record, after, last)
    if not _is_plausible(last, after, entry, state):
        return Measured(entry.slot, _raised(last, after), Quality.SUSPECT, 0, 0)
    quality = _quality(record, last, after, state)
    if quality is not Quality.GOOD:
        return Measured(entry.slot, after, quality, 0, 0)
    return Measured(entry.slot, after, quality, after.import_wh - last.import_wh, after.export_wh - last.export_wh)


def _last(entry: Entry, stored: list[Any] | None) -> Register:
    """Return where a device's registers stand; a new device begins at its opening, and never goes on with another's."""
    register = None if stored is None else Register(*stored)
    if register is None or register.installation != entry.installation:
        return Register(*entry.opening, installation=entry.installation)
    return register


def _read(item: object) -> SignedRecord:
    if not isinstance(item, str):
        raise Refused(PayloadRefusal.MALFORMED, "a record is a text")
    try:
        return ocmf.read(item)
    except ocmf.MalformedRecord as error:
        raise Refused(PayloadRefusal.MALFORMED, str(error)) from error


def _hash_of(item: str) -> str | None:
    try:
        return ocmf.read(item).hash
    except ocmf.MalformedRecord:
        return None


def _require_next(record: MeterRecord, after: Register, last: Register) -> None:
    """Refuse a record that is not the next link of the device's chain.

    Raises:
        Refused: replayed, forked, chain_broken.
    """
    if after.number <= last.number:
        if after.number == last.number and after.hash != last.hash:
            raise Refused(RecordRefusal.FORKED, f"two records have the number {after.number}")
        raise Refused(PayloadRefusal.REPLAYED, f"number {after.number}; above {last.number} was expected")
    if after.number != last.number + 1 or record.previous_hash != last.hash:
        raise Refused(RecordRefusal.CHAIN_BROKEN, f"number {after.number} does not follow {last.number}")


def _is_plausible(last: Register, after: Register, entry: Entry, state: PeriodState) -> bool:
    """Tell whether both registers went on, and by no more than the line carries in the time between."""
    periods = max(1, -(-(after.time_utc - last.time_utc) // state.period.length_s))
    most_wh = periods * state.period.energy_wh_at(entry.line_limit_w)
    return (
        last.import_wh <= after.import_wh <= last.import_wh + most_wh
        and last.export_wh <= after.export_wh <= last.export_wh + most_wh
    )


def _raised(last: Register, after: Register) -> Register:
    """Return what is kept of a suspect record: of each register the higher reading, and that it is in doubt."""
    return after._replace(
        import_wh=max(last.import_wh, after.import_wh), export_wh=max(last.export_wh, after.export_wh), sure=False
    )


def is_sure(record: MeterRecord) -> bool:
    """Tell whether its clock was synchronised and the meter in order."""
    return record.time_status is TimeStatus.SYNCHRONISED and not record.error_flags and record.status == "G"


def _quality(record: MeterRecord, last: Register, after: Register, state: PeriodState) -> Quality:
    period = state.period
    if record.period_start_utc != period.start_utc:
        return Quality.SPAN
    if (last.time_utc, after.time_utc) != (period.start_utc, period.end_utc):
        return Quality.SPAN
    return Quality.GOOD if last.sure and after.sure else Quality.UNSURE
