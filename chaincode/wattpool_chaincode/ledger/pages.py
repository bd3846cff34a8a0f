"""What changes every period, in pages shaped like the roster's: purses, request counters, meter registers.

Who had a slot until when is kept in such pages, too.

Only the period's stages write them, each page once a stage, so that 10,000 balances are 20 keys and none is hot.
"""

from typing import Any

from wattpool_chaincode.context import Context
from wattpool_chaincode.ledger.period import page_of
from wattpool_chaincode.records import codec

PURSE = "purse"
COUNTER = "counter"
REGISTER = "register"
HANDOVER = "handover"
_EMPTY = {PURSE: 0, COUNTER: 0, REGISTER: None, HANDOVER: None}


class Pages:
    """One kind of page, read when first needed and written back where changed."""

    def __init__(self, context: Context, kind: str) -> None:
        self._context = context
        self._kind = kind
        self._pages: dict[int, list[Any]] = {}
        self._changed: set[int] = set()

    def __getitem__(self, slot: int) -> Any:
        page, index = page_of(slot)
        values = self._load(page)
        return values[index] if index < len(values) else _EMPTY[self._kind]

    def __setitem__(self, slot: int, value: Any) -> None:
        page, index = page_of(slot)
        values = self._load(page)
        values.extend([_EMPTY[self._kind]] * (index + 1 - len(values)))
        values[index] = value
        self._changed.add(page)

    def write(self) -> None:
        """Write the changed pages."""
        for page in sorted(self._changed):
            self._context.put(_key(self._kind, page), codec.encode(self._pages[page]))

    def _load(self, page: int) -> list[Any]:
        if page not in self._pages:
            stored = self._context.get(_key(self._kind, page))
            self._pages[page] = [] if stored is None else codec.load(stored)
        return self._pages[page]


def _key(kind: str, page: int) -> str:
    return f"{kind}/{page:04}"
