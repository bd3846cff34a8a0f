"""Publishing the roster: an immutable version that the ledger chain copies and trades by.

Pages are named by their content, so that a version repeats only the hashes of what did not change.
"""

from collections.abc import Sequence
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.connection import Connection, read_connections
from wattpool_chaincode.contract.device import Device, read_devices
from wattpool_chaincode.contract.party import Party, read_parties
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.rules import Tariff, read_latest, read_rules, read_tariff, read_version
from wattpool_chaincode.contract.slot import Slot, count_slots, read_slots
from wattpool_chaincode.organisations import METERING_FACTS
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import PAGE_SIZE, Entry, encode_page


def publish_page(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Write down page `page` of the roster as the registers stand now.

    Raises:
        Refused: argument_malformed, not_founded, page_unknown.
    """
    (page,) = fields.read(argument, page=fields.COUNT)
    read_rules(context)
    slots = range(page * PAGE_SIZE, min(count_slots(context), (page + 1) * PAGE_SIZE))
    if not slots:
        raise Refused(ContractRefusal.PAGE_UNKNOWN, f"there are {count_slots(context)} slots")
    data = encode_page(_entries(context, slots))
    digest = codec.content_id(data)

    context.put(_page_key(digest), data)
    context.put(_index_key(page), codec.encode({"page": digest, "slots": len(slots)}))
    return {"page": digest}


def publish_roster(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Make a version of the roster out of the pages as published; nothing changed makes no new version.

    The pages together hold every slot given out, at least one: a slot's number is its place in them.

    Raises:
        Refused: argument_malformed, not_founded, page_missing.
    """
    fields.read(argument)
    rules = [read_version(context, version + 1).to_json() for version in range(read_latest(context))]
    slots = count_slots(context)
    pages = []
    for page in range(max(1, -(-slots // PAGE_SIZE))):
        stored = context.get(_index_key(page))
        published = {"page": "", "slots": 0} if stored is None else codec.load(stored)
        expected = min(slots - page * PAGE_SIZE, PAGE_SIZE)
        if not published["page"] or published["slots"] != expected:
            raise Refused(ContractRefusal.PAGE_MISSING, f"page {page} is not published with its {expected} slots")
        pages.append(published["page"])
    latest = _latest(context)
    roster = codec.encode({"pages": pages, "rules": rules, "slots": slots})
    if latest and context.get(_roster_key(latest)) == roster:
        return {"version": latest}

    context.put(_roster_key(latest + 1), roster)
    context.set_policy(_roster_key(latest + 1), METERING_FACTS)
    context.put(LATEST_KEY, codec.encode(latest + 1))
    if not latest:
        context.set_policy(LATEST_KEY, METERING_FACTS)
    return {"version": latest + 1}


def roster(context: Context, argument: dict[str, Any]) -> Any:
    """Return a version of the roster: hashes of its pages, number of slots, all versions of the rules.

    Raises:
        Refused: argument_malformed, roster_unknown.
    """
    (version,) = fields.read(argument, version=fields.COUNT)
    stored = context.get(_roster_key(version))
    if stored is None:
        raise Refused(ContractRefusal.ROSTER_UNKNOWN, str(version))
    return codec.load(stored)


def roster_page(context: Context, argument: dict[str, Any]) -> Any:
    """Return a page of the roster by its hash.

    Raises:
        Refused: argument_malformed, page_unknown.
    """
    (digest,) = fields.read(argument, page=fields.DIGEST)
    stored = context.get(_page_key(digest))
    if stored is None:
        raise Refused(ContractRefusal.PAGE_UNKNOWN, digest)
    return codec.load(stored)


LATEST_KEY = "roster-latest"


def _latest(context: Context) -> int:
    stored = context.get(LATEST_KEY)
    return 0 if stored is None else int(codec.load(stored))


def _entries(context: Context, numbers: Sequence[int]) -> list[Entry]:
    slots = read_slots(context, numbers)
    devices = read_devices(context, [slot.device for slot in slots])
    connections = read_connections(context, [slot.connection for slot in slots])
    parties = read_parties(context, [slot.party for slot in slots])
    names = dict.fromkeys(party.tariff for party in parties)
    tariffs = {name: read_tariff(context, name) for name in names}
    return [
        _entry(slot, device, connection, party, tariffs[party.tariff])
        for slot, device, connection, party in zip(slots, devices, connections, parties, strict=True)
    ]


def _entry(slot: Slot, device: Device, connection: Connection, party: Party, tariff: Tariff) -> Entry:
    return Entry(
        slot=slot.slot,
        connection=connection.connection,
        feeder=connection.feeder,
        line_limit_w=connection.line_limit_w,
        device=device.device,
        device_key=device.public_key,
        party=party.party,
        party_key=party.public_key,
        retail_ut_per_kwh=tariff.retail_ut_per_kwh,
        feed_in_ut_per_kwh=tariff.feed_in_ut_per_kwh,
        generation_cost_ut_per_kwh=party.generation_cost_ut_per_kwh,
        max_buy_ut_per_kwh=party.max_buy_ut_per_kwh,
        opening=device.opening,
        installation=slot.installation,
        may_trade=not device.void and device.retirement is None,
    )


def _page_key(digest: str) -> str:
    return f"roster-page/{digest}"


def _index_key(page: int) -> str:
    return f"roster-index/{page:04}"


def _roster_key(version: int) -> str:
    return f"roster/{version:06}"
