"""A client of the Hyperledger Fabric Gateway (Fabric 2.4 and later) and of the Fabric CA.

This package is for code with an event loop; `fabric_gateway.blocking` is the same without, `fabric_gateway.ca` the CA.
"""

from fabric_gateway.checkpoint import Checkpoint, FileCheckpointer, MemoryCheckpointer
from fabric_gateway.connection import Connection, Tls
from fabric_gateway.contract import Contract
from fabric_gateway.errors import (
    CommitError,
    CommitStatusError,
    EndorseError,
    ErrorDetail,
    FabricError,
    GatewayError,
    Malformed,
    NoSigner,
    Reason,
    Refusal,
    SubmitError,
    ValidationCode,
)
from fabric_gateway.events import ChaincodeEvent, EventStream
from fabric_gateway.gateway import Gateway
from fabric_gateway.identity import Identity, PrivateKeySigner, Signer
from fabric_gateway.network import Network
from fabric_gateway.retry import Backoff
from fabric_gateway.session import Timeouts
from fabric_gateway.transaction import Commit, Committed, Proposal, Status, SubmittedTransaction, Transaction

__all__ = [
    "Backoff",
    "ChaincodeEvent",
    "Checkpoint",
    "Commit",
    "CommitError",
    "CommitStatusError",
    "Committed",
    "Connection",
    "Contract",
    "EndorseError",
    "ErrorDetail",
    "EventStream",
    "FabricError",
    "FileCheckpointer",
    "Gateway",
    "GatewayError",
    "Identity",
    "Malformed",
    "MemoryCheckpointer",
    "Network",
    "NoSigner",
    "PrivateKeySigner",
    "Proposal",
    "Reason",
    "Refusal",
    "Signer",
    "Status",
    "SubmitError",
    "SubmittedTransaction",
    "Timeouts",
    "Tls",
    "Transaction",
    "ValidationCode",
]
