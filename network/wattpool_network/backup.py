"""A network's whole state directory as one file: keys, configuration and ledgers of one moment.

The nodes are stopped for the copy: an orderer restored from files that were being written could forget what it has
voted for, and so break what Raft promises. A backup holds private keys; keep it as you keep them.
"""

import os
import tarfile
from pathlib import Path

from wattpool_network.errors import NetworkError, StateMismatch
from wattpool_network.layout import Layout
from wattpool_network.network import Network

# What belongs to the running processes, not to the network.
_LEFT_OUT = ("run", "logs", "lock")


def save(network: Network, file: Path) -> None:
    """Write a backup, with the nodes stopped meanwhile; those that ran are started again.

    Raises:
        NetworkError: if `file` exists or cannot be written, or a node does not come back.
    """
    if file.exists():
        raise NetworkError(f"{file} exists; a backup does not overwrite")
    root = network.layout.root
    unfinished = file.with_name(file.name + ".new")
    ran = any(one.pid is not None for one in network.nodes.status())
    network.down()
    try:
        with network.locked():
            unfinished.touch(mode=0o600)
            with tarfile.open(unfinished, "w:gz", compresslevel=1) as archive:
                for path in sorted(root.iterdir()):
                    if path.name not in _LEFT_OUT:
                        archive.add(path, arcname=path.name)
            with unfinished.open("rb") as written:
                os.fsync(written.fileno())
            unfinished.rename(file)
    except OSError as error:
        raise NetworkError(f"{error.filename or file}: {error.strerror}") from error
    finally:
        if ran:
            network.up()


def restore(file: Path, directory: Path) -> Network:
    """Unpack a backup into a directory that is empty or not there, and return its network, which does not run yet.

    Raises:
        StateMismatch: if the directory holds something.
        NetworkError: if `file` is no backup.
    """
    if directory.exists() and any(directory.iterdir()):
        raise StateMismatch(f"{directory} is not empty; restore into an empty directory")
    try:
        with tarfile.open(file) as archive:
            if Layout(directory).topology.name not in archive.getnames():
                raise NetworkError(f"{file} is no backup of a network")
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            archive.extractall(directory, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise NetworkError(f"{file} cannot be restored: {error}") from error
    return Network.open(directory)
