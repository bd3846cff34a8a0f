"""A network as data: who runs which nodes where, which channels there are, and which chaincode runs on them.

All else is derived: names, ports and configuration files. A topology is stored with the network made of it, so it can
be written as JSON and read back.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from wattpool_network.errors import InvalidTopology

# Each organisation has a block of ports: its authority first, then orderers and peers with three each, then chaincode.
PORTS_PER_ORGANISATION = 100
_ORDERERS_FROM, _PEERS_FROM, _CHAINCODE_FROM = 10, 40, 80
_PORTS_PER_NODE = 3
_MAX_NODES = 10
_MAX_CHAINCODES = 10
_MAX_PORT = 65_535
LOOPBACK = "127.0.0.1"
# How many byzantine orderers are survived is (n - 1) / 3, so that fewer than four survive none.
_MIN_BFT_ORDERERS = 4
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Consensus(StrEnum):
    """How orderers agree: Raft survives crashes of fewer than half, BFT lies of fewer than a third (Fabric 3)."""

    RAFT = "raft"
    BFT = "bft"


class Fabric(StrEnum):
    """A version of Fabric, by what its nodes are capable of."""

    V2_5 = "2.5"
    V3 = "3"

    @property
    def channel_capability(self) -> str:
        return "V3_0" if self is Fabric.V3 else "V2_0"


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """One member of the network: its own authority, orderers, peers and chaincode processes on its own host.

    `slot` tells which block of ports is its own, and stays when others come and go.
    """

    name: str
    msp_id: str
    slot: int
    host: str = LOOPBACK
    orderers: int = 1
    peers: int = 1


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Private data that the `members` (MSP ids) hold; an endorser hands it to at least `required_peers` others at once.

    `blocks_to_live` is after how many blocks it is purged by itself, 0 for never.
    """

    name: str
    members: tuple[str, ...]
    required_peers: int = 1
    max_peers: int = 3
    blocks_to_live: int = 0


@dataclass(frozen=True, kw_only=True)
class Chaincode:
    """A chaincode as a service on one channel: one process per organisation, started by `command`.

    `endorsement` is a signature policy in Fabric's words, such as "OutOf(2, 'A.peer', 'B.peer', 'C.peer')". `sequence`
    counts the channel's definitions of it, `generation` the processes that served it in turn: channels with the same
    generation share one.
    """

    name: str
    command: tuple[str, ...]
    endorsement: str
    version: str = "1"
    sequence: int = 1
    generation: int = 1
    collections: tuple[Collection, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A chaincode's next definition: its processes run and all have approved it, to be committed for a period.

    `period_start_utc` is the start of the first market period that shall be opened under it, in seconds since 1970, and
    `period_s` the length of a period.
    """

    chaincode: Chaincode
    period_start_utc: int = 0
    period_s: int = 0


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel that all organisations join, and the chaincode committed on it.

    `community` tells whose it is; the first community has no name.
    """

    name: str
    chaincodes: tuple[Chaincode, ...]
    community: str = ""
    plan: Plan | None = None

    @property
    def definitions(self) -> tuple[Chaincode, ...]:
        """What is committed, and what is approved to be."""
        return self.chaincodes if self.plan is None else (*self.chaincodes, self.plan.chaincode)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """When orderers cut a block: as soon as one of these is reached."""

    max_messages: int = 500
    timeout_ms: int = 100
    preferred_bytes: int = 2 * 1024 * 1024
    absolute_bytes: int = 20 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Authority:
    """An organisation's Fabric CA server: one authority for identities (`ca`), one for TLS (`tlsca`)."""

    organisation: Organisation
    port: int
    operations_port: int

    @property
    def name(self) -> str:
        return f"ca.{self.organisation.name}"

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port, self.operations_port)


@dataclass(frozen=True, kw_only=True)
class Orderer:
    """An ordering node."""

    organisation: Organisation
    index: int
    port: int
    admin_port: int
    operations_port: int

    @property
    def name(self) -> str:
        return f"orderer{self.index}.{self.organisation.name}"

    @property
    def address(self) -> str:
        return f"{self.organisation.host}:{self.port}"

    @property
    def admin_address(self) -> str:
        return f"{self.organisation.host}:{self.admin_port}"

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port, self.admin_port, self.operations_port)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A peer; `chaincode_port` is where chaincode could dial in, which a service does not."""

    organisation: Organisation
    index: int
    port: int
    chaincode_port: int
    operations_port: int

    @property
    def name(self) -> str:
        return f"peer{self.index}.{self.organisation.name}"

    @property
    def address(self) -> str:
        return f"{self.organisation.host}:{self.port}"

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port, self.chaincode_port, self.operations_port)


@dataclass(frozen=True, kw_only=True)
class ChaincodeServer:
    """An organisation's own process of one generation of a chaincode, for all channels that are served by it.

    With `tls` it and the organisation's peers show each other certificates of the organisation's TLS authority.
    """

    organisation: Organisation
    chaincode: Chaincode
    port: int
    tls: bool

    @property
    def name(self) -> str:
        return f"{self.chaincode.name}-{self.chaincode.generation}.{self.organisation.name}"

    @property
    def address(self) -> str:
        return f"{self.organisation.host}:{self.port}"

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port,)


Node = Authority | Orderer | Peer | ChaincodeServer
SomeNode = TypeVar("SomeNode", Authority, Orderer, Peer, ChaincodeServer, Node)


@dataclass(frozen=True, kw_only=True)
class Topology:
    """The whole network.

    Attributes:
        organisations: each once.
        channels: all organisations join all of them.
        port_base: the first port used; each organisation takes a hundred.
        consensus: of all channels.
        raft_tick_ms: Raft's clock; a leader is missed after ten ticks.
        batch: when a block is cut.
        lifecycle: who must agree to a chaincode definition, in words of implicit policies.
        admins: who must sign a change of a channel's configuration.
        time_window_s: how far a proposal's time may be from the peer's clock.
        chaincode_tls: whether peers and chaincode talk over mutual TLS.
        gateway_concurrency: how many Gateway calls a peer takes at a time.
        fabric: the oldest version of Fabric among the nodes.
        runs_here: the one organisation whose nodes and keys are on this machine; empty if all are.

    Raises:
        InvalidTopology: if it cannot be a network.
    """

    organisations: tuple[Organisation, ...]
    channels: tuple[Channel, ...]
    port_base: int = 7000
    consensus: Consensus = Consensus.RAFT
    raft_tick_ms: int = 200
    batch: Batch = Batch()
    lifecycle: str = "ALL Endorsement"
    admins: str = "MAJORITY Admins"
    time_window_s: int = 900
    chaincode_tls: bool = True
    gateway_concurrency: int = 2500
    fabric: Fabric = Fabric.V3
    runs_here: str = ""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise InvalidTopology(problem)

    @property
    def authorities(self) -> tuple[Authority, ...]:
        return tuple(
            Authority(organisation=organisation, port=base, operations_port=base + 1)
            for organisation, base in self._blocks()
        )

    @property
    def orderers(self) -> tuple[Orderer, ...]:
        return tuple(
            Orderer(
                organisation=organisation,
                index=index,
                port=port,
                admin_port=port + 1,
                operations_port=port + 2,
            )
            for organisation, base in self._blocks()
            for index, port in _node_ports(organisation.orderers, base + _ORDERERS_FROM)
        )

    @property
    def peers(self) -> tuple[Peer, ...]:
        return tuple(
            Peer(
                organisation=organisation,
                index=index,
                port=port,
                chaincode_port=port + 1,
                operations_port=port + 2,
            )
            for organisation, base in self._blocks()
            for index, port in _node_ports(organisation.peers, base + _PEERS_FROM)
        )

    @property
    def chaincode_servers(self) -> tuple[ChaincodeServer, ...]:
        served: dict[tuple[str, int], Chaincode] = {}
        for channel in self.channels:
            for chaincode in channel.definitions:
                served.setdefault((chaincode.name, chaincode.generation), chaincode)
        places = {name: place for place, name in enumerate(dict.fromkeys(name for name, _ in served))}
        return tuple(
            ChaincodeServer(
                organisation=organisation,
                chaincode=chaincode,
                # While a chaincode is upgraded, the old process and the new one run side by side.
                port=base + _CHAINCODE_FROM + 2 * places[chaincode.name] + chaincode.generation % 2,
                tls=self.chaincode_tls,
            )
            for organisation, base in self._blocks()
            for chaincode in served.values()
        )

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All processes, in the order in which they are started."""
        return (*self.authorities, *self.orderers, *self.peers, *self.chaincode_servers)

    def here(self, nodes: Iterable[SomeNode]) -> tuple[SomeNode, ...]:
        """Return those nodes that run on this machine."""
        return tuple(node for node in nodes if node.organisation in self.organisations_here)

    @property
    def organisations_here(self) -> tuple[Organisation, ...]:
        return tuple(one for one in self.organisations if self.runs_here in {"", one.name})

    @property
    def collections(self) -> tuple[Collection, ...]:
        return tuple(
            collection
            for channel in self.channels
            for chaincode in channel.chaincodes
            for collection in chaincode.collections
        )

    def peers_of(self, organisation: Organisation) -> tuple[Peer, ...]:
        return tuple(peer for peer in self.peers if peer.organisation == organisation)

    def chaincode_servers_of(self, organisation: Organisation) -> tuple[ChaincodeServer, ...]:
        return tuple(server for server in self.chaincode_servers if server.organisation == organisation)

    def orderers_of(self, organisation: Organisation) -> tuple[Orderer, ...]:
        return tuple(orderer for orderer in self.orderers if orderer.organisation == organisation)

    def server_of(self, organisation: Organisation, chaincode: Chaincode) -> ChaincodeServer:
        """Return the process by which an organisation serves a channel's chaincode."""
        wanted = (organisation, chaincode.name, chaincode.generation)
        return next(
            one
            for one in self.chaincode_servers
            if (one.organisation, one.chaincode.name, one.chaincode.generation) == wanted
        )

    def _blocks(self) -> Iterator[tuple[Organisation, int]]:
        for organisation in self.organisations:
            yield organisation, self.port_base + organisation.slot * PORTS_PER_ORGANISATION

    def _problems(self) -> Iterator[str]:
        names = [organisation.name for organisation in self.organisations]
        names += [channel.name for channel in self.channels]
        chaincodes = [chaincode for channel in self.channels for chaincode in channel.definitions]
        names += [chaincode.name for chaincode in chaincodes]
        yield from (f"{name!r} is no name: small letters, digits and hyphens" for name in names if not _is_name(name))
        if not self.organisations_here:
            yield f"there is no organisation {self.runs_here}, but {', '.join(one.name for one in self.organisations)}"
        yield from _repeated("organisation", [organisation.name for organisation in self.organisations])
        yield from _repeated("MSP id", [organisation.msp_id for organisation in self.organisations])
        yield from _repeated("channel", [channel.name for channel in self.channels])
        for channel in self.channels:
            yield from _repeated("chaincode", [chaincode.name for chaincode in channel.chaincodes])
        yield from (f"chaincode {one.name} has no command to start it" for one in chaincodes if not one.command)
        # A process is named after its chaincode, generation and organisation alone.
        processes = sorted({(one.name, one.generation, one.version, one.command) for one in chaincodes})
        yield from _repeated("chaincode process", [f"{name}-{generation}" for name, generation, _, _ in processes])
        if len({one.name for one in chaincodes}) > _MAX_CHAINCODES:
            yield f"{len({one.name for one in chaincodes})} chaincodes are more than {_MAX_CHAINCODES}"
        for organisation in self.organisations:
            if not (0 <= organisation.orderers <= _MAX_NODES and 1 <= organisation.peers <= _MAX_NODES):
                yield f"{organisation.name} needs 1 to {_MAX_NODES} peers and at most {_MAX_NODES} orderers"
        orderers = sum(organisation.orderers for organisation in self.organisations)
        if orderers == 0:
            yield "there is no orderer"
        if self.consensus is Consensus.BFT and orderers < _MIN_BFT_ORDERERS:
            yield f"BFT needs at least {_MIN_BFT_ORDERERS} orderers to survive one that lies, not {orderers}"
        if self.consensus is Consensus.BFT and self.fabric is not Fabric.V3:
            yield f"BFT needs Fabric 3, not {self.fabric}"
        slots = [organisation.slot for organisation in self.organisations]
        yield from _repeated("slot", [str(slot) for slot in slots])
        yield from (f"slot {slot} is less than 0" for slot in slots if slot < 0)
        last_port = self.port_base + (max(slots, default=0) + 1) * PORTS_PER_ORGANISATION - 1
        if self.port_base < 1 or last_port > _MAX_PORT:
            yield f"ports {self.port_base} to {last_port} are not all between 1 and {_MAX_PORT}"


def to_json(topology: Topology) -> str:
    """Return a topology as text, the same for equal topologies."""
    return json.dumps(dataclasses.asdict(topology), indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> Topology:
    """Read what `to_json` wrote.

    Raises:
        InvalidTopology: if it is no topology.
    """
    try:
        value = json.loads(text)
        return Topology(
            **{
                **value,
                "organisations": tuple(Organisation(**one) for one in value["organisations"]),
                "channels": tuple(_channel(one) for one in value["channels"]),
                "consensus": Consensus(value["consensus"]),
                "fabric": Fabric(value["fabric"]),
                "batch": Batch(**value["batch"]),
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidTopology(f"not a topology: {error}") from error


def _channel(value: Any) -> Channel:
    plan = value["plan"]
    return Channel(
        **{
            **value,
            "chaincodes": tuple(_chaincode(one) for one in value["chaincodes"]),
            "plan": None if plan is None else Plan(**{**plan, "chaincode": _chaincode(plan["chaincode"])}),
        }
    )


def _chaincode(value: Any) -> Chaincode:
    collections = tuple(Collection(**{**one, "members": tuple(one["members"])}) for one in value["collections"])
    return Chaincode(**{**value, "command": tuple(value["command"]), "collections": collections})


def _node_ports(count: int, first: int) -> Iterator[tuple[int, int]]:
    return ((index, first + index * _PORTS_PER_NODE) for index in range(count))


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _repeated(kind: str, names: list[str]) -> Iterator[str]:
    yield from (f"{kind} {name} is there twice" for name in sorted(set(names)) if names.count(name) > 1)
