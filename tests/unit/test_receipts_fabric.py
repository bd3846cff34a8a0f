"""Receipts on Fabric: what peers of two organisations signed is proof, and nothing else is."""

import random
from base64 import encodebytes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from fabric_protos.common.common_pb2 import Envelope
from fabric_protos.common.common_pb2 import Payload as EnvelopePayload
from fabric_protos.common.configtx_pb2 import ConfigEnvelope
from fabric_protos.msp.identities_pb2 import SerializedIdentity

from fabric_chain import Change, Member, Organisation, call, configuration
from wattpool.bad_input import BadInput
from wattpool.ledgers.fabric import FabricLedger
from wattpool.ledgers.fabric_blocks import decode_call, decode_envelope
from wattpool.ledgers.port import Call, LedgerError
from wattpool.receipts import PublishedRoots, ReceiptReason, ReceiptRefused, check, read_roots
from wattpool.receipts.envelope import seal_up, unpack
from wattpool.receipts.fabric import FabricRoots, PublishedMsp, of_call, published_roots
from wattpool_chaincode.ledger.period import key
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.payload import Payload

PERIOD_UTC = 1_493_920_800
COMMUNITY = "elm"
CHANNEL = "elm-ledger"
STATEMENT: dict[str, Any] = {"device_key": "02" * 33, "record": None, "slot": 0, "sold_wh": 10}
RESULT = {
    "clock": "live",
    "root": merkle.root([bytes.fromhex(codec.content_id(codec.encode(STATEMENT)))]).hex(),
    "slots": 1,
}
SEAL = Payload(
    kind="seal",
    community=COMMUNITY,
    signer="ab" * 20,
    period_start_utc=PERIOD_UTC,
    counter=1,
    content={"previous": "0" * 64, "result": codec.content_id(codec.encode(RESULT))},
).encode()
SEALED = {"previous": "0" * 64, "seal": codec.content_id(SEAL)}
READ = {key("result", PERIOD_UTC): (3, 1)}
MUTATIONS = 2_000


class Network:
    """Two MSPs, the second of which plays two organisations and has a second peer."""

    def __init__(self) -> None:
        self.first, self.second = Organisation("Org1MSP"), Organisation("Org2MSP")
        self.other_peer = self.second.member("peer")
        self.roots = FabricRoots(
            COMMUNITY,
            CHANNEL,
            {"Org1MSP": published(self.first, AGGREGATOR), "Org2MSP": published(self.second, DSO, MEMBERS)},
        )

    def receipt(self, endorsers: Sequence[Member] | None = None, **parts: Any) -> bytes:
        """Return a receipt; `parts` say what is otherwise about the transaction that sealed the period."""
        usual: dict[str, Any] = {
            "by": self.first.client,
            "endorsers": [self.first.peer, self.second.peer] if endorsers is None else endorsers,
            "channel": CHANNEL,
            "function": b"seal",
            "result": codec.encode(SEALED),
        }
        reads = parts.pop("reads", READ)
        argument = codec.encode({"period": PERIOD_UTC, "seal": [SEAL.decode(), ""]})
        data = call(Change(reads=reads), argument, **(usual | parts))
        return seal_up(
            {
                "evidence": of_call(decode_call(decode_envelope(data))),
                "period": {"result": RESULT, "seal": SEAL.decode()},
                "place": {"index": 0, "path": [], "size": 1},
                "record": None,
                "statement": STATEMENT,
            }
        )


@pytest.fixture(scope="module")
def network() -> Network:
    return Network()


def published(organisation: Organisation, *plays: str) -> PublishedMsp:
    return PublishedMsp(plays=plays, roots=[organisation.authority.certificate.decode()], intermediates=[])


def refusal(data: bytes, roots: PublishedRoots) -> ReceiptReason:
    with pytest.raises(ReceiptRefused) as refused:
        check(data, roots)
    return refused.value.reason


def test_what_two_organisations_peers_endorsed_is_proven(network: Network) -> None:
    checked = check(network.receipt(), network.roots)
    assert (checked.community, checked.period_start_utc, checked.clock) == (COMMUNITY, PERIOD_UTC, "live")
    assert checked.endorsers == {AGGREGATOR, DSO}
    assert checked.statement == STATEMENT


def test_an_msp_that_plays_two_organisations_vouches_for_both_by_two_peers(network: Network) -> None:
    both = network.receipt([network.second.peer, network.other_peer])
    assert check(both, network.roots).endorsers == {DSO, MEMBERS}


Unproven = Callable[[Network], bytes]
UNPROVEN: list[tuple[Unproven, ReceiptReason]] = [
    (lambda network: network.receipt([]), ReceiptReason.UNDER_ENDORSED),
    (lambda network: network.receipt([network.second.peer]), ReceiptReason.UNDER_ENDORSED),
    (lambda network: network.receipt([network.second.peer] * 2), ReceiptReason.UNDER_ENDORSED),
    (lambda network: network.receipt([network.first.client, network.second.peer]), ReceiptReason.NOT_CERTIFIED),
    (lambda network: network.receipt([Organisation("Org1MSP").peer]), ReceiptReason.NOT_CERTIFIED),
    (lambda network: network.receipt([Organisation("Org3MSP").peer]), ReceiptReason.NOT_CERTIFIED),
    (lambda network: network.receipt(channel="ledger"), ReceiptReason.FOREIGN_COMMUNITY),
    (lambda network: network.receipt(chaincode="contract"), ReceiptReason.FOREIGN_COMMUNITY),
    (lambda network: network.receipt(result=codec.encode({})), ReceiptReason.NOT_SEALED),
    (lambda network: network.receipt(reads={}), ReceiptReason.NOT_SEALED),
    (lambda network: network.receipt(reads=dict.fromkeys(READ)), ReceiptReason.NOT_SEALED),
    (lambda network: network.receipt(answered=bytes(32)), ReceiptReason.WRONGLY_ENDORSED),
    (lambda network: network.receipt(identity="0" * 64), ReceiptReason.MALFORMED),
]


@pytest.mark.parametrize(("unproven", "reason"), UNPROVEN)
def test_what_proves_nothing_is_refused_by_name(network: Network, unproven: Unproven, reason: ReceiptReason) -> None:
    assert refusal(unproven(network), network.roots) is reason


def test_a_certificate_whose_name_is_of_a_wrong_kind_is_none(network: Network) -> None:
    identity = SerializedIdentity.FromString(network.first.peer.serialized)
    der = load_pem_x509_certificate(identity.id_bytes).public_bytes(Encoding.DER)
    # The subject's common name, a UTF8String (tag 12), becomes a BIT STRING (tag 3).
    head, common_name, tail = der.rpartition(bytes.fromhex("0603550403"))
    assert tail[0] == 12
    text = encodebytes(head + common_name + b"\x03" + tail[1:]).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n".encode()
    changed = SerializedIdentity(mspid=identity.mspid, id_bytes=pem).SerializeToString()
    endorser = Member(changed, network.first.peer.key)
    assert refusal(network.receipt([endorser]), network.roots) is ReceiptReason.NOT_CERTIFIED


CHANGED: list[tuple[str, Any, ReceiptReason]] = [
    ("ledger", "embedded", ReceiptReason.MALFORMED),
    ("proposal", [], ReceiptReason.MALFORMED),
    ("proposal", ["", "", ""], ReceiptReason.MALFORMED),
    ("proposal", [0, 0, 0], ReceiptReason.MALFORMED),
    ("response", "\N{EURO SIGN}", ReceiptReason.MALFORMED),
    ("response", "\xff", ReceiptReason.MALFORMED),
    ("endorsements", ["peer"], ReceiptReason.MALFORMED),
    ("endorsements", [["peer", "AAAA"]], ReceiptReason.NOT_CERTIFIED),
]


@pytest.mark.parametrize(("part", "value", "reason"), CHANGED)
def test_evidence_that_is_none_is_refused_by_name(
    network: Network, part: str, value: Any, reason: ReceiptReason
) -> None:
    changed = unpack(network.receipt())
    changed["evidence"][part] = value
    assert refusal(seal_up(changed), network.roots) is reason


def test_an_endorsement_of_something_else_is_refused(network: Network) -> None:
    changed, other = unpack(network.receipt()), unpack(network.receipt(nonce=b"another"))
    changed["evidence"]["endorsements"][0] = other["evidence"]["endorsements"][0]
    assert refusal(seal_up(changed), network.roots) is ReceiptReason.WRONGLY_ENDORSED


def test_parts_of_the_proposal_end_where_they_end(network: Network) -> None:
    changed = unpack(network.receipt())
    header, signer, payload = changed["evidence"]["proposal"]
    for parts in ([header + signer[:1], signer[1:], payload], [header, signer + payload, ""]):
        changed["evidence"]["proposal"] = parts
        assert refusal(seal_up(changed), network.roots) is ReceiptReason.MALFORMED


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_changed_bit_inside_is_noticed_however_it_is_packed(network: Network) -> None:
    chosen = random.Random(1)  # noqa: S311 -- repeatable
    inside = codec.encode(unpack(network.receipt()))
    for _ in range(MUTATIONS):
        mutated = bytearray(inside)
        mutated[chosen.randrange(len(inside))] ^= 1 << chosen.randrange(8)
        with pytest.raises((ReceiptRefused, codec.NotCanonical)):
            check(seal_up(codec.decode(bytes(mutated))), network.roots)


def test_published_roots_are_read_as_they_were_written(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "roots.json"
    file.write_bytes(network.roots.encode() + b"\n")
    read = read_roots(file)
    assert read.encode() == network.roots.encode()
    assert check(network.receipt(), read).endorsers == {AGGREGATOR, DSO}


class Configured:
    """A ledger on Fabric, as far as its channel's configuration and its community's name go."""

    organisations: ClassVar = {AGGREGATOR: "Org1MSP", DSO: "Org2MSP", MEMBERS: "Org2MSP"}

    def __init__(self, *members: Organisation) -> None:
        config = ConfigEnvelope(config=configuration(members)).SerializeToString()
        self._envelope = Envelope(payload=EnvelopePayload(data=config).SerializeToString())

    def network_name(self, channel: str) -> str:
        return f"elm-{channel}"

    def configuration(self, channel: str) -> Envelope:
        assert channel == "ledger"
        return self._envelope

    def evaluate(self, asked: Call, *, by: str) -> bytes:
        assert (asked.channel, asked.function, by) == ("contract", "rules", AGGREGATOR)
        return codec.encode({"rules": {"community": COMMUNITY}})


def test_what_is_published_is_what_the_channel_is_configured_with(network: Network) -> None:
    ledger = cast("FabricLedger", Configured(network.first, network.second))
    assert published_roots(ledger).encode() == network.roots.encode()


def test_an_organisation_that_is_not_on_the_channel_has_no_roots(network: Network) -> None:
    ledger = cast("FabricLedger", Configured(network.first))
    with pytest.raises(LedgerError, match="no organisation Org2MSP, which plays DsoMSP and MembersMSP"):
        published_roots(ledger)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": 1}, "not the published roots of a community"),
        ({"more": 1}, "not the published roots of a community"),
        ({"msps": {}}, "the MSPs play ; AggregatorMSP, DsoMSP, MembersMSP were expected"),
        ({"msps": {"Org1MSP": {"plays": [], "roots": []}}}, "an MSP has intermediates, plays, roots"),
        ({"msps": {"Org1MSP": {"intermediates": [], "plays": [DSO, AGGREGATOR, MEMBERS], "roots": ["x"]}}}, "PEM"),
    ],
)
def test_roots_that_are_none_are_named(network: Network, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = tmp_path / "roots.json"
    file.write_bytes(codec.encode(codec.decode(network.roots.encode()) | change))
    with pytest.raises(BadInput, match=message):
        read_roots(file)
