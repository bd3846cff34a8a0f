"""The block format: one record, one byte string; whoever reads the description can write the verifier."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattpool.ledgers import block as blocks
from wattpool.ledgers.block import (
    Block,
    Code,
    Emitted,
    Endorsement,
    Genesis,
    Installed,
    Malformed,
    PrivateRead,
    PrivateWrite,
    Proposal,
    RangeRead,
    Response,
    Transaction,
)
from wattpool_chaincode.context import Policy
from wattpool_chaincode.organisations import DSO, TWO_OF_THREE
from wattpool_chaincode.records import codec

PROPOSAL = Proposal(
    channel="ledger",
    chaincode="ledger",
    function="open",
    argument=b'{"period":1}',
    creator="c0" * 32,
    nonce=b"nonce",
    id="1d" * 32,
    time_utc=1_489_996_800,
    transient={"raw": "ab" * 32},
)
RESPONSE = Response(
    proposal_hash=PROPOSAL.hash,
    result=b"null",
    reads={"head": (1, 0), "absent": None},
    ranges=(RangeRead(start="a", end="b", found=(("aa", (0, 2)),)),),
    private_reads=(PrivateRead(collection="meter_data", key_hash="01" * 32, version=(0, 1)),),
    writes={"head": b"\x00\xff", "gone": None},
    private_writes=(
        PrivateWrite(collection="meter_data", key_hash="01" * 32, value_hash="02" * 32),
        PrivateWrite(collection="meter_data", key_hash="03" * 32, value_hash=None),
    ),
    policies={"head": Policy(required=1, rules=(DSO,)), "gone": None},
    event=Emitted(name="opened", payload=b"{}"),
    heights={"contract": 4},
)
TRANSACTION = Transaction(
    proposal=PROPOSAL,
    response=RESPONSE,
    endorsements=(Endorsement(endorser="e0" * 32, signature=b"one"),),
    signature=b"two",
)
BLOCK = Block(
    channel="ledger",
    number=7,
    previous_hash="aa" * 32,
    data_hash=blocks.data_hash([TRANSACTION.data, TRANSACTION.data]),
    codes=(Code.VALID, Code.DUPLICATE_TXID),
    transactions=(TRANSACTION, TRANSACTION),
)
GENESIS = Genesis(
    community="street",
    organisations={DSO: "-----BEGIN CERTIFICATE-----\n"},
    chaincodes={"ledger": Installed(name="ledger", policy=TWO_OF_THREE)},
)


def test_a_proposal_has_these_bytes() -> None:
    assert PROPOSAL.data == (
        b'{"argument":"eyJwZXJpb2QiOjF9","chaincode":"ledger","channel":"ledger","creator":"' + b"c0" * 32 + b'",'
        b'"function":"open","id":"' + b"1d" * 32 + b'","nonce":"bm9uY2U=","time_utc":1489996800,'
        b'"transient":{"raw":"' + b"ab" * 32 + b'"}}'
    )


def test_a_response_has_these_bytes() -> None:
    assert RESPONSE.data == (
        b'{"event":{"name":"opened","payload":"e30="},"heights":{"contract":4},'
        b'"policies":{"gone":null,"head":{"required":1,"rules":["DsoMSP"]}},'
        b'"private_reads":[["meter_data","' + b"01" * 32 + b'",[0,1]]],'
        b'"private_writes":[["meter_data","' + b"01" * 32 + b'","' + b"02" * 32 + b'"],'
        b'["meter_data","' + b"03" * 32 + b'",null]],'
        b'"proposal":"' + PROPOSAL.hash.encode() + b'","ranges":[["a","b",[["aa",[0,2]]]]],'
        b'"reads":{"absent":null,"head":[1,0]},"result":"bnVsbA==","writes":{"gone":null,"head":"AP8="}}'
    )


def test_a_genesis_has_these_bytes() -> None:
    assert GENESIS.encode() == (
        b'{"chaincodes":{"ledger":{"name":"ledger","policy":{"required":2,'
        b'"rules":["AggregatorMSP","DsoMSP","MembersMSP"]}}},"community":"street",'
        b'"organisations":{"DsoMSP":"-----BEGIN CERTIFICATE-----\\n"},"version":1}'
    )


def test_hashes_and_messages_are_as_described() -> None:
    value = json.loads(BLOCK.encode())
    transactions = value.pop("transactions")
    proposal_hash, response_hash = (
        sha256(codec.encode(transactions[0][part])).hexdigest() for part in ("proposal", "response")
    )
    assert value["data_hash"] == sha256(codec.encode(transactions)).hexdigest()
    assert BLOCK.hash == sha256(codec.encode(value)).hexdigest()
    assert (PROPOSAL.hash, transactions[0]["response"]["proposal"]) == (proposal_hash, proposal_hash)
    assert blocks.endorser_message(RESPONSE) == b"wattpool/endorsement/1 " + response_hash.encode()
    assert blocks.submitter_message(RESPONSE, TRANSACTION.endorsements) == b"wattpool/transaction/1 " + codec.encode(
        {"endorsements": transactions[0]["endorsements"], "response": response_hash}
    )
    assert GENESIS.hash == sha256(GENESIS.encode()).hexdigest()
    assert blocks.transaction_id(b"nonce", b"pem") == sha256(b"noncepem").hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        replace(BLOCK, codes=(Code.DUPLICATE_TXID, Code.VALID)),
        replace(BLOCK, number=8),
        replace(BLOCK, channel="contract"),
        replace(BLOCK, previous_hash="bb" * 32),
        replace(BLOCK, data_hash="bb" * 32),
    ],
)
def test_the_hash_of_a_block_covers_all_its_fields(changed: Block) -> None:
    assert changed.hash != BLOCK.hash


def test_the_bytes_of_a_part_are_found_in_those_of_the_whole() -> None:
    assert BLOCK.encode().count(TRANSACTION.data) == 2
    assert PROPOSAL.data in TRANSACTION.data
    assert RESPONSE.data in TRANSACTION.data
    assert codec.encode(codec.decode(BLOCK.encode())) == BLOCK.encode()


def test_records_are_read_as_they_were_written() -> None:
    assert Block.decode(BLOCK.encode()) == Block.decode(Block.decode(BLOCK.encode()).encode())
    assert Transaction.decode(TRANSACTION.encode()).proposal == PROPOSAL
    assert Genesis.decode(GENESIS.encode()) == GENESIS


def altered(new: Any, *path: str | int) -> bytes:
    """Return the bytes of the block with another value at `path`; without any if it is `...`."""
    block = codec.decode(BLOCK.encode())
    *way, last = path
    inner = block
    for part in way:
        inner = inner[part]
    inner[last] = new
    if new is ...:
        del inner[last]
    return codec.encode(block)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        BLOCK.encode() + b" ",
        altered(1, "extra"),
        altered(["VALID", "FINE"], "codes"),
        altered("7", "number"),
        altered("now", "transactions", 0, "proposal", "time_utc"),
        altered({"contract": "4"}, "transactions", 0, "response", "heights"),
        altered(1, "transactions", 0, "extra"),
        altered(1, "transactions", 0, "proposal", "extra"),
        altered("?", "transactions", 0, "signature"),
        altered("AA", "transactions", 0, "signature"),
        altered([1], "transactions", 0, "response", "reads", "head"),
        altered({}, "transactions", 0, "response", "policies", "head"),
        altered(3, "transactions", 0, "response", "writes", "head"),
        altered(..., "transactions", 0, "response", "event"),
        altered(..., "previous_hash"),
    ],
)
def test_what_is_no_block_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        Block.decode(data)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.dictionaries(st.text(max_size=5), st.none() | st.binary(max_size=9), max_size=4))
def test_any_values_survive_writing_and_reading(result: bytes, writes: dict[str, bytes | None]) -> None:
    response = Response(proposal_hash=PROPOSAL.hash, result=result, writes=writes)
    read = Transaction.decode(replace(TRANSACTION, response=response).data)
    assert (read.response.result, read.response.writes, read.response.event) == (result, writes, None)
