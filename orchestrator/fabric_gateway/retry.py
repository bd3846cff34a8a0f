"""Trying again: when, how often, and never by turning one intention into two."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from random import SystemRandom
from typing import TypeVar

from fabric_gateway.errors import PASSING, GatewayError

Answer = TypeVar("Answer")
_chance = SystemRandom()


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Pauses that grow twofold, each cut at random so that clients which failed together do not return together.

    Args:
        first_s: the longest that the first pause may be.
        longest_s: the longest that any pause may be.
        retries: how many pauses there are; None: as many as fit the time.
    """

    first_s: float = 0.1
    longest_s: float = 2.0
    retries: int | None = None

    def pauses_s(self) -> Iterator[float]:
        """Yield the pauses in seconds."""
        bounds = (min(self.longest_s, self.first_s * 2 ** min(n, 32)) for n in count())
        return (_chance.uniform(0, bound) for bound in islice(bounds, self.retries))


async def until_answered(
    once: Callable[[float], Awaitable[Answer]], *, timeout_s: float, backoff: Backoff | None
) -> Answer:
    """Return what `once(seconds left)` returns; while it fails for a reason that passes and time is left, try again.

    Raises:
        GatewayError: the last one.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    pauses_s = iter(()) if backoff is None else backoff.pauses_s()
    while True:
        try:
            return await once(max(0.0, deadline - loop.time()))
        except GatewayError as error:
            pause_s = next(pauses_s, None)
            if error.reason not in PASSING or pause_s is None or loop.time() + pause_s >= deadline:
                raise
        await asyncio.sleep(pause_s)
