"""The rules on a Fabric peer: a context over the shim's stub, and the process that serves one chaincode.

`python -m wattpool_chaincode.fabric contract` (or `ledger`) serves it as the environment says (CHAINCODE_ID,
CHAINCODE_SERVER_ADDRESS, ...). A call has two arguments: the function and one canonical JSON object. A refusal is
answered with status 500 and the message `reason: detail`.

The rules know two channels, `contract` and `ledger`, named after their chaincodes, and three organisations. Here is
where a network's own names become theirs. Its channels may be called `NAME-contract` and `NAME-ledger`: so one process
serves the communities of all names, each of which sees its own pair alone. Its MSP ids are named by `--organisations`.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain
from types import MappingProxyType

from fabric_shim import ConfigurationError, OutOf, Rejected, Response, SignedBy, Stub, serve
from fabric_shim.response import ERROR_THRESHOLD
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal, Chaincode
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.context import Modification, Page, Policy, Submitter
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.organisations import ORGANISATION_ATTRIBUTE, ORGANISATIONS, THEMSELVES, acting
from wattpool_chaincode.refusal import Refused

# Two of three endorse, so that one MSP alone could never, or, with two peers, always.
_MIN_MSPS = 2
_NS_PER_S = 1_000_000_000
# What the contract chain may refuse a query of the ledger chain with, by the name that stands in the message.
_REASONS: Mapping[str, StrEnum] = {
    reason.value: reason for reason in chain(CallRefusal, ContractRefusal, PayloadRefusal)
}


class FabricContext:
    """One transaction's view of one channel, through its stub.

    Args:
        stub: the transaction, on the network's own channel.
        channel: what the rules call that channel.
        msp_ids: the network's own MSP id of each of the rules' organisations.
        policy: the chaincode's own.
        reasons: what a query of another channel may be refused with, by the name that stands in the message.

    Raises:
        Rejected: if the network's channel is none that the rules could call so.
    """

    def __init__(
        self,
        stub: Stub,
        *,
        channel: str,
        msp_ids: Mapping[str, str],
        policy: Policy,
        reasons: Mapping[str, StrEnum] = _REASONS,
    ) -> None:
        community = stub.channel.removesuffix(channel)
        if stub.channel != f"{community}{channel}" or (community and not community.endswith("-")):
            raise Rejected(f"{channel} serves channels called {channel} or NAME-{channel}, not {stub.channel}")
        self._stub = stub
        self._community = community
        self._msp_ids = msp_ids
        self._policy = policy
        self._reasons = reasons
        self.channel = channel
        self.transaction_id = stub.transaction_id
        self.time_utc = stub.timestamp_ns // _NS_PER_S
        self.transient = stub.transient

    @property
    def submitter(self) -> Submitter:
        """Who sent the transaction, as one of the rules' organisations.

        Raises:
            Refused: not_authorised, if its MSP plays none, or plays several or another and the certificate does not
                say which.
        """
        client = self._stub.client
        names = acting(client.msp_id, client.attributes, self._msp_ids)
        if len(names) != 1:
            played = [name for name, msp_id in self._msp_ids.items() if msp_id == client.msp_id]
            certified = client.attributes.get(ORGANISATION_ATTRIBUTE)
            detail = f"{client.msp_id} plays {' and '.join(played) or 'no organisation'}"
            told = "nothing" if certified is None else certified
            raise Refused(CallRefusal.NOT_AUTHORISED, f"{detail}, and has certified {ORGANISATION_ATTRIBUTE} = {told}")
        return Submitter(msp_id=names[0], attributes=client.attributes)

    def get(self, key: str) -> bytes | None:
        return self._stub.get(key)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return self._stub.get_many(keys)

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

    def get_many_private(self, collection: str, keys: Sequence[str]) -> list[bytes | None]:
        return self._stub.get_many(keys, collection=collection)

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
        self._stub.set_policy(key, _out_of(policy or self._policy, self._msp_ids))

    def emit(self, name: str, payload: bytes) -> None:
        self._stub.set_event(name, payload)

    def query(self, channel: str, function: str, argument: bytes) -> bytes:
        arguments = [function.encode(), argument]
        response = self._stub.invoke_chaincode(channel, arguments, channel=f"{self._community}{channel}")
        if response.status < ERROR_THRESHOLD:
            return response.payload
        name, _, detail = response.message.partition(": ")
        reason = self._reasons.get(name)
        if reason is None:
            raise RuntimeError(f"{function} on {channel} failed: {response.message}")
        raise Refused(reason, detail)


class FabricChaincode:
    """A chaincode of ours as the shim serves it."""

    def __init__(self, chaincode: Chaincode, *, msp_ids: Mapping[str, str] = THEMSELVES) -> None:
        self._chaincode = chaincode
        self._msp_ids = msp_ids

    def invoke(self, stub: Stub) -> Response:
        """Run one call.

        Raises:
            Rejected: the rules refuse it, it does not have two arguments, or the channel is not theirs.
        """
        if len(stub.parameters) != 1:
            raise Rejected(f"{CallRefusal.ARGUMENT_MALFORMED}: a function and one JSON object were expected")
        context = FabricContext(
            stub, channel=self._chaincode.name, msp_ids=self._msp_ids, policy=self._chaincode.policy
        )
        try:
            return Response(payload=self._chaincode.invoke(context, stub.function, stub.parameters[0]))
        except Refused as refused:
            raise Rejected(str(refused)) from refused


def main(arguments: list[str]) -> None:
    """Serve the chaincode that the arguments name, until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m wattpool_chaincode.fabric", description="Serve one chaincode.")
    parser.add_argument("chaincode", choices=CHAINCODES)
    parser.add_argument(
        "--organisations",
        dest="msp_ids",
        type=parse_organisations,
        default=THEMSELVES,
        metavar="AggregatorMSP=ID,DsoMSP=ID,MembersMSP=ID",
        help="the network's MSP ids of the three organisations, where they are others",
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    try:
        serve(FabricChaincode(CHAINCODES[chosen.chaincode], msp_ids=chosen.msp_ids))
    except ConfigurationError as error:
        parser.error(str(error))


def parse_organisations(text: str) -> Mapping[str, str]:
    """Read which MSP of the network plays which of the rules' organisations: each once, by at least two MSPs.

    Raises:
        argparse.ArgumentTypeError: if the text does not say that.
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    msp_ids = {name: msp_id for name, _, msp_id in pairs}
    if sorted(name for name, _, _ in pairs) != sorted(ORGANISATIONS) or not all(msp_ids.values()):
        expected = ", ".join(ORGANISATIONS)
        raise argparse.ArgumentTypeError(f"{text!r} does not name an MSP id once for each of {expected}")
    if len(set(msp_ids.values())) < _MIN_MSPS:
        raise argparse.ArgumentTypeError(f"{text!r} has one MSP play all organisations; two must endorse")
    return MappingProxyType(msp_ids)


def _out_of(policy: Policy, msp_ids: Mapping[str, str]) -> OutOf:
    rules = tuple(
        SignedBy(msp_ids[rule], "PEER") if isinstance(rule, str) else _out_of(rule, msp_ids) for rule in policy.rules
    )
    return OutOf(policy.required, rules)


if __name__ == "__main__":
    main(sys.argv[1:])
