"""A channel's first block, the same bytes whoever makes it of the same configuration.

Fabric's configtxgen gives each block a time, a nonce and a random order of maps. Orderers and peers need equal first
blocks, and organisations that each make their own can compare hashes instead of trusting one who made it for all.
"""

import hashlib

from fabric_protos.common import common_pb2, configtx_pb2


def normalised(block_bytes: bytes) -> bytes:
    """Return a first block without time and nonce, its maps in order (common/genesis/genesis.go)."""
    block = common_pb2.Block.FromString(block_bytes)
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    payload = common_pb2.Payload.FromString(envelope.payload)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    header.ClearField("timestamp")
    header.tx_id = hashlib.sha256().hexdigest()
    payload.header.channel_header = _bytes(header)
    payload.header.signature_header = _bytes(common_pb2.SignatureHeader())
    payload.data = _bytes(configtx_pb2.ConfigEnvelope.FromString(payload.data))
    envelope.payload = _bytes(payload)
    block.data.data[0] = _bytes(envelope)
    block.header.data_hash = hashlib.sha256(block.data.data[0]).digest()
    return _bytes(block)


def fingerprint(block_bytes: bytes) -> str:
    """Return what people compare to know that they have the same first block."""
    return hashlib.sha256(block_bytes).hexdigest()


def _bytes(message: common_pb2.Block) -> bytes:
    written: bytes = message.SerializeToString(deterministic=True)
    return written
