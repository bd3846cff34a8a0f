"""Native processes that outlive the command which starts them.

A process holds a lock on its pid file for as long as it lives, however it ends; so whether it runs is never guessed
from a process id that may have been given to another.
"""

import fcntl
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wattpool_network.readiness import until

_LOG_TAIL_BYTES = 64 * 1024
_LAST_LINES = 60
_TELLING = re.compile(r"^panic: |^Error: | (PANI|FATA) ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STOP_DEADLINE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process, known by its pid file; its output is appended to `log`."""

    name: str
    pid_file: Path
    log: Path

    @property
    def pid(self) -> int | None:
        """The process id, or None if the process does not run."""
        try:
            descriptor = os.open(self.pid_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            # Empty while it is being started.
            return int(os.read(descriptor, 32) or 0) or None
        else:
            return None
        finally:
            os.close(descriptor)

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start `command` in a session of its own, so that neither Ctrl-C nor a closed terminal ends it.

        Raises:
            BlockingIOError: if it runs already.
            OSError: if the program cannot be started.
        """
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(lock, 0)
            pid = os.posix_spawnp(
                command[0],
                list(command),
                dict(environment),
                setsid=True,
                setsigdef=[signal.SIGINT, signal.SIGPIPE],
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    # A copy of the descriptor is the same lock, and dup2 leaves it open in the new program.
                    (os.POSIX_SPAWN_DUP2, lock, lock + 1),
                ],
            )
            os.write(lock, str(pid).encode())
        finally:
            os.close(lock)

    def cap_log(self, max_bytes: int) -> None:
        """Put a log that has grown beyond `max_bytes` aside, as NAME.log.1, over the one put aside before.

        The process goes on with the same file, emptied; what it writes between copy and emptying is lost.
        """
        if self.log.exists() and self.log.stat().st_size > max_bytes:
            shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
            os.truncate(self.log, 0)

    def stop(self, *, deadline_s: float = STOP_DEADLINE_S) -> None:
        """End it by SIGTERM; it is killed if it does not end in time."""
        pid = self.pid
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if not until(lambda: not self._is_alive(pid), deadline_s=deadline_s):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(lambda: not self._is_alive(pid), deadline_s=deadline_s)

    @property
    def last_words(self) -> str:
        """The line of the log's end that tells why it ended: a Go program's panic stands above its stack."""
        lines = [_COLOUR.sub("", line) for line in self.tail(_LAST_LINES)]
        telling = [line for line in lines if _TELLING.search(line)]
        return (telling or lines or [""])[-1]

    def tail(self, count: int) -> list[str]:
        """The last `count` lines of the log, of its last 64 KiB."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if line.strip()][-count:]

    def _is_alive(self, pid: int) -> bool:
        # Reaps the process if it was started from this one.
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return self.pid is not None
