"""Handover: what changes on the ledger when a roster puts another party or another device behind a slot.

What the purse holds is the old party's: it goes to the old party's wallet when the first period of the new roster
opens, and so does what periods before that one still return. A new device counts its requests from the start.
"""

from collections.abc import Mapping

from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.pages import COUNTER, HANDOVER, Pages
from wattpool_chaincode.ledger.period import Roster, read_entries
from wattpool_chaincode.ledger.tokens import Wallets
from wattpool_chaincode.roster import Entry


def hand_over(  # noqa: PLR0913 -- two rosters, and what is changed
    context: Context, before: Roster, after: Roster, *, start_utc: int, purses: Pages, wallets: Wallets
) -> None:
    """Carry out what changed between the roster of the last period and that of the one starting at `start_utc`.

    Purses and wallets are changed in place, for the caller to write.
    """
    handovers, counters = Pages(context, HANDOVER), Pages(context, COUNTER)
    for old, new in _changed(context, before, after):
        slot = old.slot
        if old.device != new.device and counters[slot]:
            counters[slot] = 0
        if old.party == new.party:
            continue
        handovers[slot] = [*(handovers[slot] or ()), [start_utc, old.party]]
        if purses[slot]:
            wallets.credit(old.party, purses[slot])
            purses[slot] = 0
    handovers.write()
    counters.write()


def credit_slots(context: Context, start_utc: int, amounts_ut: Mapping[int, int], *, purses: Pages) -> None:
    """Return tokens out of a period: to each slot's purse, or to the wallet of the party that it was then.

    Purses are changed in place, for the caller to write.
    """
    handovers, wallets = Pages(context, HANDOVER), Wallets(context)
    for slot, amount_ut in amounts_ut.items():
        if not amount_ut:
            continue
        party = find_former_party(handovers, slot, start_utc)
        if party is None:
            purses[slot] += amount_ut
        else:
            wallets.credit(party, amount_ut)
    wallets.write()


def find_former_party(handovers: Pages, slot: int, start_utc: int) -> str | None:
    """Return who was behind a slot in the period at `start_utc`, if another party has followed since."""
    return next((party for from_utc, party in handovers[slot] or () if from_utc > start_utc), None)


def _changed(context: Context, before: Roster, after: Roster) -> list[tuple[Entry, Entry]]:
    """Return old and new entries of the slots on all pages that are not the same."""
    return [
        pair
        for page, digest in enumerate(before.pages)
        if after.pages[page] != digest
        # A page of the new roster may have more slots than the old one had.
        for pair in zip(read_entries(context, before, page), read_entries(context, after, page), strict=False)
    ]
