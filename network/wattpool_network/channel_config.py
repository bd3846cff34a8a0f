"""Changing a channel's configuration: fetch it, edit it, have admins sign the difference, submit, and see it arrive.

Messages: fabric-protos common/configtx.proto. The difference is computed by Fabric's configtxlator.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from fabric_protos.common import common_pb2, configtx_pb2

from wattpool_network.commands import COMMAND_POLL_S, Commands
from wattpool_network.errors import CommandFailed, NotReady
from wattpool_network.readiness import until
from wattpool_network.topology import Channel, Peer

DEADLINE_S = 60.0
_NO_CHANGE = "no differences detected"

Edit = Callable[[configtx_pb2.ConfigGroup], None]


def change(commands: Commands, channel: Channel, edit: Edit, *, signers: Sequence[Peer]) -> bool:
    """Apply `edit` to a channel's configuration, and wait until all peers of this machine have it.

    Args:
        commands: Fabric's programs.
        channel: the channel.
        edit: changes the channel's group in place; an edit that changes nothing is done already.
        signers: a peer of each organisation whose admin signs; the first one's submits.

    Returns:
        Whether there was anything to change.

    Raises:
        CommandFailed: if Fabric refuses the change, for instance for want of signatures.
        NotReady: if a peer does not get it in time.
    """
    with TemporaryDirectory() as name:
        directory = Path(name)
        config = fetch(commands, channel, signers[0])
        original, updated, update = (directory / file for file in ("original.pb", "updated.pb", "update.pb"))
        original.write_bytes(config.SerializeToString())
        edit(config.channel_group)
        updated.write_bytes(config.SerializeToString())
        try:
            commands.compute_update(channel, original=original, updated=updated, output=update)
        except CommandFailed as error:
            if _NO_CHANGE in error.last_line:
                return False
            raise
        update.write_bytes(_envelope(channel, update.read_bytes()))
        for peer in signers[1:]:
            commands.sign_update(peer, update)
        commands.submit_update(signers[0], channel, update)
    sequence = config.sequence + 1
    for peer in commands.topology.here(commands.topology.peers):
        if not until(partial(_has, commands, channel, peer, sequence), deadline_s=DEADLINE_S, poll_s=COMMAND_POLL_S):
            raise NotReady(f"{peer.name} having configuration {sequence} of channel {channel.name}", DEADLINE_S)
    return True


def fetch(commands: Commands, channel: Channel, peer: Peer, *, from_peer: bool = False) -> configtx_pb2.Config:
    """Return a channel's configuration as the orderers have it, or as `peer` does."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "config.block"
        commands.fetch_configuration(peer, channel, file, from_peer=from_peer)
        return read(file)


def read(block_file: Path) -> configtx_pb2.Config:
    """Return the configuration in a configuration block."""
    block = common_pb2.Block.FromString(block_file.read_bytes())
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(block.data.data[0]).payload)
    return configtx_pb2.ConfigEnvelope.FromString(payload.data).config


def _has(commands: Commands, channel: Channel, peer: Peer, sequence: int) -> bool:
    return bool(fetch(commands, channel, peer, from_peer=True).sequence >= sequence)


def _envelope(channel: Channel, update: bytes) -> bytes:
    header = common_pb2.ChannelHeader(channel_id=channel.name, type=common_pb2.CONFIG_UPDATE)
    payload = common_pb2.Payload(
        header=common_pb2.Header(channel_header=header.SerializeToString()),
        data=configtx_pb2.ConfigUpdateEnvelope(config_update=update).SerializeToString(),
    )
    envelope: bytes = common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()
    return envelope
