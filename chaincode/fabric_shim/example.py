"""A register of assets and their owners: `python -m fabric_shim.example` serves it as the environment says."""

import json
import logging
from typing import Any

from fabric_shim import Contract, ContractChaincode, Rejected, Stub, serve

assets = Contract("assets", title="A register of assets", version="1.0.0")


@assets.submit
def create(stub: Stub, asset: str, value: int) -> None:
    """Register an asset in the name of whoever calls."""
    if stub.get(asset) is not None:
        raise Rejected(f"asset {asset} exists")
    _write(stub, asset, owner=stub.client.id, value=value)


@assets.submit
def transfer(stub: Stub, asset: str, owner: str) -> None:
    """Hand an asset over; only its owner can."""
    before = read(stub, asset)
    if before["owner"] != stub.client.id:
        raise Rejected(f"asset {asset} belongs to somebody else")
    _write(stub, asset, owner=owner, value=before["value"])
    stub.set_event("transferred", asset.encode())


@assets.evaluate
def read(stub: Stub, asset: str) -> dict[str, Any]:
    """Return the owner and value of an asset."""
    state = stub.get(asset)
    if state is None:
        raise Rejected(f"asset {asset} does not exist")
    found: dict[str, Any] = json.loads(state)
    return found


@assets.evaluate
def inventory(stub: Stub) -> list[str]:
    """Return the names of all assets."""
    return [key for key, _ in stub.range()]


def _write(stub: Stub, asset: str, *, owner: str, value: int) -> None:
    stub.put(asset, json.dumps({"owner": owner, "value": value}, sort_keys=True).encode())


CHAINCODE = ContractChaincode([assets], title="assets", version="1.0.0")

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    serve(CHAINCODE)
