"""The example's register of assets, a function that does nothing, and one that reads many keys."""

import json

from fabric_shim import Contract, ContractChaincode, Stub, serve
from fabric_shim.example import assets as register

bench = Contract("bench")


@bench.evaluate
def nothing(stub: Stub) -> None:
    """Answer without asking the peer anything."""
    del stub


@bench.evaluate
def worth(stub: Stub, assets: list[str]) -> int:
    """Return what some assets are worth together."""
    return sum(json.loads(state)["value"] for state in stub.get_many(assets) if state is not None)


if __name__ == "__main__":
    serve(ContractChaincode([register, bench]))
