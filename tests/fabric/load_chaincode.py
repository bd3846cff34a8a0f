"""The shim's example, with functions for tests of load beside it: run by the path of this file, which serves it."""

import hashlib
import logging

from fabric_shim import Contract, ContractChaincode, Rejected, Stub, serve
from fabric_shim.example import assets

load = Contract("load")


@load.submit
def put(stub: Stub, key: str, value: bytes) -> str:
    """Write without a look at what was there, so that nothing here keeps an intention from counting twice."""
    stub.put(key, value)
    return hashlib.sha256(value).hexdigest()


@load.submit
def take(stub: Stub, key: str, value: bytes) -> str:
    """Write the length of a value that may be too large for a block together with itself; return its hash."""
    stub.put(key, str(len(value)).encode())
    return hashlib.sha256(value).hexdigest()


@load.evaluate
def get(stub: Stub, key: str) -> bytes:
    """Return what was put."""
    value = stub.get(key)
    if value is None:
        raise Rejected(f"nothing was put as {key}")
    return value


@load.evaluate
def echo(stub: Stub, value: bytes) -> bytes:  # noqa: ARG001 -- the shape of a function
    """Return the argument."""
    return value


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    serve(ContractChaincode([assets, load], title="load"))
