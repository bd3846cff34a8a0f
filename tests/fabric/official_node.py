"""Fabric's official shim and Gateway client for Node: put in place, and driven."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wattpool_network.connection import Connection

_PROGRAMS = Path(__file__).parent / "node"
_INSTALL = ("install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
_INSTALL_DEADLINE_S = 180


class NodeMissing(Exception):
    """Node's side cannot be run here; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class OfficialNode:
    """The commands of the chaincode and the client in `node/`, with the packages that they need."""

    chaincode: tuple[str, ...]
    client: tuple[str, ...]

    @classmethod
    def install(cls, directory: Path) -> Self:
        """Put the programs and the packages of the versions that `package.json` names into `directory`.

        Raises:
            NodeMissing: node or npm is not on this machine, or npm cannot get the packages.
        """
        node, npm = (shutil.which(program) for program in ("node", "npm"))
        if node is None or npm is None:
            raise NodeMissing(f"{'npm' if node else 'node'} is not on the PATH")
        shutil.copytree(_PROGRAMS, directory, dirs_exist_ok=True)
        try:
            subprocess.run(  # noqa: S603 -- npm, with words of our own
                [npm, *_INSTALL], cwd=directory, check=True, capture_output=True, timeout=_INSTALL_DEADLINE_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NodeMissing(f"npm cannot install fabric-shim and @hyperledger/fabric-gateway: {error}") from error
        return cls(
            chaincode=(node, str(directory / "chaincode.js")),
            # It warns that peers go by their IP addresses.
            client=(node, "--no-deprecation", str(directory / "client.js")),
        )


class Client:
    """A client in a process of its own, which takes one job after the other as a line of JSON."""

    def __init__(
        self, command: Sequence[str], connection: Connection, msp_id: str, *, native_signing: bool = False
    ) -> None:
        organisation = connection.organisations[msp_id]
        identity = organisation.identities["client"]
        access = {
            "peer": organisation.peers[0],
            "tls_root": str(organisation.tls_root),
            "msp_id": msp_id,
            "certificate": str(identity.certificate),
            "key": str(identity.key),
            "native_signing": native_signing,
        }
        self._process = subprocess.Popen(  # noqa: S603 -- programs of our own
            [*command, json.dumps(access)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    def do(self, verb: str, *, channel: str, chaincode: str, **details: Any) -> dict[str, Any]:
        """Have a job done and return the answer."""
        job = {"verb": verb, "channel": channel, "chaincode": chaincode, **details}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
