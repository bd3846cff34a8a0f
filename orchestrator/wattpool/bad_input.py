"""What a file or an option that cannot be used is answered with."""

from collections.abc import Collection
from itertools import islice

MAX_LISTED = 20


class BadInput(Exception):
    """An input is malformed; nothing was written.

    Args:
        file: the file, or the option, as the user named it.
        line: the line in that file, counted from 1; None if no line is to blame.
        message: what is wrong and what was expected, as one sentence without a full stop.
    """

    def __init__(self, file: str, line: int | None, message: str) -> None:
        super().__init__(f"{file}: {message}" if line is None else f"{file}:{line}: {message}")
        self.file = file
        self.line = line
        self.message = message


def listed(names: Collection[str]) -> str:
    """Return names for a message, the first ones alone if there are many."""
    text = ", ".join(islice(names, MAX_LISTED))
    return text if len(names) <= MAX_LISTED else f"{text} and {len(names) - MAX_LISTED} more"
