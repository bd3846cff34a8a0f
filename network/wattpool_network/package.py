"""The package of a chaincode that runs as a service: it holds no code, only where the service listens.

Form: core/chaincode/persistence/chaincode_package.go; connection.json: core/container/externalbuilder/instance.go.
"""

import gzip
import hashlib
import io
import json
import shutil
import tarfile

from wattpool_network.layout import Layout
from wattpool_network.topology import ChaincodeServer, Peer

DIAL_TIMEOUT_S = 10
BUILDER_VARIABLE = "CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG"
_TLS_FIELDS = ("root_cert", "client_key", "client_cert")


def of(server: ChaincodeServer) -> bytes:
    """Return the package of an organisation's own process; the same each time, and so is its id.

    It holds no certificate and no key: the builder of each peer fills in those of its own machine (`builder_settings`).
    """
    connection: dict[str, object] = {
        "address": server.address,
        "dial_timeout": f"{DIAL_TIMEOUT_S}s",
        "tls_required": server.tls,
    }
    if server.tls:
        # Templates of Fabric's builder (ccaas_builder/cmd/build/main.go).
        connection |= {"client_auth_required": True, **{name: f"{{{{.{name}}}}}" for name in _TLS_FIELDS}}
    code = _archive({"connection.json": _json(connection)})
    return _archive({"metadata.json": _json({"type": "ccaas", "label": _label(server)}), "code.tar.gz": code})


def id_of(server: ChaincodeServer) -> str:
    """Return the id under which a peer installs the package."""
    return f"{_label(server)}:{hashlib.sha256(of(server)).hexdigest()}"


def builder_settings(peer: Peer, layout: Layout) -> dict[str, str]:
    """Return what a peer's builder fills into packages: with which certificate the peer calls, and whom it trusts.

    The builder does so once, so `forget_built` has to follow when the certificate is another.
    """
    tls = layout.home(peer) / "tls"
    files = (layout.tls_root(peer.organisation), tls / "server.key", tls / "server.crt")
    values = {name: file.read_text() for name, file in zip(_TLS_FIELDS, files, strict=True)}
    return {BUILDER_VARIABLE: json.dumps(values)}


def forget_built(peer: Peer, layout: Layout) -> None:
    """Have a peer that is stopped build its packages anew when it needs them (core/container/externalbuilder)."""
    shutil.rmtree(layout.home(peer) / "data" / "externalbuilder" / "builds", ignore_errors=True)


def environment(server: ChaincodeServer, layout: Layout) -> dict[str, str]:
    """Return what tells a process of the chaincode who it is, in the variables of Fabric's samples."""
    settings = {
        "CHAINCODE_SERVER_ADDRESS": server.address,
        "CHAINCODE_ID": id_of(server),
        "CHAINCODE_TLS_DISABLED": "false" if server.tls else "true",
    }
    if not server.tls:
        return settings
    tls = layout.home(server) / "tls"
    files = {"KEY": tls / "server.key", "CERT": tls / "server.crt"}
    # The Go samples and the Node shim call them differently.
    for name, file in files.items():
        settings |= {f"CHAINCODE_TLS_{name}": str(file), f"CHAINCODE_TLS_{name}_FILE": str(file)}
    root = str(layout.tls_root(server.organisation))
    return settings | {"CHAINCODE_CLIENT_CA_CERT": root, "CHAINCODE_TLS_CLIENT_CACERT_FILE": root}


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
