"""The official fabric-ca-server as a process, for the tests that run against it."""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from fabric_gateway import Tls

PROGRAM = "fabric-ca-server"
READY = "Listening on https://"


def find_program() -> str | None:
    """Return where fabric-ca-server is: in $FABRIC_BIN or on the PATH."""
    return shutil.which(PROGRAM, path=os.environ.get("FABRIC_BIN")) or shutil.which(PROGRAM)


class RealFabricCa:
    """A server with its files in `home`, a new CA with SQLite and TLS, and the registrar admin:adminpw."""

    def __init__(self, program: str, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"https://127.0.0.1:{port}"
        self._process = subprocess.Popen(  # noqa: S603 -- all of the command is ours
            [
                *(program, "start", "--boot", "admin:adminpw", "--home", str(home)),
                *("--address", "127.0.0.1", "--port", str(port), "--tls.enabled", "--csr.hosts", "localhost"),
                *("--cfg.identities.allowremove", "--cfg.affiliations.allowremove"),
            ],
            env={**os.environ, "FABRIC_CA_SERVER_OPERATIONS_LISTENADDRESS": "127.0.0.1:0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        log = []
        for line in self._process.stderr:
            log.append(line)
            if READY in line:
                break
        else:
            raise AssertionError(f"{PROGRAM} did not start:\n{''.join(log)}")
        # Unread, the log would fill the pipe and hold up the server.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()
        self.tls = Tls(root_pem=(home / "ca-cert.pem").read_bytes(), server_name="localhost")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
