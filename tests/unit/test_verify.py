import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.toy import CHAINCODES, call, outcome, send, submit
from tampering import Tampered
from wattpool.ledgers import block
from wattpool.ledgers.block import Code, Emitted, PrivateWrite, Transaction
from wattpool.ledgers.certificates import Authority, Role
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Call, ForeignLedger
from wattpool.verify import Report, Violation, ViolationKind, verify
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Context
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS, TWO_OF_THREE
from wattpool_chaincode.records import codec

NOON_UTC = 1_489_996_800
DAY_S = 86_400


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with one of everything; blocks of the channel `ledger` have the numbers named below."""
    directory = tmp_path_factory.mktemp("verify") / "street"
    with EmbeddedLedger.create(directory, community="street", chaincodes=CHAINCODES, clock=lambda: NOON_UTC) as ledger:
        write_one_of_everything(ledger)
    return directory


PUT, PRIVATE, QUERY, CONFLICTS, PHANTOM, POLICY, OWN_POLICY, PURGE, DELETE, LOOK, LAST = range(11)


def write_one_of_everything(ledger: EmbeddedLedger) -> None:
    submit(ledger, ["put", "price", "first"], channel="contract")
    submit(ledger, ["put", "a", "1"], ["put", "b", "2"], ["emit", "written", "a"])
    submit(ledger, ["put_private", "secret"], ["put_private", "kept"], transient={"secret": "s", "kept": "k"})
    submit(ledger, ["query", "contract", [["get", "price"], ["range", "", ""]]], ["put", "seen", "price"])
    submit(ledger, ["put", "price", "second"], ["put", "more", "1"], channel="contract")
    two = [send(ledger, ["get", "a"], ["put", "a", value]) for value in "23"]
    assert [outcome(one) for one in two] == [Code.VALID, Code.MVCC_READ_CONFLICT]
    found, new = send(ledger, ["range", "c", "d"], ["put", "x", "1"]), send(ledger, ["put", "c1", "1"])
    assert [outcome(new), outcome(found)] == [Code.VALID, Code.VALID]
    submit(ledger, ["set_policy", "b", "members"], ["put", "limited", "1"], ["set_policy", "limited", "all"])
    submit(ledger, ["put", "b", "3"], ["first", "a", "z", 1], by=MEMBERS)
    submit(ledger, ["get_private", "kept"], ["purge_private", "secret"])
    submit(ledger, ["delete", "c1"], ["delete", "limited"])
    submit(ledger, ["history", "a"], ["page", "a", "z", 1, ""], ["range_private", "", "z"])
    submit(ledger, ["get", "a"], ["private_hash", "kept"], ["who"], ["put", "last", "1"])


@pytest.fixture
def tampered(original: Path, tmp_path: Path) -> Iterator[Tampered]:
    tampered = Tampered(original, tmp_path / "street")
    yield tampered
    tampered.close()


def check(tampered: Tampered) -> Report:
    return verify(tampered.directory, chaincodes=CHAINCODES)


def violation(tampered: Tampered) -> Violation:
    found = check(tampered).violation
    assert found is not None
    return found


def test_an_untouched_ledger_holds(original: Path) -> None:
    report = verify(original, chaincodes=CHAINCODES)
    with EmbeddedLedger.read(original) as ledger:
        for channel, checked in report.channels.items():
            assert checked.blocks == ledger.height(channel)
            assert checked.tip_hash == ledger.block(channel, checked.blocks - 1).hash
    assert report.violation is None
    assert report.channels["ledger"].transactions == 13
    # The secret was purged, and a look proves nothing.
    assert report.channels["ledger"].unrepeatable == 2


def test_a_ledger_without_blocks_holds(tmp_path: Path) -> None:
    with EmbeddedLedger.create(tmp_path / "new", community="new", chaincodes=CHAINCODES):
        report = verify(tmp_path / "new", chaincodes=CHAINCODES)
    assert report.violation is None
    assert [checked.tip_hash for checked in report.channels.values()] == [None, None]


@pytest.mark.parametrize("taken", [0, 1, 100, 101, 199, 200])
def test_a_ledger_with_a_range_left_early_holds(tmp_path: Path, taken: int) -> None:
    with EmbeddedLedger.create(tmp_path / "new", community="new", chaincodes=CHAINCODES) as ledger:
        submit(ledger, *(["put", f"{number:03}", "1"] for number in range(201)))
        submit(ledger, ["first", "000", "", taken], ["put", "mark", "1"])
    assert verify(tmp_path / "new", chaincodes=CHAINCODES).violation is None


def test_a_ledger_that_is_being_written_holds(tampered: Tampered) -> None:
    with EmbeddedLedger.open(tampered.directory, chaincodes=CHAINCODES, clock=lambda: NOON_UTC) as ledger:
        submit(ledger, ["put", "a", "9"])
        assert check(tampered).violation is None


def test_verification_writes_nothing(tampered: Tampered) -> None:
    tampered.close()
    before = (tampered.directory / "ledger.db").read_bytes()
    assert check(tampered).violation is None
    assert (tampered.directory / "ledger.db").read_bytes() == before


def test_progress_is_told_of_every_transaction(original: Path) -> None:
    told: list[tuple[int, int]] = []
    verify(original, chaincodes=CHAINCODES, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 15) for done in range(1, 16)]


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForeignLedger):
        verify(tmp_path)


def test_a_violation_is_one_sentence_that_names_its_place() -> None:
    found = Violation(what=ViolationKind.SIGNATURE, channel="ledger", block=3, transaction="ab", detail="not signed")
    assert str(found) == "channel ledger, block 3, transaction ab: not signed (signature)."
    assert str(Violation(what=ViolationKind.FILE, detail="it is torn")) == "ledger: it is torn (file)."


# Whoever can write to the file, but sign nothing


def change_value(tampered: Tampered) -> None:
    tampered.replace("ledger", PUT, changed_write(tampered.transactions("ledger", PUT)[0]))


def change_value_and_hashes(tampered: Tampered) -> None:
    tampered.edit("ledger", PUT, changed_write)


def change_argument_and_hashes(tampered: Tampered) -> None:
    tampered.edit("ledger", PUT, lambda one: replace(one, proposal=replace(one.proposal, function="other")))


def change_signature(tampered: Tampered) -> None:
    other = tampered.transactions("ledger", LAST)[0].signature
    tampered.edit("ledger", PUT, lambda one: replace(one, signature=other))


def remove_block(tampered: Tampered) -> None:
    for table, column in (("blocks", "number"), ("transactions", "block")):
        tampered.sql(f"DELETE FROM {table} WHERE channel = 'ledger' AND {column} = ?", PRIVATE)  # noqa: S608


def remove_block_and_close_up(tampered: Tampered) -> None:
    remove_block(tampered)
    for table, column in (("blocks", "number"), ("transactions", "block")):
        for number in range(QUERY, LAST + 1):
            statement = f"UPDATE {table} SET {column} = ? WHERE channel = 'ledger' AND {column} = ?"  # noqa: S608
            tampered.sql(statement, number - 1, number)
    tampered.rechain("ledger")


def remove_last_block(tampered: Tampered) -> None:
    for table, column in (("blocks", "number"), ("transactions", "block")):
        tampered.sql(f"DELETE FROM {table} WHERE channel = 'ledger' AND {column} = ?", LAST)  # noqa: S608


def remove_last_contract_block(tampered: Tampered) -> None:
    for table, column in (("blocks", "number"), ("transactions", "block")):
        tampered.sql(f"DELETE FROM {table} WHERE channel = 'contract' AND {column} >= 0")  # noqa: S608


def double_block(tampered: Tampered) -> None:
    tampered.append("ledger", *tampered.transactions("ledger", PUT))


def double_block_as_it_is(tampered: Tampered) -> None:
    tampered.append("ledger", *tampered.transactions("ledger", LAST))
    tampered.edit_header("ledger", LAST + 1, tampered.header("ledger", LAST))


def swap_transactions(tampered: Tampered) -> None:
    tampered.replace("ledger", CONFLICTS, *reversed(tampered.transactions("ledger", CONFLICTS)))


def swap_transactions_and_hashes(tampered: Tampered) -> None:
    swap_transactions(tampered)
    tampered.rechain("ledger")


def swap_blocks(tampered: Tampered) -> None:
    first, second = (tampered.transactions("ledger", number)[0] for number in (CONFLICTS, PUT))
    tampered.replace("ledger", PUT, first)
    tampered.replace("ledger", CONFLICTS, second)
    tampered.sql("UPDATE transactions SET event = block = ? WHERE channel = 'ledger'", CONFLICTS)
    tampered.rechain("ledger")


def change_code(tampered: Tampered) -> None:
    header = tampered.header("ledger", PUT).replace(b'"VALID"', b'"MVCC_READ_CONFLICT"')
    tampered.edit_header("ledger", PUT, header)
    tampered.sql(
        "UPDATE transactions SET code = 'MVCC_READ_CONFLICT', event = 0 WHERE channel = 'ledger' AND block = ?", PUT
    )


def change_code_of_invalid(tampered: Tampered) -> None:
    header = tampered.header("ledger", CONFLICTS).replace(b'"MVCC_READ_CONFLICT"', b'"VALID"')
    tampered.edit_header("ledger", CONFLICTS, header)
    tampered.sql("UPDATE transactions SET code = 'VALID' WHERE channel = 'ledger' AND block = ?", CONFLICTS)


def drop_code(tampered: Tampered) -> None:
    header = tampered.header("ledger", CONFLICTS).replace(b',"MVCC_READ_CONFLICT"', b"")
    tampered.edit_header("ledger", CONFLICTS, header)


def change_previous_hash(tampered: Tampered) -> None:
    header = codec.decode(tampered.header("ledger", QUERY))
    tampered.edit_header("ledger", QUERY, codec.encode({**header, "previous_hash": 64 * "0"}))


def space_header(tampered: Tampered) -> None:
    tampered.edit_header("ledger", QUERY, tampered.header("ledger", QUERY) + b" ")


def rename_channel_in_header(tampered: Tampered) -> None:
    header = codec.decode(tampered.header("ledger", QUERY))
    tampered.edit_header("ledger", QUERY, codec.encode({**header, "channel": "contract"}))


def space_transaction(tampered: Tampered) -> None:
    tampered.replace("ledger", QUERY, tampered.transactions("ledger", QUERY)[0].data + b" ")
    tampered.rechain("ledger")


def forge_endorsement(tampered: Tampered) -> None:
    """Sign for the members with a key of one's own; the certificate stays."""
    stranger = Authority.create(MEMBERS, now_utc=NOON_UTC).enrol("peer", role=Role.PEER)

    def edit(one: Transaction) -> Transaction:
        members = tampered.identity(MEMBERS, Role.PEER).fingerprint
        forged = stranger.sign(block.endorser_message(one.response))
        first, _ = one.endorsements
        endorsements = (first, replace(first, endorser=members, signature=forged))
        return tampered.submit(replace(one, endorsements=endorsements), by=DSO)

    tampered.edit("ledger", PUT, edit)


def endorse_from_outside(tampered: Tampered) -> None:
    """Sign for the members with a certificate from a root of one's own."""
    stranger = Authority.create(MEMBERS, now_utc=NOON_UTC).enrol("peer", role=Role.PEER)
    tampered.sql("INSERT INTO certificates VALUES (?, ?, ?)", stranger.fingerprint, MEMBERS, stranger.pem)


def endorse_alone(tampered: Tampered) -> None:
    tampered.edit("ledger", PUT, lambda one: tampered.sign(one.proposal, one.response, by=DSO, endorsers=[DSO]))


def endorse_as_client(tampered: Tampered) -> None:
    def edit(one: Transaction) -> Transaction:
        client = tampered.identity(MEMBERS, Role.CLIENT)
        first, second = one.endorsements
        signed = client.sign(block.endorser_message(one.response))
        second = replace(second, endorser=client.fingerprint, signature=signed)
        return tampered.submit(replace(one, endorsements=(first, second)), by=DSO)

    tampered.edit("ledger", PUT, edit)


def ignore_own_policy(tampered: Tampered) -> None:
    """The key `b` needs the members, two others sign."""
    tampered.edit(
        "ledger",
        OWN_POLICY,
        lambda one: tampered.sign(one.proposal, one.response, by=MEMBERS, endorsers=[DSO, AGGREGATOR]),
    )


def change_certificate(tampered: Tampered) -> None:
    own = tampered.identity(DSO, Role.CLIENT)
    other = tampered.identity(AGGREGATOR, Role.CLIENT)
    tampered.sql("UPDATE certificates SET pem = ? WHERE fingerprint = ?", other.pem, own.fingerprint)


def exchange_certificate(tampered: Tampered) -> None:
    own, other = tampered.identity(DSO, Role.CLIENT), tampered.identity(DSO, Role.PEER)
    tampered.sql("UPDATE certificates SET pem = ? WHERE fingerprint = ?", other.pem, own.fingerprint)


def remove_certificate(tampered: Tampered) -> None:
    own = tampered.identity(DSO, Role.CLIENT)
    tampered.sql("DELETE FROM certificates WHERE fingerprint = ?", own.fingerprint)


def add_organisation(tampered: Tampered) -> None:
    tampered.sql("UPDATE certificates SET msp_id = 'StrangerMSP'")


def change_roots(tampered: Tampered) -> None:
    genesis = tampered.sql("SELECT value FROM meta")[0][0].replace(b'"street"', b'"avenue"')
    tampered.sql("UPDATE meta SET value = ?", genesis)


def tear_genesis(tampered: Tampered) -> None:
    tampered.sql("UPDATE meta SET value = ?", b"{}")


def spoil_root(tampered: Tampered) -> None:
    genesis = codec.decode(tampered.sql("SELECT value FROM meta")[0][0])
    tampered.sql("UPDATE meta SET value = ?", codec.encode({**genesis, "organisations": {DSO: "no certificate"}}))


def raise_version(tampered: Tampered) -> None:
    tampered.sql("UPDATE meta SET value = ?", tampered.sql("SELECT value FROM meta")[0][0].replace(b":1}", b":2}"))


def remove_genesis(tampered: Tampered) -> None:
    tampered.sql("DELETE FROM meta")


def add_channel(tampered: Tampered) -> None:
    tampered.sql("INSERT INTO blocks VALUES ('other', 0, x'00')")


def changed_write(one: Transaction) -> Transaction:
    return replace(one, response=replace(one.response, writes={**one.response.writes, "a": b"100"}))


def sql(statement: str) -> Callable[[Tampered], None]:
    def tamper(tampered: Tampered) -> None:
        tampered.sql(statement)

    return tamper


K = ViolationKind
KEPT = "(SELECT key_hash FROM private_data WHERE key = CAST('kept' AS BLOB))"


@pytest.mark.parametrize(
    ("tamper", "what", "number"),
    [
        (change_value, K.DATA_HASH, PUT),
        (change_value_and_hashes, K.SIGNATURE, PUT),
        (change_argument_and_hashes, K.ENDORSEMENT, PUT),
        (change_signature, K.SIGNATURE, PUT),
        (remove_block, K.NUMBER, PRIVATE),
        (remove_block_and_close_up, K.READS, OWN_POLICY - 1),
        (remove_last_block, K.STATE, None),
        (remove_last_contract_block, K.NUMBER, QUERY),
        (double_block, K.DOUBLED, LAST + 1),
        (double_block_as_it_is, K.NUMBER, LAST + 1),
        (swap_transactions, K.DATA_HASH, CONFLICTS),
        (swap_transactions_and_hashes, K.EXECUTION, LAST),
        (swap_blocks, K.READS, PUT),
        (change_code, K.CODE, PUT),
        (change_code_of_invalid, K.READS, CONFLICTS),
        (drop_code, K.CODE, CONFLICTS),
        (change_previous_hash, K.PREVIOUS_HASH, QUERY),
        (space_header, K.MALFORMED, QUERY),
        (rename_channel_in_header, K.MALFORMED, QUERY),
        (space_transaction, K.MALFORMED, QUERY),
        (forge_endorsement, K.ENDORSEMENT, PUT),
        (endorse_from_outside, K.CERTIFICATE, None),
        (endorse_alone, K.ENDORSEMENT, PUT),
        (endorse_as_client, K.ENDORSEMENT, PUT),
        (ignore_own_policy, K.ENDORSEMENT, OWN_POLICY),
        (change_certificate, K.CERTIFICATE, None),
        (exchange_certificate, K.CERTIFICATE, None),
        (remove_certificate, K.CERTIFICATE, 0),
        (add_organisation, K.CERTIFICATE, None),
        (change_roots, K.PREVIOUS_HASH, 0),
        (tear_genesis, K.GENESIS, None),
        (spoil_root, K.GENESIS, None),
        (raise_version, K.GENESIS, None),
        (remove_genesis, K.GENESIS, None),
        (add_channel, K.GENESIS, None),
        (sql("UPDATE transactions SET id = 'x' WHERE channel = 'ledger' AND block = 2"), K.INDEX, 2),
        (sql("UPDATE transactions SET event = 0 WHERE channel = 'ledger'"), K.INDEX, PUT),
        (sql("UPDATE transactions SET code = 'VALID'"), K.INDEX, CONFLICTS),
        (sql("INSERT INTO transactions VALUES ('ledger', 99, 0, 'x', 'VALID', 0, x'00')"), K.INDEX, 99),
        (sql("UPDATE state SET value = x'39' WHERE key = CAST('a' AS BLOB)"), K.STATE, None),
        (sql("UPDATE state SET block = 0 WHERE key = CAST('a' AS BLOB)"), K.STATE, None),
        (sql("DELETE FROM state WHERE key = CAST('seen' AS BLOB)"), K.STATE, None),
        (sql("DELETE FROM state"), K.STATE, None),
        (sql("INSERT INTO state VALUES ('ledger', CAST('aa' AS BLOB), 0, 0, x'31')"), K.STATE, None),
        (sql("INSERT INTO state VALUES ('other', CAST('aa' AS BLOB), 0, 0, x'31')"), K.STATE, None),
        (sql("INSERT INTO state VALUES (NULL, x'61', 0, 0, x'31')"), K.STATE, None),
        (sql("UPDATE history SET position = 'x' WHERE block = 3"), K.HISTORY, None),
        (sql("DELETE FROM policies"), K.POLICIES, None),
        (sql("UPDATE policies SET policy = x'00'"), K.POLICIES, None),
        (sql("INSERT INTO policies VALUES ('ledger', x'61', x'00')"), K.POLICIES, None),
        (sql("DELETE FROM history WHERE block = 3"), K.HISTORY, None),
        (sql("INSERT INTO history VALUES ('ledger', x'61', 8, 0)"), K.HISTORY, None),
        (sql("UPDATE private_state SET value_hash = 'x'"), K.PRIVATE_STATE, None),
        (sql("DELETE FROM private_state"), K.PRIVATE_STATE, None),
        (sql("UPDATE private_data SET value = x'00'"), K.PRIVATE_DATA, PRIVATE),
        (sql("UPDATE private_data SET key = x'00'"), K.PRIVATE_DATA, PRIVATE),
        (sql("DELETE FROM private_data"), K.PRIVATE_DATA, PRIVATE),
        (
            sql(f"INSERT INTO private_data VALUES ('ledger', 'meter_data', {KEPT}, 9, 0, x'61', x'00')"),  # noqa: S608
            K.PRIVATE_STATE,
            None,
        ),
        (sql("INSERT INTO private_data VALUES ('other', 'x', 'x', 9, 0, x'61', x'00')"), K.PRIVATE_STATE, None),
    ],
)
def test_what_was_changed_is_named(
    tampered: Tampered, tamper: Callable[[Tampered], None], what: ViolationKind, number: int | None
) -> None:
    tamper(tampered)
    found = violation(tampered)
    assert (found.what, found.block) == (what, number), str(found)


def test_what_held_before_the_violation_is_reported(tampered: Tampered) -> None:
    change_value(tampered)
    channels = check(tampered).channels
    assert (channels["contract"].blocks, channels["ledger"].blocks) == (2, PUT)


def test_a_changed_state_value_is_named_by_its_key(tampered: Tampered) -> None:
    tampered.sql("UPDATE state SET value = x'39' WHERE key = CAST('seen' AS BLOB)")
    assert "seen" in str(violation(tampered))


def test_a_purged_value_that_was_put_back_is_named(tampered: Tampered) -> None:
    (write, *_) = [
        one for one in tampered.transactions("ledger", PURGE)[0].response.private_writes if one.value_hash is None
    ]
    row = ("ledger", "meter_data", write.key_hash, PRIVATE, 0, b"secret", b"s")
    tampered.sql("INSERT INTO private_data VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
    assert violation(tampered).what is K.PRIVATE_STATE


TABLES = (
    "meta",
    "certificates",
    "blocks",
    "transactions",
    "state",
    "policies",
    "history",
    "private_state",
    "private_data",
)


def changed(value: str | bytes | int, place: int, bit: int) -> str | bytes | int:
    """Return what lies in the file when one bit of a stored value has changed; an unreadable text is kept as bytes."""
    if isinstance(value, int):
        return value ^ 1 << bit % 7
    data = bytearray(value.encode() if isinstance(value, str) else value)
    data[place % len(data)] ^= 1 << bit
    if isinstance(value, bytes):
        return bytes(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return bytes(data)


def test_the_tables_below_are_all_there_are(tampered: Tampered) -> None:
    assert sorted(name for (name,) in tampered.sql("SELECT name FROM sqlite_schema WHERE type = 'table'")) == sorted(
        TABLES
    )


@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_changed_byte_in_any_column_of_any_table_is_named(tampered: Tampered, table: str, count: int) -> None:
    """In some rows; with `long` in all of them, and in many places of each value."""
    chosen = random.Random(table)  # noqa: S311 -- repeatable
    columns = [(name, bool(key)) for _, name, _, _, _, key in tampered.sql(f"PRAGMA table_info({table})")]
    keys = [name for name, is_key in columns if is_key]
    rows = tampered.sql(f"SELECT {', '.join([*keys, *(name for name, _ in columns)])} FROM {table}")  # noqa: S608
    for column, (name, _) in enumerate(columns):
        for row in rows if count > 1 else chosen.sample(rows, min(3, len(rows))):
            where, value = row[: len(keys)], row[len(keys) + column]
            for _ in range(count):
                new = changed(value, chosen.randrange(1 << 30), chosen.randrange(8))
                condition = " AND ".join(f"{key} = ?" for key in keys)
                try:
                    tampered.sql("BEGIN")
                    tampered.sql(f"UPDATE {table} SET {name} = ? WHERE {condition}", new, *where)  # noqa: S608
                    tampered.sql("COMMIT")
                except sqlite3.IntegrityError:
                    # Another row has that key.
                    tampered.sql("ROLLBACK")
                    continue
                assert check(tampered).violation is not None, (name, where, new)
                restored = [new if key == name else one for key, one in zip(keys, where, strict=True)]
                tampered.sql(f"UPDATE {table} SET {name} = ? WHERE {condition}", value, *restored)  # noqa: S608
    assert check(tampered).violation is None


@pytest.mark.parametrize("channel", ["contract", "ledger"])
def test_a_chain_that_lost_its_last_block_everywhere_holds_until_one_knows_its_tip(
    tmp_path: Path, channel: str
) -> None:
    with EmbeddedLedger.create(
        tmp_path / "street", community="street", chaincodes=CHAINCODES, clock=lambda: NOON_UTC
    ) as ledger:
        submit(ledger, ["put", "a", "1"], channel=channel)
        before = Tampered(tmp_path / "street", tmp_path / "before")
        submit(ledger, ["put", "a", "2"], channel=channel)
        tip = ledger.tip(channel)
    tips = {channel: (tip.blocks, tip.tip_hash)}
    assert verify(tmp_path / "street", chaincodes=CHAINCODES, tips=tips).violation is None
    assert check(before).violation is None
    for other in (tips, {"other": (1, tip.tip_hash)}, {channel: (1, tip.tip_hash)}):
        found = verify(before.directory, chaincodes=CHAINCODES, tips=other).violation
        assert found is not None
        assert (found.what, [found.channel]) == (K.TIP, list(other))
    before.close()


@pytest.mark.parametrize("start", [100, 5_000])
def test_a_torn_file_is_named(tampered: Tampered, start: int) -> None:
    tampered.close()
    file = tampered.directory / "ledger.db"
    data = bytearray(file.read_bytes())
    data[start : start + 20_000] = bytes(20_000)
    file.write_bytes(data)
    assert violation(tampered).what is K.FILE


def test_an_index_that_hides_a_row_is_named(tampered: Tampered) -> None:
    tampered.sql("PRAGMA writable_schema = ON")
    tampered.sql("UPDATE sqlite_schema SET sql = replace(sql, 'channel, id,', 'channel, code,') WHERE type = 'index'")
    tampered.close()
    assert violation(tampered).what is K.FILE


def test_another_contract_than_the_genesis_names_is_refused(original: Path) -> None:
    other = {**CHAINCODES, "ledger": Chaincode(name="other", functions={}, policy=TWO_OF_THREE)}
    report = verify(original, chaincodes=other)
    assert report.violation is not None
    assert report.violation.what is K.GENESIS


# Whoever holds the keys of all organisations


def collude(**changes: Any) -> Callable[[Tampered, Transaction], Transaction]:
    """Have a changed response of a transaction signed by everyone."""
    return lambda tampered, one: tampered.sign(one.proposal, replace(one.response, **changes), by=DSO)


def propose(**changes: Any) -> Callable[[Tampered, Transaction], Transaction]:
    """Have a changed proposal of a transaction signed by everyone."""
    return lambda tampered, one: tampered.sign(replace(one.proposal, **changes), one.response, by=DSO)


@pytest.mark.parametrize(
    ("number", "change", "what"),
    [
        (PUT, collude(writes={"a": b"100", "b": b"2"}), K.EXECUTION),
        (PUT, collude(writes={"a": b"1"}), K.EXECUTION),
        (PUT, collude(writes={"a": b"1", "b": b"2", "c": b"3"}), K.EXECUTION),
        (PUT, collude(writes={"a": b"1", "b": None}), K.EXECUTION),
        (PUT, collude(result=b"[]"), K.EXECUTION),
        (PUT, collude(event=Emitted(name="written", payload=b"b")), K.EXECUTION),
        (PUT, collude(event=None), K.INDEX),
        (PUT, collude(policies={"a": TWO_OF_THREE}), K.EXECUTION),
        (PUT, collude(reads={"a": None}), K.EXECUTION),
        (PUT, collude(reads={"a": (0, 0)}), K.READS),
        (PUT, collude(heights={"contract": 1}), K.EXECUTION),
        (PUT, collude(heights={"ledger": 0}), K.EXECUTION),
        (PUT, collude(heights={"contract": "1"}), K.MALFORMED),
        (PUT, collude(private_writes=[PrivateWrite(collection="c", key_hash="k", value_hash="v")]), K.PRIVATE_DATA),
        (PRIVATE, collude(private_writes=[]), K.EXECUTION),
        (QUERY, collude(heights={}), K.EXECUTION),
        (QUERY, collude(heights={"contract": 2}), K.EXECUTION),
        (QUERY, collude(heights={"contract": 3}), K.NUMBER),
        (LAST, collude(reads={}), K.EXECUTION),
        (LAST, collude(private_reads=[]), K.EXECUTION),
        (OWN_POLICY, collude(ranges=[]), K.SIGNATURE),
        (PUT, propose(argument=b'{"steps":[["put","a","100"]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["refuse"]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["break"]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["history","a"],["put","a","1"]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["query","contract",[["get","a"]]]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["put","","1"]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["put","a",""]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["emit","",""]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["put_private","p"]]}'), K.EXECUTION),
        (PUT, propose(argument=b'{"steps":[["put_private","p"]]}', transient={"p": 64 * "0"}), K.EXECUTION),
        (PUT, propose(channel="contract"), K.TRANSACTION_ID),
        (PUT, propose(chaincode="other"), K.CODE),
        (PUT, propose(id=64 * "0"), K.TRANSACTION_ID),
        (PUT, propose(time_utc="now"), K.MALFORMED),
        (PUT, propose(time_utc=NOON_UTC - 2 * DAY_S), K.CERTIFICATE),
        (LAST, propose(time_utc=NOON_UTC - 1_801), K.TIME),
    ],
)
def test_what_colluding_organisations_signed_is_named(
    tampered: Tampered,
    number: int,
    change: Callable[[Tampered, Transaction], Transaction],
    what: ViolationKind,
) -> None:
    tampered.edit("ledger", number, lambda one: change(tampered, one))
    found = violation(tampered)
    assert (found.what, found.block) == (what, number), str(found)


def test_two_channels_that_saw_each_others_future_are_named(tampered: Tampered) -> None:
    tampered.edit("contract", 0, lambda one: collude(heights={"ledger": 1})(tampered, one))
    tampered.edit("ledger", 0, lambda one: collude(heights={"contract": 1})(tampered, one))
    found = violation(tampered)
    assert (found.what, found.channel) == (K.EXECUTION, "ledger")


def test_a_policy_set_earlier_in_the_block_refuses_who_could_not_know_it(tmp_path: Path) -> None:
    with EmbeddedLedger.create(tmp_path / "one", community="one", chaincodes=CHAINCODES) as ledger:
        submit(ledger, ["put", "a", "1"])
        two = [send(ledger, ["set_policy", "a", "all"]), send(ledger, ["put", "a", "2"])]
        assert [outcome(one) for one in two] == [Code.VALID, Code.ENDORSEMENT_POLICY_FAILURE]
        again = ledger.endorse(call(["put", "c", "1"]), by=DSO)
        assert [outcome(one) for one in (ledger.order(again), ledger.order(again))] == [Code.VALID, Code.DUPLICATE_TXID]
    assert verify(tmp_path / "one", chaincodes=CHAINCODES).violation is None


def test_a_range_that_changed_before_its_turn_is_a_phantom(tmp_path: Path) -> None:
    with EmbeddedLedger.create(tmp_path / "one", community="one", chaincodes=CHAINCODES) as ledger:
        two = [send(ledger, ["put", "c1", "1"]), send(ledger, ["range", "c", "d"], ["put", "x", "1"])]
        assert [outcome(one) for one in two] == [Code.VALID, Code.PHANTOM_READ_CONFLICT]
    assert verify(tmp_path / "one", chaincodes=CHAINCODES).violation is None


def test_private_values_are_followed_through_conflicts_repetitions_and_queries(tmp_path: Path) -> None:
    with EmbeddedLedger.create(tmp_path / "one", community="one", chaincodes=CHAINCODES) as ledger:
        write = call(["get_private", "s"], ["put_private", "s"], transient={"s": "1"})
        two = [ledger.submit_async(write, by=DSO) for _ in range(2)]
        assert [outcome(one) for one in two] == [Code.VALID, Code.MVCC_READ_CONFLICT]
        look_across = [["private_hash", "p"], ["get_private", "p"]]
        for value in "12":
            submit(ledger, ["query", "contract", look_across], ["put", "seen", value])
            submit(ledger, ["put_private", "p"], channel="contract", transient={"p": value})
        submit(ledger, ["query", "contract", look_across], ["put", "seen", "3"])
    report = verify(tmp_path / "one", chaincodes=CHAINCODES)
    assert report.violation is None
    assert report.channels["ledger"].unrepeatable == 0


def test_transient_data_that_was_kept_before_is_found_again(tmp_path: Path) -> None:
    def repeat(context: Context, _: dict[str, Any]) -> None:
        context.put("length", str(len(context.transient["s"])).encode())

    toy = Chaincode(name="toy", functions={**CHAINCODES["ledger"].functions, "repeat": repeat}, policy=TWO_OF_THREE)
    with EmbeddedLedger.create(tmp_path / "one", community="one", chaincodes={"toy": toy}) as ledger:
        submit(ledger, ["put_private", "s"], channel="toy", transient={"s": "1"})
        submit(ledger, ["put_private", "s"], channel="toy", transient={"s": "22"})
        for value in (b"1", b"22"):
            ledger.submit(Call(channel="toy", function="repeat", argument=b"{}", transient={"s": value}), by=DSO)
    assert verify(tmp_path / "one", chaincodes={"toy": toy}).violation is None
