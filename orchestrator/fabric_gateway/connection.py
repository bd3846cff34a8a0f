"""The connection to a Gateway peer: one gRPC channel, shared by all identities, with a bound on the calls in flight."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.peer import events_pb2_grpc

from fabric_gateway.errors import Malformed

MAX_MESSAGE_BYTES = 100 * 1024 * 1024
# An error's text and details come as headers, of which gRPC takes 8 KiB unless told otherwise: a chaincode's longer
# refusal would look like a broken stream.
MAX_HEADER_BYTES = 1024 * 1024
# A peer answers pings that come faster than each 60 s with GOAWAY (core.yaml peer.keepalive.minInterval).
KEEPALIVE_S = 120
KEEPALIVE_TIMEOUT_S = 20
# gRPC's own bound is two minutes, in which a restarted peer would seem dead.
LONGEST_RECONNECT_S = 5
# The peer refuses the 501st call (core.yaml peer.limits.concurrency.gatewayService); others call it, too.
MAX_IN_FLIGHT = 400


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How to trust the server, and to be trusted by it with mutual TLS; all in PEM.

    Args:
        root_pem: the certificates that the server's must stem from.
        client_certificate_pem: with `client_key_pem`, the client's own.
        server_name: the name in the server's certificate, if it is not the host of the address.

    Raises:
        Malformed: if a certificate or key is unreadable, or the two of the client do not belong together.
    """

    root_pem: bytes
    client_certificate_pem: bytes | None = None
    client_key_pem: bytes | None = field(default=None, repr=False)
    server_name: str | None = None

    def __post_init__(self) -> None:
        try:
            x509.load_pem_x509_certificates(self.root_pem)
            if self.client_certificate_pem is None and self.client_key_pem is None:
                return
            # Without this check gRPC fails much later, and without telling why.
            certificate = x509.load_pem_x509_certificate(self.client_certificate_pem or b"")
            key = serialization.load_pem_private_key(self.client_key_pem or b"", None)
        except (ValueError, TypeError) as error:
            raise Malformed(f"TLS: not a readable PEM certificate or key: {error}") from error
        if certificate.public_key() != key.public_key():
            raise Malformed("TLS: the client's key does not belong to its certificate")

    @property
    def client_certificate_hash(self) -> bytes:
        """SHA-256 of the client's certificate, by which a peer ties block requests to the connection."""
        if self.client_certificate_pem is None:
            return b""
        return x509.load_pem_x509_certificate(self.client_certificate_pem).fingerprint(hashes.SHA256())

    @property
    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC needs to open a channel."""
        return grpc.ssl_channel_credentials(self.root_pem, self.client_key_pem, self.client_certificate_pem)


class Connection:
    """A gRPC channel to a Gateway peer; its owner closes it, gateways do not.

    Args:
        channel: an open channel, made in the running event loop.
        max_in_flight: how many calls may run at a time, 2 at least; more wait. Calls for the commit status count
            while they wait for the commit, and streams of chaincode events while they are open.
        client_certificate_hash: `Tls.client_certificate_hash`, needed for block events over mutual TLS.

    Raises:
        ValueError: if `max_in_flight` is less than 2.
    """

    def __init__(
        self, channel: grpc.aio.Channel, *, max_in_flight: int = MAX_IN_FLIGHT, client_certificate_hash: bytes = b""
    ) -> None:
        self.client_certificate_hash = client_certificate_hash
        self.gateway = gateway_pb2_grpc.GatewayStub(channel)
        self.deliver = events_pb2_grpc.DeliverStub(channel)
        self._channel = channel
        if max_in_flight < 2:  # noqa: PLR2004 -- one to wait with, one to act with
            raise ValueError(f"max_in_flight is {max_in_flight}, and must be 2 at least")
        self._slots = asyncio.Semaphore(max_in_flight)
        # If all slots waited for commits, none would be left to hand in again what was lost on the way.
        self._waiting = asyncio.Semaphore(max_in_flight - max(1, max_in_flight // 4))

    @classmethod
    def open(cls, address: str, *, tls: Tls | None = None, max_in_flight: int = MAX_IN_FLIGHT) -> "Connection":
        """Connect to `address`, host:port, without waiting for the answer; without `tls` in clear text."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_metadata_size", MAX_HEADER_BYTES),
            ("grpc.absolute_max_metadata_size", MAX_HEADER_BYTES),
            ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.max_reconnect_backoff_ms", LONGEST_RECONNECT_S * 1000),
        ]
        if tls is None:
            return cls(grpc.aio.insecure_channel(address, options), max_in_flight=max_in_flight)
        if tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", tls.server_name))
        channel = grpc.aio.secure_channel(address, tls.credentials, options)
        return cls(channel, max_in_flight=max_in_flight, client_certificate_hash=tls.client_certificate_hash)

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(
        self, method: Callable[..., Awaitable[Any]], request: Any, *, timeout_s: float, is_waiting: bool = False
    ) -> Any:
        """Make one unary call as soon as it may be in flight; `is_waiting` if its answer may take long.

        Raises:
            grpc.aio.AioRpcError: if it fails.
        """
        if not is_waiting:
            async with self._slots:
                return await method(request, timeout=timeout_s)
        await self.begin_waiting()
        try:
            return await method(request, timeout=timeout_s)
        finally:
            self.end_waiting()

    async def begin_waiting(self) -> None:
        """Take a slot for what may take long; three of four slots may be taken so."""
        await self._waiting.acquire()
        try:
            await self._slots.acquire()
        except BaseException:
            self._waiting.release()
            raise

    def end_waiting(self) -> None:
        """Give back the slot of `begin_waiting`."""
        self._slots.release()
        self._waiting.release()
