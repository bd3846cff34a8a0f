"""The package of a chaincode that runs as a service: it holds no code, only where the service listens.

Form: core/chaincode/persistence/chaincode_package.go; connection.json: core/container/externalbuilder/instance.go.
"""

import gzip
import hashlib
import io
import json
import tarfile

from wattpool_network.topology import ChaincodeServer

DIAL_TIMEOUT_S = 10


def of(server: ChaincodeServer) -> bytes:
    """Return the package of an organisation's own process; the same each time, and so is its id."""
    connection = {"address": server.address, "dial_timeout": f"{DIAL_TIMEOUT_S}s", "tls_required": False}
    code = _archive({"connection.json": _json(connection)})
    return _archive({"metadata.json": _json({"type": "ccaas", "label": _label(server)}), "code.tar.gz": code})


def id_of(server: ChaincodeServer) -> str:
    """Return the id under which a peer installs the package."""
    return f"{_label(server)}:{hashlib.sha256(of(server)).hexdigest()}"


def environment(server: ChaincodeServer) -> dict[str, str]:
    """Return what tells a process of the chaincode who it is, in the variables of Fabric's samples."""
    return {
        "CHAINCODE_SERVER_ADDRESS": server.address,
        "CHAINCODE_ID": id_of(server),
        "CHAINCODE_TLS_DISABLED": "true",
    }


def _label(server: ChaincodeServer) -> str:
    return f"{server.chaincode.name}_{server.chaincode.version}"


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode()


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # The time of making would change the package id.
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
