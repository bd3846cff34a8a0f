"""Threads that run contract code, away from the threads that read the streams."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Workers:
    """A pool that grows to as many threads as there are jobs at once, up to `limit`; further jobs wait.

    A job often waits for its peer, and a job that calls another chaincode of this process waits for another job: so
    idle processors are no reason to hold one back. The threads are daemons: a contract that never ends cannot keep the
    process alive after `close`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._unfinished = 0
        self._threads = 0
        self._closed = False

    def submit(self, job: Callable[[], None]) -> bool:
        """Run `job`, which must not raise, on a thread of its own; False if the pool is closed."""
        with self._changed:
            if self._closed:
                return False
            self._unfinished += 1
            if self._threads < min(self._unfinished, self._limit):
                self._threads += 1
                threading.Thread(target=self._work, name=f"transaction-{self._threads}", daemon=True).start()
        self._jobs.put(job)
        return True

    def close(self, timeout_s: float) -> int:
        """Take no more jobs, wait for the others and return how many are unfinished after `timeout_s`."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._unfinished == 0, timeout_s)
            for _ in range(self._threads):
                self._jobs.put(None)
            return self._unfinished

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._changed:
                self._unfinished -= 1
                if self._closed:
                    self._changed.notify_all()
