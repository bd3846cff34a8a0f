"""Hyperledger Fabric chaincode in Python: a chaincode-as-a-service server, the stub, and a small contract API."""

from fabric_shim.config import ServerConfig, Tls, read_environment
from fabric_shim.contract import Contract, ContractChaincode
from fabric_shim.errors import ArgumentError, ConfigurationError, PeerError, Rejected, ShimError, StreamEnded
from fabric_shim.identity import ClientIdentity
from fabric_shim.keys import create_composite_key, split_composite_key
from fabric_shim.policy import OutOf, Policy, SignedBy, all_of
from fabric_shim.response import Response
from fabric_shim.results import KeyValue, Modification, Page, Results
from fabric_shim.server import Server, serve
from fabric_shim.session import Chaincode
from fabric_shim.stub import Stub

__all__ = [
    "ArgumentError",
    "Chaincode",
    "ClientIdentity",
    "ConfigurationError",
    "Contract",
    "ContractChaincode",
    "KeyValue",
    "Modification",
    "OutOf",
    "Page",
    "PeerError",
    "Policy",
    "Rejected",
    "Response",
    "Results",
    "Server",
    "ServerConfig",
    "ShimError",
    "SignedBy",
    "StreamEnded",
    "Stub",
    "Tls",
    "all_of",
    "create_composite_key",
    "read_environment",
    "serve",
    "split_composite_key",
]
