"""A compose file that runs a founded network in containers of Fabric's official images.

The containers share the host's network and see the state directory under its own path, so that they run on the very
configuration, keys and ledgers of the native processes: stop those, start these, or the other way round.
"""

import os
from pathlib import Path
from typing import Any

from wattpool_network import configuration, package
from wattpool_network.layout import Layout
from wattpool_network.topology import Authority, ChaincodeServer, Fabric, Node, Orderer, Peer, Topology

FABRIC_IMAGE_TAGS = {Fabric.V2_5: "2.5", Fabric.V3: "3.1"}
CA_IMAGE_TAG = "1.5"
CHAINCODE_IMAGE = "wattpool-chaincode"
# Fabric's peer image has the builder for chaincode as a service there (images/peer/Dockerfile).
_BUILDERS = (
    f"[{{name: ccaas, path: /opt/hyperledger/ccaas_builder, propagateEnvironment: [{package.BUILDER_VARIABLE}]}}]"
)


def render(topology: Topology, layout: Layout) -> dict[str, Any]:
    """Return compose.yaml; the image of the chaincode runs the command that the name of a chaincode is added to."""
    return {
        "name": "wattpool",
        "services": {node.name: _service(node, topology, layout) for node in topology.here(topology.nodes)},
    }


def write_secrets(topology: Topology, layout: Layout) -> None:
    """Write the files of the compose file's settings that hold keys; only their owner reads them."""
    for peer in topology.here(topology.peers):
        file = _secrets(layout, peer)
        file.touch(mode=0o600)
        settings = package.builder_settings(peer, layout)
        file.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))


def _secrets(layout: Layout, peer: Peer) -> Path:
    return layout.home(peer) / "builder.env"


def _service(node: Node, topology: Topology, layout: Layout) -> dict[str, Any]:
    root = str(layout.root)
    return {
        **_program(node, FABRIC_IMAGE_TAGS[topology.fabric], layout),
        "network_mode": "host",
        # The files belong to whoever founded the network.
        "user": f"{os.getuid()}:{os.getgid()}",
        "volumes": [f"{root}:{root}"],
        "restart": "unless-stopped",
    }


def _program(node: Node, fabric_tag: str, layout: Layout) -> dict[str, Any]:
    home = str(layout.home(node))
    match node:
        case Authority():
            return {
                "image": f"hyperledger/fabric-ca:{CA_IMAGE_TAG}",
                "command": ["fabric-ca-server", "start", "--home", f"{home}/{configuration.CA}"],
            }
        case Orderer():
            return {
                "image": f"hyperledger/fabric-orderer:{fabric_tag}",
                "command": ["orderer"],
                "environment": configuration.node_environment(home),
            }
        case Peer():
            return {
                "image": f"hyperledger/fabric-peer:{fabric_tag}",
                "command": ["peer", "node", "start"],
                "environment": {
                    **configuration.node_environment(home),
                    "CORE_CHAINCODE_EXTERNALBUILDERS": _BUILDERS,
                },
                "env_file": [str(_secrets(layout, node))],
            }
        case ChaincodeServer():
            return {
                "image": f"{CHAINCODE_IMAGE}:{node.chaincode.version}",
                "command": [node.chaincode.name],
                "environment": package.environment(node, layout),
            }
