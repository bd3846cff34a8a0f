"""Power cuts: whatever point a run has reached, what was acknowledged is there, holds, and goes on to the same end."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from crash import recorded_run
from crash.power_cut import Disk, Event, Fate, Kind, chance_of, files_under, read_log
from crash.recorded_run import ACKNOWLEDGED, EXPORT, EXPORTED, LEDGER, run
from wattpool.ledgers.embedded import EmbeddedLedger
from wattpool.verify import verify
from wattpool_chaincode.chaincodes import CHAINCODES

HERE = Path(__file__).parent
WorldState = dict[str, dict[str, bytes]]
WAL, DATABASE = "ledger.db-wal", "ledger.db"


@dataclass(frozen=True)
class Recording:
    """A whole run as the recorder saw it.

    Attributes:
        root: where it was.
        events: all that was done there.
    """

    root: Path
    events: Sequence[Event]

    def cut(self, target: Path, happened: int, fate: Fate, seed: int) -> None:
        """Write to `target` what a power cut leaves when the first `happened` events have happened."""
        disk = Disk(self.root)
        for event in self.events[:happened]:
            disk.apply(event)
        disk.cut(target, fate, chance_of(seed))

    def told(self, happened: int) -> list[str]:
        """Return what somebody was told by then, in the run's own words."""
        return [event.data.decode().strip() for event in self.events[:happened] if self.is_word(event)]

    def is_word(self, event: Event) -> bool:
        return event.kind is Kind.WRITE and event.path == self.root / ACKNOWLEDGED

    # Points, as the number of events that have happened.

    def all(self, kind: Kind, name: str) -> list[int]:
        """Return the points before each event of a kind on the files or directories of a name, after the founding."""
        first = self.founded
        return [
            point
            for point, event in enumerate(self.events)
            if point > first and event.kind is kind and event.path.name == name
        ]

    def next(self, point: int, kind: Kind, name: str) -> int:
        return min(one for one in self.all(kind, name) if one > point)

    def last(self, point: int, kind: Kind, name: str) -> int:
        return max(one for one in self.all(kind, name) if one < point)

    @property
    def founded(self) -> int:
        """The point before the new ledger gets its name."""
        return next(
            point
            for point, event in enumerate(self.events)
            if event.kind is Kind.RENAME and event.second == self.root / LEDGER
        )

    @property
    def words(self) -> list[int]:
        """The points before each time that somebody is told something."""
        return [point for point, event in enumerate(self.events) if self.is_word(event)]

    @property
    def committing(self) -> int:
        """The point before a commit in the middle of the run is synced."""
        return self.last(self.words[len(self.words) // 2], Kind.SYNC, WAL)

    @property
    def both_chains(self) -> int:
        """The point before the sync of a commit that gives both chains a block."""
        syncs = self.all(Kind.SYNC, WAL)
        for before, after in pairwise(self.words):
            chains = {self.events[point].data.split()[0] for point in (before, after)}
            if len(chains) == 2 and not any(before < point < after for point in syncs):
                return self.last(before, Kind.SYNC, WAL)
        raise AssertionError("no commit gives both chains a block")

    @property
    def checkpoint(self) -> int:
        """The point before the second checkpoint writes its first page."""
        first_over = self.all(Kind.SYNC, DATABASE)[0]
        return self.next(first_over, Kind.WRITE, DATABASE)

    @property
    def checkpointed(self) -> int:
        """The point before that checkpoint's pages are synced."""
        return self.next(self.checkpoint, Kind.SYNC, DATABASE)


NAMED: dict[str, Callable[[Recording], int]] = {
    "before the new ledger gets its name": lambda run: run.founded,
    "when the new ledger has its name": lambda run: run.founded + 1,
    "before the first transaction is synced": lambda run: run.last(run.words[0], Kind.SYNC, WAL),
    "when the first transaction is acknowledged": lambda run: run.words[0] + 1,
    "half-way through the log of a commit": lambda run: (
        (run.last(run.committing, Kind.SYNC, WAL) + run.committing) // 2
    ),
    "before a commit is synced": lambda run: run.committing,
    "when a commit is synced": lambda run: run.committing + 1,
    "before a commit of both chains is synced": lambda run: run.both_chains,
    "when a commit of both chains is synced": lambda run: run.both_chains + 1,
    "between the words on both chains": lambda run: run.both_chains + 2,
    "before a checkpoint": lambda run: run.checkpoint,
    "half-way through a checkpoint": lambda run: (run.checkpoint + run.checkpointed) // 2,
    "before a checkpoint is synced": lambda run: run.checkpointed,
    "when a checkpoint is synced": lambda run: run.checkpointed + 1,
    "when the log begins anew": lambda run: run.next(run.checkpointed, Kind.WRITE, WAL) + 1,
    "before the ledger is closed": lambda run: run.last(run.all(Kind.UNLINK, WAL)[0], Kind.SYNC, WAL),
    "when the closed ledger's log is gone": lambda run: run.all(Kind.UNLINK, WAL)[0] + 1,
    "when the ledger is open again": lambda run: run.next(run.all(Kind.UNLINK, WAL)[0], Kind.SYNC, WAL),
    "half-way through the export": lambda run: run.all(Kind.WRITE, "ledger.jsonl.part")[20],
    "when the export has its name": lambda run: run.all(Kind.RENAME, "ledger.jsonl.part")[0] + 1,
    "when the next export has its name": lambda run: run.all(Kind.RENAME, "ledger.jsonl.part")[1] + 1,
    "while the report is written": lambda run: run.all(Kind.WRITE, "report.html")[0],
    "when all is done": lambda run: len(run.events),
}
SHORT = (
    "when the new ledger has its name",
    "when the first transaction is acknowledged",
    "half-way through the log of a commit",
    "before a commit of both chains is synced",
    "half-way through a checkpoint",
    "when the log begins anew",
    "when the export has its name",
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The run, recorded once."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler (cc), which are not here")
    place = tmp_path_factory.mktemp("recording").resolve()
    library, log, root = place / "recorder.so", place / "log", place / "disk"
    root.mkdir()
    build = [compiler, "-shared", "-fPIC", "-o", str(library), str(HERE / "recorder.c"), "-ldl", "-lpthread"]
    subprocess.run(build, check=True, timeout=60)  # noqa: S603 -- ours
    recorder = {"LD_PRELOAD": str(library), "RECORDED_ROOT": str(root), "RECORDED_LOG": str(log)}
    program = [sys.executable, recorded_run.__file__, str(root)]
    subprocess.run(program, check=True, timeout=300, env={**os.environ, **recorder})  # noqa: S603 -- ours
    return Recording(root, read_log(log))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], WorldState]:
    """Figures and world state of the run without a power cut."""
    ledger = tmp_path_factory.mktemp("undisturbed") / "ledger"
    return run(ledger), world_state(ledger)


def test_the_recorder_misses_nothing(recording: Recording, tmp_path: Path) -> None:
    recording.cut(tmp_path / "disk", len(recording.events), Fate.KEPT, seed=0)
    assert files_under(tmp_path / "disk") == files_under(recording.root)
    assert len(recording.told(len(recording.events))) > 90


def test_a_disk_that_does_not_sync_the_log_is_found_out(recording: Recording, tmp_path: Path) -> None:
    lying = [event for event in recording.events if not (event.kind is Kind.SYNC and event.path.name == WAL)]
    disk, words = Disk(recording.root), []
    for event in lying[: recording.committing]:
        disk.apply(event)
        words += [event.data.decode().strip()] if recording.is_word(event) else []
    disk.cut(tmp_path / "disk", Fate.DROPPED, chance_of(0))
    assert not set(words) <= carried(tmp_path / "disk" / LEDGER)


@pytest.mark.parametrize("name", SHORT)
def test_a_power_cut_loses_nothing_acknowledged(recording: Recording, tmp_path: Path, name: str) -> None:
    require_survival(recording, tmp_path / "disk", NAMED[name](recording), Fate.DROPPED)


def test_nor_does_one_at_any_other_moment(recording: Recording, tmp_path: Path) -> None:
    for seed, happened in points(recording, count=8, seed=1):
        require_survival(recording, tmp_path / f"{seed}", happened, Fate.MIXED, seed=seed)


@pytest.mark.parametrize("name", ["when a commit of both chains is synced", "half-way through a checkpoint"])
def test_the_run_goes_on_to_the_end_of_an_undisturbed_one(
    recording: Recording, tmp_path: Path, undisturbed: tuple[dict[str, object], WorldState], name: str
) -> None:
    require_survival(recording, tmp_path / "disk", NAMED[name](recording), Fate.MIXED)
    require_same_end(tmp_path / "disk", undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("name", NAMED)
def test_a_power_cut_at_each_named_point(
    recording: Recording,
    tmp_path: Path,
    undisturbed: tuple[dict[str, object], WorldState],
    name: str,
    fate: Fate,
) -> None:
    require_survival(recording, tmp_path / "disk", NAMED[name](recording), fate)
    require_same_end(tmp_path / "disk", undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("fate", Fate)
def test_a_power_cut_at_each_step_of_the_founding(recording: Recording, tmp_path: Path, fate: Fate) -> None:
    for happened in range(recording.words[0] + 2):
        require_survival(recording, tmp_path / f"{happened}", happened, fate, seed=happened)


@pytest.mark.long
def test_power_cuts_at_200_moments(
    recording: Recording, tmp_path: Path, undisturbed: tuple[dict[str, object], WorldState]
) -> None:
    for seed, happened in points(recording, count=200, seed=2):
        place = tmp_path / f"{seed}"
        require_survival(recording, place, happened, chance_of(seed).choice(list(Fate)), seed=seed)
        if seed % 10 == 0:
            require_same_end(place, undisturbed)
        shutil.rmtree(place)


def require_survival(recording: Recording, place: Path, happened: int, fate: Fate, *, seed: int = 0) -> None:
    """Cut the power and check what is left, before anything has repaired it and after."""
    recording.cut(place, happened, fate, seed)
    told = recording.told(happened)
    moment = f"{fate.value} after {happened} events, seed {seed}"
    ledger, export = place / LEDGER, place / EXPORT
    if ledger.exists():
        assert verify(ledger).violation is None, moment
        EmbeddedLedger.open(ledger, chaincodes=CHAINCODES).close()
        assert verify(ledger).violation is None, moment
    assert {word for word in told if word != EXPORTED} <= carried(ledger), moment
    if export.exists():
        assert verify(export).violation is None, moment
    assert export.exists() or EXPORTED not in told, moment


def require_same_end(place: Path, undisturbed: tuple[dict[str, object], WorldState]) -> None:
    figures = run(place / LEDGER)
    assert (figures, world_state(place / LEDGER)) == undisturbed
    assert verify(place / LEDGER).violation is None


def points(recording: Recording, *, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield numbered random points."""
    chance = chance_of(seed)
    return enumerate(chance.randrange(len(recording.events) + 1) for _ in range(count))


def carried(directory: Path) -> set[str]:
    """Return all valid transactions of a ledger in the words in which they are acknowledged."""
    if not directory.exists():
        return set()
    with EmbeddedLedger.read(directory) as ledger:
        return {
            f"{channel} {number} {transaction.id}"
            for channel in CHAINCODES
            for number in range(ledger.height(channel))
            for transaction in ledger.block(channel, number).transactions
        }


def world_state(directory: Path) -> WorldState:
    with EmbeddedLedger.read(directory) as ledger:
        return {channel: dict(ledger.state(channel)) for channel in CHAINCODES}
