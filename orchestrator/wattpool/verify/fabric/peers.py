"""Where the blocks come from: the peers of a network's organisations."""

from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

from fabric_protos.common import ledger_pb2

from fabric_gateway import FabricError, GatewayError, Identity, PrivateKeySigner, Tls
from fabric_gateway.blocking import Connection as PeerConnection
from fabric_gateway.blocking import Gateway
from wattpool.ledgers.port import LedgerError
from wattpool_network.connection import Connection, OrganisationAccess

# The identity of an organisation that asks for it, and the system chaincode that answers about the chain itself.
_CLIENT = "client"
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
        LedgerError: a certificate or key that the file names cannot be read.
    """

    def __init__(self, network: Connection) -> None:
        self._open = ExitStack()
        self._gateways: dict[str, Gateway] = {}
        self._heights: dict[str, tuple[str, int]] = {}
        with ExitStack() as opened:
            for name, access in network.organisations.items():
                self._gateways[name] = self._connect(opened, access)
            self._open = opened.pop_all()

    def _connect(self, opened: ExitStack, access: OrganisationAccess) -> Gateway:
        msp_id = access.msp_id
        try:
            tls = Tls(root_pem=access.tls_root.read_bytes())
            files = access.identities[_CLIENT]
            identity = Identity(msp_id=msp_id, certificate_pem=files.certificate.read_bytes())
            signer = PrivateKeySigner.load(files.key.read_bytes())
        except OSError as error:
            raise LedgerError(f"{error.filename}: {error.strerror}") from error
        except KeyError as error:
            raise LedgerError(f"{msp_id} has no identity {error.args[0]!r}") from error
        except FabricError as error:
            raise LedgerError(f"{msp_id}: {error}") from error
        peer = PeerConnection(access.peers[0], tls=tls)
        opened.callback(peer.close)
        return Gateway(peer, identity, signer)

    def close(self) -> None:
        self._open.close()

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
