"""The example's register of assets, and a function that does nothing."""

from fabric_shim import Contract, ContractChaincode, Stub, serve
from fabric_shim.example import assets

bench = Contract("bench")


@bench.evaluate
def nothing(stub: Stub) -> None:
    """Answer without asking the peer anything."""
    del stub


if __name__ == "__main__":
    serve(ContractChaincode([assets, bench]))
