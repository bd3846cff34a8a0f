"""The block format of the embedded ledger: records, and how each becomes bytes and back.

Everything is canonical JSON (`wattpool_chaincode.records.codec`); binary (arguments, values, results, nonces,
signatures) is base64 inside it; a hash is the SHA-256 of bytes in lower-case hex; a version is `[block, position]` of
the transaction that last wrote a key, or null if the key is absent; a policy is `{"required":n,"rules":[MSP id or
policy, ...]}`. Since canonical bytes of a part are found unchanged in the bytes of the whole, each part can be cut
out, hashed and checked alone.

**Genesis**: `{"chaincodes":{channel:{"name","policy"}},"community","organisations":{MSP id:root certificate PEM},
"version"}`. Its hash is the `previous_hash` of block 0 of every channel, so the first hash of a chain names the roots
of trust and the policies.

**Block**: `{"channel","codes","data_hash","number","previous_hash","transactions"}`. `data_hash` is the hash of the
list `transactions`; the block's hash is that of the object without `transactions`. So the chain covers everything,
the validation codes (one per transaction, in order) included.

**Transaction**: `{"endorsements":[[fingerprint, signature], ...],"proposal","response","signature"}`.

- `proposal`, what the submitter asks: `argument`, `chaincode`, `channel`, `creator` (fingerprint of its certificate:
  SHA-256 of the DER), `function`, `id` (SHA-256 of nonce, then certificate PEM, as in Fabric), `nonce`, `time_utc`,
  `transient` (name: hash of the value; the values are on no block).
- `response`, what the run gave: `event` (`{"name","payload"}` or null); `heights` (channel: number of its blocks when
  it was queried; for whoever runs the transaction again, unchecked at commit); `policies` (key: policy or null);
  `private_reads` (`[collection, key hash, version]`); `private_writes` (`[collection, key hash, value hash]`, null for
  a purge); `proposal` (hash of the proposal); `ranges` (`[start, end, [[key, version], ...]]`: what was found from
  `start` to before `end`; of a range that was left early the batches begun and the key behind them);
  `reads` (key: version); `result`; `writes` (key: value, null for a deletion).
- An endorser signs `wattpool/endorsement/1 ` and the hash of the response, in ASCII. The submitter signs
  `wattpool/transaction/1 ` and the canonical JSON of `{"endorsements","response"}`, the latter the same hash.
  Both as `wattpool_chaincode.records.signing` does.

A transaction has its effect if its code is VALID. Writes come first (a put keeps the key's policy, a deletion ends
it), then policies (without effect on an absent key); both give the key this transaction's version.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any, TypeVar

from wattpool.ledgers import policies
from wattpool_chaincode.context import Policy
from wattpool_chaincode.records import codec

FORMAT_VERSION = 1
# A range is read in batches of so many keys, and one key ahead (core/chaincode/chaincode_support.go of Fabric).
RANGE_BATCH = 100

Version = tuple[int, int]
_Kind = TypeVar("_Kind", str, int)
_Record = TypeVar("_Record", "Genesis", "Block", "Transaction")


class Malformed(ValueError):
    """Bytes that are no record of this format."""


class Code(StrEnum):
    """What validation at commit made of a transaction, in Fabric's words and order (peer/transaction.proto)."""

    VALID = "VALID"
    BAD_CREATOR_SIGNATURE = "BAD_CREATOR_SIGNATURE"
    INVALID_ENDORSER_TRANSACTION = "INVALID_ENDORSER_TRANSACTION"  # the response answers another proposal
    BAD_PROPOSAL_TXID = "BAD_PROPOSAL_TXID"
    DUPLICATE_TXID = "DUPLICATE_TXID"
    ENDORSEMENT_POLICY_FAILURE = "ENDORSEMENT_POLICY_FAILURE"
    MVCC_READ_CONFLICT = "MVCC_READ_CONFLICT"
    PHANTOM_READ_CONFLICT = "PHANTOM_READ_CONFLICT"
    INVALID_CHAINCODE = "INVALID_CHAINCODE"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A channel's chaincode, by name, and the policy for those keys that have none of their own."""

    name: str
    policy: Policy


@dataclass(frozen=True, kw_only=True)
class Genesis:
    """What all chains of a ledger start from: whose ledger it is, and the roots of trust by MSP id (PEM)."""

    community: str
    organisations: Mapping[str, str]
    chaincodes: Mapping[str, Installed]
    version: int = FORMAT_VERSION

    def encode(self) -> bytes:
        chaincodes = {
            channel: {"name": one.name, "policy": policies.to_json(one.policy)}
            for channel, one in self.chaincodes.items()
        }
        return codec.encode(
            {
                "chaincodes": chaincodes,
                "community": self.community,
                "organisations": dict(self.organisations),
                "version": self.version,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> "Genesis":
        """Read what `encode` wrote.

        Raises:
            Malformed: if it is anything else.
        """
        return _decode(data, cls._from_json)

    @cached_property
    def hash(self) -> str:
        return codec.content_id(self.encode())

    @classmethod
    def _from_json(cls, value: Any) -> "Genesis":
        chaincodes = {
            channel: Installed(name=_typed(one["name"], str), policy=policies.from_json(one["policy"]))
            for channel, one in value["chaincodes"].items()
        }
        return cls(
            community=_typed(value["community"], str),
            organisations=_mapping(value["organisations"], str),
            chaincodes=chaincodes,
            version=_typed(value["version"], int),
        )


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What a submitter asks for; fields as in the module's description."""

    channel: str
    chaincode: str
    function: str
    argument: bytes
    creator: str
    nonce: bytes
    id: str
    time_utc: int
    transient: Mapping[str, str]

    @cached_property
    def data(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(
            {
                "argument": _text(self.argument),
                "chaincode": self.chaincode,
                "channel": self.channel,
                "creator": self.creator,
                "function": self.function,
                "id": self.id,
                "nonce": _text(self.nonce),
                "time_utc": self.time_utc,
                "transient": dict(self.transient),
            }
        )

    @cached_property
    def hash(self) -> str:
        return codec.content_id(self.data)

    @classmethod
    def from_json(cls, value: Any) -> "Proposal":
        return cls(
            channel=_typed(value["channel"], str),
            chaincode=_typed(value["chaincode"], str),
            function=_typed(value["function"], str),
            argument=_binary(value["argument"]),
            creator=_typed(value["creator"], str),
            nonce=_binary(value["nonce"]),
            id=_typed(value["id"], str),
            time_utc=_typed(value["time_utc"], int),
            transient=_mapping(value["transient"], str),
        )


@dataclass(frozen=True, kw_only=True)
class RangeRead:
    """The keys, with versions, that were found from `start` to before `end`; an empty `end` means no end."""

    start: str
    end: str
    found: tuple[tuple[str, Version], ...]


@dataclass(frozen=True, kw_only=True)
class PrivateRead:
    """A private value, or its hash, was read at `version`."""

    collection: str
    key_hash: str
    version: Version | None


@dataclass(frozen=True, kw_only=True)
class PrivateWrite:
    """A private value was written, or purged (no `value_hash`)."""

    collection: str
    key_hash: str
    value_hash: str | None


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """The one event of a transaction."""

    name: str
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a run of the contract read, wrote and returned; fields as in the module's description."""

    proposal_hash: str
    result: bytes
    reads: Mapping[str, Version | None] = field(default_factory=dict)
    ranges: Sequence[RangeRead] = ()
    private_reads: Sequence[PrivateRead] = ()
    writes: Mapping[str, bytes | None] = field(default_factory=dict)
    private_writes: Sequence[PrivateWrite] = ()
    policies: Mapping[str, Policy | None] = field(default_factory=dict)
    event: Emitted | None = None
    heights: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def data(self) -> bytes:
        """The canonical bytes."""
        event = None if self.event is None else {"name": self.event.name, "payload": _text(self.event.payload)}
        return codec.encode(
            {
                "event": event,
                "heights": dict(self.heights),
                "policies": {key: one and policies.to_json(one) for key, one in self.policies.items()},
                "private_reads": [[one.collection, one.key_hash, one.version] for one in self.private_reads],
                "private_writes": [[one.collection, one.key_hash, one.value_hash] for one in self.private_writes],
                "proposal": self.proposal_hash,
                "ranges": [[one.start, one.end, one.found] for one in self.ranges],
                "reads": dict(self.reads),
                "result": _text(self.result),
                "writes": {key: None if value is None else _text(value) for key, value in self.writes.items()},
            }
        )

    @cached_property
    def hash(self) -> str:
        return codec.content_id(self.data)

    @property
    def written(self) -> frozenset[str]:
        """The public keys that are written, deleted or given a policy."""
        return frozenset(self.writes) | frozenset(self.policies)

    @classmethod
    def from_json(cls, value: Any) -> "Response":
        event = value["event"]
        if event is not None:
            event = Emitted(name=_typed(event["name"], str), payload=_binary(event["payload"]))
        return cls(
            proposal_hash=_typed(value["proposal"], str),
            result=_binary(value["result"]),
            reads={key: _version(version) for key, version in value["reads"].items()},
            ranges=[
                RangeRead(
                    start=_typed(start, str),
                    end=_typed(end, str),
                    found=tuple((_typed(key, str), _present(version)) for key, version in found),
                )
                for start, end, found in value["ranges"]
            ],
            private_reads=[
                PrivateRead(
                    collection=_typed(collection, str), key_hash=_typed(key_hash, str), version=_version(version)
                )
                for collection, key_hash, version in value["private_reads"]
            ],
            writes={key: None if text is None else _binary(text) for key, text in value["writes"].items()},
            private_writes=[
                PrivateWrite(
                    collection=_typed(collection, str),
                    key_hash=_typed(key_hash, str),
                    value_hash=None if value_hash is None else _typed(value_hash, str),
                )
                for collection, key_hash, value_hash in value["private_writes"]
            ],
            policies={
                key: None if policy is None else policies.from_json(policy) for key, policy in value["policies"].items()
            },
            event=event,
            heights=_mapping(value["heights"], int),
        )


@dataclass(frozen=True, kw_only=True)
class Endorsement:
    """An endorser's signature over a response; `endorser` is the fingerprint of its certificate."""

    endorser: str
    signature: bytes

    @cached_property
    def data(self) -> bytes:
        """The canonical bytes."""
        return codec.encode([self.endorser, _text(self.signature)])


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """A proposal, what the endorsers answered, and the submitter's signature over it all."""

    proposal: Proposal
    response: Response
    endorsements: tuple[Endorsement, ...]
    signature: bytes

    @property
    def id(self) -> str:
        return self.proposal.id

    @cached_property
    def data(self) -> bytes:
        """The canonical bytes."""
        return b'{"endorsements":%b,"proposal":%b,"response":%b,"signature":"%b"}' % (
            _endorsements_data(self.endorsements),
            self.proposal.data,
            self.response.data,
            b64encode(self.signature),
        )

    @classmethod
    def decode(cls, data: bytes) -> "Transaction":
        """Read the canonical bytes of a transaction.

        Raises:
            Malformed: if they are anything else.
        """
        return _decode(data, cls.from_json)

    @classmethod
    def from_json(cls, value: Any) -> "Transaction":
        return cls(
            proposal=Proposal.from_json(value["proposal"]),
            response=Response.from_json(value["response"]),
            endorsements=tuple(
                Endorsement(endorser=_typed(endorser, str), signature=_binary(signature))
                for endorser, signature in value["endorsements"]
            ),
            signature=_binary(value["signature"]),
        )

    def encode(self) -> bytes:
        return self.data


@dataclass(frozen=True, kw_only=True)
class Block:
    """Transactions in their order, each with its code, chained to the block before."""

    channel: str
    number: int
    previous_hash: str
    data_hash: str
    codes: tuple[Code, ...]
    transactions: tuple[Transaction, ...]

    @property
    def header(self) -> bytes:
        """The canonical bytes without the transactions; their hash is the block's."""
        return encode_header(
            channel=self.channel,
            number=self.number,
            previous_hash=self.previous_hash,
            data_hash=self.data_hash,
            codes=self.codes,
        )

    @property
    def hash(self) -> str:
        return codec.content_id(self.header)

    def encode(self) -> bytes:
        return join_block(self.header, [transaction.data for transaction in self.transactions])

    @classmethod
    def decode(cls, data: bytes) -> "Block":
        """Read what `encode` wrote; hashes and signatures are not checked.

        Raises:
            Malformed: if it is anything else.
        """
        return _decode(data, cls._from_json)

    @classmethod
    def _from_json(cls, value: Any) -> "Block":
        return cls(
            channel=_typed(value["channel"], str),
            number=_typed(value["number"], int),
            previous_hash=_typed(value["previous_hash"], str),
            data_hash=_typed(value["data_hash"], str),
            codes=tuple(Code(code) for code in value["codes"]),
            transactions=tuple(Transaction.from_json(one) for one in value["transactions"]),
        )


def transaction_id(nonce: bytes, certificate_pem: bytes) -> str:
    """Return the id of a transaction: the SHA-256 of its nonce, then its submitter's certificate."""
    return sha256(nonce + certificate_pem).hexdigest()


def endorser_message(response: Response) -> bytes:
    """Return the bytes that an endorser signs."""
    return b"wattpool/endorsement/1 " + response.hash.encode()


def submitter_message(response: Response, endorsements: Sequence[Endorsement]) -> bytes:
    """Return the bytes that a submitter signs."""
    return b'wattpool/transaction/1 {"endorsements":%b,"response":"%b"}' % (
        _endorsements_data(endorsements),
        response.hash.encode(),
    )


def encode_header(*, channel: str, number: int, previous_hash: str, data_hash: str, codes: Sequence[Code]) -> bytes:
    """Return the canonical bytes of a block without its transactions."""
    return codec.encode(
        {
            "channel": channel,
            "codes": list(codes),
            "data_hash": data_hash,
            "number": number,
            "previous_hash": previous_hash,
        }
    )


def data_hash(transactions: Sequence[bytes]) -> str:
    """Return the hash of the list of transactions, each given as its canonical bytes."""
    # Piece by piece, since copies of a whole block cost more than its hash.
    digest = sha256(b"[")
    for position, transaction in enumerate(transactions):
        if position:
            digest.update(b",")
        digest.update(transaction)
    digest.update(b"]")
    return digest.hexdigest()


def join_block(header: bytes, transactions: Sequence[bytes]) -> bytes:
    """Return the bytes of a block from those of its parts; `transactions` sorts behind all keys of the header."""
    return header[:-1] + b',"transactions":[' + b",".join(transactions) + b"]}"


def _decode(data: bytes, read: Callable[[Any], _Record]) -> _Record:
    try:
        record = read(codec.decode(data))
        again = record.encode()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Malformed(f"not a record of the block format: {error}") from error
    # Reading takes what it needs and encoding writes all there is, so a field too many shows here.
    if again != data:
        raise Malformed("not a record of the block format: encoding it again gives other bytes")
    return record


def _endorsements_data(endorsements: Sequence[Endorsement]) -> bytes:
    return b"[" + b",".join([one.data for one in endorsements]) + b"]"


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _binary(text: str) -> bytes:
    return b64decode(text, validate=True)


def _version(value: Any) -> Version | None:
    return None if value is None else _present(value)


def _present(value: Any) -> Version:
    block, position = value
    return _typed(block, int), _typed(position, int)


def _typed(value: Any, kind: type[_Kind]) -> _Kind:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _mapping(value: Any, kind: type[_Kind]) -> dict[str, _Kind]:
    return {key: _typed(one, kind) for key, one in value.items()}
