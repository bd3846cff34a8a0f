"""An independent check of a Fabric network's blocks, without the code that wrote them."""

from wattpool.verify.fabric.peers import BlockSource, Peers
from wattpool.verify.fabric.verifier import chaincodes_of, verify

__all__ = ["BlockSource", "Peers", "chaincodes_of", "verify"]
