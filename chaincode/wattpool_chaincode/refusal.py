"""How a rule says no: with one reason from a closed list, in precedence order."""

from enum import StrEnum


class Refused(Exception):
    """A command broke a rule; nothing was written.

    Args:
        reason: the first reason of the rule's list that applies.
        detail: what was wrong and what was expected, for people; never part of the state.
    """

    def __init__(self, reason: StrEnum, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
