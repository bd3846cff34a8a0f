"""Where everything of a network lies in its state directory."""

from dataclasses import dataclass
from pathlib import Path

from wattpool_network.topology import Authority, ChaincodeServer, Channel, Node, Organisation


@dataclass(frozen=True)
class Layout:
    """The paths below `root`, which is absolute: nodes are started elsewhere."""

    root: Path

    @property
    def topology(self) -> Path:
        return self.root / "topology.json"

    @property
    def connection(self) -> Path:
        return self.root / "connection.yaml"

    @property
    def founded(self) -> Path:
        """The topology that was last brought about whole; another than the stored one is still to be."""
        return self.root / "founded.json"

    def public(self, organisation: Organisation) -> Path:
        """What the others have to know of an organisation that runs its part on its own machine."""
        return self.root / f"{organisation.name}.public.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def pids(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def pid(self, node: Node) -> Path:
        return self.pids / f"{node.name}.pid"

    def log(self, node: Node) -> Path:
        return self.logs / f"{node.name}.log"

    def organisation(self, organisation: Organisation) -> Path:
        return self.root / "organisations" / organisation.name

    def home(self, node: Node) -> Path:
        """The directory of one node: its configuration, identity and data."""
        return self.organisation(node.organisation) / node.name

    def msp(self, organisation: Organisation) -> Path:
        """The organisation's MSP as channels know it: root certificates and no key."""
        return self.organisation(organisation) / "msp"

    def user(self, organisation: Organisation, name: str) -> Path:
        """A person of the organisation: `msp` and, for the admin, `tls`."""
        return self.organisation(organisation) / "users" / name

    def authority_root(self, authority: Authority, name: str) -> Path:
        """The root certificate of an authority, `ca` or `tlsca`."""
        return self.home(authority) / name / "ca-cert.pem"

    def tls_root(self, organisation: Organisation) -> Path:
        return self.msp(organisation) / "tlscacerts" / "tlsca.pem"

    def channel(self, channel: Channel) -> Path:
        return self.root / "channels" / channel.name

    def genesis(self, channel: Channel) -> Path:
        return self.channel(channel) / "genesis.block"

    def package(self, server: ChaincodeServer) -> Path:
        return self.home(server) / "package.tgz"
