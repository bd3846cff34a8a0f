"""A channel: its contracts, its events, its blocks."""

from fabric_protos.common import common_pb2
from fabric_protos.peer import events_pb2

from fabric_gateway import messages
from fabric_gateway.checkpoint import Checkpoint
from fabric_gateway.contract import Contract
from fabric_gateway.events import (
    BlockEventsRequest,
    ChaincodeEvent,
    ChaincodeEventsRequest,
    EventStream,
    chaincode_events_request,
)
from fabric_gateway.session import Session
from fabric_gateway.transaction import Commit, commit_status_request

FULL = "Deliver"
FILTERED = "DeliverFiltered"
WITH_PRIVATE_DATA = "DeliverWithPrivateData"


class Network:
    """A channel of the network.

    Streams start at `start_block`, or where `checkpoint` says if it has been saved before, else with the next block
    to be committed. To miss nothing between opening a stream and its first event, name a block.
    """

    def __init__(self, session: Session, channel: str) -> None:
        self.channel = channel
        self._session = session

    def contract(self, chaincode: str, contract: str = "") -> Contract:
        """Return a chaincode, or the contract of that name in it."""
        return Contract(self._session, channel=self.channel, chaincode=chaincode, contract=contract)

    def commit(self, transaction_id: str) -> Commit:
        """Return the question how a transaction fared, for one whose id is all that is left of it."""
        request = commit_status_request(self._session, channel=self.channel, transaction_id=transaction_id)
        return Commit(self._session, request)

    def chaincode_events_request(
        self, chaincode: str, *, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> ChaincodeEventsRequest:
        """Make a request for the events of a chaincode's valid transactions."""
        request = chaincode_events_request(
            self._session,
            channel=self.channel,
            chaincode=chaincode,
            start_block=_start(start_block, checkpoint),
            after_transaction_id="" if checkpoint is None else checkpoint.transaction_id,
        )
        return ChaincodeEventsRequest(self._session, request)

    def block_events_request(
        self, *, start_block: int | None = None, stop_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> BlockEventsRequest[common_pb2.Block]:
        """Make a request for whole blocks, up to and including `stop_block`."""
        return BlockEventsRequest(self._session, self._seek(start_block, stop_block, checkpoint), FULL)

    def filtered_block_events_request(
        self, *, start_block: int | None = None, stop_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> BlockEventsRequest[events_pb2.FilteredBlock]:
        """Make a request for blocks without the transactions' content: ids, types, validation codes, event names."""
        return BlockEventsRequest(self._session, self._seek(start_block, stop_block, checkpoint), FILTERED)

    def block_and_private_data_events_request(
        self, *, start_block: int | None = None, stop_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> BlockEventsRequest[events_pb2.BlockAndPrivateData]:
        """Make a request for whole blocks with the private data that the caller's organisation may see."""
        return BlockEventsRequest(self._session, self._seek(start_block, stop_block, checkpoint), WITH_PRIVATE_DATA)

    async def chaincode_events(
        self, chaincode: str, *, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> EventStream[ChaincodeEvent]:
        """Open the stream of a chaincode's events."""
        return await self.chaincode_events_request(chaincode, start_block=start_block, checkpoint=checkpoint).open()

    async def block_events(
        self, *, start_block: int | None = None, stop_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> EventStream[common_pb2.Block]:
        """Open the stream of whole blocks.

        Raises:
            GatewayError: if the peer is not within reach.
        """
        request = self.block_events_request(start_block=start_block, stop_block=stop_block, checkpoint=checkpoint)
        return await request.open()

    async def filtered_block_events(
        self, *, start_block: int | None = None, stop_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> EventStream[events_pb2.FilteredBlock]:
        """Open the stream of filtered blocks; raises as `block_events`."""
        request = self.filtered_block_events_request(
            start_block=start_block, stop_block=stop_block, checkpoint=checkpoint
        )
        return await request.open()

    async def block_and_private_data_events(
        self, *, start_block: int | None = None, stop_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> EventStream[events_pb2.BlockAndPrivateData]:
        """Open the stream of blocks with private data; raises as `block_events`."""
        request = self.block_and_private_data_events_request(
            start_block=start_block, stop_block=stop_block, checkpoint=checkpoint
        )
        return await request.open()

    def _seek(
        self, start_block: int | None, stop_block: int | None, checkpoint: Checkpoint | None
    ) -> common_pb2.Envelope:
        return messages.seek_envelope(
            channel=self.channel,
            start_block=_start(start_block, checkpoint),
            stop_block=stop_block,
            creator=self._session.identity.creator,
            time_ns=self._session.clock_ns(),
            client_certificate_hash=self._session.connection.client_certificate_hash,
        )


def _start(start_block: int | None, checkpoint: Checkpoint | None) -> int | None:
    saved = None if checkpoint is None else checkpoint.block_number
    return start_block if saved is None else saved
