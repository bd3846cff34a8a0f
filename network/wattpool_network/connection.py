"""connection.yaml: all that a client needs to use a network, and where its certificates and keys lie.

The file names paths relative to itself, so that a copy of the directory works elsewhere.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wattpool_network.commands import write_whole
from wattpool_network.configuration import CA, REGISTRAR
from wattpool_network.errors import MalformedConnection
from wattpool_network.layout import Layout
from wattpool_network.topology import Organisation, Topology

_ADDRESS = re.compile(r"[^\s/:]+:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}")


@dataclass(frozen=True, kw_only=True)
class IdentityFiles:
    """Where a person's certificate and private key lie, both in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class AuthorityAccess:
    """An organisation's Fabric CA: its address, the name of the authority, whom to trust, and who may register."""

    url: str
    name: str
    tls_root: Path
    registrar: IdentityFiles


@dataclass(frozen=True, kw_only=True)
class OrganisationAccess:
    """One organisation's peers (host:port), which are Gateways too, and identities by name (`admin`, `client`).

    On a network whose own MSPs play the organisations that the chaincode knows, `msp_id` is the network's, and the
    organisation goes by the name that the chaincode knows. `authority` is None where others look after it.
    """

    name: str
    msp_id: str
    peers: tuple[str, ...]
    tls_root: Path
    identities: Mapping[str, IdentityFiles]
    authority: AuthorityAccess | None


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A network as its clients see it.

    Attributes:
        channels: the chaincodes of each.
        organisations: those whose identities are here, by MSP id.
        communities: those besides the first, whose channels are named after their chaincodes; for each the name of
            the channel of each chaincode.
    """

    channels: Mapping[str, tuple[str, ...]]
    organisations: Mapping[str, OrganisationAccess]
    communities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def of(topology: Topology, layout: Layout) -> Connection:
    """Return how the network of `layout` is reached."""
    return Connection(
        channels={
            channel.name: tuple(chaincode.name for chaincode in channel.chaincodes) for channel in topology.channels
        },
        organisations={
            organisation.msp_id: _access(topology, layout, organisation) for organisation in topology.organisations_here
        },
        communities={
            community: {
                chaincode.name: channel.name
                for channel in topology.channels
                if channel.community == community
                for chaincode in channel.chaincodes
            }
            for community in dict.fromkeys(channel.community for channel in topology.channels if channel.community)
        },
    )


def write(file: Path, connection: Connection) -> None:
    """Write a connection; `file` is there whole or not at all."""
    value = {
        "channels": {name: {"chaincodes": list(chaincodes)} for name, chaincodes in connection.channels.items()},
        "communities": {name: dict(channels) for name, channels in connection.communities.items()},
        "organisations": {
            known_as: {
                "name": access.name,
                "msp_id": access.msp_id,
                "peers": list(access.peers),
                "tls_root": _relative(file, access.tls_root),
                "identities": {name: _files(file, identity) for name, identity in access.identities.items()},
                **_authority(file, access.authority),
            }
            for known_as, access in connection.organisations.items()
        },
    }
    write_whole(file, yaml.safe_dump(value, sort_keys=False))


def read(file: Path) -> Connection:
    """Read what `write` wrote; the paths returned can be opened from anywhere.

    Raises:
        MalformedConnection: if the file is missing, not YAML, or lacks something.
    """
    try:
        value = yaml.safe_load(file.read_text())
        connection = Connection(
            channels={str(name): _texts(one["chaincodes"]) for name, one in value["channels"].items()},
            organisations={
                str(name): _read_access(file, str(name), one) for name, one in value["organisations"].items()
            },
            communities={str(name): _channels(one) for name, one in value.get("communities", {}).items()},
        )
    except OSError as error:
        raise MalformedConnection(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MalformedConnection(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    except KeyError as error:
        raise MalformedConnection(f"{file} lacks {error.args[0]!r}; `up` writes it anew") from error
    except (TypeError, AttributeError) as error:
        raise MalformedConnection(f"{file} does not describe a network; `up` writes it anew") from error
    for problem in _problems(connection):
        raise MalformedConnection(f"{file}: {problem}; `up` writes it anew")
    return connection


def _access(topology: Topology, layout: Layout, organisation: Organisation) -> OrganisationAccess:
    authority = next(one for one in topology.authorities if one.organisation == organisation)
    return OrganisationAccess(
        name=organisation.name,
        msp_id=organisation.msp_id,
        peers=tuple(peer.address for peer in topology.peers_of(organisation)),
        tls_root=layout.tls_root(organisation),
        identities={name: _identity(layout, organisation, name) for name in ("admin", "client")},
        authority=AuthorityAccess(
            url=f"https://{organisation.host}:{authority.port}",
            name=CA,
            tls_root=layout.authority_root(authority, CA),
            registrar=_identity(layout, organisation, REGISTRAR),
        ),
    )


def _identity(layout: Layout, organisation: Organisation, name: str) -> IdentityFiles:
    msp = layout.user(organisation, name) / "msp"
    return IdentityFiles(certificate=msp / "signcerts" / "cert.pem", key=msp / "keystore" / "key.pem")


def _authority(file: Path, authority: AuthorityAccess | None) -> dict[str, Any]:
    if authority is None:
        return {}
    return {
        "authority": {
            "url": authority.url,
            "name": authority.name,
            "tls_root": _relative(file, authority.tls_root),
            "registrar": _files(file, authority.registrar),
        }
    }


def _files(file: Path, identity: IdentityFiles) -> dict[str, str]:
    return {"certificate": _relative(file, identity.certificate), "key": _relative(file, identity.key)}


def _relative(file: Path, path: Path) -> str:
    return str(path.relative_to(file.parent))


def _read_access(file: Path, known_as: str, value: Any) -> OrganisationAccess:
    return OrganisationAccess(
        name=str(value["name"]),
        msp_id=str(value.get("msp_id", known_as)),
        peers=_texts(value["peers"]),
        tls_root=file.parent / value["tls_root"],
        identities={name: _read_files(file, one) for name, one in value["identities"].items()},
        authority=_read_authority(file, value["authority"]) if "authority" in value else None,
    )


def _read_authority(file: Path, value: Any) -> AuthorityAccess:
    return AuthorityAccess(
        url=str(value["url"]),
        name=str(value["name"]),
        tls_root=file.parent / value["tls_root"],
        registrar=_read_files(file, value["registrar"]),
    )


def _problems(connection: Connection) -> Iterator[str]:
    if not connection.organisations:
        yield "there is no organisation"
    for msp_id, access in connection.organisations.items():
        if not access.peers:
            yield f"{msp_id} has no peer"
        yield from (f"{peer!r} is not host:port" for peer in access.peers if _ADDRESS.fullmatch(peer) is None)


def _texts(value: Any) -> tuple[str, ...]:
    # A text is a sequence of texts, too.
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(map(str, value))


def _channels(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} names no channels")
    return {str(chaincode): str(channel) for chaincode, channel in value.items()}


def _read_files(file: Path, value: Any) -> IdentityFiles:
    return IdentityFiles(certificate=file.parent / value["certificate"], key=file.parent / value["key"])
