"""What a peer takes in one message, as its READY says."""

from dataclasses import dataclass

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# No peer asks for smaller messages than these (fabric-chaincode-go shim/handler.go).
_LEAST = 100


@dataclass(frozen=True, kw_only=True)
class PeerLimits:
    """How many items the peer takes in one message; 0 if it takes them one by one only (Fabric 2.5)."""

    write_batch: int = 0
    multiple_keys: int = 0


def read_limits(payload: bytes) -> PeerLimits:
    """Read the ChaincodeAdditionalParams in READY; a peer of Fabric 2.5 sends none.

    Raises:
        DecodeError: the payload is something else.
    """
    offer = _Offer.FromString(payload)
    return PeerLimits(
        write_batch=max(offer.max_size_write_batch, _LEAST) if offer.use_write_batch else 0,
        multiple_keys=max(offer.max_size_get_multiple_keys, _LEAST) if offer.use_get_multiple_keys else 0,
    )


def _offer_descriptor() -> descriptor_pb2.FileDescriptorProto:
    """Describe peer.ChaincodeAdditionalParams (fabric-protos peer/chaincode.proto), which is newer than the package."""
    field = descriptor_pb2.FieldDescriptorProto
    fields = (
        ("use_write_batch", field.TYPE_BOOL),
        ("max_size_write_batch", field.TYPE_UINT32),
        ("use_get_multiple_keys", field.TYPE_BOOL),
        ("max_size_get_multiple_keys", field.TYPE_UINT32),
    )
    message = descriptor_pb2.DescriptorProto(
        name="ChaincodeAdditionalParams",
        field=[
            field(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
            for number, (name, kind) in enumerate(fields, start=1)
        ],
    )
    return descriptor_pb2.FileDescriptorProto(
        name="fabric_shim/limits.proto", package="fabric_shim", syntax="proto3", message_type=[message]
    )


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_offer_descriptor())
_Offer = message_factory.GetMessageClass(_pool.FindMessageTypeByName("fabric_shim.ChaincodeAdditionalParams"))
