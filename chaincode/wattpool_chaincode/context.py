"""The port of the contracts: what a transaction may ask of the ledger it runs on.

Two things implement it: the embedded ledger and, on Fabric, the chaincode shim. Both promise the same answers:
reads see the committed state and never this transaction's own writes (ranges included), keys are ordered by their
UTF-8 bytes, one event per transaction (the last one wins), history and pages only in transactions that write
nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Submitter:
    """Who sent the transaction, as its certificate says: the organisation's MSP id and certified attributes."""

    msp_id: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who must endorse: at least `required` of the `rules`, each an MSP id or a policy of its own."""

    required: int
    rules: tuple["str | Policy", ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a range; `bookmark` is the key at which the next page starts, empty at the end."""

    items: tuple[tuple[str, bytes], ...]
    bookmark: str


@dataclass(frozen=True, kw_only=True)
class Modification:
    """One committed write of a key, newest first in a history; `value` is None for a deletion."""

    transaction_id: str
    time_utc: int
    value: bytes | None


class Context(Protocol):
    """One transaction's view of one channel; writes take effect when it is committed as valid."""

    @property
    def channel(self) -> str: ...

    @property
    def transaction_id(self) -> str: ...

    @property
    def time_utc(self) -> int:
        """The proposal's time in seconds since 1970: the client's choice, within the ledger's window."""

    @property
    def submitter(self) -> Submitter: ...

    @property
    def transient(self) -> Mapping[str, bytes]:
        """Data for the endorsers' eyes only.

        By convention the name of an entry is the private key under which the contract stores the value unchanged,
        so that whoever holds the private data can run the transaction again.
        """

    def get(self, key: str) -> bytes | None:
        """Return the committed value of `key`, or None."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the committed values of several keys, as `get` does one by one; one journey where each has a price."""

    def put(self, key: str, value: bytes) -> None:
        """Write `value`, which is not empty, under `key`, which is not empty."""

    def delete(self, key: str) -> None:
        """Remove `key` if it is there."""

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Yield the committed keys from `start` to before `end`, in the order of their UTF-8 bytes."""

    def range_page(self, start: str, end: str, *, page_size: int, bookmark: str = "") -> Page:
        """Return one page of a range; only in a transaction that writes nothing."""

    def history(self, key: str) -> Iterator[Modification]:
        """Yield the committed writes of `key`, newest first; only in a transaction that writes nothing."""

    def get_private(self, collection: str, key: str) -> bytes | None:
        """Return the committed private value of `key`, or None."""

    def get_many_private(self, collection: str, keys: Sequence[str]) -> list[bytes | None]:
        """Return the committed private values of several keys."""

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        """Write a private value; the block carries the SHA-256 of key and value alone."""

    def purge_private(self, collection: str, key: str) -> None:
        """Remove a private value and all its past; the hashes on the blocks stay."""

    def private_hash(self, collection: str, key: str) -> bytes | None:
        """Return the SHA-256 of the committed private value, which non-members may read too, or None."""

    def range_private(self, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Yield private keys and values; only in a transaction that writes nothing."""

    def set_policy(self, key: str, policy: Policy | None) -> None:
        """Say who must endorse later writes of `key`, in place of the chaincode's policy; None lifts that."""

    def emit(self, name: str, payload: bytes) -> None:
        """Attach the transaction's one event; a second call replaces the first."""

    def query(self, channel: str, function: str, argument: bytes) -> bytes:
        """Call a function of another channel's contract, read only and outside this transaction's read set."""
