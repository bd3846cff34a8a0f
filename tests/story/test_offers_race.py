"""Two transactions about one offer in one block: the first takes effect, the second finds out what happened."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from community import FIRST, Community, Home
from wattpool.client import Chain
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Call, EndorseError
from wattpool.verify import verify
from wattpool_chaincode.contract import CONTRACT
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, OPERATOR_ATTRIBUTES


@pytest.fixture
def community() -> Community:
    """Ann's energy is on offer for the period whose gate is open; Bob and Cy can both pay for it."""
    community = Community([Home(name="ann"), Home(name="bob"), Home(name="cy")])
    for name in community.meters:
        community.fill_wallet(name, 1_000_000)
    community.open()
    return community


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[EmbeddedLedger]:
    chaincodes = {"contract": CONTRACT, "ledger": LEDGER}
    with EmbeddedLedger.create(
        tmp_path / "race", community="demo", chaincodes=chaincodes, client_attributes=OPERATOR_ATTRIBUTES
    ) as ledger:
        yield ledger


def on(ledger: EmbeddedLedger, community: Community) -> Chain:
    """Return the chain on which the community has done what it did in memory."""
    for call in community.calls:
        again = Call(channel=call.channel, function=call.function, argument=call.argument, transient=call.transient)
        ledger.submit(again, by=call.by)
    return Chain(ledger, "ledger")


def offered(community: Community) -> str:
    return community.add_offer("ann", from_utc=FIRST.start_utc, until_utc=FIRST.end_utc)


def test_energy_is_never_sold_twice(ledger: EmbeddedLedger, community: Community, tmp_path: Path) -> None:
    offer = offered(community)
    chain = on(ledger, community)
    orders = [community.pick_order(name, offer) for name in ("bob", "cy")]
    first, second = (
        chain.submit_async("pick_offer", by=by, order=order) for by, order in zip((DSO, MEMBERS), orders, strict=True)
    )
    assert first.wait() == {"offer": offer, "phase": "picked"}
    with pytest.raises(EndorseError) as refused:
        second.wait()
    assert refused.value.reason == LedgerRefusal.OFFER_TAKEN
    assert chain.evaluate("offer", by=DSO, offer=offer)["pick"]["slot"] == community.slot("bob")
    assert verify(tmp_path / "race").violation is None


def test_a_gate_that_closes_first_keeps_a_confirmation_out(ledger: EmbeddedLedger, community: Community) -> None:
    offer = offered(community)
    community.ledger("pick_offer", order=community.pick_order("bob", offer))
    chain = on(ledger, community)
    closing = chain.submit_async("close", by=AGGREGATOR, period=FIRST.start_utc)
    confirming = chain.submit_async("confirm_p2l", by=MEMBERS, offer=offer)
    closing.wait()
    with pytest.raises(EndorseError) as refused:
        confirming.wait()
    assert refused.value.reason == LedgerRefusal.OFFER_EXPIRED


def test_a_confirmation_that_comes_first_counts_at_the_gate(ledger: EmbeddedLedger, community: Community) -> None:
    offer = offered(community)
    community.ledger("pick_offer", order=community.pick_order("bob", offer))
    community.ingest([community.request("ann", 1_200), community.request("cy", -1_200)])
    chain = on(ledger, community)
    confirming = chain.submit_async("confirm_p2l", by=MEMBERS, offer=offer)
    closing = chain.submit_async("close", by=AGGREGATOR, period=FIRST.start_utc)
    assert confirming.wait()["phase"] == "confirmed"
    closing.wait()
    chain.submit("clear", by=AGGREGATOR, period=FIRST.start_utc, page=0)
    assert chain.submit("activate", by=AGGREGATOR, period=FIRST.start_utc)["agreed_wh"] == 200
