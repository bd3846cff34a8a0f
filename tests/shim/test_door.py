"""The rules' door to Fabric: a network's own names of channels and organisations become the rules'."""

import argparse
import json
from typing import Any

import pytest
from cryptography.x509.oid import NameOID
from fabric_protos.peer import chaincode_pb2, proposal_response_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim_pb2

from fabric_shim import OutOf, SignedBy
from fabric_shim.policy import decode_policy
from shim.certificates import TestAuthority, name
from shim.conftest import Serve
from shim.scripted_peer import READY_2_5, Message, ScriptedPeer, serialized_identity, signed_proposal
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Context
from wattpool_chaincode.fabric import FabricChaincode, main, parse_organisations
from wattpool_chaincode.organisations import (
    AGGREGATOR,
    DSO,
    MEMBERS,
    METERING_FACTS,
    OPERATOR,
    ROLE_ATTRIBUTE,
    TWO_OF_THREE,
    require_operator,
)

# Fabric's test-network has two organisations, so that one of them plays two.
TWO_MSPS = "AggregatorMSP=Org1MSP,DsoMSP=Org2MSP,MembersMSP=Org2MSP"


def ask(context: Context, _argument: dict[str, Any]) -> object:
    return [context.channel, json.loads(context.query("contract", "roster", b"{}"))]


def protect(context: Context, _argument: dict[str, Any]) -> object:
    context.set_policy("k", METERING_FACTS)
    return None


def who(context: Context, _argument: dict[str, Any]) -> object:
    return context.submitter.msp_id


RULES = Chaincode(
    name="ledger",
    functions={"who": who},
    policy=TWO_OF_THREE,
    queries={"ask": ask, "protect": protect},
    guard=require_operator,
)


@pytest.mark.parametrize(("channel", "asked"), [("ledger", "contract"), ("elm-ledger", "elm-contract")])
def test_the_rules_of_a_community_ask_the_contract_chain_of_the_same_community(
    serve: Serve, channel: str, asked: str
) -> None:
    with ScriptedPeer(serve(FabricChaincode(RULES).invoke).port) as peer:
        peer.begin(b"ask", b"{}", channel=channel)
        spec = chaincode_pb2.ChaincodeSpec.FromString(peer.expect(Message.INVOKE_CHAINCODE, channel=channel))
        assert spec.chaincode_id.name == f"contract/{asked}"
        answer = proposal_response_pb2.Response(status=200, payload=b"7")
        completed = Message(type=Message.COMPLETED, payload=answer.SerializeToString())
        peer.respond(completed.SerializeToString(), channel=channel)
        assert json.loads(peer.completed(channel=channel).payload) == ["ledger", 7]


@pytest.mark.parametrize("channel", ["mychannel", "elmledger", "ledger-elm", "elm-contract"])
def test_a_channel_that_is_not_named_after_the_chaincode_is_refused(serve: Serve, channel: str) -> None:
    with ScriptedPeer(serve(FabricChaincode(RULES).invoke).port) as peer:
        peer.begin(b"ask", b"{}", channel=channel)
        answer = peer.completed(channel=channel)
    assert (answer.status, answer.message) == (
        500,
        f"ledger serves channels called ledger or NAME-ledger, not {channel}",
    )


@pytest.mark.parametrize(
    ("organisations", "msp_id", "certified", "acting"),
    [
        (None, DSO, None, DSO),
        (None, DSO, DSO, DSO),
        (TWO_MSPS, "Org1MSP", None, AGGREGATOR),
        (TWO_MSPS, "Org2MSP", DSO, DSO),
        (TWO_MSPS, "Org2MSP", MEMBERS, MEMBERS),
    ],
)
def test_a_submitter_is_one_of_the_rules_organisations(
    serve: Serve, organisations: str | None, msp_id: str, certified: str | None, acting: str
) -> None:
    answer = answer_to(serve, organisations, msp_id, certified)
    assert (answer.status, json.loads(answer.payload)) == (200, acting)


@pytest.mark.parametrize(
    ("organisations", "msp_id", "certified", "detail"),
    [
        (None, "StrangerMSP", None, "StrangerMSP plays no organisation"),
        (None, DSO, MEMBERS, "DsoMSP plays DsoMSP, and has certified wattpool.organisation = MembersMSP"),
        # An organisation of the network that is called as one of the rules' are is none of them for that.
        (TWO_MSPS, DSO, None, "DsoMSP plays no organisation"),
        (TWO_MSPS, "Org1MSP", DSO, "Org1MSP plays AggregatorMSP"),
        (TWO_MSPS, "Org2MSP", None, "Org2MSP plays DsoMSP and MembersMSP"),
        (TWO_MSPS, "Org2MSP", AGGREGATOR, "Org2MSP plays DsoMSP and MembersMSP"),
    ],
)
def test_a_submitter_of_no_certain_organisation_is_refused(
    serve: Serve, organisations: str | None, msp_id: str, certified: str | None, detail: str
) -> None:
    answer = answer_to(serve, organisations, msp_id, certified)
    assert answer.status == 500
    assert answer.message.startswith(f"not_authorised: {detail}")


def test_a_key_level_policy_names_the_networks_own_msps(serve: Serve) -> None:
    chaincode = FabricChaincode(RULES, msp_ids=parse_organisations(TWO_MSPS))
    with ScriptedPeer(serve(chaincode.invoke).port, ready=READY_2_5) as peer:
        peer.begin(b"protect", b"{}", channel="ledger")
        put = shim_pb2.PutStateMetadata.FromString(peer.expect(Message.PUT_STATE_METADATA, channel="ledger"))
        peer.respond(channel="ledger")
        assert peer.completed(channel="ledger").status == 200
    first, second = SignedBy("Org1MSP", "PEER"), SignedBy("Org2MSP", "PEER")
    assert decode_policy(put.metadata.value) == OutOf(2, (second, OutOf(1, (first, second))))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "does not name"),
        ("AggregatorMSP=Org1MSP,DsoMSP=Org2MSP", "does not name"),
        ("AggregatorMSP=Org1MSP,DsoMSP=Org2MSP,MembersMSP=", "does not name"),
        ("AggregatorMSP=Org1MSP,DsoMSP=Org2MSP,MembersMSP", "does not name"),
        ("AggregatorMSP=Org1MSP,DsoMSP=Org2MSP,StrangerMSP=Org3MSP", "does not name"),
        (f"{TWO_MSPS},DsoMSP=Org1MSP", "does not name"),
        ("AggregatorMSP=Org1MSP,DsoMSP=Org1MSP,MembersMSP=Org1MSP", "two must endorse"),
    ],
)
def test_organisations_are_each_named_once(text: str, wrong: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=wrong):
        parse_organisations(text)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ([], "required: chaincode"),
        (["gas"], "invalid choice: 'gas'"),
        (["contract", "--organisations", "DsoMSP=Org1MSP"], "for each of AggregatorMSP, DsoMSP, MembersMSP"),
        (["contract"], "CHAINCODE_ID must be set"),
    ],
)
def test_a_wrong_start_is_told_in_one_line(
    arguments: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert wrong in capsys.readouterr().err.splitlines()[-1]


def answer_to(serve: Serve, organisations: str | None, msp_id: str, certified: str | None) -> Any:
    """Return what a client of that MSP, and an operator with that certified organisation, is answered."""
    attributes = {ROLE_ATTRIBUTE: OPERATOR} | ({} if certified is None else {"wattpool.organisation": certified})
    subject = name((NameOID.COMMON_NAME, "client"))
    issued = TestAuthority().issue(subject, attributes=json.dumps({"attrs": attributes}).encode())
    creator = serialized_identity(msp_id, issued.certificate)
    options = {} if organisations is None else {"msp_ids": parse_organisations(organisations)}
    with ScriptedPeer(serve(FabricChaincode(RULES, **options).invoke).port) as peer:
        peer.begin(b"who", b"{}", channel="ledger", proposal=signed_proposal(channel="ledger", creator=creator))
        return peer.completed(channel="ledger")
