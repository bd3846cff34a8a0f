"""What every ledger promises to orchestrator and contracts: this suite runs on each of them."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest

from ledger.blocks import Blocks
from ledger.toy import COLLECTION, call, look, outcome, send, submit
from wattpool.ledgers.block import Code, PrivateWrite
from wattpool.ledgers.port import Call, Checkpoint, CommitError, EndorseError, Ledger, LedgerError
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records import codec

# U+FF5E sorts before U+1F600 by UTF-8 bytes and by code points, behind it by UTF-16 units (as Java and JavaScript do).
WAVE, GRIN = "\uff5e", "\U0001f600"

# Transactions


def test_a_commit_says_where_the_transaction_stands_and_what_the_contract_returned(
    ledger: Ledger, blocks: Blocks
) -> None:
    submit(ledger, ["put", "a", "1"])
    commit = submit(ledger, ["get", "a"], ["put", "a", "2"])
    assert (commit.channel, commit.block, commit.result) == ("ledger", ledger.height("ledger") - 1, b'["1",null]')
    assert commit.transaction_id in [one.id for one in blocks.transactions("ledger", commit.block)]
    assert look(ledger, ["get", "a"]) == "2"


def test_a_transaction_sent_has_its_result_at_once_and_its_effect_when_waited_for(ledger: Ledger) -> None:
    pending = send(ledger, ["get", "a"], ["put", "a", "1"])
    assert pending.result == b"[null,null]"
    commit = pending.wait()
    assert commit.transaction_id == pending.transaction_id
    assert pending.wait() == commit
    assert look(ledger, ["get", "a"]) == "1"


def test_calls_that_do_not_build_on_each_other_go_together(ledger: Ledger) -> None:
    calls = [call(["get", "a"], ["put", key, "1"]) for key in "bcd"]
    commits = [pending.wait() for pending in ledger.submit_together(calls, by=AGGREGATOR)]
    assert [commit.result for commit in commits] == [b"[null,null]"] * 3
    assert [look(ledger, ["get", key]) for key in "bcd"] == ["1"] * 3
    assert list(ledger.submit_together([], by=AGGREGATOR)) == []


def test_evaluating_changes_nothing(ledger: Ledger) -> None:
    height = ledger.height("ledger")
    look(ledger, ["put", "a", "1"], ["set_policy", "a", "members"], ["emit", "e", ""])
    assert ledger.height("ledger") == height
    assert look(ledger, ["get", "a"]) is None


def test_channels_are_apart(ledger: Ledger) -> None:
    submit(ledger, ["put", "a", "1"], channel="contract")
    assert look(ledger, ["get", "a"], channel="ledger") is None
    assert look(ledger, ["get", "a"], channel="contract") == "1"


def test_the_contract_is_told_who_submits(ledger: Ledger) -> None:
    msp_id, attributes, _ = look(ledger, ["who"], by=AGGREGATOR)
    assert msp_id == AGGREGATOR
    assert attributes["hf.Type"] == "client"


@pytest.mark.parametrize(
    ("refused", "by", "reason"),
    [
        (call(["put", "a", "1"], ["refuse"]), DSO, "told_to"),
        (Call(channel="ledger", function="steal", argument=b"{}"), DSO, "function_unknown"),
        (Call(channel="ledger", function="run", argument=b"{} "), DSO, "argument_malformed"),
        (Call(channel="attic", function="run", argument=b"{}"), DSO, "channel_unknown"),
        (call(["get", "a"]), "StrangerMSP", "organisation_unknown"),
        (call(["query", "contract", [["refuse"]]]), DSO, "told_to"),
    ],
)
def test_what_is_refused_names_its_reason_and_leaves_nothing(
    ledger: Ledger, refused: Call, by: str, reason: str
) -> None:
    height = ledger.height("ledger")
    with pytest.raises(EndorseError) as error:
        ledger.submit(refused, by=by)
    assert error.value.reason == reason
    with pytest.raises(EndorseError, match=reason):
        ledger.evaluate(refused, by=by)
    assert ledger.height("ledger") == height
    assert look(ledger, ["get", "a"]) is None


# Reading and writing


def test_a_transaction_never_reads_what_it_wrote(ledger: Ledger) -> None:
    submit(ledger, ["put", "a", "old"], ["put", "b", "old"])
    commit = submit(
        ledger,
        ["put", "a", "new"],
        ["delete", "b"],
        ["put", "c", "new"],
        ["get", "a"],
        ["get", "c"],
        ["range", "a", "d"],
    )
    assert codec.decode(commit.result)[3:] == ["old", None, [["a", "old"], ["b", "old"]]]
    assert look(ledger, ["range", "a", "d"]) == [["a", "new"], ["c", "new"]]


def test_of_several_writes_of_a_key_the_last_counts(ledger: Ledger) -> None:
    submit(ledger, ["put", "a", "1"], ["delete", "a"], ["put", "a", "2"], ["put", "b", "1"], ["delete", "b"])
    assert look(ledger, ["range", "", ""]) == [["a", "2"]]


def test_deleting_a_key_that_is_not_there_is_no_error(ledger: Ledger) -> None:
    submit(ledger, ["delete", "a"])
    assert look(ledger, ["get", "a"]) is None


def test_keys_are_ordered_by_their_utf8_bytes(ledger: Ledger) -> None:
    keys = ["a", "a/", "a/1", "aa", "z", "é", WAVE, GRIN]
    submit(ledger, *(["put", key, "1"] for key in reversed(keys)))
    assert [key for key, _ in look(ledger, ["range", "", ""])] == keys
    assert [key for key, _ in look(ledger, ["range", WAVE, GRIN])] == [WAVE]


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [("b", "d", "bc"), ("b", "", "bcd"), ("", "c", "ab"), ("bb", "cc", "c"), ("d", "b", ""), ("c", "c", "")],
)
def test_a_range_goes_from_its_start_to_before_its_end(ledger: Ledger, start: str, end: str, found: str) -> None:
    submit(ledger, *(["put", key, "1"] for key in "abcd"))
    assert [key for key, _ in look(ledger, ["range", start, end])] == list(found)


def test_a_long_range_is_whole_and_in_order(ledger: Ledger) -> None:
    keys = [f"{number:03}" for number in range(301)]
    submit(ledger, *(["put", key, "1"] for key in keys))
    assert [key for key, _ in look(ledger, ["range", "", ""])] == keys


# Conflicts


def test_of_two_transactions_reading_one_key_in_one_block_exactly_the_second_is_refused(ledger: Ledger) -> None:
    submit(ledger, ["put", "a", "0"])
    first = send(ledger, ["get", "a"], ["put", "a", "1"])
    second = send(ledger, ["get", "a"], ["put", "a", "2"])
    commit = first.wait()
    with pytest.raises(CommitError) as error:
        second.wait()
    assert error.value.code is Code.MVCC_READ_CONFLICT
    assert error.value.transaction_id == second.transaction_id
    assert (commit.block, look(ledger, ["get", "a"])) == (error.value.block, "1")


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ([["put", "a", "1"]], [["put", "a", "2"]], Code.VALID),
        ([["put", "new", "1"]], [["get", "new"], ["put", "b", "2"]], Code.MVCC_READ_CONFLICT),
        ([["delete", "a"]], [["get", "a"]], Code.MVCC_READ_CONFLICT),
        ([["put", "a", "0"]], [["get", "a"]], Code.MVCC_READ_CONFLICT),
        ([["set_policy", "a", "all"]], [["get", "a"]], Code.MVCC_READ_CONFLICT),
        ([["get", "a"]], [["get", "a"]], Code.VALID),
        ([["put", "bb", "1"]], [["range", "a", "c"]], Code.PHANTOM_READ_CONFLICT),
        ([["delete", "b"]], [["range", "a", "c"]], Code.PHANTOM_READ_CONFLICT),
        ([["put", "b", "1"]], [["range", "a", "c"]], Code.PHANTOM_READ_CONFLICT),
        ([["put", "c", "1"]], [["range", "a", "c"]], Code.VALID),
        ([["put", "zz", "1"]], [["range", "x", ""]], Code.PHANTOM_READ_CONFLICT),
        ([["put", "b", "1"]], [["first", "a", "", 1]], Code.PHANTOM_READ_CONFLICT),
        ([["put", "a", "1"]], [["first", "a", "", 1]], Code.PHANTOM_READ_CONFLICT),
        ([["put", "Z", "1"]], [["first", "A", "", 1]], Code.PHANTOM_READ_CONFLICT),
    ],
)
def test_a_transaction_is_valid_only_on_the_state_it_read(
    ledger: Ledger, first: Sequence[list[Any]], second: Sequence[list[Any]], code: Code
) -> None:
    submit(ledger, ["put", "a", "0"], ["put", "b", "0"])
    earlier, later = send(ledger, *first), send(ledger, *second, ["put", "mark", "1"])
    earlier.wait()
    assert outcome(later) is code
    assert look(ledger, ["get", "mark"]) == ("1" if code is Code.VALID else None)


@pytest.mark.parametrize(
    ("taken", "changed", "code"),
    [
        (0, "100", Code.PHANTOM_READ_CONFLICT),
        (0, "100a", Code.VALID),
        (1, "000a", Code.PHANTOM_READ_CONFLICT),
        (100, "100", Code.PHANTOM_READ_CONFLICT),
        (100, "101", Code.VALID),
        (101, "200", Code.PHANTOM_READ_CONFLICT),
        (101, "201", Code.VALID),
        (201, "300", Code.PHANTOM_READ_CONFLICT),
    ],
)
def test_of_a_range_left_early_a_hundred_keys_count_at_a_time_and_the_one_behind_them(
    ledger: Ledger, taken: int, changed: str, code: Code
) -> None:
    submit(ledger, *(["put", f"{number:03}", "1"] for number in range(300)))
    earlier = send(ledger, ["put", changed, "2"])
    later = send(ledger, ["first", "000", "", taken], ["put", "mark", "1"])
    earlier.wait()
    assert outcome(later) is code


def test_an_invalid_transaction_stands_in_its_block_with_its_code_and_without_effect(
    ledger: Ledger, blocks: Blocks
) -> None:
    before = ledger.height("ledger")
    sent = [send(ledger, ["get", "a"], ["put", "a", str(number)], ["emit", "e", ""]) for number in range(2)]
    codes = [outcome(pending) for pending in sent]
    noted = {
        one.id: one.code
        for number in range(before, ledger.height("ledger"))
        for one in blocks.transactions("ledger", number)
    }
    assert codes == [noted[pending.transaction_id] for pending in sent] == [Code.VALID, Code.MVCC_READ_CONFLICT]
    assert look(ledger, ["get", "a"], ["history", "a"])[0] == "0"
    assert [event.transaction_id for event in ledger.events("ledger")] == [sent[0].transaction_id]


# Policies of keys


def test_a_keys_own_policy_replaces_the_chaincodes(ledger: Ledger, blocks: Blocks) -> None:
    submit(ledger, ["put", "a", "1"], ["set_policy", "a", "members"])
    submit(ledger, ["put", "a", "2"], by=DSO)
    assert endorsers(ledger, blocks) == {MEMBERS}
    submit(ledger, ["put", "a", "3"], ["put", "b", "1"], by=DSO)
    assert endorsers(ledger, blocks) == {DSO, MEMBERS}


def test_the_first_policy_of_a_new_key_does_not_count_for_the_transaction_that_sets_it(
    ledger: Ledger, blocks: Blocks
) -> None:
    submit(ledger, ["put", "a", "1"], ["set_policy", "a", "all"], by=DSO)
    assert is_by_two_of_three(endorsers(ledger, blocks), DSO)
    submit(ledger, ["delete", "a"])
    assert endorsers(ledger, blocks) == {DSO, AGGREGATOR, MEMBERS}


def test_a_new_policy_is_set_under_the_old_one(ledger: Ledger, blocks: Blocks) -> None:
    submit(ledger, ["put", "a", "1"], ["set_policy", "a", "members"])
    submit(ledger, ["set_policy", "a", "dso"])
    assert endorsers(ledger, blocks) == {MEMBERS}
    submit(ledger, ["put", "a", "2"])
    assert endorsers(ledger, blocks) == {DSO}


@pytest.mark.parametrize("lifted", [["set_policy", "a", None], ["delete", "a"]])
def test_a_policy_ends_when_it_is_lifted_or_its_key_deleted(ledger: Ledger, blocks: Blocks, lifted: list[Any]) -> None:
    submit(ledger, ["put", "a", "1"], ["set_policy", "a", "members"])
    submit(ledger, lifted)
    submit(ledger, ["put", "a", "2"], by=DSO)
    assert is_by_two_of_three(endorsers(ledger, blocks), DSO)


def test_a_policy_that_nobody_here_can_meet_stops_all_writes(ledger: Ledger) -> None:
    submit(ledger, ["put", "a", "1"], ["set_policy", "a", "stranger"])
    with pytest.raises(EndorseError, match="policy_not_satisfiable"):
        submit(ledger, ["put", "a", "2"])
    assert look(ledger, ["get", "a"]) == "1"


def test_a_policy_without_a_key_has_no_effect(ledger: Ledger, blocks: Blocks) -> None:
    submit(ledger, ["set_policy", "a", "members"])
    submit(ledger, ["put", "a", "1"], by=DSO)
    assert is_by_two_of_three(endorsers(ledger, blocks), DSO)


def test_a_write_under_a_policy_of_the_same_block_is_refused(ledger: Ledger) -> None:
    submit(ledger, ["put", "a", "1"])
    first, second = send(ledger, ["set_policy", "a", "all"]), send(ledger, ["put", "a", "2"])
    first.wait()
    assert outcome(second) is Code.ENDORSEMENT_POLICY_FAILURE


# Reading without writing


def test_a_history_is_newest_first_and_has_the_deletions(ledger: Ledger) -> None:
    commits = [submit(ledger, *steps) for steps in ([["put", "a", "1"]], [["delete", "a"]], [["put", "a", "2"]])]
    submit(ledger, ["put", "b", "1"])
    history = look(ledger, ["history", "a"])
    assert [value for value, _, _ in history] == ["2", None, "1"]
    assert [one for _, _, one in history] == [commit.transaction_id for commit in reversed(commits)]


def test_pages_follow_each_other_by_their_bookmarks(ledger: Ledger) -> None:
    submit(ledger, *(["put", key, "1"] for key in "abcde"))
    assert look(ledger, ["page", "b", "", 2, ""]) == [["b", "c"], "d"]
    assert look(ledger, ["page", "b", "", 2, "d"]) == [["d", "e"], ""]
    assert look(ledger, ["page", "b", "d", 5, ""]) == [["b", "c"], ""]


# Events


def test_a_transaction_has_one_event_the_last(ledger: Ledger) -> None:
    commit = submit(ledger, ["emit", "first", "1"], ["emit", "last", "2"])
    (event,) = ledger.events("ledger")
    assert (event.name, event.payload, event.block) == ("last", b"2", commit.block)
    assert (event.channel, event.transaction_id) == ("ledger", commit.transaction_id)


def test_events_go_on_behind_a_checkpoint_and_end_at_the_tip(ledger: Ledger) -> None:
    sent = [send(ledger, ["emit", "e", str(number)]) for number in range(3)]
    sent[-1].wait()
    submit(ledger, ["put", "silent", "1"])
    submit(ledger, ["emit", "e", "3"])
    events = list(ledger.events("ledger"))
    assert [event.payload for event in events] == [b"0", b"1", b"2", b"3"]
    for index, event in enumerate(events):
        assert list(ledger.events("ledger", after=event.checkpoint)) == events[index + 1 :]
    assert list(ledger.events("ledger", after=Checkpoint(block=events[-1].block))) == events[-1:]
    assert list(ledger.events("contract")) == []


# Private data


def test_a_private_value_is_read_by_members_and_on_the_block_by_its_hash_alone(ledger: Ledger, blocks: Blocks) -> None:
    commit = submit(ledger, ["put_private", "m1"], transient={"m1": "secret watts"})
    assert look(ledger, ["get_private", "m1"]) == "secret watts"
    assert look(ledger, ["private_hash", "m1"]) == sha256(b"secret watts").hexdigest()
    assert b"secret" not in blocks.raw("ledger", commit.block)
    (noted,) = [one for one in blocks.transactions("ledger", commit.block) if one.id == commit.transaction_id]
    assert noted.private_writes == (
        PrivateWrite(
            collection=COLLECTION,
            key_hash=blocks.key_hash("m1"),
            value_hash=sha256(b"secret watts").hexdigest(),
        ),
    )


def test_own_private_writes_are_not_read_either(ledger: Ledger) -> None:
    call_ = call(["put_private", "m1"], ["get_private", "m1"], ["private_hash", "m1"], transient={"m1": "x"})
    assert codec.decode(ledger.submit(call_, by=DSO).result) == [None, None, None]


def test_private_values_have_ranges_in_key_order(ledger: Ledger) -> None:
    values = {key: f"of {key}" for key in ("c", "a", GRIN, WAVE, "b")}
    submit(ledger, *(["put_private", key] for key in values), transient=values)
    submit(ledger, ["put_private", "b"], transient={"b": "newer"})
    assert look(ledger, ["range_private", "b", ""]) == [
        ["b", "newer"],
        ["c", "of c"],
        [WAVE, f"of {WAVE}"],
        [GRIN, f"of {GRIN}"],
    ]


def test_a_purged_private_value_is_gone_and_its_hash_stays_on_the_block(ledger: Ledger, blocks: Blocks) -> None:
    commit = submit(ledger, ["put_private", "m1"], transient={"m1": "secret"})
    submit(ledger, ["purge_private", "m1"])
    assert look(ledger, ["get_private", "m1"], ["private_hash", "m1"]) == [None, None]
    assert look(ledger, ["range_private", "", ""]) == []
    (noted,) = blocks.transactions("ledger", commit.block)
    assert [one.value_hash for one in noted.private_writes] == [sha256(b"secret").hexdigest()]


def test_a_private_value_read_and_overwritten_in_one_block_is_a_conflict(ledger: Ledger) -> None:
    submit(ledger, ["put_private", "m1"], transient={"m1": "1"})
    first = ledger.submit_async(call(["put_private", "m1"], transient={"m1": "2"}), by=DSO)
    second = send(ledger, ["private_hash", "m1"], ["put", "a", "1"])
    first.wait()
    assert outcome(second) is Code.MVCC_READ_CONFLICT


# Across channels


def test_a_query_of_the_other_channel_sees_its_committed_state_and_writes_nothing(ledger: Ledger) -> None:
    submit(ledger, ["put", "a", "1"], channel="contract")
    steps = [["get", "a"], ["put", "a", "2"], ["emit", "theirs", ""], ["who"]]
    commit = submit(ledger, ["query", "contract", steps], ["put", "b", "1"], by=MEMBERS)
    seen, _, _, who = codec.decode(commit.result)[0]
    assert (seen, who[0]) == ("1", MEMBERS)
    assert look(ledger, ["get", "a"], channel="contract") == "1"
    assert list(ledger.events("ledger")) == []


def test_a_query_of_the_other_channel_is_outside_the_read_set(ledger: Ledger) -> None:
    submit(ledger, ["put", "a", "1"], channel="contract")
    reader = send(ledger, ["query", "contract", [["get", "a"], ["range", "", ""]]], ["put", "b", "1"])
    submit(ledger, ["put", "a", "2"], channel="contract")
    assert outcome(reader) is Code.VALID


# Blocks


def test_a_block_that_is_not_there_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="has no block 999"):
        ledger.block("ledger", 999)


def endorsers(ledger: Ledger, blocks: Blocks) -> set[str]:
    """Return the organisations that endorsed the last transaction of the channel `ledger`."""
    return set(blocks.transactions("ledger", ledger.height("ledger") - 1)[-1].endorsers)


def is_by_two_of_three(endorsers: set[str], submitter: str) -> bool:
    """Tell whether it is one's own organisation and one other that endorsed; which one is the ledger's choice."""
    return submitter in endorsers and len(endorsers) == 2


# Evidence


@pytest.mark.parametrize("by", [DSO, AGGREGATOR])
def test_the_hashes_of_all_blocks_end_with_the_tips(ledger: Ledger, by: str) -> None:
    for number in range(3):
        submit(ledger, ["put", "a", str(number)])
    height = ledger.height("ledger")
    hashes = list(ledger.block_hashes("ledger", height - 3, height, by=by))
    assert len(set(hashes)) == 3
    assert hashes[-1].hex() == ledger.tip("ledger").tip_hash
    assert list(ledger.block_hashes("ledger", height, height, by=by)) == []


def test_a_transaction_is_found_by_its_id(ledger: Ledger) -> None:
    commit = submit(ledger, ["put", "a", "1"])
    assert ledger.transaction("ledger", commit.transaction_id) is not None
    with pytest.raises(LedgerError):
        ledger.transaction("ledger", "0" * 64)
