"""Records that came after their period was settled: they give its energy after all.

The ledger takes a late record in with a later period, to move the registers on. A correction only points at two
neighbouring records where they were taken in, so that what counts is what the meter signed and the ledger checked.
"""

from collections import defaultdict
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger import chunks
from wattpool_chaincode.ledger.chunks import RECORDS
from wattpool_chaincode.ledger.period import PeriodState
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reports import Register, is_sure
from wattpool_chaincode.records import ocmf
from wattpool_chaincode.records.ocmf import SignedRecord
from wattpool_chaincode.records.payload import is_count
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry

# Period, chunk and index of a record that was taken in.
Place = list[Any]


def is_place(value: object) -> bool:
    """Tell whether `value` has the form of a place."""
    match value:
        case [start_utc, chunk, index]:
            return is_count(start_utc) and fields.DIGEST.accepts(chunk) and is_count(index)
        case _:
            return False


class LateRecords:
    """Looks up what the ledger took in, each chunk once."""

    def __init__(self, context: Context, state: PeriodState) -> None:
        self._context = context
        self._period = state.period
        self._items: dict[tuple[int, str], list[Any]] = {}
        self._ends: dict[int, dict[int, list[tuple[str, Register]]]] = {}

    def energy_wh(self, entry: Entry, before: Place | None, after: Place) -> tuple[str, int, int]:
        """Return the hash of the record at the period's end, and what the slot imported and exported in it.

        Args:
            entry: of the slot.
            before: where the record at the period's start was taken in; None if it is the one at installation.
            after: where the one at its end was.

        Raises:
            Refused: record_unknown, record_for_another, record_unsure.
        """
        end = self._read(entry, after)
        if before is None:
            number, digest, import_wh, export_wh, time_utc = entry.opening
        else:
            start = self._read(entry, before)
            number, digest, time_utc = start.record.number, start.hash, start.record.time_utc
            import_wh, export_wh = start.record.import_wh, start.record.export_wh
        record = end.record
        follows = (record.number, record.previous_hash) == (number + 1, digest)
        if not follows or (time_utc, record.time_utc) != (self._period.start_utc, self._period.end_utc):
            raise Refused(LedgerRefusal.RECORD_FOR_ANOTHER, f"slot {entry.slot}: not the two ends of the period")
        return end.hash, record.import_wh - import_wh, record.export_wh - export_wh

    def _read(self, entry: Entry, place: Place) -> SignedRecord:
        start_utc, chunk, index = place
        items = self._accepted(start_utc, chunk)
        if index >= len(items) or items[index] is None:
            raise Refused(LedgerRefusal.RECORD_UNKNOWN, f"none taken in at {index} of {chunk} in {start_utc}")
        signed = ocmf.read(items[index])
        if signed.record.device != entry.device:
            raise Refused(LedgerRefusal.RECORD_FOR_ANOTHER, f"slot {entry.slot} has another meter")
        if not is_sure(signed.record) or self._is_disputed(entry, start_utc, signed):
            raise Refused(LedgerRefusal.RECORD_UNSURE, f"slot {entry.slot}, record {signed.record.number}")
        return signed

    def _accepted(self, start_utc: int, chunk: str) -> list[Any]:
        """Return a chunk's items with None for those that were refused; nothing if it was never taken in."""
        if (start_utc, chunk) not in self._items:
            summary = chunks.read_summary(self._context, RECORDS, start_utc, chunk)
            items = [] if summary is None else chunks.read_items(self._context, RECORDS, start_utc, chunk)
            refused = set() if summary is None else {index for index, _ in summary["refused"]}
            self._items[start_utc, chunk] = [None if index in refused else item for index, item in enumerate(items)]
        return self._items[start_utc, chunk]

    def _is_disputed(self, entry: Entry, start_utc: int, signed: SignedRecord) -> bool:
        """Tell whether the period took in another record of the same number, or one that cannot be true."""
        for chunk, register in self._chunks_of(start_utc)[entry.slot]:
            if register.hash == signed.hash and not register.sure:
                return True
            for item in self._accepted(start_utc, chunk):
                # Most items are other meters' and need not be read.
                if item is not None and entry.device in item:
                    other = ocmf.read(item)
                    is_rival = (other.record.device, other.record.number) == (entry.device, signed.record.number)
                    if is_rival and other.hash != signed.hash:
                        return True
        return False

    def _chunks_of(self, start_utc: int) -> dict[int, list[tuple[str, Register]]]:
        """Return by slot the chunks of a period with its records, and the registers after them."""
        if start_utc not in self._ends:
            found: dict[int, list[tuple[str, Register]]] = defaultdict(list)
            names = chunks.list_chunks(self._context, RECORDS, start_utc)
            for chunk in chunks.read_rows(self._context, RECORDS, start_utc, names):
                for slot, register, *_ in chunk.rows:
                    found[slot].append((chunk.chunk, Register(*register)))
            self._ends[start_utc] = found
        return self._ends[start_utc]
