from typing import Any

import pytest

from community import RULES, Community, Home, connection_of, device, grid_point_of, identity_of, join, tariff, unfounded
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.batch import MAX_CALLS
from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO

HOMES = [Home(name="ann"), Home(name="bob"), Home(name="cy", feeder="B")]
ANN, BOB = "ann's owner", "bob's owner"


def payment(owner: str, reference: str) -> dict[str, Any]:
    return {"party": identity_of(owner), "amount_ut": 1_000, "reference": reference}


def founded(*, in_batches: bool) -> Community:
    """Return a community that admitted its homes in one transaction each, or all in one."""
    community = unfounded()
    community.contract("found", **RULES)
    community.contract("set_tariff", **tariff("standard"))
    devices = [{"device": identity_of(home.name)} for home in HOMES]
    steps: list[tuple[str, str, list[dict[str, Any]]]] = [
        (DSO, "register_connection", [connection_of(home) for home in HOMES]),
        (DSO, "register_metering_point", [grid_point_of(home) for home in HOMES]),
        (AGGREGATOR, "register_party", [{"join": join(home)} for home in HOMES]),
        (AGGREGATOR, "register_device", [device(home) for home in HOMES]),
        (DSO, "approve_device", devices),
        (AGGREGATOR, "approve_device", devices),
    ]
    for by, function, arguments in steps:
        if in_batches:
            community.contract("batch", by=by, call=function, arguments=arguments)
        else:
            for argument in arguments:
                community.contract(function, by=by, **argument)
    return community


def test_a_batch_leaves_what_as_many_transactions_leave() -> None:
    assert founded(in_batches=True).snapshot() == founded(in_batches=False).snapshot()


def test_each_call_sees_what_the_ones_before_it_wrote() -> None:
    community = Community([Home(name="ann", purse_ut=0)])
    payments = [payment(ANN, "bank-1"), payment(ANN, "bank-2"), payment(ANN, "bank-1")]
    assert community.ledger("batch", call="buy", arguments=payments) == [None, None, None]
    assert community.ledger("wallet", party=identity_of(ANN))["balance_ut"] == 2_000
    assert community.ledger("supply")["bought_ut"] == 2_000


def test_a_call_that_is_refused_is_named_and_none_takes_effect() -> None:
    community = Community([Home(name="ann", purse_ut=0)])
    before = community.snapshot()
    other = {**payment(ANN, "bank-1"), "amount_ut": 1}
    arguments = [payment(ANN, "bank-1"), other]
    with pytest.raises(Exception, match="reference_reused: call 1: purchase/bank-1"):
        community.ledger("batch", call="buy", arguments=arguments)
    assert community.refusal("ledger", "batch", call="buy", arguments=arguments) is LedgerRefusal.REFERENCE_REUSED
    assert community.snapshot() == before


def test_an_order_counts_once_in_a_batch_too() -> None:
    community = Community([Home(name="ann", purse_ut=0), Home(name="bob", purse_ut=0)])
    community.ledger("buy", **payment(ANN, "bank-1"))
    order = {"order": community.order(ANN, "transfer", payee=identity_of(BOB), amount_ut=300)}
    refusal = community.refusal("ledger", "batch", call="transfer", arguments=[order, order])
    assert refusal is PayloadRefusal.REPLAYED


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("batch", []),
        ("open", []),
        ("buy", {}),
        ("buy", [[]]),
        ("buy", [{}] * (MAX_CALLS + 1)),
        ("buy", [{}]),
    ],
)
def test_what_is_no_batch_is_refused(function: str, arguments: object) -> None:
    refusal = Community([]).refusal("ledger", "batch", call=function, arguments=arguments)
    assert refusal is CallRefusal.ARGUMENT_MALFORMED
