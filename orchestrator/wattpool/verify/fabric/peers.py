"""Where the blocks come from: the peers of a network's organisations."""

from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

from fabric_protos.common import ledger_pb2

from fabric_gateway import GatewayError
from fabric_gateway.blocking import Gateway
from wattpool.ledgers.fabric_client import open_gateways
from wattpool.ledgers.port import LedgerError
from wattpool_network.connection import Connection

# The system chaincode that answers about the chain itself.
_QUERIES = "qscc"


class BlockSource(Protocol):
    """Whoever has the blocks of the channels; nothing that it says is believed."""

    def height(self, channel: str) -> int:
        """Return how many blocks there are."""

    def blocks(self, channel: str) -> Iterator[bytes]:
        """Yield every block with its private data, a peer.BlockAndPrivateData, from the first one to `height`."""

    def others(self, channel: str, number: int) -> Iterator[tuple[str, bytes]]:
        """Yield, for all others that answer, who it is and its block of this number, or its last one if it has less."""


class Peers:
    """The peers in a connection file, each asked in the name of its own organisation.

    Blocks and private data are taken from the first organisation's peer that answers.

    Raises:
        ClientUnusable: a certificate or key that the file names cannot be used.
    """

    def __init__(self, network: Connection) -> None:
        self._opened = ExitStack()
        self._gateways = open_gateways(network, self._opened)
        self._heights: dict[str, tuple[str, int]] = {}

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def height(self, channel: str) -> int:
        """Return the height of the first peer that answers, and stay with it.

        Raises:
            LedgerError: if none does.
        """
        if channel not in self._heights:
            self._heights[channel] = self._find(channel)
        return self._heights[channel][1]

    def blocks(self, channel: str) -> Iterator[bytes]:
        """Yield every block as `BlockSource` says.

        Raises:
            LedgerError: if the peer stops answering.
        """
        height = self.height(channel)
        network = self._gateways[self._heights[channel][0]].network(channel)
        try:
            with network.block_and_private_data_events(start_block=0, stop_block=height - 1) as events:
                for event in events:
                    yield event.SerializeToString()
        except GatewayError as error:
            raise LedgerError(f"channel {channel!r}: {error}") from error

    def others(self, channel: str, number: int) -> Iterator[tuple[str, bytes]]:
        asked, _ = self._heights[channel]
        for msp_id, gateway in self._gateways.items():
            if msp_id == asked:
                continue
            contract = gateway.network(channel).contract(_QUERIES)
            try:
                last = min(number, _height(gateway, channel) - 1)
                yield msp_id, contract.evaluate("GetBlockByNumber", channel, str(last))
            except GatewayError:
                # A peer that is down contradicts nobody.
                continue

    def _find(self, channel: str) -> tuple[str, int]:
        failures: dict[str, str] = {}
        for msp_id, gateway in self._gateways.items():
            try:
                return msp_id, _height(gateway, channel)
            except GatewayError as error:
                failures[msp_id] = str(error)
        why = "; ".join(f"{msp_id}: {failure}" for msp_id, failure in failures.items())
        raise LedgerError(f"no peer answers for channel {channel!r}: {why}")


def _height(gateway: Gateway, channel: str) -> int:
    data = gateway.network(channel).contract(_QUERIES).evaluate("GetChainInfo", channel)
    return int(ledger_pb2.BlockchainInfo.FromString(data).height)
