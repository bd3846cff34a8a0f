"""Revoked certificates: peers and orderers heed them once the list is in the channels' configuration."""

from fabric_protos.common import configtx_pb2
from fabric_protos.msp import msp_config_pb2

from fabric_gateway.ca import CaError
from wattpool_network import channel_config, enrolment
from wattpool_network.errors import NetworkError
from wattpool_network.network import Network
from wattpool_network.topology import Organisation

# An organisation's MSP stands in both groups if it runs orderers, and both must say the same.
_GROUPS = ("Application", "Orderer")


def push_crl(network: Network, organisation: Organisation) -> None:
    """Put the present list of an organisation's revoked certificates into all channels.

    Raises:
        NetworkError: if the authority or a channel refuses.
    """
    try:
        crl = enrolment.registrar(network.authority_of(organisation), network.layout).generate_crl()
    except CaError as error:
        raise NetworkError(f"{network.authority_of(organisation).name}: {error}") from error

    def put(channel_group: configtx_pb2.ConfigGroup) -> None:
        for group in _GROUPS:
            _put(channel_group.groups[group], organisation.msp_id, crl)

    with network.locked():
        # A channel that is founded later starts with the list.
        directory = network.layout.msp(organisation) / "crls"
        directory.mkdir(exist_ok=True)
        (directory / "crl.pem").write_bytes(crl)
        for channel in network.topology.channels:
            # It is the organisation's own to change, so its admin alone signs.
            channel_config.change(network.commands(), channel, put, signers=network.topology.peers_of(organisation)[:1])


def _put(group: configtx_pb2.ConfigGroup, msp_id: str, crl: bytes) -> None:
    if msp_id not in group.groups:
        return
    value = group.groups[msp_id].values["MSP"]
    outer = msp_config_pb2.MSPConfig.FromString(value.value)
    msp = msp_config_pb2.FabricMSPConfig.FromString(outer.config)
    msp.revocation_list[:] = [crl]
    outer.config = msp.SerializeToString()
    value.value = outer.SerializeToString()
