"""Versions of a sealed period: what was settled first is version 1, each correction makes the next.

Nothing is overwritten. A version has its own period record, seal and delta payments, and its own copy of the pages
that it changes; its record says which version each page was last written by.
"""

from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.period import COLLECTION, PeriodState, key, read_period
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

FIRST_VERSION = 1


def version_key(kind: str, start_utc: int, version: int, page: int | None = None) -> str:
    """Return the key of something that belongs to a version of a period, or of one of its pages."""
    first = key(kind, start_utc, page)
    return first if version == FIRST_VERSION else f"{first}/v{version:04}"


def latest_version(context: Context, start_utc: int) -> int:
    """Return the number of a period's latest version, sealed or not."""
    stored = context.get(key("version", start_utc))
    return FIRST_VERSION if stored is None else int(codec.load(stored))


def read_record(context: Context, start_utc: int, version: int) -> dict[str, Any]:
    """Return the period record of a version.

    Raises:
        Refused: version_unknown.
    """
    stored = context.get(version_key("result", start_utc, version))
    if stored is None:
        raise Refused(LedgerRefusal.VERSION_UNKNOWN, f"the period at {start_utc} has no version {version}")
    record: dict[str, Any] = codec.load(stored)
    return record


def read_seal(context: Context, start_utc: int, version: int) -> str | None:
    """Return the id of a version's seal, None if it is not sealed."""
    stored = context.get(version_key("seal", start_utc, version))
    return None if stored is None else str(codec.load(stored)["seal"])


def written_by(record: dict[str, Any], state: PeriodState) -> list[int]:
    """Return for each page the version that wrote it, as the period record of a version has it."""
    pages: list[int] = record.get("pages", [FIRST_VERSION] * len(state.roster.pages))
    return pages


def read_page(context: Context, start_utc: int, page: int, written: int) -> dict[str, Any]:
    """Return the public page that version `written` wrote: accounts, firm trades, leaves and trades."""
    kind = "settled" if written == FIRST_VERSION else "corrected"
    stored = context.get(version_key(kind, start_utc, written, page))
    if stored is None:
        raise RuntimeError(f"page {page} of version {written} of {start_utc} is not there")
    settled: dict[str, Any] = codec.load(stored)
    return settled


def read_statements(context: Context, start_utc: int, page: int, written: int) -> list[dict[str, Any]]:
    """Return the private statements of the page that version `written` wrote."""
    stored = context.get_private(COLLECTION, version_key("statement", start_utc, written, page))
    if stored is None:
        raise RuntimeError(f"the statements of page {page} of {start_utc} are not on this peer")
    found: list[dict[str, Any]] = codec.load(stored)["statements"]
    return found


def correction(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return a version of a period, the latest if `version` is 0.

    Returns:
        `version`; `result`, its record; `seal`, null if it is not sealed; `delta`, the payments that it caused, and
        `due`, what is still open of them: pairs of party (the DSO's fees under its MSP id) and what it gets, or owes
        if negative.

    Raises:
        Refused: argument_malformed, version_unknown.
    """
    start_utc, version = fields.read(argument, period=fields.COUNT, version=fields.COUNT)
    version = version or latest_version(context, start_utc)
    delta = context.get(version_key("delta", start_utc, version))
    due = context.get(version_key("due", start_utc, version))
    return {
        "delta": [] if delta is None else codec.load(delta)["payments"],
        "due": [] if due is None else codec.load(due),
        "result": read_record(context, start_utc, version),
        "seal": read_seal(context, start_utc, version),
        "version": version,
    }


def corrected_page(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return the public page of a version: accounts, firm trades, leaves and trades.

    Raises:
        Refused: argument_malformed, period_unknown, version_unknown, page_unknown.
    """
    start_utc, page, written = _find_page(context, argument)
    return read_page(context, start_utc, page, written)


def corrected_statements(context: Context, argument: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the private statements of a page of a version.

    Raises:
        Refused: argument_malformed, period_unknown, version_unknown, page_unknown.
    """
    start_utc, page, written = _find_page(context, argument)
    return read_statements(context, start_utc, page, written)


def _find_page(context: Context, argument: dict[str, Any]) -> tuple[int, int, int]:
    start_utc, version, page = fields.read(argument, period=fields.COUNT, version=fields.COUNT, page=fields.COUNT)
    state = read_period(context, start_utc)
    pages = written_by(read_record(context, start_utc, version), state)
    if page >= len(pages):
        raise Refused(LedgerRefusal.PAGE_UNKNOWN, f"page {page}; the period has {len(pages)}")
    return start_utc, page, pages[page]
