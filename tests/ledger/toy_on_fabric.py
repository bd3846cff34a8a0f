"""The toy on a Fabric peer: `python -m ledger.toy_on_fabric contract` (or `ledger`) serves it.

A network is founded once for many tests, and no test may see what another left there. So a function is called as
`SPACE/NAME`, and all keys of the call stand behind `SPACE/`. Later spaces sort behind earlier ones: an open end of a
range is passed on as it is, and still meets no other test's keys.
"""

import sys
from collections.abc import Iterator, Sequence

from fabric_shim import Rejected, Response, Stub, serve
from ledger.toy import CHAINCODES, ToyRefusal
from wattpool_chaincode.chaincode import CallRefusal, Chaincode
from wattpool_chaincode.context import Modification, Page, Policy
from wattpool_chaincode.fabric import FabricContext
from wattpool_chaincode.organisations import ORGANISATIONS, TWO_OF_THREE
from wattpool_chaincode.refusal import Refused

_REASONS = {reason.value: reason for kind in (CallRefusal, ToyRefusal) for reason in kind}


class SpacedContext(FabricContext):
    """A context whose keys are those of one space."""

    def __init__(self, stub: Stub, space: str) -> None:
        msp_ids = {name: name for name in ORGANISATIONS}
        super().__init__(stub, channel=stub.channel, msp_ids=msp_ids, policy=TWO_OF_THREE, reasons=_REASONS)
        self._space = space

    def get(self, key: str) -> bytes | None:
        return super().get(self._inside(key))

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return super().get_many([self._inside(key) for key in keys])

    def put(self, key: str, value: bytes) -> None:
        super().put(self._inside(key), value)

    def delete(self, key: str) -> None:
        super().delete(self._inside(key))

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._outside(super().range(f"{self._space}/{start}", self._inside(end)))

    def range_page(self, start: str, end: str, *, page_size: int, bookmark: str = "") -> Page:
        start, end, bookmark = f"{self._space}/{start}", self._inside(end), self._inside(bookmark)
        page = super().range_page(start, end, page_size=page_size, bookmark=bookmark)
        return Page(
            items=tuple(self._outside(iter(page.items))), bookmark=page.bookmark.removeprefix(f"{self._space}/")
        )

    def history(self, key: str) -> Iterator[Modification]:
        return super().history(self._inside(key))

    def get_private(self, collection: str, key: str) -> bytes | None:
        return super().get_private(collection, self._inside(key))

    def get_many_private(self, collection: str, keys: Sequence[str]) -> list[bytes | None]:
        return super().get_many_private(collection, [self._inside(key) for key in keys])

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        super().put_private(collection, self._inside(key), value)

    def purge_private(self, collection: str, key: str) -> None:
        super().purge_private(collection, self._inside(key))

    def private_hash(self, collection: str, key: str) -> bytes | None:
        return super().private_hash(collection, self._inside(key))

    def range_private(self, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._outside(super().range_private(collection, f"{self._space}/{start}", self._inside(end)))

    def set_policy(self, key: str, policy: Policy | None) -> None:
        super().set_policy(self._inside(key), policy)

    def query(self, channel: str, function: str, argument: bytes) -> bytes:
        return super().query(channel, f"{self._space}/{function}", argument)

    def _inside(self, key: str) -> str:
        # An empty key stays one, for the ledger to refuse, and so does an open end.
        return f"{self._space}/{key}" if key else ""

    def _outside(self, found: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        return ((key.removeprefix(f"{self._space}/"), value) for key, value in found)


class SpacedChaincode:
    """The toy as the shim serves it."""

    def __init__(self, chaincode: Chaincode) -> None:
        self._chaincode = chaincode

    def invoke(self, stub: Stub) -> Response:
        space, _, function = stub.function.partition("/")
        try:
            return Response(payload=self._chaincode.invoke(SpacedContext(stub, space), function, stub.parameters[0]))
        except Refused as refused:
            raise Rejected(str(refused)) from refused


if __name__ == "__main__":
    serve(SpacedChaincode(CHAINCODES[sys.argv[1]]))
