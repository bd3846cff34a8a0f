"""A ledger leaves its house as one file, and a stranger with nothing but the page on its format checks it."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from story.bundled_day import HOUR_S, run, scenario
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC
from wattpool.verify import ViolationKind, verify
from wattpool.verify.export import write_export
from wattpool_chaincode.records import codec, ocmf

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "ledger-format.md").read_text()
EXAMPLE = DOCS / "examples/export.jsonl"
STRANGER = DOCS / "examples/verify_export.py"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of the bundled day, in periods of an hour, up to the afternoon."""
    directory = tmp_path_factory.mktemp("export") / "ledger"
    run(scenario(forecast="perfect"), directory, last_utc=BUNDLED_DAY_START_UTC + 8 * HOUR_S)
    return directory


@pytest.fixture(scope="module")
def exported(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "ledger.jsonl"
    write_export(directory, out)
    return out


@pytest.fixture(scope="module")
def stranger() -> ModuleType:
    spec = spec_from_file_location("verify_export", STRANGER)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def close_up(lines: list[bytes]) -> bytes:
    """Return an export of these lines, whose last line agrees with them."""
    end = codec.decode(lines[-1][:-1])
    end["hash"] = sha256(b"".join(lines[:-1])).hexdigest()
    end["blocks"] = {}
    for line in lines[:-1]:
        found = re.match(rb'\{"block":\{"channel":"([a-z]+)"', line)
        if found is not None:
            channel = found[1].decode()
            end["blocks"][channel] = end["blocks"].get(channel, 0) + 1
    return b"".join(lines[:-1]) + codec.encode(end) + b"\n"


def judgement(data: bytes, stranger: ModuleType, file: Path) -> tuple[str | None, str | None]:
    """Return the kinds of violation that Wattpool and the stranger find."""
    file.write_bytes(data)
    violation = verify(file).violation
    found = None
    try:
        stranger.Verifier().run(data.splitlines(keepends=True))
    except stranger.Refused as refused:
        found = refused.kind
    return None if violation is None else violation.what.value, found


def test_the_strangers_program_shares_nothing_with_wattpool() -> None:
    assert not re.search(r"^\s*(from|import) wattpool", STRANGER.read_text(), re.MULTILINE)


def test_an_export_holds_as_the_ledger_does(directory: Path, exported: Path) -> None:
    assert verify(exported) == verify(directory)
    assert verify(exported).violation is None
    assert exported.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("has_openings", [True, False])
def test_a_stranger_finds_that_it_holds(
    directory: Path,
    tmp_path: Path,
    has_openings: bool,  # noqa: FBT001 -- a case
) -> None:
    out = tmp_path / "ledger.jsonl"
    write_export(directory, out, has_openings=has_openings)
    done = subprocess.run(  # noqa: S603 -- our own program, without our own packages
        [sys.executable, "-I", STRANGER, out], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    for channel, checked in verify(directory).channels.items():
        assert f"{channel}: {checked.blocks} blocks, tip {checked.tip_hash}" in done.stdout


def test_a_public_export_has_no_private_value_and_says_what_could_not_be_repeated(
    directory: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ledger.jsonl"
    write_export(directory, out, has_openings=False)
    assert b'"kind":"opening"' not in out.read_bytes()
    assert b"OCMF" not in out.read_bytes()
    report = verify(out)
    assert report.violation is None
    assert 0 < report.channels["ledger"].unrepeatable < report.channels["ledger"].transactions
    whole = verify(directory).channels["ledger"]
    assert replace(report.channels["ledger"], unrepeatable=whole.unrepeatable) == whole


def test_the_example_holds_and_its_hashes_stand_on_the_page(stranger: ModuleType, tmp_path: Path) -> None:
    assert judgement(EXAMPLE.read_bytes(), stranger, tmp_path / "copy.jsonl") == (None, None)
    verifier = stranger.Verifier()
    verifier.run(EXAMPLE.read_bytes().splitlines(keepends=True))
    found = [*(one.hex() for one in verifier.chains["contract"].hashes), verifier.checkpoints[0]["root"]]
    for line in map(json.loads, EXAMPLE.read_text().splitlines()):
        match line["kind"]:
            case "genesis":
                found.append(stranger.digest(stranger.encode(line["genesis"])))
            case "certificate":
                found.append(line["fingerprint"])
            case "block":
                (one,) = line["block"]["transactions"]
                found += [line["block"]["data_hash"], one["proposal"]["id"], one["response"]["proposal"]]
                found.append(stranger.digest(stranger.encode(one["response"])))
            case "end":
                found.append(line["hash"])
    assert len(found) == 29
    assert [one for one in found if f"`{one}`" not in PAGE] == []


def test_the_vectors_on_the_page_are_what_a_stranger_computes(stranger: ModuleType) -> None:
    text = '{"":{},"a":"Straße \\"5\\"\\n","b":[1,-2,null,true]}'
    assert stranger.encode(stranger.decode(text.encode())) == text.encode()
    vectors = [stranger.digest(text.encode())]
    vectors += [stranger.merkle_root([bytes([leaf]) for leaf in range(size)]).hex() for size in (0, 1, 2, 3, 7)]
    vectors += stranger.peaks([b"\0", b"\1", b"\2"])[1:]
    assert [one for one in vectors if f"`{one}`" not in PAGE] == []
    key = "0348f771a90e72a47cd13e5adad2342bac7d9858eb36e266d52c00807b5a0b82c0"
    (signature,) = re.findall("`(3045[0-9a-f]+)`", PAGE)
    assert f"`{key}` has the id\n`{stranger.digest(bytes.fromhex(key))[:40]}`" in PAGE
    assert stranger.is_signed(stranger.key_of(key), b"wattpool", bytes.fromhex(signature))
    record, payload, signed = re.findall(r"^(OCMF\|(.*)\|.*\"SD\":\"([0-9A-F]+)\"\})$", PAGE, re.MULTILINE)[0]
    assert ocmf.read(record).hash == stranger.digest(payload.encode())
    (device,) = re.findall(rf"the hash `{stranger.digest(payload.encode())}`, signed by\n`([0-9a-f]+)`", PAGE)
    assert stranger.is_signed(stranger.key_of(device), payload.encode(), bytes.fromhex(signed))


Edit = Callable[[list[bytes]], None]


def edit(kind: str, key: str, change: Callable[[Any], None]) -> Edit:
    """Change the first line of a kind that has a text in it, and write it canonically."""

    def edited(lines: list[bytes]) -> None:
        index = next(
            index for index, line in enumerate(lines) if b'"kind":"%b"' % kind.encode() in line and key.encode() in line
        )
        value = codec.decode(lines[index][:-1])
        change(value)
        lines[index] = codec.encode(value) + b"\n"

    return edited


def drop(kind: str) -> Edit:
    def dropped(lines: list[bytes]) -> None:
        lines.remove(next(line for line in reversed(lines) if b'"kind":"%b"' % kind.encode() in line))

    return dropped


def drop_submitter(lines: list[bytes]) -> None:
    block = codec.decode(next(line for line in lines if b'"kind":"block"' in line)[:-1])["block"]
    creator = block["transactions"][0]["proposal"]["creator"]
    lines.remove(next(line for line in lines if line.startswith(b'{"fingerprint":"%b"' % creator.encode())))


def swap_blocks(lines: list[bytes]) -> None:
    first, second = [index for index, line in enumerate(lines) if b'"kind":"block"' in line][1:3]
    lines[first], lines[second] = lines[second], lines[first]


@pytest.mark.parametrize(
    ("change", "what", "by_stranger"),
    [
        (edit("genesis", "", lambda one: one["genesis"].update(community="x")), "previous_hash", "previous_hash"),
        (edit("genesis", "", lambda one: one.update(format="wattpool-export/2")), "file", "file"),
        (edit("certificate", "", lambda one: one.update(fingerprint="0" * 64)), "certificate", "certificate"),
        (edit("block", "", lambda one: one["block"].update(previous_hash="0" * 64)), "previous_hash", "previous_hash"),
        (edit("block", "", lambda one: one["block"].update(data_hash="0" * 64)), "data_hash", "data_hash"),
        (edit("block", "", lambda one: one["block"].update(codes=["BAD_PROPOSAL_TXID"])), "code", "code"),
        (edit("block", "", lambda one: one["block"].update(more=1)), "malformed", "malformed"),
        (edit("opening", "record/", lambda one: one.update(value="QQ==")), "private_data", "private_data"),
        (edit("opening", "statement/", lambda one: one.update(key="a")), "private_data", "private_data"),
        (edit("opening", "", lambda one: one.update(value="QR==")), "file", "malformed"),
        (edit("opening", "", lambda one: one.update(more=1)), "file", "file"),
        (drop_submitter, "certificate", "code"),
        (drop("opening"), "private_data", "private_data"),
        (swap_blocks, "file", "number"),
    ],
)  # fmt: skip
def test_what_was_changed_is_named(  # noqa: PLR0913, PLR0917 -- fixtures and a case
    exported: Path, stranger: ModuleType, tmp_path: Path, change: Edit, what: str, by_stranger: str
) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    change(lines)
    assert judgement(close_up(lines), stranger, tmp_path / "changed.jsonl") == (what, by_stranger)


@pytest.mark.parametrize("kept", [0, 1, 1_000, -1, -2, -200])
def test_an_export_that_is_cut_off_is_named(exported: Path, stranger: ModuleType, tmp_path: Path, kept: int) -> None:
    data = exported.read_bytes()[:kept]
    assert judgement(data, stranger, tmp_path / "cut.jsonl") == ("file", "file")


def test_an_export_without_its_last_line_is_named(exported: Path, stranger: ModuleType, tmp_path: Path) -> None:
    data = b"".join(exported.read_bytes().splitlines(keepends=True)[:-1])
    assert judgement(data, stranger, tmp_path / "cut.jsonl") == ("file", "file")


def test_an_export_without_its_last_blocks_holds_until_one_knows_the_tip(exported: Path, tmp_path: Path) -> None:
    tip = verify(exported).channels["ledger"]
    assert tip.tip_hash is not None
    lines = exported.read_bytes().splitlines(keepends=True)
    while b'"kind":"block"' not in lines[-2]:
        del lines[-2]
    del lines[-2]
    shorter = tmp_path / "shorter.jsonl"
    shorter.write_bytes(close_up(lines))
    assert verify(shorter).violation is None
    assert verify(exported, tips={"ledger": (tip.blocks, tip.tip_hash)}).violation is None
    found = verify(shorter, tips={"ledger": (tip.blocks, tip.tip_hash)}).violation
    assert found is not None
    assert found.what is ViolationKind.TIP


@pytest.mark.parametrize("mutations", [200, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_changed_bit_of_genesis_certificates_and_blocks_is_noticed_however_the_file_is_closed_up(
    stranger: ModuleType, tmp_path: Path, mutations: int
) -> None:
    lines = EXAMPLE.read_bytes().splitlines(keepends=True)
    file = tmp_path / "changed.jsonl"
    chosen = random.Random(1)  # noqa: S311 -- repeatable
    for _ in range(mutations):
        index = chosen.randrange(len(lines) - 1)
        mutated = bytearray(lines[index])
        mutated[chosen.randrange(len(mutated))] ^= 1 << chosen.randrange(8)
        changed = close_up([*lines[:index], bytes(mutated), *lines[index + 1 :]])
        assert None not in judgement(changed, stranger, file), bytes(mutated)
