"""How the server is reached and by whom, from code or from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fabric_shim.errors import ConfigurationError

# What the peer allows on the stream (fabric internal/pkg/comm/config.go).
MAX_MESSAGE_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Transport security, TLS 1.2 and above.

    Attributes:
        certificate: PEM file of the server's certificate and its intermediates.
        private_key: PEM file, not encrypted.
        client_ca: PEM file of the CAs whose certificate the peer must show (mutual TLS); None lets any peer in.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """One chaincode server.

    Attributes:
        package_id: "label:hash", as `peer lifecycle chaincode install` prints it.
        address: "host:port" to listen on; no host means all, port 0 any free one.
        tls: None serves in clear, for a peer on the same machine alone.
        max_transactions: run at the same time, the rest waits; a peer runs as many (core.yaml
            peer.limits.concurrency.endorserService).
        drain_s: how long a stopping server waits for running transactions (core.yaml chaincode.executetimeout).
    """

    package_id: str
    address: str
    tls: Tls | None = None
    max_transactions: int = 2500
    drain_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.package_id:
            raise ConfigurationError("the package id must not be empty; `peer lifecycle chaincode install` prints it")
        self.host_and_port  # noqa: B018 -- raises if the address is malformed

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address in two parts; an IPv6 host stands in brackets."""
        host, colon, port = self.address.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 -- TCP's last
            raise ConfigurationError(f"the server address {self.address!r} is not of the form host:port")
        return host.removeprefix("[").removesuffix("]"), int(port)


def read_environment(environment: Mapping[str, str] = os.environ) -> ServerConfig:
    """Read the variables that Fabric's samples set for their Go, Node and Java chaincodes.

    CHAINCODE_SERVER_ADDRESS, CHAINCODE_ID; CHAINCODE_TLS_DISABLED; paths of PEM files in CHAINCODE_TLS_KEY,
    CHAINCODE_TLS_CERT and CHAINCODE_CLIENT_CA_CERT, or as the Node shim calls them CHAINCODE_TLS_KEY_FILE,
    CHAINCODE_TLS_CERT_FILE and CHAINCODE_TLS_CLIENT_CACERT_FILE. TLS is on if a key is named and not disabled.

    Raises:
        ConfigurationError: a variable is missing or makes no sense.
    """
    return ServerConfig(
        package_id=_required(environment, "CHAINCODE_ID"),
        address=_required(environment, "CHAINCODE_SERVER_ADDRESS"),
        tls=_read_tls(environment),
    )


def _read_tls(environment: Mapping[str, str]) -> Tls | None:
    disabled = environment.get("CHAINCODE_TLS_DISABLED", "").lower()
    if disabled not in ("", "true", "false"):
        raise ConfigurationError(f"CHAINCODE_TLS_DISABLED is {disabled!r}, not true or false")
    if disabled == "true":
        return None
    key = _path(environment, "CHAINCODE_TLS_KEY", "CHAINCODE_TLS_KEY_FILE")
    certificate = _path(environment, "CHAINCODE_TLS_CERT", "CHAINCODE_TLS_CERT_FILE")
    client_ca = _path(environment, "CHAINCODE_CLIENT_CA_CERT", "CHAINCODE_TLS_CLIENT_CACERT_FILE")
    if disabled == "" and key is certificate is client_ca is None:
        return None
    if key is None or certificate is None:
        raise ConfigurationError("TLS needs both CHAINCODE_TLS_KEY and CHAINCODE_TLS_CERT")
    return Tls(certificate=certificate, private_key=key, client_ca=client_ca)


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigurationError(f"{name} must be set")
    return value


def _path(environment: Mapping[str, str], *names: str) -> Path | None:
    return next((Path(environment[name]) for name in names if environment.get(name)), None)
