"""Where a community stands in its market: asked of its rules and its ledger, as any reader may."""

import json
from typing import Any

from fabric_gateway import FabricError, Identity, PrivateKeySigner, Tls, blocking
from wattpool_network.community import CONTRACT, LEDGER
from wattpool_network.errors import NetworkError
from wattpool_network.network import Network
from wattpool_network.topology import Channel


def length_s(network: Network, community: str) -> int:
    """Return how long a community's market periods are.

    Raises:
        NetworkError: if the community has no rules yet, or no peer answers.
    """
    return int(_ask(network, community, CONTRACT, "rules", {"version": 1})["rules"]["period_s"])


def last_opened(network: Network, community: str) -> int | None:
    """Return the start of the period that a community opened last, None if it has opened none.

    Raises:
        NetworkError: if no peer answers.
    """
    opened: int | None = _ask(network, community, LEDGER, "last_period", {})["period"]
    return opened


def _ask(network: Network, community: str, chaincode: str, function: str, argument: dict[str, int]) -> Any:
    channel = _channel(network, community, chaincode)
    peer = network.topology.here(network.topology.peers)[0]
    msp = network.layout.user(peer.organisation, "client") / "msp"
    identity = Identity(msp_id=peer.organisation.msp_id, certificate_pem=(msp / "signcerts" / "cert.pem").read_bytes())
    signer = PrivateKeySigner.load((msp / "keystore" / "key.pem").read_bytes())
    tls = Tls(root_pem=network.layout.tls_root(peer.organisation).read_bytes())
    try:
        with blocking.Connection(peer.address, tls=tls) as connection:
            contract = blocking.Gateway(connection, identity, signer).network(channel.name).contract(chaincode)
            return json.loads(contract.evaluate(function, json.dumps(argument, separators=(",", ":"))))
    except FabricError as error:
        raise NetworkError(f"{channel.name} does not tell its {function}: {error}") from error


def _channel(network: Network, community: str, chaincode: str) -> Channel:
    for channel in network.topology.channels:
        if channel.community == community and any(one.name == chaincode for one in channel.chaincodes):
            return channel
    raise NetworkError(f"there is no chaincode {chaincode}, so that there are no market periods to wait for")
