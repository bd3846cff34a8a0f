"""Fabric's configuration files, from the topology: pure functions that return what is written as YAML or JSON.

Whatever is not named keeps Fabric's default in code, which differs from its sample files in places; those that matter
are named. Sources: sampleconfig/{core,orderer,configtx}.yaml of Fabric, and fabric-ca's docs/source/servercli.md.
"""

from typing import Any

from wattpool_network.layout import Layout
from wattpool_network.package import BUILDER_VARIABLE
from wattpool_network.topology import (
    LOOPBACK,
    Authority,
    Chaincode,
    Collection,
    Consensus,
    Fabric,
    Orderer,
    Organisation,
    Peer,
    Topology,
)

CA = "ca"
TLS_CA = "tlsca"
PROFILE = "Wattpool"
REGISTRAR = "registrar"
MAX_MESSAGE_BYTES = 100 * 1024 * 1024
_YEAR = 8_760
_ROOT_LIFETIME = f"{20 * _YEAR}h"
_CERTIFICATE_LIFETIME = f"{_YEAR}h"
_RAFT_ELECTION_TICKS = 10
# A peer's Gateway pings orderers and other peers each 10 s where nothing else is sent (internal/pkg/gateway/endpoint.go
# sets no interval, and that is gRPC's least). By Fabric's default of 60 s every idle connection would be ended for it.
_LEAST_PING_INTERVAL = "5s"
# A peer checks what is named, and does not start with a name that it does not know: 2.5 has no time window.
_AUTH_FILTERS = {
    Fabric.V2_5: ("DefaultAuth", "ExpirationCheck"),
    Fabric.V3: ("DefaultAuth", "ExpirationCheck", "TimeWindowCheck"),
}


def authority(authority: Authority, name: str, *, password: str, others: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return fabric-ca-server-config.yaml of one of a server's authorities.

    Args:
        authority: the server.
        name: of this one authority, `ca` or `tlsca`.
        password: of the registrar, who is in its registry from the start.
        others: configuration files of the server's further authorities.
    """
    organisation = authority.organisation
    common_name = f"{name}.{organisation.name}"
    return {
        "port": authority.port,
        "address": organisation.host,
        "tls": {"enabled": True},
        "operations": {"listenAddress": f"{LOOPBACK}:{authority.operations_port}", "tls": {"enabled": False}},
        "metrics": {"provider": "disabled"},
        "cafiles": list(others),
        "ca": {"name": name},
        "crl": {"expiry": "24h"},
        "registry": {
            "maxenrollments": -1,
            "identities": [
                {
                    "name": REGISTRAR,
                    "pass": password,
                    "type": "client",
                    "affiliation": "",
                    "attrs": {
                        "hf.Registrar.Roles": "*",
                        "hf.Registrar.DelegateRoles": "*",
                        "hf.Registrar.Attributes": "*",
                        "hf.Revoker": True,
                        "hf.GenCRL": True,
                        "hf.AffiliationMgr": True,
                    },
                }
            ],
        },
        "affiliations": {},
        "db": {"type": "sqlite3", "datasource": "fabric-ca-server.db"},
        "signing": {
            "default": {"usage": ["digital signature"], "expiry": _CERTIFICATE_LIFETIME},
            "profiles": {
                "tls": {
                    "usage": ["digital signature", "key encipherment", "server auth", "client auth"],
                    "expiry": _CERTIFICATE_LIFETIME,
                },
            },
        },
        "csr": {
            "cn": common_name,
            "keyrequest": {"algo": "ecdsa", "size": 256},
            "names": [{"O": organisation.msp_id}],
            "hosts": tls_hosts(organisation, authority.name),
            "ca": {"expiry": _ROOT_LIFETIME, "pathlength": 0},
        },
    }


def tls_hosts(organisation: Organisation, name: str) -> list[str]:
    """Return under which names a node's TLS certificate is good."""
    return list(dict.fromkeys((organisation.host, name, "localhost", LOOPBACK)))


def node_environment(home: str) -> dict[str, str]:
    """Return what tells an orderer or a peer where its configuration is; all else stands there but what it logs."""
    return {
        "FABRIC_CFG_PATH": home,
        # A line for each call would be most of what a busy peer writes.
        "FABRIC_LOGGING_SPEC": "info:comm.grpc.server=warning",
    }


def node_ous() -> dict[str, Any]:
    """Return config.yaml of an MSP: the OU in a certificate tells the role of its holder."""
    return {
        "NodeOUs": {
            "Enable": True,
            **{
                f"{role.capitalize()}OUIdentifier": {"OrganizationalUnitIdentifier": role}
                for role in ("client", "peer", "admin", "orderer")
            },
        }
    }


def orderer(topology: Topology, orderer: Orderer, layout: Layout) -> dict[str, Any]:
    """Return orderer.yaml."""
    home = layout.home(orderer)
    tls = _tls(layout, orderer)
    return {
        "General": {
            "ListenAddress": orderer.organisation.host,
            "ListenPort": orderer.port,
            "BootstrapMethod": "none",
            "LocalMSPDir": str(home / "msp"),
            "LocalMSPID": orderer.organisation.msp_id,
            "TLS": tls,
            "Cluster": {
                "ClientCertificate": tls["Certificate"],
                "ClientPrivateKey": tls["PrivateKey"],
                "SendBufferSize": 100,
            },
            "Keepalive": {"ServerMinInterval": _LEAST_PING_INTERVAL, "ServerInterval": "7200s", "ServerTimeout": "20s"},
            "MaxRecvMsgSize": MAX_MESSAGE_BYTES,
            "MaxSendMsgSize": MAX_MESSAGE_BYTES,
            "Authentication": {"TimeWindow": f"{topology.time_window_s}s"},
            "BCCSP": _bccsp(),
        },
        "FileLedger": {"Location": str(home / "data" / "ledger")},
        "Consensus": {
            "WALDir": str(home / "data" / "consensus" / "wal"),
            "SnapDir": str(home / "data" / "consensus" / "snapshot"),
        },
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "1 MB"},
        # Whoever holds a certificate of the organisation's TLS authority administers; people have none but the admin.
        "Admin": {
            "ListenAddress": orderer.admin_address,
            "TLS": {**tls, "ClientAuthRequired": True, "ClientRootCAs": tls["RootCAs"]},
        },
        "Operations": {
            "ListenAddress": f"{LOOPBACK}:{orderer.operations_port}",
            "TLS": {"Enabled": False},
        },
        "Metrics": {"Provider": "prometheus"},
    }


def peer(topology: Topology, peer: Peer, layout: Layout, *, builder: str) -> dict[str, Any]:
    """Return core.yaml; `builder` is the directory of Fabric's builder for chaincode as a service."""
    home = layout.home(peer)
    host = peer.organisation.host
    others = [other.address for other in topology.peers_of(peer.organisation) if other != peer]
    return {
        "peer": {
            "id": peer.name,
            "networkId": "wattpool",
            "listenAddress": peer.address,
            "address": peer.address,
            "chaincodeListenAddress": f"{host}:{peer.chaincode_port}",
            "fileSystemPath": str(home / "data"),
            "mspConfigPath": str(home / "msp"),
            "localMspId": peer.organisation.msp_id,
            "tls": {
                "enabled": True,
                "clientAuthRequired": False,
                "cert": {"file": str(home / "tls" / "server.crt")},
                "key": {"file": str(home / "tls" / "server.key")},
                "rootcert": {"file": str(layout.tls_root(peer.organisation))},
            },
            "gateway": {"enabled": True, "endorsementTimeout": "30s", "broadcastTimeout": "30s", "dialTimeout": "10s"},
            "keepalive": {
                "minInterval": _LEAST_PING_INTERVAL,
                "client": {"interval": "60s", "timeout": "20s"},
                "deliveryClient": {"interval": "60s", "timeout": "20s"},
            },
            "gossip": {
                "bootstrap": " ".join(others or [peer.address]),
                "externalEndpoint": peer.address,
                "endpoint": peer.address,
                # Each peer takes its blocks from the orderers itself, and trusts no other peer's.
                "useLeaderElection": False,
                "orgLeader": True,
                # Peers that join a channel first cannot reach those that have not yet; the default is to try again
                # after 25 s, for which nobody would find an endorser.
                "reconnectInterval": "2s",
                "state": {"enabled": False},
                "pvtData": {
                    "pullRetryThreshold": "10s",
                    "transientstoreMaxBlockRetention": 1000,
                    "pushAckTimeout": "3s",
                    "btlPullMargin": 10,
                    "reconcileBatchSize": 10,
                    "reconcileSleepInterval": "10s",
                    "reconciliationEnabled": True,
                    "skipPullingInvalidTransactionsDuringCommit": False,
                    "implicitCollectionDisseminationPolicy": {"requiredPeerCount": 0, "maxPeerCount": 1},
                },
            },
            "deliveryclient": {"blockGossipEnabled": False, "reConnectBackoffThreshold": "10s"},
            "authentication": {"timewindow": f"{topology.time_window_s}s"},
            "handlers": {
                "authFilters": [{"name": name} for name in _AUTH_FILTERS[topology.fabric]],
                "decorators": [{"name": "DefaultDecorator"}],
                "endorsers": {"escc": {"name": "DefaultEndorsement"}},
                "validators": {"vscc": {"name": "DefaultValidation"}},
            },
            "discovery": {
                "enabled": True,
                "authCacheEnabled": True,
                "authCacheMaxSize": 1000,
                "authCachePurgeRetentionRatio": 0.75,
            },
            "limits": {
                "concurrency": {
                    "endorserService": 2500,
                    "deliverService": 2500,
                    "gatewayService": topology.gateway_concurrency,
                }
            },
            "maxRecvMsgSize": MAX_MESSAGE_BYTES,
            "maxSendMsgSize": MAX_MESSAGE_BYTES,
            "BCCSP": _bccsp(),
        },
        # An empty endpoint keeps the peer from asking for Docker, without which it would never be healthy.
        "vm": {"endpoint": ""},
        "chaincode": {
            "mode": "net",
            "externalBuilders": [{"name": "ccaas", "path": builder, "propagateEnvironment": [BUILDER_VARIABLE]}],
            "installTimeout": "60s",
            "startuptimeout": "60s",
            "executetimeout": "30s",
            "system": {"_lifecycle": "enable", "cscc": "enable", "lscc": "enable", "qscc": "enable"},
            "logging": {"level": "info", "shim": "warning"},
            "runtimeParams": {
                "useWriteBatch": True,
                "maxSizeWriteBatch": 1000,
                "useGetMultipleKeys": True,
                "maxSizeGetMultipleKeys": 1000,
            },
        },
        "ledger": {
            "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100_000},
            "history": {"enableHistoryDatabase": True},
            "pvtdataStore": {"purgeInterval": 100, "purgedKeyAuditLogging": True},
            "snapshots": {"rootDir": str(home / "data" / "snapshots")},
        },
        # Health and metrics are not secret, but nobody else's business either.
        "operations": {"listenAddress": f"{LOOPBACK}:{peer.operations_port}", "tls": {"enabled": False}},
        "metrics": {"provider": "prometheus"},
    }


def channel(topology: Topology, layout: Layout) -> dict[str, Any]:
    """Return configtx.yaml, from which a channel's first block is made."""
    policies = {
        "Readers": _implicit("ANY Readers"),
        "Writers": _implicit("ANY Writers"),
        "Admins": _implicit(topology.admins),
    }
    return {
        "Profiles": {
            PROFILE: {
                "Policies": policies,
                "Capabilities": {topology.fabric.channel_capability: True},
                "Orderer": {
                    "BatchTimeout": f"{topology.batch.timeout_ms}ms",
                    "BatchSize": {
                        "MaxMessageCount": topology.batch.max_messages,
                        "AbsoluteMaxBytes": topology.batch.absolute_bytes,
                        "PreferredMaxBytes": topology.batch.preferred_bytes,
                    },
                    "Organizations": [
                        _ordering_organisation(topology, organisation, layout)
                        for organisation in topology.organisations
                        if organisation.orderers
                    ],
                    "Policies": {**policies, "BlockValidation": _implicit("ANY Writers")},
                    "Capabilities": {"V2_0": True},
                    **_consensus(topology, layout),
                },
                "Application": {
                    "Organizations": [
                        _application_organisation(topology, organisation, layout)
                        for organisation in topology.organisations
                    ],
                    "Policies": {
                        **policies,
                        "LifecycleEndorsement": _implicit(topology.lifecycle),
                        "Endorsement": _implicit("MAJORITY Endorsement"),
                    },
                    "Capabilities": {"V2_5": True},
                },
            }
        }
    }


def collections(topology: Topology, chaincode: Chaincode) -> list[dict[str, Any]]:
    """Return the collections of a chaincode as `peer lifecycle chaincode` reads them."""
    return [_collection(topology, collection) for collection in chaincode.collections]


def _collection(topology: Topology, collection: Collection) -> dict[str, Any]:
    members = ", ".join(f"'{msp_id}.member'" for msp_id in collection.members)
    peers = sum(one.peers for one in topology.organisations if one.msp_id in collection.members)
    return {
        "name": collection.name,
        "policy": f"OR({members})",
        "requiredPeerCount": collection.required_peers,
        # An endorser hands data to other peers only.
        "maxPeerCount": max(collection.required_peers, min(collection.max_peers, peers - 1)),
        "blockToLive": collection.blocks_to_live,
        "memberOnlyRead": True,
        "memberOnlyWrite": True,
    }


def _tls(layout: Layout, orderer: Orderer) -> dict[str, Any]:
    home = layout.home(orderer) / "tls"
    return {
        "Enabled": True,
        "Certificate": str(home / "server.crt"),
        "PrivateKey": str(home / "server.key"),
        "RootCAs": [str(layout.tls_root(orderer.organisation))],
    }


def _bccsp() -> dict[str, Any]:
    return {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}}


def _application_organisation(topology: Topology, organisation: Organisation, layout: Layout) -> dict[str, Any]:
    msp_id = organisation.msp_id
    return {
        **_organisation(organisation, layout),
        "Policies": {
            "Readers": _signature(f"OR('{msp_id}.admin', '{msp_id}.peer', '{msp_id}.client')"),
            "Writers": _signature(f"OR('{msp_id}.admin', '{msp_id}.client')"),
            "Admins": _signature(f"OR('{msp_id}.admin')"),
            "Endorsement": _signature(f"OR('{msp_id}.peer')"),
        },
        "AnchorPeers": [{"Host": organisation.host, "Port": peer.port} for peer in topology.peers_of(organisation)[:1]],
    }


def _ordering_organisation(topology: Topology, organisation: Organisation, layout: Layout) -> dict[str, Any]:
    msp_id = organisation.msp_id
    return {
        **_organisation(organisation, layout),
        "Policies": {
            "Readers": _signature(f"OR('{msp_id}.member')"),
            # Whoever may write here may sign blocks, so it is orderers alone.
            "Writers": _signature(f"OR('{msp_id}.orderer')"),
            "Admins": _signature(f"OR('{msp_id}.admin')"),
        },
        "OrdererEndpoints": [orderer.address for orderer in topology.orderers_of(organisation)],
    }


def _organisation(organisation: Organisation, layout: Layout) -> dict[str, Any]:
    return {"Name": organisation.msp_id, "ID": organisation.msp_id, "MSPDir": str(layout.msp(organisation))}


def _consensus(topology: Topology, layout: Layout) -> dict[str, Any]:
    consenters = [
        {
            "Host": orderer.organisation.host,
            "Port": orderer.port,
            "ClientTLSCert": str(layout.home(orderer) / "tls" / "server.crt"),
            "ServerTLSCert": str(layout.home(orderer) / "tls" / "server.crt"),
        }
        for orderer in topology.orderers
    ]
    if topology.consensus is Consensus.RAFT:
        return {
            "OrdererType": "etcdraft",
            "EtcdRaft": {
                "Consenters": consenters,
                "Options": {
                    "TickInterval": f"{topology.raft_tick_ms}ms",
                    "ElectionTick": _RAFT_ELECTION_TICKS,
                    "HeartbeatTick": 1,
                    "MaxInflightBlocks": 5,
                    "SnapshotIntervalSize": "16 MB",
                },
            },
        }
    return {
        "OrdererType": "BFT",
        "SmartBFT": {
            "RequestBatchMaxInterval": f"{topology.batch.timeout_ms}ms",
            "RequestForwardTimeout": "2s",
            "RequestComplainTimeout": "10s",
            "RequestAutoRemoveTimeout": "180s",
            "ViewChangeResendInterval": "5s",
            "ViewChangeTimeout": "20s",
            "LeaderHeartbeatTimeout": "10s",
            "CollectTimeout": "1s",
            "IncomingMessageBufferSize": 200,
            "RequestPoolSize": 100_000,
            "LeaderHeartbeatCount": 10,
        },
        "ConsenterMapping": [
            {
                "ID": number,
                **consenter,
                "MSPID": orderer.organisation.msp_id,
                "Identity": str(layout.home(orderer) / "msp" / "signcerts" / "cert.pem"),
            }
            for number, (orderer, consenter) in enumerate(zip(topology.orderers, consenters, strict=True), start=1)
        ],
    }


def _implicit(rule: str) -> dict[str, str]:
    return {"Type": "ImplicitMeta", "Rule": rule}


def _signature(rule: str) -> dict[str, str]:
    return {"Type": "Signature", "Rule": rule}
