"""The small community on a real ledger, embedded or Fabric's, and the command line beside it, as an operator has it."""

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from community import Call, Community, key_of
from wattpool.cli import main
from wattpool.client import Chain
from wattpool.ledgers.port import Ledger
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.records import codec


@dataclass
class CommunityOnLedger(Community):
    """A community whose calls go to a ledger, which is open for the time of each call alone.

    Args:
        place: the ledger, as commands name it.
        open: opens it to write.
    """

    place: str = ""
    open_ledger: Callable[[], AbstractContextManager[Ledger]] = field(kw_only=True)

    def _call(
        self, channel: str, function: str, *, by: str, transient: Mapping[str, bytes], argument: Mapping[str, Any]
    ) -> Any:
        with self.open_ledger() as ledger:
            chain = Chain(ledger, channel)
            if function in CHAINCODES[channel].queries:
                return chain.evaluate(function, by=by, **argument)
            result = chain.submit_async(function, by=by, transient=transient, **argument).wait()
        self.calls.append(Call(channel, function, codec.encode(argument), by, transient, self.network.time_utc))
        return result


@dataclass
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


class CommandLine:
    """`wattpool`, in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture = capture
        self._patch = patch

    def run(self, *arguments: object) -> Done:
        self._patch.setattr(sys, "argv", ["wattpool", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capture.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    def __call__(self, *arguments: object) -> str:
        """Run a command that succeeds; return what it says."""
        done = self.run(*arguments)
        assert (done.status, done.err) == (0, "")
        return done.out

    def refusal(self, *arguments: object) -> str:
        """Run a command that is refused, in one sentence and with status 2; return the sentence."""
        done = self.run(*arguments)
        assert (done.status, done.out) == (2, ""), done.err
        assert done.err.startswith("wattpool: ")
        assert len(done.err.splitlines()) == 1
        return done.err.removeprefix("wattpool: ").rstrip()


def key_file(directory: Path, name: str) -> Path:
    """Return a file with the private key that belongs to `name`."""
    file = directory / f"{name}.pem"
    file.write_bytes(key_of(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file
