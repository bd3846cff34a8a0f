"""What stands on a block, read from the form in which each ledger keeps it."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2

from fabric_gateway import ValidationCode
from ledger.on_fabric import SpacedLedger
from wattpool.ledgers.block import Code, PrivateWrite, Transaction
from wattpool.ledgers.embedded import EmbeddedLedger


@dataclass(frozen=True, kw_only=True)
class Noted:
    """One transaction of a block: what became of it, who endorsed it, which hashes of private values it carries."""

    id: str
    code: Code
    endorsers: frozenset[str]
    private_writes: tuple[PrivateWrite, ...]


class Blocks(Protocol):
    """A ledger's blocks."""

    def transactions(self, channel: str, number: int) -> list[Noted]: ...

    def raw(self, channel: str, number: int) -> bytes:
        """Return all that the block carries."""

    def key_hash(self, key: str) -> str:
        """Return the hash that stands on a block for a private key of this test."""


class EmbeddedBlocks:
    """The embedded ledger's."""

    def __init__(self, ledger: EmbeddedLedger) -> None:
        self._ledger = ledger

    def transactions(self, channel: str, number: int) -> list[Noted]:
        block = self._ledger.block(channel, number)
        return [self._noted(one, code) for one, code in zip(block.transactions, block.codes, strict=True)]

    def raw(self, channel: str, number: int) -> bytes:
        return self._ledger.block(channel, number).encode()

    def key_hash(self, key: str) -> str:
        return sha256(key.encode()).hexdigest()

    def _noted(self, transaction: Transaction, code: Code) -> Noted:
        members = [self._ledger.member(endorsement.endorser) for endorsement in transaction.endorsements]
        return Noted(
            id=transaction.id,
            code=code,
            endorsers=frozenset(member.msp_id for member in members if member is not None),
            private_writes=tuple(transaction.response.private_writes),
        )


class FabricBlocks:
    """Fabric's (fabric-protos common/common.proto, peer/transaction.proto, ledger/rwset)."""

    def __init__(self, ledger: SpacedLedger) -> None:
        self._ledger = ledger

    def transactions(self, channel: str, number: int) -> list[Noted]:
        block = self._ledger.whole.block(channel, number)
        codes = block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER]
        return [_noted(data, code) for data, code in zip(block.data.data, codes, strict=True)]

    def raw(self, channel: str, number: int) -> bytes:
        serialized: bytes = self._ledger.whole.block(channel, number).SerializeToString()
        return serialized

    def key_hash(self, key: str) -> str:
        return sha256(f"{self._ledger.space}/{key}".encode()).hexdigest()


def _noted(data: bytes, code: int) -> Noted:
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(data).payload)
    action = transaction_pb2.Transaction.FromString(payload.data).actions[0]
    endorsed = transaction_pb2.ChaincodeActionPayload.FromString(action.payload).action
    response = proposal_response_pb2.ProposalResponsePayload.FromString(endorsed.proposal_response_payload)
    written = rwset_pb2.TxReadWriteSet.FromString(proposal_pb2.ChaincodeAction.FromString(response.extension).results)
    return Noted(
        id=common_pb2.ChannelHeader.FromString(payload.header.channel_header).tx_id,
        code=Code[ValidationCode(code).name],
        endorsers=frozenset(
            identities_pb2.SerializedIdentity.FromString(one.endorser).mspid for one in endorsed.endorsements
        ),
        private_writes=tuple(
            PrivateWrite(
                collection=collection.collection_name,
                key_hash=write.key_hash.hex(),
                value_hash=None if write.is_delete else write.value_hash.hex(),
            )
            for namespace in written.ns_rwset
            for collection in namespace.collection_hashed_rwset
            for write in kv_rwset_pb2.HashedRWSet.FromString(collection.hashed_rwset).hashed_writes
        ),
    )
