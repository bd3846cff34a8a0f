"""Verification of Fabric's blocks: whoever tampers has keys of the organisations here, and is found nevertheless."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

import pytest
from fabric_protos.common import configtx_pb2, policies_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import events_pb2

from fabric_chain import (
    NOW_UTC,
    Chain,
    Change,
    Organisation,
    call,
    configuration,
    definition,
    out_of,
    replace_config,
    steps,
    update,
)
from ledger.toy import CHAINCODES
from wattpool.ledgers.fabric_blocks import Effect, RangeQuery, decode_block
from wattpool.verify import Report, Violation, ViolationKind
from wattpool.verify.fabric import verify
from wattpool.verify.fabric.ranges import is_unchanged
from wattpool.verify.state import State
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, ORGANISATIONS, THEMSELVES
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.merkle import Frontier

CHAINCODE = {"ledger": CHAINCODES["ledger"]}
PEERS = [(msp_id, "PEER") for msp_id in (AGGREGATOR, DSO, MEMBERS)]
ORDERERS = [(MEMBERS, "ORDERER")]
PUT_A, NOTHING = steps(["put", "a", "1"])


class Blocks:
    """A `BlockSource` of blocks that a test made, and of what other peers have."""

    def __init__(self, blocks: Sequence[bytes], others: Sequence[tuple[str, bytes]] = ()) -> None:
        self._blocks = blocks
        self._others = others

    def height(self, channel: str) -> int:  # noqa: ARG002
        return len(self._blocks)

    def blocks(self, channel: str) -> Iterator[bytes]:  # noqa: ARG002
        return iter(self._blocks)

    def others(self, channel: str, number: int) -> Iterator[tuple[str, bytes]]:  # noqa: ARG002
        return iter(self._others)


class Stage:
    """A channel with the toy on it, and all who have a key."""

    def __init__(self, msp_ids: Sequence[str] = ORGANISATIONS, *, chaincode: str = "ledger") -> None:
        self.organisations = [Organisation(msp_id) for msp_id in msp_ids]
        self.aggregator, self.dso, self.members = self.organisations
        self.stranger = Organisation("StrangerMSP")
        self.config = configuration(self.organisations)
        self.chain = Chain(self.config, [self.dso.orderer])
        self.peers = [one.peer for one in self.organisations]
        policy = out_of(2, [(msp_id, "PEER") for msp_id in msp_ids])
        self.chain.add(definition(self.peers, policy, by=self.dso.admin, chaincode=chaincode))

    def put(self, change: Change | None = None, argument: bytes = PUT_A, **others: object) -> bytes:
        """Return a call that the DSO sends and all but it endorse."""
        parts: dict[str, object] = {"by": self.dso.client, "endorsers": self.peers[::2], "result": NOTHING}
        return call(change or Change(writes={"a": b"1"}), argument, **(parts | others))  # type: ignore[arg-type]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def check(stage: Stage) -> Report:
    return verify(Blocks(stage.chain.blocks), chaincodes=CHAINCODE)


def violation(stage: Stage) -> Violation:
    found = check(stage).violation
    assert found is not None
    return found


def test_a_chain_of_valid_and_rightly_invalid_transactions_holds(stage: Stage) -> None:
    argument, result = steps(["put", "a", "1"], ["emit", "one", "two"])
    put = stage.put(argument=argument, result=result, event=("one", b"two"))
    stage.chain.add(
        put, stage.put(nonce=b"2", endorsers=stage.peers[:1]), codes=["VALID", "ENDORSEMENT_POLICY_FAILURE"]
    )
    read = Change(reads={"a": (2, 0)}, writes={"a": b"2"})
    argument, _ = steps(["get", "a"], ["put", "a", "2"])
    result = codec.encode(["1", None])
    stage.chain.add(
        put,
        stage.put(read, argument, result=result, nonce=b"3"),
        stage.put(read, argument, result=result, nonce=b"4"),
        codes=["DUPLICATE_TXID", "VALID", "MVCC_READ_CONFLICT"],
    )
    private = Change(private={"p": b"secret"})
    stage.chain.add(
        stage.put(private, steps(["put_private", "p"])[0], nonce=b"5"), private={0: private.private_data("ledger")}
    )
    report = check(stage)
    assert report.violation is None
    assert (report.channels["ledger"].transactions, report.channels["ledger"].system) == (8, 2)


def test_a_chain_that_lost_its_last_block_holds_until_one_knows_its_tip(stage: Stage) -> None:
    stage.chain.add(stage.put())
    tip = check(stage).channels["ledger"]
    assert tip.tip_hash is not None
    tips = {"ledger": (tip.blocks, tip.tip_hash)}
    assert verify(Blocks(stage.chain.blocks), chaincodes=CHAINCODE, tips=tips).violation is None
    found = verify(Blocks(stage.chain.blocks[:-1]), chaincodes=CHAINCODE, tips=tips).violation
    assert found is not None
    assert found.what is ViolationKind.TIP


def test_msps_with_names_of_their_own_play_the_rules_organisations() -> None:
    msp_ids = dict(zip(ORGANISATIONS, ("Org1MSP", "Org2MSP", "Org3MSP"), strict=True))
    stage = Stage(list(msp_ids.values()))
    own = Change(writes={"a": b"1"}, policies={"a": out_of(1, [("Org2MSP", "PEER")])})
    argument, _ = steps(["put", "a", "1"], ["set_policy", "a", "dso"], ["who"])
    stage.chain.add(stage.put(own, argument, result=codec.encode([None, None, [DSO, {}, NOW_UTC]])))
    source = Blocks(stage.chain.blocks)
    assert verify(source, chaincodes=CHAINCODE, organisations=msp_ids).violation is None
    for others in (THEMSELVES, {**msp_ids, DSO: "Org3MSP", MEMBERS: "Org2MSP"}, dict.fromkeys(msp_ids, "Org2MSP")):
        found = verify(source, chaincodes=CHAINCODE, organisations=others).violation
        assert found is not None
        assert found.what is ViolationKind.EXECUTION


@pytest.mark.parametrize(("blocks", "is_true"), [(1, True), (2, True), (4, False), (2, False)])
def test_a_checkpoint_is_held_against_the_blocks_whatever_its_channel_is_called(blocks: int, *, is_true: bool) -> None:
    stage = Stage(chaincode="contract")
    chaincodes = {"ledger": CHAINCODES["contract"]}
    hashes = [decode_block(data).header.hash for data in stage.chain.blocks]
    leaves = hashes[:blocks] if is_true else [bytes(32)] * blocks
    contract, nothing = Frontier().extended(leaves), Frontier()
    checkpoint = {
        "contract": {"blocks": blocks, "peaks": [one.hex() for one in contract.peaks]},
        "ledger": {"blocks": 0, "peaks": []},
        "root": merkle.root([contract.root, nothing.root]).hex(),
    }
    value = codec.encode(checkpoint)
    argument, result = steps(["put", "checkpoint/1", value.decode()])
    change = Change(writes={"checkpoint/1": value})
    stage.chain.add(stage.put(change, argument, result=result, chaincode="contract"))
    found = verify(Blocks(stage.chain.blocks), chaincodes=chaincodes).violation
    assert (found is None) is is_true
    if found is not None:
        assert (found.what, found.channel, found.block) == (ViolationKind.CHECKPOINT, "ledger", 2)


def marked_valid(**parts: object) -> Callable[[Stage], None]:
    """Return a tampering: one call like this is marked as valid."""
    return lambda stage: stage.chain.add(stage.put(**parts))  # type: ignore[arg-type]


def unsigned(stage: Stage) -> None:
    data = bytearray(stage.put())
    data[-1] ^= 1
    stage.chain.add(bytes(data))


def sent_by_a_stranger(stage: Stage) -> None:
    stage.chain.add(stage.put(by=stage.stranger.client))


def sent_by_nobodys_member(stage: Stage) -> None:
    forged = Organisation(DSO)
    stage.chain.add(stage.put(by=forged.client))


def endorsed_by_clients(stage: Stage) -> None:
    stage.chain.add(stage.put(endorsers=[one.client for one in stage.organisations]))


def endorsed_twice_by_one(stage: Stage) -> None:
    stage.chain.add(stage.put(endorsers=[stage.dso.peer, stage.dso.peer]))


def endorsed_by_a_stranger(stage: Stage) -> None:
    stage.chain.add(stage.put(endorsers=[stage.dso.peer, stage.stranger.peer]))


def doubled(stage: Stage) -> None:
    stage.chain.add(stage.put())
    stage.chain.add(stage.put())


def doubled_in_a_block(stage: Stage) -> None:
    stage.chain.add(stage.put(), stage.put())


def own_policy_not_met(stage: Stage) -> None:
    own = Change(writes={"a": b"1"}, policies={"a": out_of(1, [(DSO, "PEER")])})
    argument, result = steps(["put", "a", "1"], ["set_policy", "a", "dso"])
    stage.chain.add(stage.put(own, argument, result=result))
    stage.chain.add(stage.put(nonce=b"2"))


def policy_changed_in_the_block(stage: Stage) -> None:
    own = Change(writes={"a": b"1"}, policies={"a": out_of(1, [(DSO, "PEER")])})
    argument, result = steps(["put", "a", "1"], ["set_policy", "a", "dso"])
    stage.chain.add(stage.put(own, argument, result=result), stage.put(nonce=b"2", endorsers=stage.peers))


def stale_read(stage: Stage) -> None:
    stage.chain.add(stage.put())
    stage.chain.add(stage.put(nonce=b"2"))
    stale = Change(reads={"a": (2, 0)}, writes={"a": b"1"})
    stage.chain.add(stage.put(stale, steps(["get", "a"], ["put", "a", "1"])[0], nonce=b"3"))


def phantom(stage: Stage) -> None:
    stage.chain.add(stage.put())
    empty = kv_rwset_pb2.RangeQueryInfo(start_key="a", end_key="b", itr_exhausted=True)
    stage.chain.add(
        stage.put(Change(ranges=[empty]), steps(["range", "a", "b"])[0], result=codec.encode([[]]), nonce=b"2")
    )


def private_value_missing(stage: Stage) -> None:
    stage.chain.add(stage.put(Change(private={"p": b"1"}), steps(["put_private", "p"])[0]))


def private_value_exchanged(stage: Stage) -> None:
    came = Change(private={"p": b"2"}).private_data("ledger")
    stage.chain.add(stage.put(Change(private={"p": b"1"}), steps(["put_private", "p"])[0]), private={0: came})


def private_value_of_nobody(stage: Stage) -> None:
    stage.chain.add(stage.put(), private={0: Change(private={"p": b"2"}).private_data("ledger")})


def marked_invalid(stage: Stage) -> None:
    stage.chain.add(stage.put(), codes=["MVCC_READ_CONFLICT"])


def signed_by_no_orderer(stage: Stage) -> None:
    stage.chain = Chain(stage.config, [stage.stranger.orderer])
    stage.chain.add(definition(stage.peers, out_of(2, PEERS), by=stage.dso.admin))


def defined_by_two(stage: Stage) -> None:
    stage.chain = Chain(stage.config, [stage.dso.orderer])
    stage.chain.add(definition(stage.peers[:2], out_of(2, PEERS), by=stage.dso.admin))


def hash_of_other_commits(stage: Stage) -> None:
    other = Chain(stage.config, [stage.dso.orderer])
    other.add(definition(stage.peers, out_of(2, PEERS), by=stage.dso.admin))
    stage.chain.add(stage.put())
    number = len(stage.chain.blocks) - 1
    data = stage.chain.blocks[number]
    stage.chain.blocks[number] = data[:-1] + bytes((data[-1] ^ 1,))


def other_write(stage: Stage) -> None:
    stage.chain.add(stage.put(Change(writes={"a": b"2"})))


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (unsigned, ViolationKind.SIGNATURE),
        (sent_by_a_stranger, ViolationKind.CERTIFICATE),
        (sent_by_nobodys_member, ViolationKind.CERTIFICATE),
        (marked_valid(time_utc=NOW_UTC - 10**9), ViolationKind.CERTIFICATE),
        (marked_valid(identity="0" * 64), ViolationKind.TRANSACTION_ID),
        (marked_valid(channel="contract"), ViolationKind.TRANSACTION_ID),
        (marked_valid(answered=sha256(b"another").digest()), ViolationKind.ENDORSEMENT),
        (marked_valid(endorsers=()), ViolationKind.ENDORSEMENT),
        (endorsed_by_clients, ViolationKind.ENDORSEMENT),
        (endorsed_twice_by_one, ViolationKind.ENDORSEMENT),
        (endorsed_by_a_stranger, ViolationKind.ENDORSEMENT),
        (own_policy_not_met, ViolationKind.ENDORSEMENT),
        (policy_changed_in_the_block, ViolationKind.ENDORSEMENT),
        (defined_by_two, ViolationKind.ENDORSEMENT),
        (marked_valid(chaincode="other"), ViolationKind.CODE),
        (marked_invalid, ViolationKind.CODE),
        (doubled, ViolationKind.DOUBLED),
        (doubled_in_a_block, ViolationKind.DOUBLED),
        (stale_read, ViolationKind.READS),
        (phantom, ViolationKind.READS),
        (private_value_missing, ViolationKind.PRIVATE_DATA),
        (private_value_exchanged, ViolationKind.PRIVATE_DATA),
        (private_value_of_nobody, ViolationKind.PRIVATE_DATA),
        (signed_by_no_orderer, ViolationKind.SIGNATURE),
        (hash_of_other_commits, ViolationKind.COMMIT_HASH),
        (other_write, ViolationKind.EXECUTION),
        (marked_valid(change=Change(reads={"b": None}, writes={"a": b"1"})), ViolationKind.EXECUTION),
        (marked_valid(result=b"[1]"), ViolationKind.EXECUTION),
        (marked_valid(event=("one", b"")), ViolationKind.EXECUTION),
        (marked_valid(argument=b"{}"), ViolationKind.EXECUTION),
        (marked_valid(argument=steps(["refuse"])[0]), ViolationKind.EXECUTION),
    ],
)
def test_what_is_not_as_it_must_be_is_named(stage: Stage, tamper: Callable[[Stage], None], what: ViolationKind) -> None:
    tamper(stage)
    found = violation(stage)
    assert found.what is what, str(found)
    assert found.channel == "ledger"


def test_what_is_no_block_is_named(stage: Stage) -> None:
    stage.chain.blocks.append(b"nonsense")
    assert violation(stage).what is ViolationKind.MALFORMED
    stage.chain.blocks[-1] = stage.chain.blocks[-2] + b"\x18\x01"
    assert violation(stage).what is ViolationKind.MALFORMED


# Configurations


def changed(stage: Stage) -> configtx_pb2.Config:
    """Return a configuration in which the members' association alone orders."""
    after = configtx_pb2.Config(sequence=1)
    after.channel_group.CopyFrom(stage.config.channel_group)
    policy = after.channel_group.groups["Orderer"].policies["BlockValidation"]
    policy.policy.CopyFrom(policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=out_of(1, ORDERERS)))
    policy.version = 1
    return after


def test_a_configuration_that_most_administrators_signed_holds_from_then_on(stage: Stage) -> None:
    admins = [stage.dso.admin, stage.members.admin]
    stage.chain.add(update(stage.config, changed(stage), signers=admins, by=stage.dso.orderer), is_config=True)
    assert check(stage).violation is None
    stage.chain.add(stage.put())
    found = violation(stage)
    assert (found.what, found.block) == (ViolationKind.SIGNATURE, 3)


def skip_version(config: configtx_pb2.Config) -> None:
    config.channel_group.groups["Orderer"].policies["BlockValidation"].version = 2


def skip_sequence(config: configtx_pb2.Config) -> None:
    config.sequence = 2


@pytest.mark.parametrize("spoil", [skip_version, skip_sequence])
def test_a_configuration_out_of_turn_is_named(stage: Stage, spoil: Callable[[configtx_pb2.Config], None]) -> None:
    after = changed(stage)
    spoil(after)
    admins = [stage.dso.admin, stage.members.admin]
    stage.chain.add(update(stage.config, after, signers=admins, by=stage.dso.orderer), is_config=True)
    assert violation(stage).what is ViolationKind.CONFIG


@pytest.mark.parametrize("signing", [["admin"], ["orderer", "peer"], []])
def test_a_configuration_that_too_few_administrators_signed_is_named(stage: Stage, signing: list[str]) -> None:
    signers = [getattr(stage.dso, role) for role in signing]
    stage.chain.add(update(stage.config, changed(stage), signers=signers, by=stage.dso.orderer), is_config=True)
    assert violation(stage).what is ViolationKind.CONFIG


def test_a_configuration_that_its_update_does_not_give_is_named(stage: Stage) -> None:
    admins = [stage.dso.admin, stage.members.admin]
    data = update(stage.config, changed(stage), signers=admins, by=stage.dso.orderer)
    other = configtx_pb2.Config(sequence=1)
    other.channel_group.CopyFrom(stage.config.channel_group)
    stage.chain.add(replace_config(data, other, by=stage.dso.orderer), is_config=True)
    assert violation(stage).what is ViolationKind.CONFIG


def test_an_organisation_may_revoke_its_members(stage: Stage) -> None:
    stage.chain.add(stage.put())
    after = configtx_pb2.Config(sequence=1)
    after.channel_group.CopyFrom(stage.config.channel_group)
    after.channel_group.groups["Application"].groups[DSO].values["MSP"].value = stage.dso.without(stage.dso.client)
    after.channel_group.groups["Application"].groups[DSO].values["MSP"].version = 1
    for kind in ("Orderer",):
        after.channel_group.groups[kind].groups[DSO].values["MSP"].CopyFrom(
            after.channel_group.groups["Application"].groups[DSO].values["MSP"]
        )
    data = update(stage.config, after, signers=[stage.dso.admin], by=stage.dso.orderer)
    stage.chain.add(data, is_config=True)
    assert check(stage).violation is None
    stage.chain.add(stage.put(nonce=b"2"))
    found = violation(stage)
    assert (found.what, found.detail) == (
        ViolationKind.CERTIFICATE,
        "marked as valid, though the submitter is no member: its certificate has been revoked",
    )


# Orderers that must agree, and peers that may not


@pytest.mark.parametrize(("signing", "what"), [(3, None), (2, ViolationKind.SIGNATURE)])
def test_orderers_with_numbers_sign_together(signing: int, what: ViolationKind | None) -> None:
    stage = Stage()
    orderers = [one.orderer for one in stage.organisations]
    config = configuration(stage.organisations, consenters=orderers)
    stage.chain = Chain(config, orderers[:signing], numbered=True)
    stage.chain.add(definition(stage.peers, out_of(2, PEERS), by=stage.dso.admin))
    found = check(stage).violation
    assert (None if found is None else found.what) is what


def test_a_peer_with_another_block_is_named(stage: Stage) -> None:
    stage.chain.add(stage.put())
    other = Stage()
    other.chain.add(other.put())
    own = [blocks_alone(data) for data in stage.chain.blocks]
    for others, what in (
        ([(MEMBERS, own[-1]), (AGGREGATOR, own[1])], None),
        ([(MEMBERS, own[-1]), (AGGREGATOR, blocks_alone(other.chain.blocks[-1]))], ViolationKind.FORK),
        ([(MEMBERS, b"nonsense")], ViolationKind.FORK),
        ([(MEMBERS, own[-1][:-1] + bytes((own[-1][-1] ^ 1,)))], ViolationKind.COMMIT_HASH),
    ):
        found = verify(Blocks(stage.chain.blocks, others), chaincodes=CHAINCODE).violation
        assert (None if found is None else found.what) is what
        if found is not None:
            assert others[-1][0] in found.detail


def blocks_alone(data: bytes) -> bytes:
    return bytes(events_pb2.BlockAndPrivateData.FromString(data).block.SerializeToString())


# Ranges of which a peer keeps a summary


@pytest.mark.parametrize(
    ("count", "level", "hashes"),
    [
        # With a degree of 2: leaves over three keys each, joined as soon as there are more than two.
        (3, 1, [["aaa"]]),
        (4, 1, [["aaa"], ["a"]]),
        (7, 2, [["aaa", "aaa", "a"]]),
        (12, 2, [["aaa", "aaa", "aaa"], ["aaa"]]),
    ],
)
def test_the_summary_of_a_range_is_the_tree_that_a_peer_builds(count: int, level: int, hashes: list[list[str]]) -> None:
    state = State[bytes]()
    for number in range(count):
        state.apply((7, number), put(f"k{number:02}"))
    keys = iter(range(count))
    expected = []
    for joined in hashes:
        leaves = [leaf([next(keys) for _ in each]) for each in joined]
        expected.append(leaves[0] if len(leaves) == 1 else sha256(b"".join(leaves)).digest())
    query = RangeQuery(start="k", end="l", exhausted=True, reads=None, max_degree=2, max_level=level, hashes=expected)
    assert is_unchanged(query, state)
    state.apply((8, 0), put("k"))
    assert not is_unchanged(query, state)


def put(key: str) -> Effect:
    return Effect(namespace="ledger", reads={}, ranges=(), writes={key: b"x"}, policies={}, collections=())


def leaf(numbers: Sequence[int]) -> bytes:
    """Encode by hand a QueryReads of keys that block 7 wrote, each at its own position, and hash it."""
    reads = b""
    for number in numbers:
        version = b"\x08\x07" + (b"\x10" + bytes((number,)) if number else b"")
        read = b"\x0a\x03" + f"k{number:02}".encode() + b"\x12" + bytes((len(version),)) + version
        reads += b"\x0a" + bytes((len(read),)) + read
    return sha256(reads).digest()
