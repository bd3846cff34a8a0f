import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wattpool_network.process import Process
from wattpool_network.readiness import is_free, is_listening, until

# Tells when it is set up, then waits for a signal.
WAITING = "import signal, sys; print('started', flush=True); signal.pause()"
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started", flush=True)
while True:
    signal.pause()
"""
DEADLINE_S = 10.0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(name="node", pid_file=tmp_path / "run" / "node.pid", log=tmp_path / "logs" / "node.log")
    yield process
    process.stop(deadline_s=0.2)


def start(process: Process, program: str) -> int:
    process.start([sys.executable, "-c", program], dict(os.environ))
    assert until(lambda: bool(process.tail(1)), deadline_s=DEADLINE_S)
    pid = process.pid
    assert pid is not None
    return pid


def test_a_process_runs_from_start_to_stop_and_its_output_is_kept(process: Process) -> None:
    assert process.pid is None
    start(process, WAITING)
    process.stop()
    assert process.pid is None
    assert process.tail(5) == ["started"]


def test_a_killed_process_is_seen_to_be_gone_and_can_be_started_again(process: Process) -> None:
    first = start(process, WAITING)
    os.kill(first, signal.SIGKILL)
    assert until(lambda: process.pid is None, deadline_s=DEADLINE_S)
    assert start(process, WAITING) != first
    assert process.pid_file.read_text() == str(process.pid)


CHATTERING = """
import signal
print("early", flush=True)
signal.signal(signal.SIGUSR1, lambda *_: print("late", flush=True))
while True:
    signal.pause()
"""


def test_a_log_that_has_grown_is_put_aside_while_its_process_goes_on(process: Process) -> None:
    pid = start(process, CHATTERING)
    process.cap_log(max_bytes=6)
    assert process.tail(5) == ["early"]
    process.cap_log(max_bytes=5)
    assert process.log.with_name("node.log.1").read_text() == "early\n"
    assert process.tail(5) == []
    os.kill(pid, signal.SIGUSR1)
    assert until(lambda: process.tail(5) == ["late"], deadline_s=DEADLINE_S)


def test_a_process_that_ignores_the_request_is_killed(process: Process) -> None:
    start(process, STUBBORN)
    process.stop(deadline_s=0.2)
    assert process.pid is None


def test_a_process_is_not_started_twice(process: Process) -> None:
    pid = start(process, WAITING)
    with pytest.raises(BlockingIOError):
        process.start([sys.executable, "-c", WAITING], dict(os.environ))
    assert process.pid == pid


def test_a_pid_left_by_a_dead_process_is_nobodys(process: Process) -> None:
    process.pid_file.parent.mkdir()
    process.pid_file.write_text(str(os.getpid()))
    assert process.pid is None


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("one\ntwo\n", "two"),
        ("starting\npanic: no such filter\n\ngoroutine 1 [running]:\nmain.go:56\n", "panic: no such filter"),
        ("\x1b[31m09:15 UTC PANI no listener\x1b[0m\nmain.main()\n", "09:15 UTC PANI no listener"),
        ("Traceback (most recent call last):\nValueError: 3\n", "ValueError: 3"),
    ],
)
def test_the_last_words_tell_why_a_process_ended(process: Process, log: str, words: str) -> None:
    process.log.parent.mkdir()
    process.log.write_text(log)
    assert process.last_words == words


def test_a_program_that_is_not_there_is_told(process: Process) -> None:
    with pytest.raises(FileNotFoundError):
        process.start(["/nowhere/program"], {})
    assert process.pid is None


def test_waiting_ends_at_the_deadline() -> None:
    assert not until(lambda: False, deadline_s=0.01)


def test_a_port_is_free_until_something_listens() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert is_listening("127.0.0.1", port)
        assert not is_free("127.0.0.1", port)
    assert is_free("127.0.0.1", port)
    assert not is_listening("127.0.0.1", port)
