"""Endorsement policies: is one met, and who should endorse so that all that apply are met.

Evaluation is Fabric's (common/cauthdsl/cauthdsl.go): from left to right, one endorser counts for one rule only.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations
from typing import Any

from wattpool_chaincode.context import Policy


def is_satisfied(policy: Policy, endorsers: Iterable[str]) -> bool:
    """Tell whether the organisations `endorsers` (MSP ids) meet `policy`."""
    return _evaluate(policy, sorted(set(endorsers))) is not None


def applying(policy: Policy, own: Iterable[Policy], *, without: int) -> frozenset[Policy]:
    """Return the policies that a transaction must meet, all of them.

    A written key that has a committed policy of its own counts under that alone; every other write, and a transaction
    that writes no key, counts under the chaincode's policy (core/handlers/validation/builtin/v20).

    Args:
        policy: the chaincode's.
        own: the committed policies of those keys written, deleted or given a policy that have one.
        without: how many of these keys have none; private keys among them.
    """
    applying = frozenset(own)
    return applying | {policy} if without or not applying else applying


@lru_cache(maxsize=1024)
def choose(policies: frozenset[Policy], available: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the fewest of the `available` organisations that meet all `policies`, earlier ones preferred; or None."""
    for count in range(1, len(available) + 1):
        for chosen in combinations(available, count):
            if all(is_satisfied(policy, chosen) for policy in policies):
                return chosen
    return None


def to_json(policy: Policy) -> dict[str, Any]:
    """Return a policy as it stands in blocks: the number required, and the rules (MSP ids or policies)."""
    rules = [rule if isinstance(rule, str) else to_json(rule) for rule in policy.rules]
    return {"required": policy.required, "rules": rules}


def from_json(value: Any) -> Policy:
    """Read what `to_json` wrote.

    Raises:
        ValueError: if it is no policy.
    """
    match value:
        case {"required": required, "rules": list(rules), **rest} if (
            type(required) is int and 0 < required <= len(rules) and not rest
        ):
            return Policy(
                required=required,
                rules=tuple(rule if isinstance(rule, str) else from_json(rule) for rule in rules),
            )
        case _:
            raise ValueError(f"not a policy: {value!r}")


def _evaluate(policy: Policy, unused: list[str]) -> list[str] | None:
    """Return the endorsers left over when `policy` has taken those it needs, or None if it is not met."""
    met = 0
    for rule in policy.rules:
        left = _without(unused, rule) if isinstance(rule, str) else _evaluate(rule, unused)
        if left is not None:
            met, unused = met + 1, left
    return unused if met >= policy.required else None


def _without(endorsers: list[str], msp_id: str) -> list[str] | None:
    return [endorser for endorser in endorsers if endorser != msp_id] if msp_id in endorsers else None
