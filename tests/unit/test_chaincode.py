from enum import StrEnum
from importlib import import_module
from typing import Any

import pytest

from community import FIRST, Community, Home, identity_of, new_network
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.chaincode import CallRefusal, Chaincode
from wattpool_chaincode.contract import CONTRACT
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.reports import RecordRefusal
from wattpool_chaincode.ledger.requests import RequestRefusal
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, OPERATOR, ROLE_ATTRIBUTE, TWO_OF_THREE
from wattpool_chaincode.refusal import Refused

REFUSED: list[tuple[str, bytes, str, StrEnum]] = [
    ("mint", b"no JSON", "'mint' is none of ", CallRefusal.FUNCTION_UNKNOWN),
    ("supply", b"no JSON", "not canonical JSON", CallRefusal.ARGUMENT_MALFORMED),
    ("supply", b"{ }", "not canonical JSON", CallRefusal.ARGUMENT_MALFORMED),
    ("supply", b"", "not canonical JSON", CallRefusal.ARGUMENT_MALFORMED),
    ("supply", b"\xff", "not canonical JSON", CallRefusal.ARGUMENT_MALFORMED),
    ("supply", b"[" * 100 + b"]" * 100, "not canonical JSON", CallRefusal.ARGUMENT_MALFORMED),
    ("supply", b"[]", "the argument is no JSON object", CallRefusal.ARGUMENT_MALFORMED),
    ("supply", b'{"a":1}', "the fields are a; ", CallRefusal.ARGUMENT_MALFORMED),
]
OPERATOR_OF = {ROLE_ATTRIBUTE: OPERATOR}
OPERATORS_REFUSED: list[tuple[str, dict[str, str], StrEnum]] = [
    (DSO, {}, CallRefusal.NOT_AUTHORISED),
    (AGGREGATOR, {ROLE_ATTRIBUTE: "reader"}, CallRefusal.NOT_AUTHORISED),
    (AGGREGATOR, {ROLE_ATTRIBUTE: ""}, CallRefusal.NOT_AUTHORISED),
    (AGGREGATOR, {"role": OPERATOR}, CallRefusal.NOT_AUTHORISED),
    ("StrangerMSP", OPERATOR_OF, CallRefusal.NOT_AUTHORISED),
    # With an operator's certificate the same bytes reach the argument's check.
    (MEMBERS, OPERATOR_OF, CallRefusal.ARGUMENT_MALFORMED),
    (MEMBERS, {**OPERATOR_OF, "hf.Type": "client"}, CallRefusal.ARGUMENT_MALFORMED),
]
# The tables of refusals of both chains: each row of each is a test, and ends with the reason.
TABLES = {
    "test_chaincode": ("REFUSED", "OPERATORS_REFUSED"),
    "test_rules": ("REFUSED",),
    "test_checkpoint": ("REFUSED",),
    "test_connection": ("REFUSED",),
    "test_metering_point": ("REFUSED",),
    "test_party": ("REFUSED",),
    "test_orders": ("REFUSED",),
    "test_move_in": ("REFUSED",),
    "test_device": ("REFUSED", "APPROVALS_REFUSED"),
    "test_retirement": ("REFUSED", "RETIRED_REFUSED"),
    "test_voiding": ("REFUSED",),
    "test_smart_meter": ("REFUSED",),
    "test_contract_roster": ("REFUSED",),
    "test_ledger_roster": ("REFUSED",),
    "test_tokens": ("REFUSED",),
    "test_offers": ("REFUSED", "ORDERS_REFUSED"),
    "test_opening": ("REFUSED",),
    "test_suspension": ("REFUSED", "TRADES_REFUSED"),
    "test_requests": ("REFUSED", "CALLS_REFUSED"),
    "test_clearing": ("REFUSED",),
    "test_envelope": ("REFUSED",),
    "test_reports": ("REFUSED", "CALLS_REFUSED", "READINGS_REFUSED"),
    "test_settling": ("REFUSED",),
    "test_sealing": ("REFUSED",),
    "test_correcting": ("REFUSED", "FIRM_REFUSED", "ENDS_REFUSED", "LATE_CHANGES_REFUSED"),
}


@pytest.mark.parametrize(("function", "argument", "detail", "reason"), REFUSED)
def test_a_call_that_reaches_no_rule_is_refused_by_name(
    function: str, argument: bytes, detail: str, reason: StrEnum
) -> None:
    with pytest.raises(Refused) as error:
        new_network().call("ledger", function, argument, by=DSO)
    assert error.value.reason is reason
    assert error.value.detail.startswith(detail)
    assert str(error.value).startswith(f"{reason.value}: {detail}")


@pytest.mark.parametrize(("by", "attributes", "reason"), OPERATORS_REFUSED)
@pytest.mark.parametrize("chaincode", [CONTRACT, LEDGER])
def test_only_a_certified_operator_reaches_what_can_write(
    chaincode: Chaincode, by: str, attributes: dict[str, str], reason: StrEnum
) -> None:
    network = new_network()
    for function in chaincode.functions:
        with pytest.raises(Refused) as error:
            network.call(chaincode.name, function, b"no JSON", by=by, attributes=attributes)
        assert error.value.reason is reason


def test_whoever_has_a_certificate_may_ask() -> None:
    assert new_network().call("ledger", "supply", b"{}", by=DSO, attributes={}).startswith(b'{"bought_ut":0')


@pytest.mark.parametrize("chaincode", [CONTRACT, LEDGER])
def test_no_query_can_write(chaincode: Chaincode) -> None:
    community = Community([Home(name="ann"), Home(name="bob")])
    community.run_period({"ann": 500}, {"ann": (0, 500)})
    for name in ("ann", "bob"):
        community.fill_wallet(name, 1_000_000)
    offer = community.add_offer("ann")
    community.pick_offer("bob", offer)
    arguments: dict[str, dict[str, Any]] = {
        "checkpoint": {"number": 0},
        "corrected_page": {"period": FIRST.start_utc, "version": 1, "page": 0},
        "corrected_statements": {"period": FIRST.start_utc, "version": 1, "page": 0},
        "correction": {"period": FIRST.start_utc, "version": 1},
        "list_dues": {"bookmark": ""},
        "cleared_page": {"period": FIRST.start_utc, "page": 0},
        "orders": {"period": FIRST.start_utc},
        "reading": {"period": FIRST.start_utc, "record": community.statement("ann")["record"]},
        "sealed_by": {"period": FIRST.start_utc, "version": 0},
        "last_order": {"party": identity_of("ann's owner")},
        "party": {"party": identity_of("ann's owner")},
        "meter": {"meter": identity_of("ann")},
        "roster_page": {"page": community.contract("roster", version=1)["pages"][0]},
        "rules": {"version": 1},
        "list_offers": {"bookmark": ""},
        "offers_due": {},
        "offers_held": {"bookmark": ""},
        "offer": {"offer": offer},
        "period": {"period": FIRST.start_utc},
        "proof_of_delivery": {"offer": offer},
        "purse": {"slot": 0},
        "settled_page": {"period": FIRST.start_utc, "page": 0},
        "statements": {"period": FIRST.start_utc, "page": 0},
        "to_begin": {"period": FIRST.next.start_utc, "slot": 0},
        "wallet": {"party": identity_of("ann's owner")},
        "suspension": {"slot": 0},
        "voidings": {"device": identity_of("ann")},
    }
    if chaincode is CONTRACT:
        arguments["roster"] = {"version": 1}
    before = community.snapshot()
    call = community.contract if chaincode is CONTRACT else community.ledger
    for query in chaincode.queries:
        call(query, **arguments.get(query, {}))
    assert community.snapshot() == before


def test_the_answer_is_canonical_json() -> None:
    community = Community([Home(name="ann", purse_ut=0)])
    answer = community.network.call("ledger", "supply", b"{}", by=DSO)
    assert answer == b'{"bought_ut":0,"fees_ut":0,"redeemed_ut":0}'


def test_two_of_three_endorse_both_chains() -> None:
    assert CONTRACT.policy == LEDGER.policy == TWO_OF_THREE


@pytest.mark.parametrize(
    "closed_list", [CallRefusal, PayloadRefusal, ContractRefusal, LedgerRefusal, RequestRefusal, RecordRefusal]
)
def test_the_tables_provoke_every_reason_of_every_closed_list(closed_list: type[StrEnum]) -> None:
    provoked = [row[-1] for module, names in TABLES.items() for name in names for row in rows(module, name)]
    # Members of two lists are equal if their texts are, so that each is counted with its own list.
    assert {reason.name for reason in provoked if type(reason) is closed_list} == set(closed_list.__members__)


def rows(module: str, name: str) -> list[Any]:
    return list(getattr(import_module(module), name))
