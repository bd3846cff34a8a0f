"""The ledger on Hyperledger Fabric: each organisation's client talks to its own peer's Gateway."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_event_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2

from fabric_gateway import (
    Backoff,
    CommitStatusError,
    FabricError,
    GatewayError,
    Reason,
    SubmitError,
    ValidationCode,
)
from fabric_gateway import EndorseError as FabricEndorseError
from fabric_gateway.blocking import Gateway, Network, SubmittedTransaction
from wattpool.bad_input import BadInput
from wattpool.ledgers.block import Code
from wattpool.ledgers.fabric_blocks import header_of, read_block
from wattpool.ledgers.fabric_client import open_gateways
from wattpool.ledgers.port import (
    Call,
    Checkpoint,
    Commit,
    CommitError,
    EndorseError,
    EndorseReason,
    Event,
    LedgerError,
    Tip,
)
from wattpool_chaincode.organisations import THEMSELVES
from wattpool_network import connection
from wattpool_network.connection import Connection
from wattpool_network.errors import MalformedConnection

Answer = TypeVar("Answer")
# How long another organisation's peer may take to commit what one's own has, and how long a silent one is left alone.
_ELSEWHERE_S = 5.0
_SILENCE_S = 30.0
# Transactions that are endorsed at a time: enough to keep every organisation's chaincode busy, and so few that none
# takes long for waiting for the others.
_TOGETHER = 4
# A peer or a chaincode that died is back, and known to be, within seconds if anybody looks after it.
_PASSING = Backoff(first_s=0.2, longest_s=2.0, retries=20)
_MAY_PASS = (
    Reason.CHAINCODE_STOPPED,
    Reason.ENDORSEMENTS_DIFFER,
    Reason.POLICY_NOT_SATISFIABLE,
    Reason.UNREACHABLE,
)
# What the port has its own words for. A channel and its chaincode have one name, and a peer tells neither from both.
_REFUSED = {
    Reason.ACCESS_DENIED: EndorseReason.CERTIFICATE_NOT_VALID,
    Reason.CERTIFICATE_EXPIRED: EndorseReason.CERTIFICATE_NOT_VALID,
    Reason.CHAINCODE_UNKNOWN: EndorseReason.CHANNEL_UNKNOWN,
    Reason.CHANNEL_UNKNOWN: EndorseReason.CHANNEL_UNKNOWN,
    Reason.CLOCK_SKEW: EndorseReason.TIME_OUTSIDE_WINDOW,
    Reason.ENDORSEMENTS_DIFFER: EndorseReason.ENDORSEMENTS_DIFFER,
    Reason.POLICY_NOT_SATISFIABLE: EndorseReason.POLICY_NOT_SATISFIABLE,
    Reason.TOO_LARGE: EndorseReason.TOO_LARGE,
}
# How the rules name a refusal; what breaks in a chaincode is told in other words.
_REASON = re.compile(r"[a-z][a-z0-9_]*")
# The system chaincode that answers questions about the chain itself.
_QUERIES = "qscc"


def read_connection(*paths: Path) -> Connection:
    """Read a `connection.yaml`, as `wattpool network up` writes it, or one of each machine of a network of several.

    Raises:
        BadInput: naming the file and what is wrong with it.
    """
    try:
        first, *others = [connection.read(path) for path in paths]
    except MalformedConnection as error:
        raise BadInput("--ledger", None, str(error)) from error
    for path, other in zip(paths[1:], others, strict=True):
        if (other.channels, other.communities) != (first.channels, first.communities):
            raise BadInput("--ledger", None, f"{path} has other channels than {paths[0]}")
        first = replace(first, organisations={**first.organisations, **other.organisations})
    return first


def channels_of(network: Connection, community: str | None) -> dict[str, str]:
    """Return the channel of each chaincode of a community; None is the first one, which has no name.

    Raises:
        BadInput: if there is no such community.
    """
    if community is not None:
        if community not in network.communities:
            known = ", ".join(network.communities) or "the first alone, which has no name"
            raise BadInput("--ledger", None, f"there is no community {community!r} on this network, but {known}")
        return dict(network.communities[community])
    named = {channel for channels in network.communities.values() for channel in channels.values()}
    return {
        chaincode: channel
        for channel, chaincodes in network.channels.items()
        if channel not in named
        for chaincode in chaincodes
    }


def organisations_of(network: Connection) -> dict[str, str]:
    """Return the network's own MSP id of each of the rules' organisations.

    What a file does not say is what it would be on a network of ours: it may be that of one machine alone.
    """
    return {**THEMSELVES, **{name: access.msp_id for name, access in network.organisations.items()}}


class FabricLedger:
    """A `wattpool.ledgers.port.Ledger` of one community's two channels, each named here after its chaincode.

    Attributes:
        organisations: the network's own MSP id of each of the rules' organisations.

    Args:
        network: how it is reached, and the client of each organisation.
        community: which of its communities; None for the first.
        passing: the pauses before an endorsement is tried again that failed for what may pass.

    Raises:
        BadInput: if there is no such community.
        ClientUnusable: if certificates or keys that `network` names cannot be used.
    """

    def __init__(self, network: Connection, community: str | None = None, *, passing: Backoff = _PASSING) -> None:
        # What the network itself calls the channels.
        self._channels = channels_of(network, community)
        self.organisations = organisations_of(network)
        self._passing = passing
        self._silent_until_s: dict[str, float] = {}
        self._last_seen_block: dict[tuple[str, str], int] = {}
        self._opened = ExitStack()
        self._gateways = open_gateways(network, self._opened)
        self._endorsing = ThreadPoolExecutor(_TOGETHER, thread_name_prefix="endorsing")

    def close(self) -> None:
        self._endorsing.shutdown(cancel_futures=True)
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, call: Call, *, by: str) -> Commit:
        return self.submit_async(call, by=by).wait()

    def submit_async(self, call: Call, *, by: str) -> "Sent":
        contract = self._network(call.channel, by=by).contract(call.channel)

        def send() -> SubmittedTransaction:
            return contract.submit_async(call.function, call.argument, transient=call.transient)

        for pause_s in self._passing.pauses_s():
            try:
                return Sent(self, call.channel, by, send())
            except FabricEndorseError as error:
                if not self._may_pass(call, by, error):
                    raise _of_the_port(error) from error
            except FabricError as error:
                raise _of_the_port(error) from error
            time.sleep(pause_s)
        return Sent(self, call.channel, by, _answered(send))

    def submit_together(self, calls: Sequence[Call], *, by: str) -> Sequence["Sent"]:
        return list(self._endorsing.map(lambda call: self.submit_async(call, by=by), calls))

    def await_elsewhere(self, channel: str, transaction_id: str, *, block: int, by: str) -> None:
        """Return when the other organisations' peers have a transaction, too, so that the next call finds it there.

        They are asked once for each block. A peer that does not answer endorses nothing either; it is not waited for
        again for a while.
        """
        for msp_id in self._gateways:
            is_there = self._last_seen_block.get((msp_id, channel), -1) >= block
            if msp_id == by or is_there or time.monotonic() < self._silent_until_s.get(msp_id, 0):
                continue
            try:
                self._network(channel, by=msp_id).commit(transaction_id).status(timeout_s=_ELSEWHERE_S)
                self._last_seen_block[msp_id, channel] = block
            except GatewayError:
                self._silent_until_s[msp_id] = time.monotonic() + _SILENCE_S

    def _may_pass(self, call: Call, by: str, error: GatewayError) -> bool:
        """Tell whether a failed endorsement is worth another try: nothing is on the ledger yet.

        A refusal is, if one's own peer, which has all that one was told of, does not share it: another one is behind.
        """
        if error.reason is not Reason.CHAINCODE_REFUSED:
            return error.reason in _MAY_PASS
        try:
            self.evaluate(call, by=by)
        except LedgerError:
            return False
        return True

    def evaluate(self, call: Call, *, by: str) -> bytes:
        contract = self._network(call.channel, by=by).contract(call.channel)
        return _answered(lambda: contract.evaluate(call.function, call.argument, transient=call.transient))

    def events(self, channel: str, *, after: Checkpoint | None = None) -> Iterator[Event]:
        passed = after is None or after.transaction_id is None
        for one in self._transactions(channel, 0 if after is None else after.block):
            event = one.event
            if passed and one.is_valid and event.event_name:
                yield Event(
                    channel=channel,
                    block=one.block,
                    transaction_id=one.id,
                    name=event.event_name,
                    payload=event.payload,
                )
            passed = passed or (after is not None and one.id == after.transaction_id)

    def block(self, channel: str, number: int) -> common_pb2.Block:
        if not 0 <= number < self.height(channel):
            raise LedgerError(f"channel {channel!r} has no block {number}")
        return common_pb2.Block.FromString(self._query(channel, "GetBlockByNumber", str(number)))

    def transaction(self, channel: str, transaction_id: str) -> transaction_pb2.ProcessedTransaction:
        found = self._query(channel, "GetTransactionByID", transaction_id)
        return transaction_pb2.ProcessedTransaction.FromString(found)

    def configuration(self, channel: str) -> common_pb2.Envelope:
        """Return the transaction that configured a channel last."""
        tip = self.block(channel, self.height(channel) - 1)
        number = read_block(tip).last_config
        return common_pb2.Envelope.FromString(self.block(channel, number).data.data[0])

    def network_name(self, channel: str) -> str:
        """Return what the network itself calls a channel."""
        return self._channels.get(channel, channel)

    def height(self, channel: str) -> int:
        return int(self._chain_info(channel).height)

    def block_hashes(self, channel: str, start: int, stop: int, *, by: str) -> Iterator[bytes]:
        if start == stop:
            return
        network = self._network(channel, by=by)
        with network.block_events(start_block=start, stop_block=stop - 1) as blocks:
            for block in blocks:
                yield header_of(block.header).hash

    def tip(self, channel: str) -> Tip:
        info = self._chain_info(channel)
        return Tip(
            blocks=info.height,
            transactions=sum(1 for _ in self._transactions(channel, 0)),
            tip_hash=info.currentBlockHash.hex(),
        )

    def _chain_info(self, channel: str) -> ledger_pb2.BlockchainInfo:
        return ledger_pb2.BlockchainInfo.FromString(self._query(channel, "GetChainInfo"))

    def _query(self, channel: str, function: str, *arguments: str) -> bytes:
        contract = self._network(channel).contract(_QUERIES)
        name = self.network_name(channel)
        return _answered(lambda: contract.evaluate(function, name, *arguments))

    def state(self, channel: str) -> dict[str, bytes]:
        """Return all public keys and values of a channel, as its blocks' valid write sets leave them."""
        state: dict[str, bytes] = {}
        for one in self._transactions(channel, 0):
            for write in one.writes(channel):
                if write.is_delete:
                    state.pop(write.key, None)
                else:
                    state[write.key] = write.value
        return state

    def _transactions(self, channel: str, start: int) -> Iterator["_Transaction"]:
        """Yield all transactions up to the present tip."""
        last = self.height(channel) - 1
        if start > last:
            return
        with self._network(channel).block_events(start_block=start, stop_block=last) as blocks:
            for block in blocks:
                codes = block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER]
                for data, code in zip(block.data.data, codes, strict=True):
                    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(data).payload)
                    yield _Transaction(block.header.number, code, payload)

    def _network(self, channel: str, *, by: str | None = None) -> Network:
        """Return a channel as an organisation's peer has it; as any does, if none is named."""
        gateway = next(iter(self._gateways.values())) if by is None else self._gateway(by)
        return gateway.network(self.network_name(channel))

    def _gateway(self, by: str) -> Gateway:
        gateway = self._gateways.get(by)
        if gateway is None:
            known = ", ".join(sorted(self._gateways))
            raise EndorseError(EndorseReason.ORGANISATION_UNKNOWN, f"{by!r} is none of {known}")
        return gateway


class Sent:
    """A transaction that an orderer took."""

    def __init__(self, ledger: FabricLedger, channel: str, by: str, submitted: SubmittedTransaction) -> None:
        self._ledger = ledger
        self._channel = channel
        self._by = by
        self._submitted = submitted

    @property
    def transaction_id(self) -> str:
        return self._submitted.transaction_id

    @property
    def result(self) -> bytes:
        return self._submitted.result

    def wait(self) -> Commit:
        status = _answered(self._submitted.status)
        if status.code is not ValidationCode.VALID:
            if status.code.name not in Code.__members__:
                raise LedgerError(f"transaction {self.transaction_id} had no effect: {status.code.name}")
            raise CommitError(Code[status.code.name], transaction_id=self.transaction_id, block=status.block_number)
        self._ledger.await_elsewhere(self._channel, self.transaction_id, block=status.block_number, by=self._by)
        return Commit(
            transaction_id=self.transaction_id, channel=self._channel, block=status.block_number, result=self.result
        )


def _answered(call: Callable[[], Answer]) -> Answer:
    """Return what `call` returns; a chaincode's refusal and Fabric's own errors become the port's."""
    try:
        return call()
    except FabricError as error:
        raise _of_the_port(error) from error


def _of_the_port(error: FabricError) -> LedgerError:
    if not isinstance(error, GatewayError):
        return LedgerError(str(error))
    if error.refusal is not None:
        reason, _, detail = error.refusal.message.partition(": ")
        return EndorseError(reason, detail) if _REASON.fullmatch(reason) else LedgerError(str(error))
    is_on_no_block = not isinstance(error, CommitStatusError | SubmitError) or (
        isinstance(error, SubmitError) and not error.is_outcome_unknown
    )
    if is_on_no_block and error.reason in _REFUSED:
        return EndorseError(_REFUSED[error.reason], str(error))
    return LedgerError(str(error))


class _Transaction:
    """One transaction of a block, read as far as it is asked (fabric protoutil/txutils.go)."""

    def __init__(self, block: int, code: int, payload: common_pb2.Payload) -> None:
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        self.block = block
        self.id: str = header.tx_id
        self.is_valid = code == ValidationCode.VALID
        self._is_call = header.type == common_pb2.ENDORSER_TRANSACTION
        self._data = payload.data

    @property
    def event(self) -> chaincode_event_pb2.ChaincodeEvent:
        """What it emitted; empty if nothing."""
        return chaincode_event_pb2.ChaincodeEvent.FromString(self._action().events if self._is_call else b"")

    def writes(self, chaincode: str) -> Iterator[kv_rwset_pb2.KVWrite]:
        """Yield what it wrote to a chaincode's public state, if it took effect."""
        if self._is_call and self.is_valid:
            for one in rwset_pb2.TxReadWriteSet.FromString(self._action().results).ns_rwset:
                if one.namespace == chaincode:
                    yield from kv_rwset_pb2.KVRWSet.FromString(one.rwset).writes

    def _action(self) -> proposal_pb2.ChaincodeAction:
        action = transaction_pb2.Transaction.FromString(self._data).actions[0]
        endorsed = transaction_pb2.ChaincodeActionPayload.FromString(action.payload).action
        response = proposal_response_pb2.ProposalResponsePayload.FromString(endorsed.proposal_response_payload)
        return proposal_pb2.ChaincodeAction.FromString(response.extension)
