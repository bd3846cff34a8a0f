"""The desk: a ledger that one organisation's client works on, and what all commands ask of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from wattpool.bad_input import BadInput
from wattpool.client import Chain
from wattpool.ledgers.port import Ledger
from wattpool.offers import Owner
from wattpool.operating.arguments import read_organisation
from wattpool.operating.opening import open_place
from wattpool_chaincode.contract import CHANNEL as CONTRACT_CHANNEL
from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.ledger import CHANNEL as LEDGER_CHANNEL
from wattpool_chaincode.roster import Entry

PUBLISHED = "it counts once `wattpool roster publish` has told it"


class Desk:
    """Both chains of a community.

    Args:
        opened: the ledger.
        by: MSP id of the organisation in whose name calls are made.
    """

    def __init__(self, opened: Ledger, by: str) -> None:
        self.opened = opened
        self.by = by
        self.contract_chain = Chain(opened, CONTRACT_CHANNEL)
        self.ledger_chain = Chain(opened, LEDGER_CHANNEL)

    def contract(self, function: str, **argument: Any) -> Any:
        """Run a function of the contract chain, and return its result once it is durable."""
        return self.contract_chain.submit(function, by=self.by, **argument)

    def ledger(self, function: str, **argument: Any) -> Any:
        """Run a function of the ledger chain, and return its result once it is durable."""
        return self.ledger_chain.submit(function, by=self.by, **argument)

    def ask_contract(self, query: str, **argument: Any) -> Any:
        return self.contract_chain.evaluate(query, by=self.by, **argument)

    def ask_ledger(self, query: str, **argument: Any) -> Any:
        return self.ledger_chain.evaluate(query, by=self.by, **argument)

    def of(self, msp_id: str) -> "Desk":
        """Return the same ledger as another organisation's client works on it."""
        return Desk(self.opened, msp_id)

    def rules(self) -> Rules:
        """Return the latest version of the rules."""
        return Rules(**self.ask_contract("rules", version=0)["rules"])

    def entries(self, version: int | None = None) -> list[Entry]:
        """Return who may trade, by slot, as a version of the roster has it; by default the one that counts."""
        if version is None:
            version = self.ask_ledger("roster")["version"]
        pages = self.ask_contract("roster", version=version)["pages"]
        return [Entry.from_json(entry) for page in pages for entry in self.ask_contract("roster_page", page=page)]

    def connected(self, connection: str) -> Entry:
        """Return the entry of a connection, named by its pseudonym or how that begins.

        Raises:
            BadInput: if none or several begin like that.
        """
        found = [entry for entry in self.entries() if connection and entry.connection.startswith(connection)]
        if len(found) != 1:
            raise BadInput("--connection", None, f"{connection!r} is how {len(found)} connections begin")
        return found[0]

    def owned(self, owner: Owner, connection: str | None) -> Entry:
        """Return the entry of an owner's connection, of the only one if none is named.

        Raises:
            BadInput: if it has none or several, or the one named is no connection.
        """
        if connection is not None:
            return self.connected(connection)
        found = [entry for entry in self.entries() if entry.party == owner.party]
        if len(found) != 1:
            raise BadInput("--connection", None, f"party {owner.party} has {len(found)} connections; name one")
        return found[0]

    def signer(self, key: ec.EllipticCurvePrivateKey) -> Owner:
        """Return who signs with a key what is for this community."""
        return Owner(community=self.rules().community, key=key)

    def wallet(self, party: str) -> dict[str, int]:
        return dict(self.ask_ledger("wallet", party=party))

    def order_on_ledger(self, function: str, owner: Owner, kind: str, **content: Any) -> Any:
        """Have an owner sign an order with the next counter, and carry it to the ledger chain."""
        counter = self.wallet(owner.party)["counter"] + 1
        return self.ledger(function, order=owner.order(kind, content, counter=counter).to_json())

    def order_on_contract(self, function: str, owner: Owner, kind: str, **content: Any) -> Any:
        """Have an owner sign an order with the next counter, and carry it to the contract chain."""
        counter = self.ask_contract("last_order", party=owner.party)["counter"] + 1
        return self.contract(function, order=owner.order(kind, content, counter=counter).to_json())


@contextmanager
def reading(place: str, by: str) -> Iterator[Desk]:
    """Open a ledger to ask it, in the name of an organisation as `--by` has it."""
    msp_id = read_organisation("--by", by)
    with open_place(place, to_write=False) as opened:
        yield Desk(opened, msp_id)


@contextmanager
def working(place: str, by: str) -> Iterator[Desk]:
    """Open a ledger to change what is on it, in the name of an organisation as `--by` has it."""
    msp_id = read_organisation("--by", by)
    with open_place(place, to_write=True) as opened:
        yield Desk(opened, msp_id)


def voted(votes: Sequence[str]) -> str:
    """Return who voted, for a message."""
    return f"voted for by {', '.join(votes)}" if votes else "as it was"
