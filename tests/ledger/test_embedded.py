"""What the embedded ledger promises beyond the port: checks at commit, group commit, one writer, durability."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ledger.toy import CHAINCODES, NOON_UTC, Broken, Clock, call, look, outcome, send, submit
from wattpool.ledgers import block as blocks
from wattpool.ledgers.block import Code, Endorsement, Transaction
from wattpool.ledgers.certificates import Identity, Role, read_attributes
from wattpool.ledgers.committer import Endorsed
from wattpool.ledgers.embedded import TIME_WINDOW_S, EmbeddedLedger
from wattpool.ledgers.port import Call, EndorseError, ForeignLedger, LedgerDamaged, LedgerError, LedgerLocked
from wattpool.ledgers.simulator import MAX_MESSAGE_BYTES, Misuse
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Policy
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, TWO_OF_THREE
from wattpool_chaincode.records import signing

Reopen = Callable[[], EmbeddedLedger]
TESTS = Path(__file__).parent.parent


@pytest.fixture
def ledger(embedded: EmbeddedLedger) -> EmbeddedLedger:
    """Whatever the option --ledger says."""
    return embedded


# What a contract must not do


@pytest.mark.parametrize(
    "steps",
    [
        [["put", "", "1"]],
        [["put", "\0a", "1"]],
        [["put", "a", ""]],
        [["put_size", "a", MAX_MESSAGE_BYTES]],
        [["get", ""]],
        [["delete", ""]],
        [["put_private", ""]],
        [["set_policy", "", "all"]],
        [["emit", "", "payload"]],
        [["query", "ledger", []]],
        [["query", "attic", []]],
        [["page", "", "", 0, ""]],
        [["history", "a"], ["put", "b", "1"]],
        [["put", "b", "1"], ["history", "a"]],
        [["page", "", "", 1, ""], ["delete", "a"]],
        [["delete", "a"], ["page", "", "", 1, ""]],
        [["range_private", "", ""], ["set_policy", "a", "all"]],
        [["set_policy", "a", "all"], ["range_private", "", ""]],
        [["purge_private", "m"], ["history", "a"]],
    ],
)
def test_misuse_of_the_context_breaks_the_run_and_leaves_nothing(ledger: EmbeddedLedger, steps: list[Any]) -> None:
    with pytest.raises(Misuse):
        ledger.submit(call(["put_private", "p"], *steps, transient={"": "x", "p": "x"}), by=DSO)
    with pytest.raises(Misuse):
        ledger.submit(call(*steps, transient={"": "x"}), by=DSO)
    assert ledger.height("ledger") == 0


def test_a_transaction_runs_once_whoever_endorses_it(tmp_path: Path, clock: Clock) -> None:
    runs: list[str] = []
    counting = Chaincode(
        name="ledger", functions={"count": lambda context, _: runs.append(context.transaction_id)}, policy=TWO_OF_THREE
    )
    with EmbeddedLedger.create(
        tmp_path / "a", community="street", chaincodes={"ledger": counting}, clock=clock
    ) as ledger:
        commit = ledger.submit(Call(channel="ledger", function="count", argument=b"{}"), by=DSO)
    assert runs == [commit.transaction_id]


def test_a_broken_invariant_goes_through_to_the_caller_and_leaves_nothing(ledger: EmbeddedLedger) -> None:
    with pytest.raises(Broken):
        submit(ledger, ["put", "a", "1"], ["break"])
    assert ledger.height("ledger") == 0
    submit(ledger, ["put", "a", "2"])
    assert look(ledger, ["get", "a"]) == "2"


def test_a_message_longer_than_a_peer_takes_is_refused(ledger: EmbeddedLedger) -> None:
    with pytest.raises(EndorseError, match="too_large"):
        ledger.submit(replace(call(), transient={"a": bytes(MAX_MESSAGE_BYTES)}), by=DSO)


def test_a_transaction_longer_than_a_peer_takes_is_refused(
    ledger: EmbeddedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattpool.ledgers.embedded.MAX_MESSAGE_BYTES", 3000)
    submit(ledger, ["put_size", "a", 1000])
    with pytest.raises(EndorseError, match="too_large: the transaction"):
        submit(ledger, ["put_size", "a", 2900])


def test_a_range_that_a_peer_would_cut_short_is_misuse(ledger: EmbeddedLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(ledger, *(["put", key, "1"] for key in "abcd"))
    monkeypatch.setattr("wattpool.ledgers.simulator.MAX_RANGE_KEYS", 3)
    assert len(look(ledger, ["range", "a", "d"])) == 3
    with pytest.raises(Misuse, match="more than 3 keys"):
        look(ledger, ["range", "a", ""])


@pytest.mark.parametrize(
    ("off_s", "is_taken"),
    [(0, True), (TIME_WINDOW_S, True), (-TIME_WINDOW_S, True), (TIME_WINDOW_S + 1, False), (-TIME_WINDOW_S - 1, False)],
)
def test_a_proposal_is_endorsed_only_near_its_time(ledger: EmbeddedLedger, *, off_s: int, is_taken: bool) -> None:
    if is_taken:
        endorsed = ledger.endorse(call(["who"]), by=DSO, time_utc=NOON_UTC + off_s)
        assert endorsed.transaction.proposal.time_utc == NOON_UTC + off_s
    else:
        with pytest.raises(EndorseError, match="time_outside_window"):
            ledger.endorse(call(["who"]), by=DSO, time_utc=NOON_UTC + off_s)


def test_the_contract_sees_the_proposals_time(ledger: EmbeddedLedger, clock: Clock) -> None:
    clock.now_utc += 900
    assert look(ledger, ["who"])[2] == NOON_UTC + 900


def test_nothing_is_endorsed_when_the_certificates_are_not_valid(ledger: EmbeddedLedger, clock: Clock) -> None:
    for years in (-1, 21):
        clock.now_utc = NOON_UTC + years * 365 * 86_400
        with pytest.raises(EndorseError, match="certificate_not_valid"):
            submit(ledger, ["put", "a", "1"])
    assert ledger.height("ledger") == 0


# Checks at commit, on envelopes that no honest client sends


def test_the_smallest_set_of_organisations_signs_the_submitters_own_first(ledger: EmbeddedLedger) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=MEMBERS)
    assert signers(ledger, endorsed.transaction) == [MEMBERS, AGGREGATOR]


def test_a_transaction_short_of_an_endorsement_fails_its_policy(ledger: EmbeddedLedger, directory: Path) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=DSO)
    forged = resigned(directory, endorsed, endorsements=endorsed.transaction.endorsements[:1])
    assert outcome(ledger.order(forged)) is Code.ENDORSEMENT_POLICY_FAILURE
    assert look(ledger, ["get", "a"]) is None


@pytest.mark.parametrize("role", list(Role))
def test_an_endorsement_counts_once_and_from_peers_only(ledger: EmbeddedLedger, directory: Path, role: Role) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=DSO)
    extra = identity(directory, DSO, role)
    message = blocks.endorser_message(endorsed.transaction.response)
    forged = resigned(
        directory,
        endorsed,
        endorsements=(
            endorsed.transaction.endorsements[0],
            Endorsement(endorser=extra.fingerprint, signature=extra.sign(message)),
        ),
    )
    assert outcome(ledger.order(forged)) is Code.ENDORSEMENT_POLICY_FAILURE


def test_a_corrupted_endorsement_counts_for_nothing(ledger: EmbeddedLedger, directory: Path) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=DSO)
    first, second = endorsed.transaction.endorsements
    forged = resigned(directory, endorsed, endorsements=(first, replace(second, signature=first.signature)))
    assert outcome(ledger.order(forged)) is Code.ENDORSEMENT_POLICY_FAILURE


def test_a_changed_write_is_not_what_was_endorsed(ledger: EmbeddedLedger, directory: Path) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=DSO)
    response = replace(endorsed.transaction.response, writes={"a": b"1000000"})
    assert outcome(ledger.order(resigned(directory, endorsed, response=response))) is Code.ENDORSEMENT_POLICY_FAILURE


@pytest.mark.parametrize(
    "change",
    [
        {"signature": b""},
        {"signature": bytes(70)},
        {"endorsements": ()},
        {"response": blocks.Response(proposal_hash="", result=b"")},
    ],
)
def test_what_the_submitter_did_not_sign_is_refused(ledger: EmbeddedLedger, change: dict[str, Any]) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=DSO)
    forged = Endorsed(transaction=replace(endorsed.transaction, **change))
    assert outcome(ledger.order(forged)) is Code.BAD_CREATOR_SIGNATURE


@pytest.mark.parametrize(
    ("creator", "code"),
    [("peer", Code.BAD_CREATOR_SIGNATURE), ("unknown", Code.BAD_CREATOR_SIGNATURE)],
)
def test_only_a_known_client_submits(ledger: EmbeddedLedger, directory: Path, creator: str, code: Code) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=DSO)
    peer = identity(directory, DSO, Role.PEER)
    fingerprint = peer.fingerprint if creator == "peer" else "00" * 32
    proposal = replace(endorsed.transaction.proposal, creator=fingerprint)
    assert outcome(ledger.order(resigned(directory, endorsed, proposal=proposal, by=peer))) is code


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("argument", b'{"steps":[["put","a","9"]]}', Code.INVALID_ENDORSER_TRANSACTION),
        ("time_utc", NOON_UTC + 1, Code.INVALID_ENDORSER_TRANSACTION),
        ("time_utc", NOON_UTC + 50 * 365 * 86_400, Code.BAD_CREATOR_SIGNATURE),
    ],
)
def test_a_response_to_another_proposal_is_refused(
    ledger: EmbeddedLedger, directory: Path, field: str, value: Any, code: Code
) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=DSO)
    proposal = replace(endorsed.transaction.proposal, **{field: value})
    assert outcome(ledger.order(resigned(directory, endorsed, proposal=proposal))) is code


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("id", "ab" * 32, Code.BAD_PROPOSAL_TXID),
        ("nonce", bytes(24), Code.BAD_PROPOSAL_TXID),
        ("chaincode", "elsewhere", Code.INVALID_CHAINCODE),
    ],
)
def test_a_wrong_id_or_chaincode_is_refused_even_if_all_signed_it(
    ledger: EmbeddedLedger, directory: Path, field: str, value: Any, code: Code
) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"]), by=DSO)
    proposal = replace(endorsed.transaction.proposal, **{field: value})
    response = replace(endorsed.transaction.response, proposal_hash=proposal.hash)
    message = blocks.endorser_message(response)
    endorsements = tuple(
        Endorsement(endorser=peer.fingerprint, signature=peer.sign(message))
        for peer in (identity(directory, DSO, Role.PEER), identity(directory, MEMBERS, Role.PEER))
    )
    forged = resigned(directory, endorsed, proposal=proposal, response=response, endorsements=endorsements)
    assert outcome(ledger.order(forged)) is code


@pytest.mark.parametrize("apart", [True, False])
def test_a_transaction_sent_twice_counts_once(ledger: EmbeddedLedger, *, apart: bool) -> None:
    endorsed = ledger.endorse(call(["put", "a", "1"], ["emit", "e", ""]), by=DSO)
    first = ledger.order(endorsed)
    if apart:
        first.wait()
    again = ledger.order(endorsed)
    assert (outcome(first), outcome(again)) == (Code.VALID, Code.DUPLICATE_TXID)
    assert len(list(ledger.events("ledger"))) == len(look(ledger, ["history", "a"])) == 1


def test_what_this_process_signed_is_not_checked_again_and_all_else_is(
    ledger: EmbeddedLedger, directory: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    in_full = signing.is_signed

    def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
        checked.append(signature)
        return in_full(public_key, message, signature)

    monkeypatch.setattr(signing, "is_signed", is_signed)
    submit(ledger, ["put", "a", "1"])
    assert checked == []
    with EmbeddedLedger.read(directory, chaincodes=CHAINCODES, clock=clock) as elsewhere:
        endorsed = elsewhere.endorse(call(["put", "a", "2"]), by=DSO)
    assert outcome(ledger.order(endorsed)) is Code.VALID
    transaction = endorsed.transaction
    assert checked == [transaction.signature, *(one.signature for one in transaction.endorsements)]


@pytest.mark.parametrize(
    ("role", "code"), [(Role.CLIENT, Code.BAD_CREATOR_SIGNATURE), (Role.PEER, Code.ENDORSEMENT_POLICY_FAILURE)]
)
def test_a_key_that_is_not_the_certificates_signs_nothing_that_counts(
    ledger: EmbeddedLedger, directory: Path, role: Role, code: Code
) -> None:
    organisations = directory / "organisations"
    shutil.copy(organisations / AGGREGATOR / f"{role.value}.key", organisations / DSO / f"{role.value}.key")
    assert outcome(send(ledger, ["put", "a", "1"])) is code


def test_a_policy_counts_no_longer_once_its_key_is_deleted_in_the_block(ledger: EmbeddedLedger) -> None:
    submit(ledger, ["put", "a", "1"], ["put", "b", "1"], ["set_policy", "a", "members"], ["set_policy", "b", "members"])
    deleted = send(ledger, ["delete", "a"], by=MEMBERS)
    # Endorsed by the members alone, as the policies ask for that are committed.
    sent = [send(ledger, ["put", key, "2"], by=MEMBERS) for key in "ab"]
    assert outcome(deleted) is Code.VALID
    assert [outcome(pending) for pending in sent] == [Code.ENDORSEMENT_POLICY_FAILURE, Code.VALID]


def test_a_private_value_that_is_not_the_one_endorsed_is_not_kept(ledger: EmbeddedLedger) -> None:
    endorsed = ledger.endorse(call(["put_private", "m"], transient={"m": "true"}), by=DSO)
    (place,) = endorsed.private
    ledger.order(replace(endorsed, private={place: ("m", b"false")})).wait()
    value, value_hash = look(ledger, ["get_private", "m"], ["private_hash", "m"])
    assert (value, value_hash) == (None, endorsed.transaction.response.private_writes[0].value_hash)


# Group commit


def test_what_is_queued_is_committed_as_one_block(ledger: EmbeddedLedger) -> None:
    sent = [send(ledger, ["put", f"{number}", "1"]) for number in range(7)]
    assert ledger.height("ledger") == 0
    assert sent[3].wait().block == 0
    assert [transaction.id for transaction in ledger.block("ledger", 0).transactions] == [
        pending.transaction_id for pending in sent
    ]
    assert {pending.wait().block for pending in sent} == {0}
    assert ledger.height("ledger") == 1


def test_clients_are_certified_with_what_the_ledger_was_made_with(tmp_path: Path, clock: Clock) -> None:
    stated = {"wattpool.role": "operator"}
    with EmbeddedLedger.create(
        tmp_path / "a", community="street", chaincodes=CHAINCODES, clock=clock, client_attributes=stated
    ) as ledger:
        for organisation in (AGGREGATOR, DSO, MEMBERS):
            _, attributes, _ = look(ledger, ["who"], by=organisation)
            assert attributes["wattpool.role"] == "operator"
    for role, expected in ((Role.CLIENT, "operator"), (Role.PEER, None)):
        certified = read_attributes(identity(tmp_path / "a", DSO, role).certificate)
        assert certified.get("wattpool.role") == expected


def test_a_block_is_cut_at_its_count_and_channels_have_blocks_of_their_own(tmp_path: Path, clock: Clock) -> None:
    with EmbeddedLedger.create(
        tmp_path / "a", community="street", chaincodes=CHAINCODES, clock=clock, block_transactions=2
    ) as ledger:
        sent = [send(ledger, ["put", f"{number}", "1"]) for number in range(5)]
        send(ledger, ["put", "x", "1"], channel="contract")
        assert [pending.wait().block for pending in sent] == [0, 0, 1, 1, 2]
        assert [ledger.height(channel) for channel in ("ledger", "contract")] == [3, 1]


def test_an_earlier_block_of_the_queue_conflicts_with_a_later_one(tmp_path: Path, clock: Clock) -> None:
    with EmbeddedLedger.create(
        tmp_path / "a", community="street", chaincodes=CHAINCODES, clock=clock, block_transactions=1
    ) as ledger:
        sent = [send(ledger, ["get", "a"], ["put", "a", "1"]) for _ in range(2)]
        assert [outcome(pending) for pending in sent] == [Code.VALID, Code.MVCC_READ_CONFLICT]
        assert ledger.height("ledger") == 2


@pytest.mark.parametrize("batch_timeout_s", [0.0, 0.02])
def test_threads_may_share_a_ledger(tmp_path: Path, clock: Clock, batch_timeout_s: float) -> None:
    with EmbeddedLedger.create(
        tmp_path / "a",
        community="street",
        chaincodes=CHAINCODES,
        clock=clock,
        block_transactions=4,
        batch_timeout_s=batch_timeout_s,
    ) as ledger:

        def work(name: str) -> None:
            for number in range(5):
                submit(ledger, ["put", f"{name}/{number}", "1"])
                look(ledger, ["range", "", ""])

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(look(ledger, ["range", "", ""])) == 20
        check_chains(ledger)


def test_who_lingers_commits_for_those_who_join(tmp_path: Path, clock: Clock) -> None:
    with EmbeddedLedger.create(
        tmp_path / "a",
        community="street",
        chaincodes=CHAINCODES,
        clock=clock,
        block_transactions=2,
        batch_timeout_s=60,
    ) as ledger:
        first = send(ledger, ["put", "a", "1"])
        waiter = threading.Thread(target=first.wait)
        waiter.start()
        second = send(ledger, ["put", "b", "1"])
        waiter.join(timeout=30)
        assert (first.wait().block, second.wait().block) == (0, 0)


# Chains


def test_blocks_form_a_chain_from_the_genesis(ledger: EmbeddedLedger) -> None:
    for number in range(3):
        sent = [send(ledger, ["get", "a"], ["put", "a", str(number)]) for _ in range(2)]
        sent[0].wait()
    submit(ledger, ["put", "a", "1"], channel="contract")
    assert ledger.genesis.community == "street"
    check_chains(ledger)


def test_a_run_across_channels_notes_how_high_the_other_was(ledger: EmbeddedLedger) -> None:
    submit(ledger, ["put", "a", "1"], channel="contract")
    endorsed = ledger.endorse(call(["query", "contract", [["get", "a"]]]), by=DSO)
    assert endorsed.transaction.response.heights == {"contract": 1}


# Opening


def test_a_reopened_ledger_goes_on_where_it_stopped(ledger: EmbeddedLedger, reopen: Reopen) -> None:
    submit(ledger, ["put", "a", "1"], ["set_policy", "a", "members"], ["put_private", "m"], transient={"m": "secret"})
    ledger.close()
    with reopen() as again:
        assert look(again, ["get", "a"], ["get_private", "m"]) == ["1", "secret"]
        assert submit(again, ["put", "a", "2"]).block == 1
        assert signers(again, again.block("ledger", 1).transactions[0]) == [MEMBERS]
        check_chains(again)


def test_one_ledger_has_one_writer(ledger: EmbeddedLedger, reopen: Reopen) -> None:
    with pytest.raises(LedgerLocked, match="open for writing already"):
        reopen()
    ledger.close()
    with reopen() as again:
        submit(again, ["put", "a", "1"])


def test_another_process_is_kept_out(ledger: EmbeddedLedger, directory: Path) -> None:
    submit(ledger, ["put", "a", "1"])
    program = "EmbeddedLedger.open(directory, chaincodes=CHAINCODES)"
    with start(program, directory) as child:
        assert "LedgerLocked" in child.communicate()[1]


def test_readers_read_at_any_time_and_write_never(ledger: EmbeddedLedger, directory: Path) -> None:
    submit(ledger, ["put", "a", "1"], ["emit", "e", ""])
    with EmbeddedLedger.read(directory, chaincodes=CHAINCODES) as reader:
        submit(ledger, ["put", "a", "2"])
        assert look(reader, ["get", "a"]) == "2"
        assert (reader.height("ledger"), len(list(reader.events("ledger")))) == (2, 1)
        assert dict(reader.state("ledger")) == {"a": b"2"}
        with pytest.raises(LedgerError, match="reading only"):
            submit(reader, ["put", "a", "3"])
    ledger.close()
    with EmbeddedLedger.read(directory) as reader:
        assert reader.block("ledger", 1).codes == (Code.VALID,)
        with pytest.raises(EndorseError, match="without chaincodes"):
            look(reader, ["get", "a"])


def test_a_state_is_read_as_of_one_moment(ledger: EmbeddedLedger) -> None:
    submit(ledger, *(["put", f"{number:03}", "old"] for number in range(150)))
    state = ledger.state("ledger")
    next(state)
    submit(ledger, ["put", "149", "new"])
    assert dict(state)["149"] == b"old"


def test_private_keys_are_their_owners_alone(ledger: EmbeddedLedger, directory: Path) -> None:
    keys = list(directory.rglob("*.key"))
    assert len(keys) == 3 * len(ledger.genesis.organisations)
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "letter.txt").write_text("Dear Anne")
    for opened in (tmp_path, tmp_path / "letter.txt"):
        with pytest.raises(ForeignLedger, match="not an empty directory"):
            EmbeddedLedger.create(opened, community="street", chaincodes=CHAINCODES, clock=clock)
        with pytest.raises(ForeignLedger, match="not a ledger"):
            EmbeddedLedger.open(opened, chaincodes=CHAINCODES)
        with pytest.raises(ForeignLedger, match="not a ledger"):
            EmbeddedLedger.read(opened)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_ledger_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OverflowError):
        EmbeddedLedger.create(tmp_path / "a", community="street", chaincodes=CHAINCODES, clock=lambda: 1 << 80)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_directory_may_become_a_ledger(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "a").mkdir()
    with EmbeddedLedger.create(tmp_path / "a", community="street", chaincodes=CHAINCODES, clock=clock) as ledger:
        submit(ledger, ["put", "a", "1"])


def test_another_communitys_ledger_is_not_opened(ledger: EmbeddedLedger, directory: Path) -> None:
    ledger.close()
    with pytest.raises(ForeignLedger, match="'street', not of 'village'"):
        EmbeddedLedger.open(directory, chaincodes=CHAINCODES, community="village")
    EmbeddedLedger.open(directory, chaincodes=CHAINCODES, community="street").close()


def test_a_ledger_is_not_opened_under_another_policy(ledger: EmbeddedLedger, directory: Path) -> None:
    ledger.close()
    lax = Chaincode(name="ledger", functions={}, policy=Policy(required=1, rules=(DSO,)))
    with pytest.raises(ForeignLedger, match="other channels, chaincodes or policies"):
        EmbeddedLedger.open(directory, chaincodes={**CHAINCODES, "ledger": lax})


@pytest.mark.parametrize(("genesis", "match"), [(b"{}", "another format"), (None, "format 99, not 1")])
def test_another_format_is_not_opened(
    ledger: EmbeddedLedger, directory: Path, genesis: bytes | None, match: str
) -> None:
    ledger.close()
    value = replace(ledger.genesis, version=99).encode() if genesis is None else genesis
    change(directory, "UPDATE meta SET value = ?", value)
    with pytest.raises(ForeignLedger, match=match):
        EmbeddedLedger.open(directory, chaincodes=CHAINCODES)


def test_another_programs_database_is_not_opened(directory: Path) -> None:
    directory.mkdir()
    change(directory, "CREATE TABLE meta (name TEXT, value TEXT)")
    with pytest.raises(ForeignLedger, match="no file of a ledger"):
        EmbeddedLedger.open(directory, chaincodes=CHAINCODES)


def test_a_file_that_is_no_database_is_a_damaged_ledger(ledger: EmbeddedLedger, directory: Path) -> None:
    ledger.close()
    (directory / "ledger.db").write_bytes(b"not a database, " * 1000)
    with pytest.raises(LedgerDamaged, match="cannot be read"):
        EmbeddedLedger.open(directory, chaincodes=CHAINCODES)


@pytest.mark.parametrize("name", ["client.pem", "client.key", "peer.key"])
@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_lost_keys_and_certificates_are_a_damaged_ledger(
    ledger: EmbeddedLedger, directory: Path, reopen: Reopen, name: str, content: bytes | None
) -> None:
    ledger.close()
    file = directory / "organisations" / DSO / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LedgerDamaged, match=DSO), reopen() as again:
        submit(again, ["put", "a", "1"])


def test_an_unreadable_page_is_a_damaged_ledger(ledger: EmbeddedLedger, directory: Path) -> None:
    submit(ledger, *(["put_size", f"{number}", 5000] for number in range(9)))
    ledger.close()
    connection = sqlite3.connect(directory / "ledger.db")
    ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'state'")
    connection.close()
    with (directory / "ledger.db").open("rb+") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with EmbeddedLedger.read(directory) as reader, pytest.raises(LedgerDamaged, match="cannot be read"):
        list(reader.state("ledger"))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM transactions WHERE block = 1 AND position = 1",
        "DELETE FROM transactions WHERE block = 1 AND position = 0",
        "DELETE FROM blocks WHERE number = 0",
        "UPDATE blocks SET header = CAST(replace(header, 'VALID', 'BAD') AS BLOB) WHERE number = 1",
        "UPDATE blocks SET header = (SELECT header FROM blocks WHERE number = 0) WHERE number = 1",
        "UPDATE transactions SET data = x'78' WHERE block = 1",
    ],
)
def test_a_tip_that_does_not_continue_its_chain_is_a_damaged_ledger(
    ledger: EmbeddedLedger, directory: Path, reopen: Reopen, statement: str
) -> None:
    submit(ledger, ["put", "a", "1"])
    for pending in [send(ledger, ["put", key, "1"]) for key in "bc"]:
        pending.wait()
    ledger.close()
    change(directory, statement)
    with pytest.raises(LedgerDamaged):
        reopen()


# Crashes


def test_what_was_queued_and_not_committed_is_gone_after_a_crash(directory: Path, reopen: Reopen) -> None:
    program = """
        ledger = EmbeddedLedger.create(directory, community="street", chaincodes=CHAINCODES, clock=clock)
        submit(ledger, ["put", "a", "1"])
        send(ledger, ["put", "b", "1"])
        os._exit(7)
        """
    with start(program, directory) as child:
        assert child.wait() == 7
    with reopen() as ledger:
        assert dict(ledger.state("ledger")) == {"a": b"1"}
        assert submit(ledger, ["put", "b", "2"]).block == 1


@pytest.mark.parametrize("acknowledged", [1, 4, 9])
def test_a_killed_ledger_has_all_that_was_acknowledged_and_agrees_with_its_blocks(
    directory: Path, reopen: Reopen, acknowledged: int
) -> None:
    program = """
        ledger = EmbeddedLedger.create(directory, community="street", chaincodes=CHAINCODES, clock=clock)
        for number in range(100_000):
            steps = [["put", "n", str(number)], ["put", f"k/{number}", "x" * 5000], ["put_private", "m"]]
            submit(ledger, *steps, transient={"m": str(number)})
            print(number, flush=True)
        """
    with start(program, directory) as child:
        assert child.stdout is not None
        for _ in range(acknowledged):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
    with reopen() as ledger:
        state = dict(ledger.state("ledger"))
        number = int(state["n"])
        assert number >= last
        assert ledger.height("ledger") == number + 1
        assert len(look(ledger, ["history", "n"])) == number + 1
        assert look(ledger, ["get_private", "m"]) == str(number)
        assert state == replayed(ledger)
        check_chains(ledger)


def test_a_full_disk_fails_the_commit_and_waiting_again_succeeds(ledger: EmbeddedLedger) -> None:
    first, second = send(ledger, ["put", "a", "1"]), send(ledger, ["get", "a"], ["put", "b", "1"])
    with full_disk(), pytest.raises(LedgerError, match="could not be written"):
        first.wait()
    assert ledger.height("ledger") == 0
    assert outcome(second) is Code.MVCC_READ_CONFLICT
    assert first.wait().block == 0
    assert replayed(ledger) == dict(ledger.state("ledger")) == {"a": b"1"}


# Helpers


def identity(directory: Path, msp_id: str, role: Role) -> Identity:
    return Identity.load(directory / "organisations" / msp_id, role.value)


def resigned(directory: Path, endorsed: Endorsed, *, by: Identity | None = None, **changes: Any) -> Endorsed:
    """Return a changed transaction that its submitter signed himself."""
    changed = replace(endorsed.transaction, **changes)
    submitter = by or identity(directory, DSO, Role.CLIENT)
    signature = submitter.sign(blocks.submitter_message(changed.response, changed.endorsements))
    return replace(endorsed, transaction=replace(changed, signature=signature))


def signers(ledger: EmbeddedLedger, transaction: Transaction) -> list[str]:
    members = [ledger.member(endorsement.endorser) for endorsement in transaction.endorsements]
    return [member.msp_id for member in members if member is not None]


def check_chains(ledger: EmbeddedLedger) -> None:
    """Follow the hashes of all chains."""
    for channel in CHAINCODES:
        previous_hash = ledger.genesis.hash
        for number in range(ledger.height(channel)):
            block = ledger.block(channel, number)
            assert (block.channel, block.number, block.previous_hash) == (channel, number, previous_hash)
            assert block.data_hash == blocks.data_hash([transaction.data for transaction in block.transactions])
            assert len(block.codes) == len(block.transactions) > 0
            previous_hash = block.hash


def replayed(ledger: EmbeddedLedger) -> dict[str, bytes]:
    """Return the state that the blocks of the channel `ledger` give."""
    state: dict[str, bytes] = {}
    for number in range(ledger.height("ledger")):
        block = ledger.block("ledger", number)
        for transaction, code in zip(block.transactions, block.codes, strict=True):
            for key, value in transaction.response.writes.items() if code is Code.VALID else ():
                if value is None:
                    state.pop(key, None)
                else:
                    state[key] = value
    return state


def change(directory: Path, statement: str, *values: object) -> None:
    """Change the file behind the ledger's back."""
    connection = sqlite3.connect(directory / "ledger.db")
    with connection:
        connection.execute(statement, values)
    connection.close()


def start(program: str, directory: Path) -> subprocess.Popen[str]:
    """Start `program` in a process of its own."""
    lines = [
        "import os, sys",
        f"sys.path.insert(0, {json.dumps(str(TESTS))})",
        "from pathlib import Path",
        "from ledger.toy import *",
        "from wattpool.ledgers.embedded import EmbeddedLedger",
        f"directory = Path({json.dumps(os.fspath(directory))})",
        "clock = lambda: int(sys.argv[1])",
        dedent(program),
    ]
    command = [sys.executable, "-c", "\n".join(lines), str(NOON_UTC)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 -- ours


@contextmanager
def full_disk() -> Iterator[None]:
    """Let this process's files grow no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
