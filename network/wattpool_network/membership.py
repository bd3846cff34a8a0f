"""Organisations that join a network or leave it.

Who joins gets an authority, a peer and chaincode processes of its own, has a say in every later chaincode, and
endorses beside the others; whose endorsement counts stays as the chaincodes' policies say.
"""

import dataclasses
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from fabric_protos.common import configtx_pb2
from fabric_protos.orderer import configuration_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as etcdraft_pb2

from wattpool_network import channel_config
from wattpool_network.commands import Commands
from wattpool_network.errors import InvalidTopology, NetworkError
from wattpool_network.founding import Founding, Report
from wattpool_network.network import Network
from wattpool_network.topology import Channel, Consensus, Orderer, Organisation, Peer, Topology

_APPLICATION = "Application"
_ORDERER = "Orderer"
_CONSENSUS = "ConsensusType"


def add(
    network: Network, *, name: str, msp_id: str, host: str = "127.0.0.1", report: Report = lambda _: None
) -> Network:
    """Have an organisation with one peer join all channels, and return the network as it is then.

    Raises:
        NetworkError: if it cannot join; what was achieved is kept, and the same call, or once the channels know it
            `up`, goes on from there.
    """
    network.require_whole()
    slot = max(organisation.slot for organisation in network.topology.organisations) + 1
    joining = Organisation(name=name, msp_id=msp_id, slot=slot, host=host, orderers=0)
    organisations = (*network.topology.organisations, joining)
    extended = network.with_topology(dataclasses.replace(network.topology, organisations=organisations))
    commands = extended.commands()
    with network.locked():
        founding = Founding(nodes=extended.nodes, commands=commands, report=report)
        extended.nodes.require_ports()
        report("certificates")
        founding.enrol()
        report("configuration of the channels")
        for channel in network.topology.channels:
            edit = partial(_put, msp_id=msp_id, group=_definition(commands, channel, msp_id))
            channel_config.change(network.commands(), channel, edit, signers=_one_each(network.topology))
        extended.store()
        founding.run()
    return extended


def remove(network: Network, organisation: Organisation, *, report: Report = lambda _: None) -> Network:
    """Have an organisation leave all channels and end its nodes; return the network as it is then.

    The others sign. The files of its nodes stay where they are.

    Raises:
        NetworkError: if the others could not go on without it, or a channel refuses.
    """
    network.require_whole()
    left = tuple(one for one in network.topology.organisations if one != organisation)
    reduced = network.with_topology(_without(network.topology, organisation, left))
    _require_quorum(reduced, organisation)
    commands = reduced.commands()
    orderers = network.topology.orderers_of(organisation)
    with network.locked():
        for channel in reduced.topology.channels:
            # Raft lets one orderer go at a time.
            for orderer in orderers:
                report(f"{orderer.name} leaves {channel.name}")
                edit = partial(_drop_consenter, orderer=orderer)
                channel_config.change(commands, channel, edit, signers=_one_each(reduced.topology))
        # An orderer gets no block from that on by which its organisation has left, so a peer that takes its blocks from
        # there would wait for ever.
        network.nodes.stop(orderers)
        for channel in reduced.topology.channels:
            report(f"{organisation.name} leaves {channel.name}")
            edit = partial(_drop, msp_id=organisation.msp_id)
            channel_config.change(commands, channel, edit, signers=_one_each(reduced.topology))
        reduced.store()
        Founding(nodes=reduced.nodes, commands=commands, report=report).conclude()
    return reduced


def _without(topology: Topology, organisation: Organisation, left: tuple[Organisation, ...]) -> Topology:
    try:
        reduced = dataclasses.replace(topology, organisations=left)
    except InvalidTopology as error:
        raise NetworkError(f"{organisation.name} cannot leave: {error}") from error
    if organisation.orderers and topology.consensus is Consensus.BFT:
        raise NetworkError(f"{organisation.name} runs BFT orderers, which cannot leave")
    for collection in topology.collections:
        # An endorser of private data needs that many others who may hold it.
        if len({one.msp_id for one in left} & set(collection.members)) <= collection.required_peers:
            raise NetworkError(f"collection {collection.name} cannot be without {organisation.name}")
    return reduced


def _require_quorum(reduced: Network, organisation: Organisation) -> None:
    """Check that the orderers that stay can go on by themselves: once too few are left, nothing can be changed back."""
    orderers = reduced.topology.orderers
    at_work = sum(reduced.nodes.is_ready(orderer) for orderer in orderers)
    if 2 * at_work <= len(orderers):
        told = f"without {organisation.name} {at_work} of {len(orderers)} orderers would be at work"
        raise NetworkError(f"{told}, which is no majority; `up` starts the others")


def _one_each(topology: Topology) -> list[Peer]:
    return [topology.peers_of(organisation)[0] for organisation in topology.organisations]


def _definition(commands: Commands, channel: Channel, msp_id: str) -> configtx_pb2.ConfigGroup:
    """Return an organisation as a channel knows it, taken from the first block that a founding with it would make."""
    with TemporaryDirectory() as directory:
        block = Path(directory) / "genesis.block"
        commands.make_genesis(channel, block)
        return channel_config.read(block).channel_group.groups[_APPLICATION].groups[msp_id]


def _put(channel_group: configtx_pb2.ConfigGroup, *, msp_id: str, group: configtx_pb2.ConfigGroup) -> None:
    organisations = channel_group.groups[_APPLICATION].groups
    if msp_id not in organisations:
        organisations[msp_id].CopyFrom(group)


def _drop(channel_group: configtx_pb2.ConfigGroup, *, msp_id: str) -> None:
    for name in (_APPLICATION, _ORDERER):
        organisations = channel_group.groups[name].groups
        if msp_id in organisations:
            del organisations[msp_id]


def _drop_consenter(channel_group: configtx_pb2.ConfigGroup, *, orderer: Orderer) -> None:
    value = channel_group.groups[_ORDERER].values[_CONSENSUS]
    consensus = configuration_pb2.ConsensusType.FromString(value.value)
    metadata = etcdraft_pb2.ConfigMetadata.FromString(consensus.metadata)
    left = [one for one in metadata.consenters if (one.host, one.port) != (orderer.organisation.host, orderer.port)]
    del metadata.consenters[:]
    metadata.consenters.extend(left)
    consensus.metadata = metadata.SerializeToString()
    value.value = consensus.SerializeToString()
