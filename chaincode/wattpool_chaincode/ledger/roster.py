"""Copying the roster from the contract chain: the ledger trades only with what the contract chain admitted."""

from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.period import read_roster, roster_key, roster_page_key
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import METERING_FACTS
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

CONTRACT_CHANNEL = "contract"
LATEST_KEY = "roster-latest"


def adopt_page(context: Context, argument: dict[str, Any]) -> None:
    """Copy one page of the roster; its name is its hash, so a wrong copy cannot be written.

    Raises:
        Refused: argument_malformed, or what the contract chain says.
    """
    (digest,) = fields.read(argument, page=fields.DIGEST)
    data = context.query(CONTRACT_CHANNEL, "roster_page", codec.encode({"page": digest}))
    if codec.content_id(data) != digest:
        raise RuntimeError(f"the contract chain returned another page for {digest}")

    context.put(roster_page_key(digest), data)


def adopt_roster(context: Context, argument: dict[str, Any]) -> None:
    """Copy a version of the roster whose pages are all here.

    Raises:
        Refused: argument_malformed, page_missing, or what the contract chain says.
    """
    (version,) = fields.read(argument, version=fields.COUNT)
    data = context.query(CONTRACT_CHANNEL, "roster", codec.encode({"version": version}))
    for digest in codec.load(data)["pages"]:
        if context.get(roster_page_key(digest)) is None:
            raise Refused(LedgerRefusal.PAGE_MISSING, digest)

    is_new = context.get(roster_key(version)) is None
    latest = latest_roster(context)

    if is_new:
        context.put(roster_key(version), data)
        context.set_policy(roster_key(version), METERING_FACTS)
    if version > latest:
        context.put(LATEST_KEY, codec.encode(version))
    if not latest:
        context.set_policy(LATEST_KEY, METERING_FACTS)


def latest_roster(context: Context) -> int:
    """Return the latest version copied, 0 if there is none."""
    stored = context.get(LATEST_KEY)
    return 0 if stored is None else int(codec.load(stored))


def roster_version(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Return the latest version of the roster, and its number of slots.

    Raises:
        Refused: argument_malformed, roster_unknown.
    """
    fields.read(argument)
    roster = read_roster(context, latest_roster(context))
    return {"slots": roster.slots, "version": roster.version}
