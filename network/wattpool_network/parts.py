"""A network whose organisations each run their own part, on machines of their own, and share no private key.

Each organisation prepares its part, which makes its authority and has it certify its nodes. What the others have to
know of that is public: the roots of the authority and the certificates of the orderers. They exchange it as one small
file each. Whoever has all of them makes the channels' first blocks, which are the same on each machine.
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from wattpool_network import configuration, genesis
from wattpool_network.commands import write_whole, write_yaml
from wattpool_network.configuration import CA, TLS_CA
from wattpool_network.errors import NetworkError, StateMismatch
from wattpool_network.founding import Founding, Report
from wattpool_network.layout import Layout
from wattpool_network.network import Network
from wattpool_network.topology import Orderer, Organisation, Topology, from_json, to_json

_ROOTS = {CA: "cacerts", TLS_CA: "tlscacerts"}
# The two certificates of an orderer that channels know it by.
_CERTIFICATES = {CA: Path("msp", "signcerts", "cert.pem"), TLS_CA: Path("tls", "server.crt")}


def prepare(network: Network, *, report: Report = lambda _: None) -> Path:
    """Make the part of the organisation that runs here, and return the file that the others need of it.

    Raises:
        NetworkError: what stands in the way; the same call goes on from there.
    """
    organisation = network.organisation(network.topology.runs_here)
    commands = network.commands()
    network.claim()
    with network.locked():
        network.nodes.require_ports()
        report("certificate authority")
        Founding(nodes=network.nodes, commands=commands, report=report).enrol()
    file = network.layout.public(organisation)
    write_whole(file, json.dumps(_public(network.topology, network.layout, organisation), indent=2) + "\n")
    return file


def join(network: Network, files: Iterable[Path]) -> dict[str, str]:
    """Take in what other organisations gave of theirs, and return the fingerprint of each channel's first block.

    Raises:
        StateMismatch: if one is of another network.
        NetworkError: if a file is none of an organisation's, contradicts what was taken in before, or one is missing.
    """
    commands = network.commands()
    with network.locked():
        for file in files:
            _take_in(network, file)
        require_all(network)
        for channel in network.topology.channels:
            if not network.layout.genesis(channel).exists():
                commands.make_genesis(channel, network.layout.genesis(channel))
    return {
        channel.name: genesis.fingerprint(network.layout.genesis(channel).read_bytes())
        for channel in network.topology.channels
    }


def require_all(network: Network) -> None:
    """Check that all organisations are known here.

    Raises:
        NetworkError: if one is not.
    """
    known = network.topology.organisations_here
    for organisation in network.topology.organisations:
        if organisation not in known and not network.layout.tls_root(organisation).exists():
            raise NetworkError(f"{network.layout.public(organisation).name} is yet to be given to `join`")


def _public(topology: Topology, layout: Layout, organisation: Organisation) -> dict[str, Any]:
    return {
        "organisation": organisation.name,
        "topology": json.loads(to_json(_shared(topology))),
        "roots": {name: _root(layout, organisation, name).read_text() for name in _ROOTS},
        "orderers": {
            orderer.name: {name: (layout.home(orderer) / path).read_text() for name, path in _CERTIFICATES.items()}
            for orderer in topology.orderers_of(organisation)
        },
    }


def _shared(topology: Topology) -> Topology:
    """Return what all must agree on: not where it runs, nor how each starts its chaincode."""
    channels = tuple(
        dataclasses.replace(
            channel, chaincodes=tuple(dataclasses.replace(one, command=(one.name,)) for one in channel.chaincodes)
        )
        for channel in topology.channels
    )
    return dataclasses.replace(topology, channels=channels, runs_here="")


def _take_in(network: Network, file: Path) -> None:
    topology, layout = network.topology, network.layout
    try:
        given = json.loads(file.read_text())
        theirs = from_json(json.dumps(given["topology"]))
        organisation = next(one for one in theirs.organisations if one.name == given["organisation"])
        roots = {name: _certificate(given["roots"][name]) for name in _ROOTS}
        orderers = {
            orderer: {name: _issued(given["orderers"][orderer.name][name], roots[name]) for name in _CERTIFICATES}
            for orderer in theirs.orderers_of(organisation)
        }
    except OSError as error:
        raise NetworkError(f"{file}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration, InvalidSignature) as error:
        raise NetworkError(f"{file} is no organisation's public part, as `prepare` writes it") from error
    if theirs != _shared(topology):
        raise StateMismatch(f"{file} is of another network; all give `prepare` the same options but the organisation")
    if organisation in topology.organisations_here:
        return
    for name in _ROOTS:
        _write_root(layout, organisation, name, given["roots"][name])
    write_yaml(layout.msp(organisation) / "config.yaml", configuration.node_ous())
    for orderer, certificates in orderers.items():
        _write_certificates(layout, orderer, certificates)


def _certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def _issued(pem: str, root: x509.Certificate) -> str:
    _certificate(pem).verify_directly_issued_by(root)
    return pem


def _root(layout: Layout, organisation: Organisation, name: str) -> Path:
    return layout.msp(organisation) / _ROOTS[name] / f"{name}.pem"


def _write_root(layout: Layout, organisation: Organisation, name: str, pem: str) -> None:
    file = _root(layout, organisation, name)
    if file.exists() and file.read_text() != pem:
        raise NetworkError(
            f"{organisation.name} has another authority than what was joined before; ask them which it is"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, pem)


def _write_certificates(layout: Layout, orderer: Orderer, certificates: dict[str, str]) -> None:
    for name, pem in certificates.items():
        file = layout.home(orderer) / _CERTIFICATES[name]
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, pem)
