"""Checking a receipt: offline, with nothing but the community's published root certificates.

A receipt (`wattpool.receipts.envelope` says how it is packed) is a JSON object:

- `statement`: what the period did to the connection, as it stands in the period record's tree: energy, money, the
  hash of the meter's record, and the meter's public key;
- `place`: `index` of the statement's leaf, `size` of the tree, and the `path` (base64) to its root (RFC 9162);
- `period`: the period record `result`, which names that root, and `seal`, the payload that the aggregator signed,
  which names the record's hash, the period and the community;
- `evidence`: the transaction that sealed the period, with its endorsements: it read the period record as committed,
  and its result is the content id of that payload; of a corrected version, all of these are the version's own;
- `record`: the meter's record (OCMF), or null.

Every byte of it counts: whatever is changed, the receipt is refused.
"""

from dataclasses import dataclass
from typing import Any

from wattpool.ledgers.policies import is_satisfied
from wattpool.receipts.envelope import unpack
from wattpool.receipts.evidence import Proven, from_text
from wattpool.receipts.reason import ReceiptReason, ReceiptRefused
from wattpool.receipts.roots import PublishedRoots
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.ledger.period import key
from wattpool_chaincode.ledger.versions import FIRST_VERSION, version_key
from wattpool_chaincode.records import codec, merkle, ocmf
from wattpool_chaincode.records.payload import Malformed, Payload, is_count

MAX_BYTES = 16_000
_FIELDS = {"evidence", "period", "place", "record", "statement"}

__all__ = ["Checked", "ReceiptReason", "ReceiptRefused", "check"]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a receipt proves.

    Attributes:
        community: whose.
        period_start_utc: of which market period.
        version: of it; what is above the first one corrects what came before.
        clock: `live`, or `simulated`: then no time in it means anything.
        endorsers: MSP ids of the organisations that vouch for it.
        statement: what the period did to the connection.
        result: the period record.
        has_record: whether the meter's own signed record is there, and checked.
    """

    community: str
    period_start_utc: int
    version: int
    clock: str
    endorsers: frozenset[str]
    statement: dict[str, Any]
    result: dict[str, Any]
    has_record: bool


def check(data: bytes, roots: PublishedRoots) -> Checked:
    """Check a receipt.

    Args:
        data: the receipt's bytes.
        roots: of the community.

    Raises:
        ReceiptRefused: with the first reason that applies.
    """
    receipt = _decode(data)
    seal = _read_seal(receipt["period"]["seal"])
    if seal.community != roots.community:
        raise ReceiptRefused(ReceiptReason.FOREIGN_COMMUNITY, f"sealed for {seal.community!r}")
    proven = roots.prove(receipt["evidence"])
    if not is_satisfied(LEDGER.policy, proven.endorsers):
        holding = ", ".join(sorted(proven.endorsers)) or "nobody"
        raise ReceiptRefused(ReceiptReason.UNDER_ENDORSED, f"only {holding} vouch for it")
    result = receipt["period"]["result"]
    _require_sealed(result, seal, receipt["period"]["seal"], proven)
    statement = receipt["statement"]
    _require_included(statement, receipt["place"], result)
    if receipt["record"] is not None:
        _require_record(receipt["record"], statement)
    return Checked(
        community=seal.community,
        period_start_utc=seal.period_start_utc,
        version=result.get("version", FIRST_VERSION),
        clock=result["clock"],
        endorsers=proven.endorsers,
        statement=statement,
        result=result,
        has_record=receipt["record"] is not None,
    )


def _decode(data: bytes) -> dict[str, Any]:
    value = unpack(data)
    match value:
        case {
            "evidence": dict(),
            "period": {"result": {"clock": str(), "root": str(), "slots": int()} as result, "seal": str(), **rest},
            "place": dict(),
            "record": None | str(),
            "statement": {"device_key": str(), "record": None | str()},
        } if set(value) == _FIELDS and not rest and is_count(result.get("version", FIRST_VERSION)):
            receipt: dict[str, Any] = value
            return receipt
        case _:
            raise ReceiptRefused(ReceiptReason.MALFORMED, f"the fields are not {', '.join(sorted(_FIELDS))}")


def _read_seal(text: str) -> Payload:
    try:
        return Payload.decode("seal", text.encode())
    except Malformed as error:
        raise ReceiptRefused(ReceiptReason.MALFORMED, f"not a seal: {error}") from error


def _require_sealed(result: dict[str, Any], seal: Payload, seal_text: str, proven: Proven) -> None:
    """Require that the endorsed transaction read this period record as committed and sealed it with this seal."""
    sealed = {"previous": seal.content.get("previous"), "seal": codec.content_id(seal_text.encode())}
    if proven.result != codec.encode(sealed):
        raise ReceiptRefused(ReceiptReason.NOT_SEALED, "the endorsed transaction made another seal")
    start_utc, version = seal.period_start_utc, result.get("version", FIRST_VERSION)
    read = key("result", start_utc) if version == FIRST_VERSION else version_key("result", start_utc, version)
    if read not in proven.reads:
        raise ReceiptRefused(ReceiptReason.NOT_SEALED, "the endorsed transaction did not find the period record")
    if seal.content.get("result") != codec.content_id(codec.encode(result)):
        raise ReceiptRefused(ReceiptReason.NOT_SEALED, "the seal is that of another period record")


def _require_included(statement: dict[str, Any], place: dict[str, Any], result: dict[str, Any]) -> None:
    leaf = bytes.fromhex(codec.content_id(codec.encode(statement)))
    match place:
        case {"index": int(index), "path": [*path], "size": int(size)} if len(place) == 3:  # noqa: PLR2004
            siblings = [from_text(one) for one in path]
        case _:
            raise ReceiptRefused(ReceiptReason.MALFORMED, "a place is an index, a path and a size")
    # The path alone would fit trees of some other sizes, too.
    if size != result["slots"]:
        raise ReceiptRefused(ReceiptReason.NOT_INCLUDED, f"a tree of {size} leaves, but {result['slots']} slots")
    try:
        root = merkle.root_of_path(leaf, index=index, size=size, path=siblings)
    except ValueError as error:
        raise ReceiptRefused(ReceiptReason.NOT_INCLUDED, str(error)) from error
    if root.hex() != result["root"]:
        raise ReceiptRefused(ReceiptReason.NOT_INCLUDED, "the path does not lead to the root of the period record")
    if statement.get("slot") != index:
        raise ReceiptRefused(ReceiptReason.NOT_INCLUDED, "the statement is that of another slot")


def _require_record(text: str, statement: dict[str, Any]) -> None:
    try:
        signed = ocmf.read(text)
    except ocmf.MalformedRecord as error:
        raise ReceiptRefused(ReceiptReason.MALFORMED, f"the meter record: {error}") from error
    if signed.hash != statement["record"]:
        raise ReceiptRefused(ReceiptReason.RECORD_FOR_ANOTHER, "the statement names another meter record")
    if not signed.is_signed_by(bytes.fromhex(statement["device_key"])):
        raise ReceiptRefused(ReceiptReason.WRONGLY_SIGNED, "the meter record is not signed by the meter's key")
