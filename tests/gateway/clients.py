"""Gateways for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fabric_gateway import Backoff, Connection, Contract, Gateway
from gateway.fabric_peer import CHAINCODE, CHANNEL, FabricPeer
from gateway.organisation import Member

QUICK = Backoff(first_s=0.001, longest_s=0.002)


@asynccontextmanager
async def connected(
    peer: FabricPeer, member: Member, *, max_in_flight: int = 400, **settings: Any
) -> AsyncIterator[Gateway]:
    """Connect as `member`, with quick retries unless told otherwise."""
    async with Connection.open(peer.address, max_in_flight=max_in_flight) as connection:
        yield Gateway(connection, member.identity, member.signer, **{"retry": QUICK, **settings})


def contract_of(
    gateway: Gateway, *, channel: str = CHANNEL, chaincode: str = CHAINCODE, contract: str = ""
) -> Contract:
    return gateway.network(channel).contract(chaincode, contract)
