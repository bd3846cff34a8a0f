"""What a transaction may ask of its peer."""

from collections.abc import Mapping, Sequence
from typing import Any

from fabric_protos.peer import chaincode_pb2, proposal_response_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2

from fabric_shim import keys
from fabric_shim.effects import Effects
from fabric_shim.errors import ArgumentError, PeerError
from fabric_shim.identity import ClientIdentity, read_identity
from fabric_shim.limits import PeerLimits
from fabric_shim.policy import Policy, decode_policy, encode_policy
from fabric_shim.proposal import Proposal
from fabric_shim.response import Response
from fabric_shim.results import (
    KeyValue,
    Modification,
    Page,
    Request,
    Results,
    read_key_value,
    read_modification,
    read_page,
)

_MESSAGE = shim_pb2.ChaincodeMessage
_WRITE = shim_pb2.WriteRecord
# The one metadata entry of a key that the peer knows.
_POLICY_KEY = "VALIDATION_PARAMETER"
_MAX_PAGE_SIZE = 2**31 - 1


class Stub:
    """One transaction on one channel, as its contract code sees it.

    Reads give the committed state, never what this transaction wrote. Writes are kept here and sent together when the
    contract has answered; a transaction that fails sends none. With a `collection` named, reads and writes concern its
    private data. Methods may be called from any thread; the peer serves one request of a transaction at a time.

    Each method that reads raises `PeerError` if the peer refuses, `ArgumentError` for arguments that no peer takes,
    and `StreamEnded` if the peer is gone.

    Attributes:
        channel: the channel's name.
        transaction_id: SHA-256 of nonce and creator, in hexadecimal.
        args: of the call; by convention the first one names the function.
        is_init: whether the chaincode's definition asked for this call before any other (`--init-required`).
        decorations: what the peer's own decorators added, by name.
        proposal: creator, transient data, binding and time of the client's proposal.
    """

    def __init__(  # noqa: PLR0913 -- the parts of one message
        self,
        *,
        channel: str,
        transaction_id: str,
        call: Any,
        proposal: Proposal,
        request: Request,
        limits: PeerLimits,
        effects: Effects,
    ) -> None:
        self.channel = channel
        self.transaction_id = transaction_id
        self.args: tuple[bytes, ...] = tuple(call.args)
        self.is_init: bool = call.is_init
        self.decorations: Mapping[str, bytes] = dict(call.decorations)
        self.proposal = proposal
        self._request = request
        self._limits = limits
        self._effects = effects

    @property
    def function(self) -> str:
        """The first argument, as text; empty if there is none."""
        return self.args[0].decode(errors="replace") if self.args else ""

    @property
    def parameters(self) -> tuple[bytes, ...]:
        """The arguments after the function's name."""
        return self.args[1:]

    @property
    def transient(self) -> Mapping[str, bytes]:
        """Data for the endorsers' eyes only; no part of the transaction."""
        return self.proposal.transient

    @property
    def timestamp_ns(self) -> int:
        """The client's clock at the proposal, nanoseconds since 1970 UTC."""
        return self.proposal.timestamp_ns

    @property
    def client(self) -> ClientIdentity:
        """Who sent the proposal.

        Raises:
            ArgumentError: nobody that can be read.
        """
        return read_identity(self.proposal.creator)

    def get(self, key: str, *, collection: str = "") -> bytes | None:
        """Return the committed value of `key`, or None."""
        keys.check_key(key)
        ask = shim_pb2.GetState(key=key, collection=collection)
        return self._request(_MESSAGE.GET_STATE, ask.SerializeToString()) or None

    def get_many(self, wanted: Sequence[str], *, collection: str = "") -> list[bytes | None]:
        """Return the committed values of several keys in their order, in as few messages as the peer allows."""
        for key in wanted:
            keys.check_key(key)
        if not self._limits.multiple_keys:
            return [self.get(key, collection=collection) for key in wanted]
        values: list[bytes | None] = []
        for start in range(0, len(wanted), self._limits.multiple_keys):
            some = wanted[start : start + self._limits.multiple_keys]
            ask = shim_pb2.GetStateMultiple(keys=some, collection=collection)
            answer = self._request(_MESSAGE.GET_STATE_MULTIPLE, ask.SerializeToString())
            found = shim_pb2.GetStateMultipleResult.FromString(answer).values
            if len(found) != len(some):
                raise PeerError(f"the peer answered {len(some)} keys with {len(found)} values")
            values += [value or None for value in found]
        return values

    def put(self, key: str, value: bytes, *, collection: str = "") -> None:
        """Write `value` when this transaction commits; a later write of the same key wins.

        Raises:
            ArgumentError: the key or the value is empty: Fabric reads an empty value as a deletion.
        """
        if not value:
            raise ArgumentError(f"the value of {key!r} must not be empty")
        self._write(key, collection, type=_WRITE.PUT_STATE, value=value)

    def delete(self, key: str, *, collection: str = "") -> None:
        """Remove `key` when this transaction commits."""
        self._write(key, collection, type=_WRITE.DEL_STATE)

    def purge(self, key: str, *, collection: str) -> None:
        """Remove a private value and all its past (application capability V2_5); hashes on the blocks stay."""
        _check_collection(collection)
        self._write(key, collection, type=_WRITE.PURGE_PRIVATE_DATA)

    def private_hash(self, key: str, *, collection: str) -> bytes | None:
        """Return the SHA-256 of the committed private value, which non-members may read too, or None."""
        keys.check_key(key)
        _check_collection(collection)
        ask = shim_pb2.GetState(key=key, collection=collection)
        return self._request(_MESSAGE.GET_PRIVATE_DATA_HASH, ask.SerializeToString()) or None

    def range(self, start: str = "", end: str = "", *, collection: str = "") -> Results[KeyValue]:
        """Return the simple keys from `start` to before `end`, in the order of their UTF-8 bytes.

        Of private data only in a transaction that writes nothing.
        """
        return self._range(*keys.simple_range(start, end), collection)

    def composite_range(
        self, object_type: str, attributes: Sequence[str] = (), *, collection: str = ""
    ) -> Results[KeyValue]:
        """Return the composite keys that start with these parts; of private data as `range`."""
        return self._range(*keys.composite_range(object_type, attributes), collection)

    def range_page(self, start: str = "", end: str = "", *, page_size: int, bookmark: str = "") -> Page:
        """Return one page of `range`; only of public data, in a transaction that writes nothing."""
        return self._range_page(*keys.simple_range(start, end), page_size, bookmark)

    def composite_range_page(
        self, object_type: str, attributes: Sequence[str] = (), *, page_size: int, bookmark: str = ""
    ) -> Page:
        """Return one page of `composite_range`; only where `range_page` is allowed."""
        return self._range_page(*keys.composite_range(object_type, attributes), page_size, bookmark)

    def all_composite_page(self, *, page_size: int, bookmark: str = "") -> Page:
        """Return one page of all composite keys; only where `range_page` is allowed."""
        return self._range_page(*keys.all_composite_range(), page_size, bookmark)

    def query(self, selector: str, *, collection: str = "") -> Results[KeyValue]:
        """Return what a rich query finds; only on CouchDB, and not protected against phantoms."""
        ask = shim_pb2.GetQueryResult(query=selector, collection=collection)
        answer = self._request(_MESSAGE.GET_QUERY_RESULT, ask.SerializeToString())
        return Results(self._request, answer, read_key_value)

    def query_page(self, selector: str, *, page_size: int, bookmark: str = "") -> Page:
        """Return one page of `query`; only where `range_page` is allowed."""
        ask = shim_pb2.GetQueryResult(query=selector, metadata=_page_metadata(page_size, bookmark))
        return read_page(self._request(_MESSAGE.GET_QUERY_RESULT, ask.SerializeToString()))

    def history(self, key: str) -> Results[Modification]:
        """Return the committed writes of `key`, newest first; no part of the read set."""
        keys.check_key(key)
        ask = shim_pb2.GetHistoryForKey(key=key)
        answer = self._request(_MESSAGE.GET_HISTORY_FOR_KEY, ask.SerializeToString())
        return Results(self._request, answer, read_modification)

    def get_policy(self, key: str, *, collection: str = "") -> Policy | None:
        """Return who must endorse changes of `key`; None if the collection's or chaincode's policy says so."""
        keys.check_key(key)
        ask = shim_pb2.GetStateMetadata(key=key, collection=collection)
        answer = self._request(_MESSAGE.GET_STATE_METADATA, ask.SerializeToString())
        entries = shim_pb2.StateMetadataResult.FromString(answer).entries
        value = next((entry.value for entry in entries if entry.metakey == _POLICY_KEY), b"")
        return decode_policy(value) if value else None

    def set_policy(self, key: str, policy: Policy | None, *, collection: str = "") -> None:
        """Say who must endorse later changes of `key`; None lifts that.

        Where it was lifted, peers validate by the chaincode's policy, but the Gateway of Fabric up to 3.1 reads what is
        left as a policy that nobody meets (core/endorser/endorser.go parseWritesetMetadata): clients then have to name
        the endorsing organisations, unless the key was deleted or has got the chaincode's policy instead.
        """
        metadata = shim_pb2.StateMetadata(metakey=_POLICY_KEY, value=encode_policy(policy) if policy else b"")
        self._write(key, collection, type=_WRITE.PUT_STATE_METADATA, metadata=metadata)

    def set_event(self, name: str, payload: bytes = b"") -> None:
        """Attach the transaction's one event; a second call replaces the first.

        Only the event of the chaincode that the client called reaches the block.
        """
        if not name:
            raise ArgumentError("an event's name must not be empty")
        self._effects.set_event(name, payload)

    def invoke_chaincode(self, name: str, args: Sequence[bytes], *, channel: str = "") -> Response:
        """Call another chaincode as this transaction's client.

        On this channel its reads and writes join this transaction's. On another channel what it writes is dropped,
        and what it reads is not protected by a read set.

        Raises:
            PeerError: the other chaincode could not be run; if it ran and refused, the response says so.
        """
        ask = chaincode_pb2.ChaincodeSpec(
            chaincode_id=chaincode_pb2.ChaincodeID(name=f"{name}/{channel}" if channel else name),
            input=chaincode_pb2.ChaincodeInput(args=args),
        )
        answer = _MESSAGE.FromString(self._request(_MESSAGE.INVOKE_CHAINCODE, ask.SerializeToString()))
        if answer.type != _MESSAGE.COMPLETED:
            raise PeerError(answer.payload.decode(errors="replace") or f"chaincode {name} did not complete")
        response = proposal_response_pb2.Response.FromString(answer.payload)
        return Response(status=response.status, payload=response.payload, message=response.message)

    def _range(self, start: str, end: str, collection: str) -> Results[KeyValue]:
        ask = shim_pb2.GetStateByRange(startKey=start, endKey=end, collection=collection)
        answer = self._request(_MESSAGE.GET_STATE_BY_RANGE, ask.SerializeToString())
        return Results(self._request, answer, read_key_value)

    def _range_page(self, start: str, end: str, page_size: int, bookmark: str) -> Page:
        ask = shim_pb2.GetStateByRange(startKey=start, endKey=end, metadata=_page_metadata(page_size, bookmark))
        return read_page(self._request(_MESSAGE.GET_STATE_BY_RANGE, ask.SerializeToString()))

    def _write(self, key: str, collection: str, **record: Any) -> None:
        keys.check_key(key)
        self._effects.write(_WRITE(key=key, collection=collection, **record))


def _check_collection(collection: str) -> None:
    if not collection:
        raise ArgumentError("private data needs the name of its collection")


def _page_metadata(page_size: int, bookmark: str) -> bytes:
    if not 1 <= page_size <= _MAX_PAGE_SIZE:
        raise ArgumentError(f"a page of {page_size} results cannot be asked for")
    return bytes(shim_pb2.QueryMetadata(pageSize=page_size, bookmark=bookmark).SerializeToString())
