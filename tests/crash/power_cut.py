"""What a power cut may leave of a directory, from the log that `recorder.c` kept of all that was done there.

Only what was synced is sure to be there, under names in directories that were synced. Each later write may be there,
missing or torn between sectors, each later name missing, whatever the order they were given in: what ALICE (Pillai et
al., OSDI 2014) found file systems to do. A file's length may have grown without its content, which is then zero. What
SQLite shares through a mapped `-shm` file is never durable and comes back as noise.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from random import Random
from typing import NamedTuple

SECTOR_BYTES = 512
_HEADER = struct.Struct("=IIiIIIq")


class Kind(IntEnum):
    """What was done; the numbers are the recorder's."""

    OPEN = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    RENAME = 5
    UNLINK = 6
    MKDIR = 7


class Event(NamedTuple):
    """Something that was done to the directory.

    Attributes:
        kind: what.
        path: of the file or directory; of an open one, as it was opened.
        second: what it was renamed to.
        descriptor: process and file descriptor of an open one.
        offset: of a write; the length of a truncation.
        data: that was written.
    """

    kind: Kind
    path: Path
    second: Path
    descriptor: tuple[int, int]
    offset: int
    data: bytes


class Fate(Enum):
    """What becomes of what was not synced."""

    DROPPED = "dropped"
    KEPT = "kept"
    MIXED = "mixed"


class Write(NamedTuple):
    """A change of a file that is not synced; `data` is None if it was cut or lengthened to `offset`."""

    offset: int
    data: bytes | None


@dataclass(eq=False)
class File:
    """A file, whatever its names."""

    durable: bytes = b""
    pending: list[Write] = field(default_factory=list)


@dataclass(eq=False)
class Directory:
    """A directory: its entries as they are, and as they are durable."""

    now: "dict[str, Node]" = field(default_factory=dict)
    durable: "dict[str, Node]" = field(default_factory=dict)


Node = File | Directory
# Entries that are set, or removed if they are None, at once or not at all.
Change = Sequence[tuple[Directory, str, Node | None]]


class Disk:
    """A directory as it is after some of the recorded events, and what of it is durable.

    Args:
        root: the directory that was recorded; it is empty and durable at first.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._top = Directory()
        self._open: dict[tuple[int, int], Node] = {}
        self._changes: list[Change] = []

    def apply(self, event: Event) -> None:
        """Let the next event happen."""
        match event.kind:
            case Kind.OPEN:
                self._open[event.descriptor] = self._find_or_create(event.path)
            case Kind.MKDIR:
                self._change((*self._entry(event.path), Directory()))
            case Kind.UNLINK:
                self._change((*self._entry(event.path), None))
            case Kind.RENAME:
                directory, name = self._entry(event.path)
                self._change((directory, name, None), (*self._entry(event.second), directory.now[name]))
            case Kind.SYNC:
                self._sync(self._open[event.descriptor])
            case Kind.WRITE | Kind.TRUNCATE:
                file = self._open[event.descriptor]
                assert isinstance(file, File)
                file.pending.append(Write(event.offset, event.data if event.kind is Kind.WRITE else None))

    def cut(self, target: Path, fate: Fate, chance: Random) -> None:
        """Write to `target`, which is not there yet, what a power cut leaves now."""
        entries: dict[Directory, dict[str, Node]] = {}
        for change in self._changes:
            if _is_kept(fate, chance):
                for directory, name, node in change:
                    _set(entries.setdefault(directory, dict(directory.durable)), name, node)
        _lay_out(self._top, target, entries, fate, chance)

    def _sync(self, node: Node) -> None:
        if isinstance(node, File):
            node.durable = _content(node, Fate.KEPT, chance_of(0))
            node.pending.clear()
            return
        waiting = []
        for change in self._changes:
            if any(directory is node for directory, _, _ in change):
                for directory, name, entry in change:
                    _set(directory.durable, name, entry)
            else:
                waiting.append(change)
        self._changes = waiting

    def _change(self, *change: tuple[Directory, str, Node | None]) -> None:
        for directory, name, node in change:
            _set(directory.now, name, node)
        self._changes.append(change)

    def _find_or_create(self, path: Path) -> Node:
        if path == self._root:
            return self._top
        directory, name = self._entry(path)
        if name not in directory.now:
            self._change((directory, name, File()))
        return directory.now[name]

    def _entry(self, path: Path) -> tuple[Directory, str]:
        directory = self._top
        for name in path.relative_to(self._root).parts[:-1]:
            inner = directory.now[name]
            assert isinstance(inner, Directory)
            directory = inner
        return directory, path.name


def read_log(path: Path) -> list[Event]:
    """Return all events of a log; one of an open file has the path that it was opened by."""
    data = path.read_bytes()
    events: list[Event] = []
    paths: dict[tuple[int, int], Path] = {}
    place = 0
    while place < len(data):
        kind, process, fd, path_bytes, second_bytes, data_bytes, offset = _HEADER.unpack_from(data, place)
        place += _HEADER.size
        parts = []
        for size in (path_bytes, second_bytes, data_bytes):
            parts.append(data[place : place + size])
            place += size
        descriptor = (process, fd)
        if kind == Kind.OPEN:
            paths[descriptor] = Path(parts[0].decode())
        named = Path(parts[0].decode()) if parts[0] else paths[descriptor]
        events.append(Event(Kind(kind), named, Path(parts[1].decode()), descriptor, offset, parts[2]))
    return events


def chance_of(seed: int) -> Random:
    """Return what decides: the same for the same seed."""
    return Random(seed)  # noqa: S311 -- to be repeated


def files_under(root: Path) -> dict[str, bytes | None]:
    """Return the content of all files by path, None for directories; without what SQLite shares."""
    found = (path for path in sorted(root.rglob("*")) if not path.name.endswith("-shm"))
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in found}


def _lay_out(
    directory: Directory, target: Path, entries: dict[Directory, dict[str, Node]], fate: Fate, chance: Random
) -> None:
    target.mkdir()
    for name, node in sorted(entries.get(directory, directory.durable).items()):
        if isinstance(node, Directory):
            _lay_out(node, target / name, entries, fate, chance)
        else:
            content = _content(node, fate, chance)
            (target / name).write_bytes(chance.randbytes(len(content)) if name.endswith("-shm") else content)


def _content(file: File, fate: Fate, chance: Random) -> bytes:
    content = bytearray(file.durable)
    for write in file.pending:
        whole = _is_kept(fate, chance)
        if write.data is None:
            if whole:
                del content[write.offset :]
                content.extend(bytes(write.offset - len(content)))
            continue
        # Half of the writes that are not there whole are torn.
        is_torn = not whole and fate is Fate.MIXED and chance.random() < 1 / 2
        for offset, sector in _sectors(write.offset, write.data):
            if whole or (is_torn and chance.random() < 1 / 2):
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(sector)] = sector
            elif is_torn:
                content.extend(bytes(max(0, offset + len(sector) - len(content))))
    return bytes(content)


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(data):
        stop = start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES
        yield offset + start, data[start:stop]
        start = stop


def _is_kept(fate: Fate, chance: Random) -> bool:
    return fate is Fate.KEPT or (fate is Fate.MIXED and chance.random() < 1 / 2)


def _set(entries: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node
