"""Results of queries, fetched from the peer page by page as they are taken."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2

_MESSAGE = shim_pb2.ChaincodeMessage
Item = TypeVar("Item")
Request = Callable[[int, bytes], bytes]


class KeyValue(NamedTuple):
    """A key and its committed value."""

    key: str
    value: bytes


@dataclass(frozen=True, kw_only=True)
class Modification:
    """One committed write of a key.

    Attributes:
        transaction_id: of the transaction that wrote it.
        timestamp_ns: that transaction's time, nanoseconds since 1970 UTC.
        value: what it wrote; None for a deletion.
    """

    transaction_id: str
    timestamp_ns: int
    value: bytes | None


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a query; `bookmark` asks for the next one, empty at the end."""

    items: tuple[KeyValue, ...]
    bookmark: str


class Results(Iterator[Item], Generic[Item]):
    """The results of one query, in the peer's order; taken once.

    The peer sends 100 at a time and keeps the rest until it is asked, closed, or the transaction ends.
    """

    def __init__(self, request: Request, first: bytes, decode: Callable[[bytes], Item]) -> None:
        self._request = request
        self._decode = decode
        self._response = shim_pb2.QueryResponse.FromString(first)
        self._taken = 0

    def __next__(self) -> Item:
        while self._taken == len(self._response.results):
            if not self._response.has_more:
                raise StopIteration
            following = shim_pb2.QueryStateNext(id=self._response.id)
            answer = self._request(_MESSAGE.QUERY_STATE_NEXT, following.SerializeToString())
            self._response = shim_pb2.QueryResponse.FromString(answer)
            self._taken = 0
        data = self._response.results[self._taken].resultBytes
        self._taken += 1
        return self._decode(data)

    def close(self) -> None:
        """Let the peer forget what was not taken; needed only if the transaction goes on for long."""
        unfinished, self._response = self._response, shim_pb2.QueryResponse()
        self._taken = 0
        # At the end of the results the peer has closed the query itself (query_response_generator.go).
        if unfinished.has_more:
            closing = shim_pb2.QueryStateClose(id=unfinished.id)
            self._request(_MESSAGE.QUERY_STATE_CLOSE, closing.SerializeToString())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def read_key_value(data: bytes) -> KeyValue:
    """Decode one result of a range or rich query."""
    result = kv_query_result_pb2.KV.FromString(data)
    return KeyValue(result.key, result.value)


def read_modification(data: bytes) -> Modification:
    """Decode one result of a history query."""
    result = kv_query_result_pb2.KeyModification.FromString(data)
    return Modification(
        transaction_id=result.tx_id,
        timestamp_ns=result.timestamp.ToNanoseconds(),
        value=None if result.is_delete else result.value,
    )


def read_page(data: bytes) -> Page:
    """Decode the one answer to a paginated query."""
    response = shim_pb2.QueryResponse.FromString(data)
    metadata: Any = shim_pb2.QueryResponseMetadata.FromString(response.metadata)
    return Page(
        items=tuple(read_key_value(result.resultBytes) for result in response.results), bookmark=metadata.bookmark
    )
