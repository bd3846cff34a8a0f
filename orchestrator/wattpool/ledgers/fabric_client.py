"""The organisations' clients on Fabric: each calls the Gateway of its own organisation's peer."""

from contextlib import ExitStack

from fabric_gateway import Identity, Malformed, PrivateKeySigner, Tls, blocking
from fabric_gateway.blocking import Gateway
from wattpool.ledgers.port import LedgerError
from wattpool_network.connection import Connection, OrganisationAccess

# The identity of an organisation that submits and asks for it.
_CLIENT = "client"


class ClientUnusable(LedgerError):
    """An organisation's client cannot call its peer: a file is missing or unreadable, or key and certificate differ."""

    def __init__(self, msp_id: str, message: str) -> None:
        super().__init__(f"the client of {msp_id}: {message}")


def open_gateways(network: Connection, opened: ExitStack) -> dict[str, Gateway]:
    """Return the Gateways of a network's organisations, by the names that the rules have for these.

    Args:
        network: how it is reached, and the client of each organisation.
        opened: closes the connections.

    Raises:
        ClientUnusable: if certificates or keys that `network` names cannot be used; nothing is open then.
    """
    clients = {name: _read(access) for name, access in network.organisations.items()}
    gateways = {}
    for name, (tls, identity, signer) in clients.items():
        peer = blocking.Connection(network.organisations[name].peers[0], tls=tls)
        opened.callback(peer.close)
        gateways[name] = Gateway(peer, identity, signer)
    return gateways


def _read(access: OrganisationAccess) -> tuple[Tls, Identity, PrivateKeySigner]:
    """Return what an organisation's client needs to call its peer."""
    msp_id = access.msp_id
    files = access.identities.get(_CLIENT)
    if files is None:
        raise ClientUnusable(msp_id, f"the connection file has no identity {_CLIENT!r}")
    try:
        tls = Tls(root_pem=access.tls_root.read_bytes())
        identity = Identity(msp_id=msp_id, certificate_pem=files.certificate.read_bytes())
        signer = PrivateKeySigner.load(files.key.read_bytes())
        belongs = signer.is_of(identity)
    except OSError as error:
        raise ClientUnusable(msp_id, f"{error.filename}: {error.strerror}") from error
    except Malformed as error:
        raise ClientUnusable(msp_id, str(error)) from error
    if not belongs:
        raise ClientUnusable(msp_id, f"the key in {files.key} does not belong to the certificate {files.certificate}")
    return tls, identity, signer
