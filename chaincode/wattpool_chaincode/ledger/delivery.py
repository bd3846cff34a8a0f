"""Delivery of firm trades: their part in settling a period, before the pool gets what they leave.

Nobody is at fault for a period without good data from both ends, one whose market was given up, or one in which the
DSO curtailed the feeder of either end, either end was suspended, or was another party's: what was due in it is excused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.clearing import read_deal
from wattpool_chaincode.ledger.firm import Allocation, Claim, Progress, advance, allocate
from wattpool_chaincode.ledger.period import PeriodState, Phase, key, part_range, phase_of, read_roster
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reports import Measured
from wattpool_chaincode.ledger.reservations import Reservation
from wattpool_chaincode.ledger.roster import latest_roster
from wattpool_chaincode.ledger.settlement import SettledTrade
from wattpool_chaincode.ledger.tokens import require_organisation
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused
from wattpool_chaincode.roster import Entry

_CURTAILED = "curtailed"


@dataclass(frozen=True, kw_only=True)
class FirmRow:
    """What a period did to a firm trade, as it stands on its buyer's settled page."""

    offer: str
    bid_slot: int
    offer_slot: int
    claimed_wh: int
    delivered_wh: int
    progress: Progress
    ends: bool

    def to_row(self) -> list[Any]:
        """Return offer, buyer, seller, claimed and delivered energy, the whole progress, whether the window ends."""
        return [
            self.offer,
            self.bid_slot,
            self.offer_slot,
            self.claimed_wh,
            self.delivered_wh,
            *self.progress,
            self.ends,
        ]

    @classmethod
    def from_row(cls, row: list[Any]) -> "FirmRow":
        offer, bid_slot, offer_slot, claimed_wh, delivered_wh, *progress, ends = row
        return cls(
            offer=offer,
            bid_slot=bid_slot,
            offer_slot=offer_slot,
            claimed_wh=claimed_wh,
            delivered_wh=delivered_wh,
            progress=Progress(*progress),
            ends=ends,
        )


def curtail(context: Context, argument: dict[str, Any]) -> None:
    """State that the grid did not let a feeder deliver in a period that is not settling yet; only the DSO.

    Raises:
        Refused: argument_malformed, not_authorised, roster_unknown, not_a_period, late.
    """
    start_utc, feeder, reason = fields.read(argument, period=fields.COUNT, feeder=fields.NAME, reason=fields.TEXT)
    require_organisation(context, DSO)
    period_s = read_roster(context, latest_roster(context)).rules_at(start_utc).period_s
    if start_utc % period_s:
        raise Refused(LedgerRefusal.NOT_A_PERIOD, f"{start_utc} is no start of a period of {period_s} s")
    name = key(_CURTAILED, start_utc, feeder)
    if context.get(name) is not None:
        return
    phase = phase_of(context, start_utc)
    if phase in (Phase.SETTLING, Phase.FINAL, Phase.SEALED):
        raise Refused(LedgerRefusal.LATE, f"the period is {phase.value}")

    context.put(name, codec.encode({"reason": reason}))


def allocate_firm(
    context: Context,
    state: PeriodState,
    reservations: Sequence[Reservation],
    measured: Mapping[int, Measured],
    entries: Mapping[int, Entry],
) -> list[Allocation]:
    """Return what the firm trades of a period get of what was measured.

    Args:
        context: of a settling page.
        state: of the period.
        reservations: all of the period.
        measured: by slot, good data of slots that are not suspended alone.
        entries: at least of the parties to these trades, by slot.
    """
    start_utc = state.period.start_utc
    if not reservations:
        return []
    before = read_progress(context, state.period.previous.start_utc)
    given_up = "aborted" in read_deal(context, start_utc)
    curtailed = {name.rpartition("/")[2] for name, _ in context.range(*part_range(_CURTAILED, start_utc))}

    def is_ready(slot: int, party: str) -> bool:
        entry = entries[slot]
        return slot in measured and entry.feeder not in curtailed and entry.party == party

    return allocate(
        [Claim(one, before.get(one.offer, Progress())) for one in reservations],
        excused={
            one.offer
            for one in reservations
            if given_up or not (is_ready(one.bid_slot, one.buyer) and is_ready(one.offer_slot, one.seller))
        },
        exported_wh={slot: one.export_wh for slot, one in measured.items()},
        imported_wh={slot: one.import_wh for slot, one in measured.items()},
    )


def delivered_wh(allocations: Iterable[Allocation]) -> tuple[Counter[int], Counter[int]]:
    """Return what each slot imported and exported for firm trades."""
    import_wh: Counter[int] = Counter()
    export_wh: Counter[int] = Counter()
    for one in allocations:
        import_wh[one.claim.reservation.bid_slot] += one.delivered_wh
        export_wh[one.claim.reservation.offer_slot] += one.delivered_wh
    return import_wh, export_wh


def left_for_pool(measured: dict[int, Measured], allocations: Sequence[Allocation]) -> dict[int, Measured]:
    """Return what was measured without what firm trades got of it."""
    import_wh, export_wh = delivered_wh(allocations)
    left = {
        slot: replace(
            measured[slot],
            import_wh=measured[slot].import_wh - import_wh[slot],
            export_wh=measured[slot].export_wh - export_wh[slot],
        )
        for slot in sorted({*import_wh, *export_wh} & measured.keys())
    }
    return measured | left if left else measured


def firm_rows(
    allocations: Sequence[Allocation], left: Mapping[int, Measured], settled: Iterable[SettledTrade]
) -> list[FirmRow]:
    """Return what a period did to its firm trades.

    Args:
        allocations: of the period.
        left: what they left for the pool.
        settled: what the pool made of it.
    """
    if not allocations:
        return []
    from_grid_wh = {slot: one.import_wh for slot, one in left.items()}
    fed_in_wh = {slot: one.export_wh for slot, one in left.items()}
    for trade in settled:
        if trade.energy_wh:
            from_grid_wh[trade.agreed.bid_slot] -= trade.energy_wh
            fed_in_wh[trade.agreed.offer_slot] -= trade.energy_wh
    progresses = advance(allocations, from_grid_wh=from_grid_wh, fed_in_wh=fed_in_wh)
    return [
        FirmRow(
            offer=one.claim.reservation.offer,
            bid_slot=one.claim.reservation.bid_slot,
            offer_slot=one.claim.reservation.offer_slot,
            claimed_wh=one.claimed_wh,
            delivered_wh=one.delivered_wh,
            progress=progress,
            ends=one.claim.reservation.ends,
        )
        for one, progress in zip(allocations, progresses, strict=True)
    ]


def read_progress(context: Context, start_utc: int) -> dict[str, Progress]:
    """Return the progress of firm trades by offer, as the record of a final period has it."""
    stored = context.get(key("result", start_utc))
    if stored is None:
        return {}
    return {offer: Progress(*progress) for offer, *progress in codec.load(stored)["firm"]}
