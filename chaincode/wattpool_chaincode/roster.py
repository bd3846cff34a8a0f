"""The roster: who may trade, as the contract chain publishes it and the ledger chain copies it.

A connection keeps its slot, its number in the roster, for ever. Slots are kept in pages of 500, and what changes
every period (purses, counters, registers) is kept in pages of the same shape, each written once a period.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wattpool_chaincode.records import codec

PAGE_SIZE = 500


def page_count(slots: int) -> int:
    """Return how many pages hold `slots` slots."""
    return -(-slots // PAGE_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One connection point that may trade.

    Attributes:
        slot: its number.
        connection: its permanent pseudonym.
        feeder: where it is.
        line_limit_w: the most its line carries either way, P_Lmax of eq. (1).
        device: the meter that measures it, and signs.
        device_key: the meter's public key, compressed, in hex.
        party: the account that pays and is paid.
        party_key: the owner's public key.
        retail_ut_per_kwh: what a kilowatt-hour from the grid costs the party.
        feed_in_ut_per_kwh: what the grid pays for one.
        generation_cost_ut_per_kwh: the least the owner sells for.
        max_buy_ut_per_kwh: the most the owner pays, fees included.
        opening: the meter's record at installation: number, hash, import and export in Wh, time.
        installation: how many meters measured the connection before this one.
        may_trade: false while the meter is void, or retired without a successor; its purse stays its party's.
    """

    slot: int
    connection: str
    feeder: str
    line_limit_w: int
    device: str
    device_key: str
    party: str
    party_key: str
    retail_ut_per_kwh: int
    feed_in_ut_per_kwh: int
    generation_cost_ut_per_kwh: int
    max_buy_ut_per_kwh: int
    opening: tuple[int, str, int, int, int]
    installation: int
    may_trade: bool

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Entry":
        """Read an entry of a page that was decoded."""
        return cls(**{**value, "opening": tuple(value["opening"])})


def encode_page(entries: list[Entry]) -> bytes:
    """Return the bytes of a page."""
    return codec.encode([asdict(entry) for entry in entries])


def decode_page(data: bytes) -> list[Entry]:
    """Read what `encode_page` wrote."""
    return [Entry.from_json(value) for value in codec.load(data)]
