"""The rules on a Fabric peer: a context over the shim's stub, and the process that serves one chaincode.

`python -m wattpool_chaincode.fabric contract` (or `ledger`) serves it as the environment says (CHAINCODE_ID,
CHAINCODE_SERVER_ADDRESS, ...). Chaincode and channel have the same name. A call has two arguments: the function and
one canonical JSON object. A refusal is answered with status 500 and the message `reason: detail`.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import chain

from fabric_shim import OutOf, Rejected, Response, SignedBy, Stub, serve
from fabric_shim.response import ERROR_THRESHOLD
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal, Chaincode
from wattpool_chaincode.context import Modification, Page, Policy, Submitter
from wattpool_chaincode.contract import CONTRACT
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.refusal import Refused

CHAINCODES = {chaincode.name: chaincode for chaincode in (CONTRACT, LEDGER)}
_NS_PER_S = 1_000_000_000
# What the contract chain may refuse a query of the ledger chain with, by the name that stands in the message.
_REASONS: Mapping[str, StrEnum] = {
    reason.value: reason for reason in chain(CallRefusal, ContractRefusal, PayloadRefusal)
}


class FabricContext:
    """One transaction's view of one channel, through its stub.

    Args:
        stub: of the transaction.
        policy: the chaincode's own.
        reasons: what a query of another channel may be refused with, by the name that stands in the message.
    """

    def __init__(self, stub: Stub, *, policy: Policy, reasons: Mapping[str, StrEnum] = _REASONS) -> None:
        self._stub = stub
        self._policy = policy
        self._reasons = reasons
        self.channel = stub.channel
        self.transaction_id = stub.transaction_id
        self.time_utc = stub.timestamp_ns // _NS_PER_S
        self.transient = stub.transient

    @property
    def submitter(self) -> Submitter:
        client = self._stub.client
        return Submitter(msp_id=client.msp_id, attributes=client.attributes)

    def get(self, key: str) -> bytes | None:
        return self._stub.get(key)

    def put(self, key: str, value: bytes) -> None:
        self._stub.put(key, value)

    def delete(self, key: str) -> None:
        self._stub.delete(key)

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._stub.range(start, end)

    def range_page(self, start: str, end: str, *, page_size: int, bookmark: str = "") -> Page:
        page = self._stub.range_page(start, end, page_size=page_size, bookmark=bookmark)
        return Page(items=page.items, bookmark=page.bookmark)

    def history(self, key: str) -> Iterator[Modification]:
        return (
            Modification(transaction_id=past.transaction_id, time_utc=past.timestamp_ns // _NS_PER_S, value=past.value)
            for past in self._stub.history(key)
        )

    def get_private(self, collection: str, key: str) -> bytes | None:
        return self._stub.get(key, collection=collection)

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        self._stub.put(key, value, collection=collection)

    def purge_private(self, collection: str, key: str) -> None:
        self._stub.purge(key, collection=collection)

    def private_hash(self, collection: str, key: str) -> bytes | None:
        return self._stub.private_hash(key, collection=collection)

    def range_private(self, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._stub.range(start, end, collection=collection)

    def set_policy(self, key: str, policy: Policy | None) -> None:
        # Where a key's policy was taken away, a Gateway finds nobody to endorse any more (see Stub.set_policy).
        self._stub.set_policy(key, _out_of(policy or self._policy))

    def emit(self, name: str, payload: bytes) -> None:
        self._stub.set_event(name, payload)

    def query(self, channel: str, function: str, argument: bytes) -> bytes:
        response = self._stub.invoke_chaincode(channel, [function.encode(), argument], channel=channel)
        if response.status < ERROR_THRESHOLD:
            return response.payload
        name, _, detail = response.message.partition(": ")
        reason = self._reasons.get(name)
        if reason is None:
            raise RuntimeError(f"{function} on {channel} failed: {response.message}")
        raise Refused(reason, detail)


class FabricChaincode:
    """A chaincode of ours as the shim serves it."""

    def __init__(self, chaincode: Chaincode) -> None:
        self._chaincode = chaincode

    def invoke(self, stub: Stub) -> Response:
        """Run one call.

        Raises:
            Rejected: the rules refuse it, or it does not have two arguments.
        """
        if len(stub.parameters) != 1:
            raise Rejected(f"{CallRefusal.ARGUMENT_MALFORMED}: a function and one JSON object were expected")
        try:
            context = FabricContext(stub, policy=self._chaincode.policy)
            return Response(payload=self._chaincode.invoke(context, stub.function, stub.parameters[0]))
        except Refused as refused:
            raise Rejected(str(refused)) from refused


def main(arguments: list[str]) -> None:
    """Serve the chaincode that the one argument names, until told to stop."""
    match arguments:
        case [name] if name in CHAINCODES:
            logging.basicConfig(level=logging.INFO)
            serve(FabricChaincode(CHAINCODES[name]))
        case _:
            sys.exit(f"one of {', '.join(CHAINCODES)} was expected")


def _out_of(policy: Policy) -> OutOf:
    rules = tuple(SignedBy(rule, "PEER") if isinstance(rule, str) else _out_of(rule) for rule in policy.rules)
    return OutOf(policy.required, rules)


if __name__ == "__main__":
    main(sys.argv[1:])
