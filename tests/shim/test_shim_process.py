"""The example as a process of its own, as an operator runs it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from shim.scripted_peer import Message, ScriptedPeer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def run_example(**environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "fabric_shim.example"]
    with subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 -- our own
        yield process
        process.kill()


def await_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr
    assert any(text in line for line in process.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_transaction_finish(number: signal.Signals) -> None:
    port = free_port()
    with run_example(CHAINCODE_ID="assets:1", CHAINCODE_SERVER_ADDRESS=f"127.0.0.1:{port}") as process:
        await_line(process, "serving assets:1")
        with ScriptedPeer(port) as peer:
            peer.begin(b"read", b"painting")
            peer.expect(Message.GET_STATE)
            process.send_signal(number)
            await_line(process, f"{number.name}: stopping")
            peer.respond(b'{"owner":"anne"}')
            assert peer.completed().payload == b'{"owner":"anne"}'
            assert peer.ended() == grpc.StatusCode.UNAVAILABLE
        assert process.wait(10) == 0


def test_a_missing_setting_is_named() -> None:
    with run_example(CHAINCODE_ID="", CHAINCODE_SERVER_ADDRESS="") as process:
        assert process.wait(10) == 1
        assert process.stderr
        assert "CHAINCODE_ID must be set" in process.stderr.read()


def test_the_readme_shows_a_chaincode_that_runs() -> None:
    readme = (Path(__file__).resolve().parents[2] / "chaincode" / "fabric_shim" / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0].replace("serve(", "str(")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 -- our own
