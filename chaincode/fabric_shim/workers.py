"""Threads that run contract code, away from the threads that read the streams."""

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], None]
_Inbox = SimpleQueue[Job | None]


class Workers:
    """A pool that grows to as many threads as there are jobs at once, up to `limit`; further jobs wait.

    A job often waits for its peer, and a job that calls another chaincode of this process waits for another job: so
    idle processors are no reason to hold one back. The threads are daemons: a contract that never ends cannot keep the
    process alive after `close`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        # Each thread waits at an inbox of its own: at a common one, a job would wake a second thread for nothing, and
        # waking threads is most of the price of a transaction. The last to have worked is the first to work again.
        self._inboxes: list[_Inbox] = []
        self._idle: list[_Inbox] = []
        self._waiting: deque[Job] = deque()
        self._unfinished = 0
        self._closed = False

    def submit(self, job: Job) -> bool:
        """Run `job`, which must not raise, on a thread of its own; False if the pool is closed."""
        with self._changed:
            if self._closed:
                return False
            self._unfinished += 1
            if not self._idle:
                if len(self._inboxes) == self._limit:
                    self._waiting.append(job)
                    return True
                self._start()
            inbox = self._idle.pop()
        inbox.put(job)
        return True

    def close(self, timeout_s: float) -> int:
        """Take no more jobs, wait for the others and return how many are unfinished after `timeout_s`."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._unfinished == 0, timeout_s)
            for inbox in self._inboxes:
                inbox.put(None)
            return self._unfinished

    def _start(self) -> None:
        inbox: _Inbox = SimpleQueue()
        self._inboxes.append(inbox)
        self._idle.append(inbox)
        name = f"transaction-{len(self._inboxes)}"
        threading.Thread(target=self._work, args=(inbox,), name=name, daemon=True).start()

    def _work(self, inbox: _Inbox) -> None:
        while (job := inbox.get()) is not None:
            job()
            with self._changed:
                self._unfinished -= 1
                if self._waiting:
                    inbox.put(self._waiting.popleft())
                else:
                    self._idle.append(inbox)
                if self._closed:
                    self._changed.notify_all()
