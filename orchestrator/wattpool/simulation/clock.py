"""A clock that the simulation moves itself."""


class SimulatedClock:
    """Time that stands still until someone waits for it."""

    def __init__(self, now_utc: int) -> None:
        self.now_utc = now_utc

    def __call__(self) -> int:
        return self.now_utc

    def wait_until(self, time_utc: int) -> None:
        self.now_utc = max(self.now_utc, time_utc)
