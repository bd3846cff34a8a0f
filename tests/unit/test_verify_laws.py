"""The laws are checked on whatever the ledger chain's contract writes: here on what a toy was told to write."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from community import Community, Home, identity_of, public_key_of, signed
from ledger.toy import CHAINCODES, submit
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.ledgers.port import Call
from wattpool.verify import Violation, ViolationKind, verify
from wattpool_chaincode.contract import CONTRACT
from wattpool_chaincode.ledger import LEDGER
from wattpool_chaincode.organisations import AGGREGATOR, DSO, OPERATOR_ATTRIBUTES
from wattpool_chaincode.records import codec, merkle
from wattpool_chaincode.records.ocmf import NO_HASH
from wattpool_chaincode.records.period import Period

FIRST = Period(1_489_968_000)

PERIOD = f"{FIRST.start_utc:011}"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[EmbeddedLedger]:
    with EmbeddedLedger.create(tmp_path / "toy", community="toy", chaincodes=CHAINCODES) as ledger:
        yield ledger


@pytest.fixture
def violation(tmp_path: Path) -> Callable[[], Violation | None]:
    return lambda: verify(tmp_path / "toy", chaincodes=CHAINCODES).violation


def put(key: str, value: object) -> list[Any]:
    return ["put", key, codec.encode(value).decode()]


def supply(bought_ut: int, redeemed_ut: int = 0) -> list[Any]:
    return put("supply", {"bought_ut": bought_ut, "redeemed_ut": redeemed_ut})


def wallet(name: str, balance_ut: int) -> list[Any]:
    return put(f"wallet/{name}", {"balance_ut": balance_ut, "counter": 0})


def phase(name: str) -> list[Any]:
    return put(f"period/{PERIOD}", {"phase": name, "roster": 1})


def deal(escrow_ut: int) -> list[Any]:
    return put(f"deal/{PERIOD}", {"escrow_ut": escrow_ut})


def offer(held_ut: int) -> list[Any]:
    return put(f"offer/{64 * 'a'}", {"held_ut": held_ut})


def settled(page: int, out_ut: int) -> list[Any]:
    return put(f"settled/{PERIOD}/{page:04}", {"out_ut": out_ut})


@pytest.mark.parametrize(
    ("transactions", "broken"),
    [
        ([[supply(9), wallet("a", 9)]], None),
        ([[supply(9), wallet("a", 9)], [wallet("a", 4), wallet("b", 5)]], None),
        ([[supply(9), wallet("a", 9)], [wallet("a", 4), wallet("b", 6)]], 1),
        ([[supply(9), wallet("a", 9)], [wallet("a", 5), supply(9, 4)]], None),
        ([[supply(9), wallet("a", 9)], [wallet("a", 5), offer(4)], [offer(3), put("fees", 1)]], None),
        ([[supply(9), wallet("a", 9)], [wallet("a", 5), offer(4)], [offer(3)]], 2),
        ([[supply(9), wallet("a", 9)], [wallet("a", 5), supply(9, 3)]], 1),
        ([[wallet("a", 1)]], 0),
        ([[supply(9), put("move/0000001", {"deposit_ut": 9, "withdraw_ut": 3})]], None),
        (
            [
                [supply(9), put("move/0000001", {"deposit_ut": 9})],
                [["delete", "move/0000001"], put("purse/0000", [4, 5])],
            ],
            None,
        ),
        ([[supply(9), put("move/0000001", {"deposit_ut": 9})], [["delete", "move/0000001"]]], 1),
        ([[supply(9), put("purse/0000", [9])], [put("purse/0000", [2]), deal(7), phase("active")]], None),
        ([[supply(9), put("purse/0000", [9])], [put("purse/0000", [2]), deal(6), phase("active")]], 1),
        (
            [[supply(9), deal(9)], [settled(0, 4), put("purse/0000", [4])], [settled(1, 3), put("purse/0001", [3])]],
            None,
        ),
        ([[supply(9), deal(9)], [settled(0, 4), put("purse/0000", [4])], [phase("final"), put("fees", 5)]], None),
        ([[supply(9), deal(9)], [settled(0, 4), put("purse/0000", [4])], [phase("final"), put("fees", 4)]], 2),
        ([[supply(9), deal(9)], [deal(0), put("purse/0000", [9])]], None),
        ([[supply(9), deal(9)], [deal(0), put("purse/0000", [10])]], 1),
    ],
)
def test_tokens_held_are_those_bought_and_not_redeemed(
    ledger: EmbeddedLedger,
    violation: Callable[[], Violation | None],
    transactions: list[list[Any]],
    broken: int | None,
) -> None:
    for steps in transactions:
        submit(ledger, *steps)
    found = violation()
    assert (found and (found.what, found.block)) == (None if broken is None else (ViolationKind.TOKENS, broken))


NO_FIRM = {"firm_bought_wh": 0, "firm_sold_wh": 0}
STATEMENTS = [
    {"slot": 0, "bought_wh": 0, "sold_wh": 70, "import_wh": 0, "export_wh": 100, **NO_FIRM, "firm_sold_wh": 20},
    {"slot": 1, "bought_wh": 70, "sold_wh": 0, "import_wh": 90, "export_wh": 0, **NO_FIRM},
    {"slot": 2, "bought_wh": 0, "sold_wh": 0, "import_wh": 50, "export_wh": 0, **NO_FIRM, "firm_bought_wh": 20},
]
# Slot 0 delivers 20 of the 25 Wh to slot 2 that an offer claims.
OFFER = 64 * "a"
FIRM = [[OFFER, 2, 0, 25, 20, 20, 0, 5, 0, True]]
FIRM_PROGRESS = [[OFFER, 20, 0, 5, 0]]
ACCOUNTS = [[0, 0, 70, 0, 0, 7, 0], [1, 70, 0, 7, 0, 0, 0]]
TRADES = [["feeder", 1, 0, 75, 70, 7, 0, 100_000]]
LEAVES = [codec.content_id(codec.encode(one)) for one in STATEMENTS]
ROOT = merkle.root([bytes.fromhex(leaf) for leaf in LEAVES]).hex()


def finalise(  # noqa: PLR0913 -- what a period wrote, part by part
    ledger: EmbeddedLedger,
    *,
    statements: list[dict[str, int]] = STATEMENTS,
    page: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    keeps_leaves: bool = False,
    suspended: tuple[int, ...] = (),
) -> None:
    leaves = LEAVES if keeps_leaves else [codec.content_id(codec.encode(one)) for one in statements]
    settled = {"accounts": ACCOUNTS, "firm": FIRM, "leaves": leaves, "out_ut": 0, "trades": TRADES, **(page or {})}
    root = merkle.root([bytes.fromhex(leaf) for leaf in settled["leaves"]]).hex()
    private = codec.encode({"salt": "", "statements": statements}).decode()
    name = f"statement/{PERIOD}/0000"
    submit(ledger, put(f"frozen/{PERIOD}", {"chunks": [], "suspended": list(suspended)}))
    submit(ledger, put(f"settled/{PERIOD}/0000", settled), ["put_private", name], transient={name: private})
    submit(ledger, put(f"result/{PERIOD}", {"firm": FIRM_PROGRESS, "root": root, "traded_wh": 70, **(result or {})}))


def changed(slot: int, **changes: int) -> list[dict[str, int]]:
    return [{**one, **changes} if one["slot"] == slot else one for one in STATEMENTS]


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"result": {"traded_wh": 71}}, False),
        ({"result": {"root": 64 * "0"}}, False),
        ({"page": {"trades": []}}, False),
        ({"page": {"accounts": [[0, 0, 71, 0, 0, 7, 0], ACCOUNTS[1]]}}, False),
        ({"page": {"accounts": [*ACCOUNTS, [3, 0, 0, 0, 0, 0, 0]]}}, False),
        ({"page": {"accounts": [], "trades": []}, "result": {"traded_wh": 0}}, False),
        ({"result": {"firm": []}}, False),
        ({"result": {"firm": [[OFFER, 21, 0, 5, 0]]}}, False),
        ({"page": {"firm": []}, "result": {"firm": []}}, False),
        ({"page": {"firm": [[OFFER, 2, 0, 19, 20, 20, 0, 5, 0, True]]}}, False),
        ({"page": {"firm": [[OFFER, 2, 0, 25, -1, 20, 0, 5, 0, True]]}}, False),
        ({"page": {"firm": [[OFFER, 2, 0, 25, 21, 20, 0, 5, 0, True]]}}, False),
        ({"statements": changed(0, firm_sold_wh=21)}, False),
        ({"statements": changed(2, firm_bought_wh=19)}, False),
        ({"statements": changed(0, export_wh=90)}, True),
        ({"statements": changed(0, export_wh=89)}, False),
        ({"statements": changed(2, import_wh=19)}, False),
        ({"statements": changed(1, import_wh=69)}, False),
        ({"statements": changed(1, bought_wh=71)}, False),
        ({"statements": changed(1, import_wh=91), "keeps_leaves": True}, False),
        ({"suspended": (3,)}, True),
        ({"suspended": (0,)}, False),
        ({"suspended": (1,)}, False),
        # Slot 2 trades by hand alone.
        ({"suspended": (2,)}, False),
    ],
)
def test_energy_bought_is_energy_sold_and_no_more_than_measured(
    ledger: EmbeddedLedger, violation: Callable[[], Violation | None], changes: dict[str, Any], *, holds: bool
) -> None:
    finalise(ledger, **changes)
    found = violation()
    assert (found and found.what) == (None if holds else ViolationKind.ENERGY)


def test_statements_that_were_purged_are_not_asked_for(
    ledger: EmbeddedLedger, violation: Callable[[], Violation | None]
) -> None:
    finalise(ledger, statements=changed(1, import_wh=91), keeps_leaves=True)
    submit(ledger, ["purge_private", f"statement/{PERIOD}/0000"])
    assert violation() is None


RESULT = {"firm": FIRM_PROGRESS, "root": ROOT, "traded_wh": 70}
RULES = {"period_s": 900, "seal_key": public_key_of("seal")}
CONTENT = {"previous": NO_HASH, "result": codec.content_id(codec.encode(RESULT))}


def seal(  # noqa: PLR0913 -- all that may be wrong
    ledger: EmbeddedLedger,
    content: Mapping[str, Any] = CONTENT,
    *,
    signer: str = "seal",
    period: Period = FIRST,
    written: Mapping[str, str] | None = None,
    pages: Sequence[str] = (),
) -> None:
    pair = signed("seal", signer, dict(content), period=period)
    sealed = {"previous": content["previous"], "seal": codec.content_id(pair[0].encode()), **(written or {})}
    steps = [
        put("roster/000001", {"pages": list(pages), "rules": [{"from_utc": 0, "rules": RULES}]}),
        phase("sealed"),
        put(f"seal/{PERIOD}", sealed),
    ]
    argument = codec.encode({"seal": pair, "steps": steps})
    ledger.submit(Call(channel="ledger", function="run", argument=argument), by=AGGREGATOR)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"content": {**CONTENT, "result": 64 * "1"}}, False),
        ({"content": {**CONTENT, "previous": 64 * "1"}}, False),
        ({"signer": "somebody"}, False),
        ({"period": FIRST.next}, False),
        ({"written": {"seal": 64 * "1"}}, False),
        ({"written": {"previous": 64 * "1"}}, False),
    ],
)
def test_a_seal_names_its_period_record_and_the_seal_before(
    ledger: EmbeddedLedger, violation: Callable[[], Violation | None], changes: dict[str, Any], *, holds: bool
) -> None:
    finalise(ledger)
    seal(ledger, **changes)
    found = violation()
    assert (found and found.what) == (None if holds else ViolationKind.SEAL)


# In version 2 slot 1 bought 5 Wh more of slot 0: for 1 ut, and a fee of 1 ut.
CORRECTED_STATEMENTS = [{**STATEMENTS[0], "sold_wh": 75}, {**STATEMENTS[1], "bought_wh": 75}, STATEMENTS[2]]
CORRECTED_ACCOUNTS = [[0, 0, 75, 0, 0, 8, 0], [1, 75, 0, 8, 1, 0, -2]]
CORRECTED_TRADES = [["feeder", 1, 0, 75, 75, 8, 1, 100_000]]
CORRECTS = codec.content_id(codec.encode(RESULT))
PAYMENTS: list[list[Any]] = [["p0", 1], ["p1", -2], [DSO, 1]]
PARTIES = [{"party": "p0"}, {"party": "p1"}, {"party": "p2"}]


def corrected(  # noqa: PLR0913 -- all that may be wrong
    *,
    statements: list[dict[str, int]] = CORRECTED_STATEMENTS,
    page: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    delta: Mapping[str, Any] | None = None,
    due: list[list[Any]] | None = None,
    balances_ut: tuple[int, int, int] = (1, 7, 1),
) -> tuple[list[list[Any]], dict[str, str]]:
    """Return what a correction writes, and its private data: balances are those of both wallets and the fees."""
    leaves = [codec.content_id(codec.encode(one)) for one in statements]
    accounts, trades = CORRECTED_ACCOUNTS, CORRECTED_TRADES
    settled = {"accounts": accounts, "firm": FIRM, "leaves": leaves, "trades": trades, **(page or {})}
    root = merkle.root([bytes.fromhex(leaf) for leaf in leaves]).hex()
    record = {**RESULT, "corrects": CORRECTS, "pages": [2], "root": root, "traded_wh": 75, "version": 2}
    p0_ut, p1_ut, fees_ut = balances_ut
    steps = [
        put(f"corrected/{PERIOD}/0000/v0002", settled),
        ["put_private", f"statement/{PERIOD}/0000/v0002"],
        put(f"result/{PERIOD}/v0002", {**record, **(result or {})}),
        put(f"delta/{PERIOD}/v0002", {"corrects": CORRECTS, "payments": PAYMENTS, **(delta or {})}),
        wallet("p0", p0_ut),
        wallet("p1", p1_ut),
        put("fees", fees_ut),
    ]
    if due:
        steps.append(put(f"due/{PERIOD}/v0002", due))
    private = codec.encode({"salt": "", "statements": statements}).decode()
    return steps, {f"statement/{PERIOD}/0000/v0002": private}


def sealed_before(ledger: EmbeddedLedger) -> None:
    """Finalise and seal the first version of a period; p1 has 9 ut."""
    finalise(ledger)
    page = codec.content_id(codec.encode(PARTIES))
    seal(ledger, pages=[page])
    submit(ledger, put(f"roster-page/{page}", PARTIES), supply(9), wallet("p1", 9))


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, None),
        ({"due": [["p0", 1], ["p1", -1]], "balances_ut": (0, 8, 1)}, None),
        ({"due": PAYMENTS, "balances_ut": (0, 9, 0)}, None),
        ({"result": {"traded_wh": 74}}, ViolationKind.ENERGY),
        ({"result": {"corrects": 64 * "0"}}, ViolationKind.ENERGY),
        ({"result": {"version": 3}}, ViolationKind.ENERGY),
        ({"result": {"root": ROOT}}, ViolationKind.ENERGY),
        ({"result": {"firm": []}}, ViolationKind.ENERGY),
        ({"result": {"pages": [1]}}, ViolationKind.TOKENS),
        ({"page": {"trades": TRADES}}, ViolationKind.ENERGY),
        ({"page": {"leaves": LEAVES}}, ViolationKind.ENERGY),
        ({"statements": [STATEMENTS[0], *CORRECTED_STATEMENTS[1:]]}, ViolationKind.ENERGY),
        (
            {"statements": [CORRECTED_STATEMENTS[0], {**CORRECTED_STATEMENTS[1], "import_wh": 74}, STATEMENTS[2]]},
            ViolationKind.ENERGY,
        ),
        ({"delta": {"corrects": 64 * "0"}}, ViolationKind.TOKENS),
        ({"delta": {"payments": []}, "balances_ut": (0, 9, 0)}, ViolationKind.TOKENS),
        ({"delta": {"payments": [["p0", 2], ["p1", -2]]}, "balances_ut": (2, 7, 0)}, ViolationKind.TOKENS),
        ({"balances_ut": (2, 6, 1)}, ViolationKind.TOKENS),
        ({"balances_ut": (0, 8, 1)}, ViolationKind.TOKENS),
        ({"balances_ut": (2, 7, 1)}, ViolationKind.TOKENS),
        ({"due": [["p0", 1], ["p1", -2]], "balances_ut": (0, 9, 0)}, ViolationKind.TOKENS),
        ({"due": [["p0", 2], ["p1", -2]], "balances_ut": (0, 9, 0)}, ViolationKind.TOKENS),
        ({"due": [["p0", -1], ["p1", 1]], "balances_ut": (2, 6, 1)}, ViolationKind.TOKENS),
    ],
)
def test_a_correction_keeps_both_laws_and_pays_what_the_versions_differ_by(
    ledger: EmbeddedLedger,
    violation: Callable[[], Violation | None],
    changes: dict[str, Any],
    broken: ViolationKind | None,
) -> None:
    sealed_before(ledger)
    steps, private = corrected(**changes)
    submit(ledger, *steps, transient=private)
    found = violation()
    assert (found and found.what) == broken


@pytest.mark.parametrize(
    ("steps", "holds"),
    [
        ([["delete", f"due/{PERIOD}/v0002"], wallet("p0", 1), wallet("p1", 7)], True),
        ([put(f"due/{PERIOD}/v0002", [["p0", 1], ["p1", -1]])], True),
        ([["delete", f"due/{PERIOD}/v0002"]], False),
        ([["delete", f"due/{PERIOD}/v0002"], wallet("p2", 1), wallet("p1", 7)], False),
        ([put(f"due/{PERIOD}/v0002", [["p0", 2], ["p1", -2]])], False),
        ([put(f"due/{PERIOD}/v0002", [["p2", 1], ["p1", -1]])], False),
    ],
)
def test_what_is_due_shrinks_by_what_is_moved(
    ledger: EmbeddedLedger, violation: Callable[[], Violation | None], steps: list[list[Any]], *, holds: bool
) -> None:
    sealed_before(ledger)
    written, private = corrected(due=[["p0", 1], ["p1", -1]], balances_ut=(0, 8, 1))
    submit(ledger, *written, transient=private)
    submit(ledger, *steps)
    found = violation()
    assert (found and found.what) == (None if holds else ViolationKind.TOKENS)


@pytest.mark.parametrize(("is_chained", "holds"), [(True, True), (False, False)])
def test_the_seal_of_a_version_names_the_one_that_it_corrects(
    ledger: EmbeddedLedger, violation: Callable[[], Violation | None], *, is_chained: bool, holds: bool
) -> None:
    sealed_before(ledger)
    steps, private = corrected()
    submit(ledger, *steps, transient=private)
    before = codec.content_id(signed("seal", "seal", CONTENT, period=FIRST)[0].encode())
    record = codec.decode(steps[2][2].encode())
    content = {"previous": before if is_chained else NO_HASH, "result": codec.content_id(codec.encode(record))}
    pair = signed("seal", "seal", content, period=FIRST)
    sealed = {"previous": content["previous"], "seal": codec.content_id(pair[0].encode())}
    argument = codec.encode({"seal": pair, "steps": [put(f"seal/{PERIOD}/v0002", sealed)]})
    ledger.submit(Call(channel="ledger", function="run", argument=argument), by=AGGREGATOR)
    found = violation()
    assert (found and found.what) == (None if holds else ViolationKind.SEAL)


@pytest.mark.parametrize(
    "steps",
    [
        [["put", "wallet/a", "no JSON"]],
        [put("wallet/a", {})],
        [put(f"period/{PERIOD}", {"phase": "unheard of"})],
        [put(f"result/{PERIOD}", {"root": ROOT})],
        [put(f"seal/{PERIOD}", {})],
        [
            put(f"settled/{PERIOD}/0000", {"accounts": [], "firm": [], "leaves": LEAVES, "out_ut": 0, "trades": []}),
            put(f"result/{PERIOD}", {"firm": [], "root": ROOT, "traded_wh": 0}),
        ],
    ],
)
def test_a_state_that_no_contract_of_ours_writes_is_named(
    ledger: EmbeddedLedger, violation: Callable[[], Violation | None], steps: list[Any]
) -> None:
    submit(ledger, *steps)
    found = violation()
    assert found is not None
    assert found.what is ViolationKind.MALFORMED


def test_what_the_contracts_do_in_some_periods_keeps_all_laws(tmp_path: Path) -> None:
    community = Community([Home(name=name, feeder=feeder) for name, feeder in zip("abcd", "AABB", strict=True)])
    wishes = {"a": 800, "b": -500, "c": 300, "d": -900}
    measured = {"a": (0, 700), "b": (600, 0), "c": (0, 350), "d": (100, 0)}
    assert community.run_period(wishes, measured)["traded_wh"] > 0
    owner = "a's owner"
    community.ledger("withdraw", order=community.order(owner, "withdraw", slot=0, amount_ut=1_000))
    community.open(FIRST.next)
    payee = identity_of("b's owner")
    community.ledger("transfer", order=community.order(owner, "transfer", payee=payee, amount_ut=100))
    community.ledger("redeem", order=community.order(owner, "redeem", amount_ut=900))
    community.ingest(
        [community.request(name, wish, period=FIRST.next) for name, wish in wishes.items()], period=FIRST.next
    )
    community.fix(FIRST.next)
    community.abort(FIRST.next)

    chaincodes = {"contract": CONTRACT, "ledger": LEDGER}
    with EmbeddedLedger.create(
        tmp_path / "real", community="demo", chaincodes=chaincodes, client_attributes=OPERATOR_ATTRIBUTES
    ) as ledger:
        for call in community.calls:
            argument, transient = call.argument, call.transient
            ledger.submit(
                Call(channel=call.channel, function=call.function, argument=argument, transient=transient), by=call.by
            )
    report = verify(tmp_path / "real")
    assert report.violation is None
    assert sum(one.transactions for one in report.channels.values()) == len(community.calls)
