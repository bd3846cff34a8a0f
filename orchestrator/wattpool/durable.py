"""Files that a power cut leaves as they are: what is not synced, names in directories included, may be gone after one.

SQLite sees to its own files; this is for all others whose loss would cost what somebody was told is done.
"""

import os
from pathlib import Path


def make_directory(path: Path) -> None:
    """Make a directory and those above it, as far as they are not there, for good."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync(one.parent)


def move(path: Path, target: Path) -> None:
    """Give a file, or a directory with all that is in it, another name in its directory: whole or not at all, for good.

    A file that had the name is replaced, as is an empty directory by a directory.
    """
    for one in (path, *path.rglob("*")):
        sync(one)
    path.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Have the content of a file, or the names in a directory, on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
