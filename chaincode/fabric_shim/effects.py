"""What a transaction will leave behind if it succeeds: its writes and its event."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fabric_protos.peer import chaincode_event_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2

from fabric_shim.config import MAX_MESSAGE_BYTES

_WRITE = shim_pb2.WriteRecord
# Half a message: one record may go beyond it, together they leave room for framing.
_BATCH_BYTES = MAX_MESSAGE_BYTES // 2

# For peers that take writes one by one. A record has the type number of the single message that says the same.
_SINGLE: Mapping[int, Callable[[Any], Any]] = {
    _WRITE.PUT_STATE: lambda record: shim_pb2.PutState(
        key=record.key, value=record.value, collection=record.collection
    ),
    _WRITE.DEL_STATE: lambda record: shim_pb2.DelState(key=record.key, collection=record.collection),
    _WRITE.PURGE_PRIVATE_DATA: lambda record: shim_pb2.DelState(key=record.key, collection=record.collection),
    _WRITE.PUT_STATE_METADATA: lambda record: shim_pb2.PutStateMetadata(
        key=record.key, collection=record.collection, metadata=record.metadata
    ),
}


class Effects:
    """Writes and event of one running transaction.

    They are kept until the contract has answered, whatever the peer's version. So a transaction that fails writes
    nothing even where its caller, another chaincode, goes on; and peers of all versions see the same order.

    Attributes:
        event: a ChaincodeEvent, or None.
    """

    def __init__(self) -> None:
        self.event: Any = None
        self._records: dict[tuple[str, str, bool], Any] = {}

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the event, in place of any before."""
        self.event = chaincode_event_pb2.ChaincodeEvent(event_name=name, payload=payload)

    def write(self, record: Any) -> None:
        """Add a WriteRecord; the last one of a key's value wins, and beside it the last of its metadata."""
        of_metadata = record.type == _WRITE.PUT_STATE_METADATA
        self._records[record.collection, record.key, of_metadata] = record

    def messages(self, *, batch_limit: int) -> Iterator[tuple[int, bytes]]:
        """Yield the writes as types and payloads of messages, up to `batch_limit` records each; 0 means no batches."""
        if not batch_limit:
            for record in self._records.values():
                yield record.type, _SINGLE[record.type](record).SerializeToString()
            return
        for batch in _batches(self._records.values(), batch_limit):
            yield shim_pb2.ChaincodeMessage.WRITE_BATCH_STATE, shim_pb2.WriteBatchState(rec=batch).SerializeToString()


def _batches(records: Any, limit: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    batch_bytes = 0
    for record in records:
        record_bytes = record.ByteSize()
        if batch and (len(batch) == limit or batch_bytes + record_bytes > _BATCH_BYTES):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(record)
        batch_bytes += record_bytes
    if batch:
        yield batch
