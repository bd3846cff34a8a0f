"""The command line of a network, which `wattpool network` is."""

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ParamSpec

import typer
import yaml

from wattpool_chaincode.records.period import parse_utc
from wattpool_network import communities as community_operations
from wattpool_network import membership
from wattpool_network.backup import restore as restore_backup
from wattpool_network.backup import save as save_backup
from wattpool_network.community import NAMES, WATTPOOL, community
from wattpool_network.compose import render as render_compose
from wattpool_network.compose import write_secrets
from wattpool_network.deployment import Deployment
from wattpool_network.errors import NetworkError
from wattpool_network.founding import Report
from wattpool_network.layout import Layout
from wattpool_network.network import Network
from wattpool_network.parts import join as join_parts
from wattpool_network.parts import prepare as prepare_part
from wattpool_network.parts import require_all
from wattpool_network.renewal import renew_certificates
from wattpool_network.revocation import push_crl
from wattpool_network.sample import open_sample
from wattpool_network.snapshot import take as take_snapshot
from wattpool_network.topology import Consensus, Fabric, Topology
from wattpool_network.upgrade import upgrade as upgrade_chaincode

BAD_INPUT_STATUS = 2
NOT_READY_STATUS = 1
_SAMPLE_PORTS = 13_000

Words = ParamSpec("Words")
State = Annotated[Path, typer.Option("--state", help="Directory of the network: keys, ledgers, logs.")]
SampleDirectory = Annotated[Path, typer.Argument(help="Directory of test-network or test-network-nano-bash.")]
SamplePorts = Annotated[int, typer.Option(help="The chaincode listens on ports from 80 after this one on.")]
OrganisationName = Annotated[str, typer.Argument(help="An organisation, such as dso.")]

app = typer.Typer(
    help="A Hyperledger Fabric network on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


organisations = typer.Typer(help="Organisations that join or leave.", no_args_is_help=True)
communities = typer.Typer(help="Communities that share the network.", no_args_is_help=True)
certificates = typer.Typer(help="Certificates of nodes.", no_args_is_help=True)
revocations = typer.Typer(help="Lists of revoked certificates.", no_args_is_help=True)
app.add_typer(organisations, name="org")
app.add_typer(communities, name="community")
app.add_typer(certificates, name="cert")
app.add_typer(revocations, name="crl")


def _one_sentence(command: Callable[Words, None]) -> Callable[Words, None]:
    """Let a command say in one sentence on stderr what is wrong, and end with status 2."""

    @wraps(command)
    def run(*words: Words.args, **options: Words.kwargs) -> None:
        try:
            command(*words, **options)
        except NetworkError as error:
            # What Fabric's programs said may have lines of its own.
            typer.echo(f"wattpool network: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(BAD_INPUT_STATUS) from error

    return run


ChaincodeCommand = Annotated[str | None, typer.Option(help="Command of a chaincode process; default: Wattpool's.")]
Orderers = Annotated[int | None, typer.Option(help="How many, spread over the organisations; default: 3.")]
HowOrderersAgree = Annotated[Consensus | None, typer.Option(help="How orderers agree; default: raft.")]
Ports = Annotated[int | None, typer.Option(help="The first of 300 ports; default: 7000.")]
OldestFabric = Annotated[Fabric | None, typer.Option(help="The oldest version of Fabric among nodes; default: 3.")]
ChaincodeTls = Annotated[bool | None, typer.Option(help="Mutual TLS between peers and chaincode; default: with it.")]


@app.command()
@_one_sentence
def up(  # noqa: PLR0913, PLR0917 -- the options of one command
    state: State,
    chaincode: ChaincodeCommand = None,
    orderers: Orderers = None,
    consensus: HowOrderersAgree = None,
    ports: Ports = None,
    fabric: OldestFabric = None,
    chaincode_tls: ChaincodeTls = None,
) -> None:
    """Found a network, or start what does not run of the one that is there; all is ready when it returns."""
    is_plain = all(option is None for option in (chaincode, orderers, consensus, ports, fabric, chaincode_tls))
    if is_plain and Network.is_in(state):
        network = Network.open(state)
        require_all(network)
    else:
        network = Network(state, _topology(chaincode, orderers, consensus, ports, fabric, chaincode_tls))
    network.up(report=_stopwatch())
    typer.echo(f"ready: {network.layout.connection}")


@app.command()
@_one_sentence
def prepare(  # noqa: PLR0913, PLR0917 -- the options of one command
    state: State,
    organisation: Annotated[
        str | None, typer.Option(help="The organisation whose machine this is: aggregator, dso, members.")
    ] = None,
    hosts: Annotated[str | None, typer.Option(help="Where each runs: aggregator=HOST,dso=HOST,members=HOST.")] = None,
    chaincode: ChaincodeCommand = None,
    orderers: Orderers = None,
    consensus: HowOrderersAgree = None,
    ports: Ports = None,
    fabric: OldestFabric = None,
    chaincode_tls: ChaincodeTls = None,
) -> None:
    """Make one organisation's part of a network of several machines; all give the same options but the organisation."""
    if organisation is None or hosts is None:
        network = Network.open(state)
    else:
        topology = _topology(chaincode, orderers, consensus, ports, fabric, chaincode_tls, hosts=_parse_hosts(hosts))
        network = Network(state, replace(topology, runs_here=organisation))
    file = prepare_part(network, report=_stopwatch())
    typer.echo(f"give the others {file} (SHA-256 {sha256(file.read_bytes()).hexdigest()})")


@app.command()
@_one_sentence
def join(state: State, files: Annotated[list[Path], typer.Argument(help="The others' NAME.public.json.")]) -> None:
    """Take in the other organisations' public parts; then all compare the fingerprints, and give `up`."""
    for channel, fingerprint in join_parts(Network.open(state), files).items():
        typer.echo(f"first block of {channel}: {fingerprint}")


@app.command()
@_one_sentence
def down(
    state: State,
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete the network with its keys and ledgers.")] = False,  # noqa: FBT002 -- a flag
) -> None:
    """Stop all nodes; keys and ledgers stay, unless wiped."""
    Network.open(state).down(wipe=wipe)


@app.command()
@_one_sentence
def status(state: State) -> None:
    """Show each node; the exit status is 1 unless all are ready."""
    statuses = Network.open(state).nodes.status()
    for one in statuses:
        heights = "  ".join(f"{channel}: {height} blocks" for channel, height in one.heights.items())
        pid = "-" if one.pid is None else one.pid
        typer.echo(f"{one.node.name:<22} {one.state:<10} {pid:>8}  {heights}".rstrip())
    if not all(one.is_ready for one in statuses):
        raise typer.Exit(NOT_READY_STATUS)


@app.command()
@_one_sentence
def logs(
    state: State,
    node: Annotated[str, typer.Argument(help="A node as `status` names it.")],
    lines: Annotated[int, typer.Option(help="How many of the last lines.", min=1)] = 50,
) -> None:
    """Show the end of a node's log."""
    for line in Network.open(state).node_process(node).tail(lines):
        typer.echo(line)


@app.command()
@_one_sentence
def compose(state: State) -> None:
    """Print a compose file that runs the network in containers instead, once the native nodes are down."""
    network = Network.open(state)
    write_secrets(network.topology, network.layout)
    typer.echo(yaml.safe_dump(render_compose(network.topology, network.layout), sort_keys=False), nl=False)


@app.command()
@_one_sentence
def upgrade(
    state: State,
    chaincode: Annotated[str, typer.Argument(help="The chaincode, such as ledger.")],
    version: Annotated[str, typer.Option(help="The new version.")],
    command: Annotated[str | None, typer.Option(help="Command of its process; default: Wattpool's.")] = None,
    period: Annotated[
        str | None, typer.Option(help="Wait with it until the period before this one is open: 2026-06-01T00:15Z.")
    ] = None,
) -> None:
    """Change a chaincode over to a new version, approved by all organisations, while the network goes on."""
    words = WATTPOOL if command is None else tuple(shlex.split(command))
    upgrade_chaincode(
        Network.open(state),
        chaincode,
        command=(*words, chaincode),
        version=version,
        period_start_utc=None if period is None else _parse_utc(period),
        report=_stopwatch(),
    )


@app.command()
@_one_sentence
def deploy(state: State, sample: SampleDirectory, ports: SamplePorts = _SAMPLE_PORTS) -> None:
    """Put both chaincodes on one of Fabric's sample networks, which runs, and write down how clients reach them."""
    typer.echo(f"ready: {_deployment(state, sample, ports).up()}")


@app.command()
@_one_sentence
def undeploy(state: State, sample: SampleDirectory, ports: SamplePorts = _SAMPLE_PORTS) -> None:
    """Stop the chaincode of a sample network; what is on its channels stays."""
    _deployment(state, sample, ports).down()


@app.command()
@_one_sentence
def snapshot(state: State, channel: Annotated[str, typer.Argument(help="The channel, such as ledger.")]) -> None:
    """Have all peers write a snapshot after the same block, and compare the hashes of their states."""
    network = Network.open(state)
    taken = take_snapshot(network, network.channel(channel))
    typer.echo(f"after block {taken.block}: {taken.hash}")
    for peer, directory in taken.directories.items():
        typer.echo(f"{peer}: {directory}")


@app.command()
@_one_sentence
def backup(state: State, file: Annotated[Path, typer.Argument(help="The backup to write; it holds keys.")]) -> None:
    """Stop the network for a moment and write all of it into one file."""
    save_backup(Network.open(state), file)


@app.command()
@_one_sentence
def restore(state: State, file: Annotated[Path, typer.Argument(help="A backup.")]) -> None:
    """Unpack a backup into the directory of a network, which must be empty; `up` then starts it."""
    restore_backup(file, state)


@organisations.command("add")
@_one_sentence
def add_organisation(
    state: State,
    name: Annotated[str, typer.Argument(help="Its name, as in peer0.NAME.")],
    msp_id: Annotated[str, typer.Argument(help="Its MSP id.")],
) -> None:
    """Have an organisation with a peer of its own join all channels."""
    membership.add(Network.open(state), name=name, msp_id=msp_id, report=_stopwatch())


@organisations.command("remove")
@_one_sentence
def remove_organisation(state: State, name: OrganisationName) -> None:
    """Have an organisation leave all channels, as the others decide, and end its nodes."""
    network = Network.open(state)
    membership.remove(network, network.organisation(name), report=_stopwatch())


@communities.command("add")
@_one_sentence
def add_community(
    state: State, name: Annotated[str, typer.Argument(help="Its name, as in the channels NAME-contract, NAME-ledger.")]
) -> None:
    """Have the network serve a further community, on a pair of channels of its own."""
    network = community_operations.add(Network.open(state), name, report=_stopwatch())
    typer.echo(f"ready: fabric:{network.layout.connection}#{name}")


@certificates.command("renew")
@_one_sentence
def renew(state: State, name: OrganisationName) -> None:
    """Renew the certificates of an organisation's nodes, one node after the other."""
    network = Network.open(state)
    renew_certificates(network, network.organisation(name))


@revocations.command("push")
@_one_sentence
def push(state: State, name: OrganisationName) -> None:
    """Make all channels refuse the certificates that an organisation's authority has revoked."""
    network = Network.open(state)
    push_crl(network, network.organisation(name))


def _topology(  # noqa: PLR0913, PLR0917 -- the options of two commands
    chaincode: str | None,
    orderers: int | None,
    consensus: Consensus | None,
    ports: int | None,
    fabric: Fabric | None,
    chaincode_tls: bool | None,  # noqa: FBT001 -- the same
    hosts: Mapping[str, str] = MappingProxyType({}),
) -> Topology:
    return community(
        command=WATTPOOL if chaincode is None else tuple(shlex.split(chaincode)),
        orderers=3 if orderers is None else orderers,
        consensus=consensus or Consensus.RAFT,
        port_base=7000 if ports is None else ports,
        fabric=fabric or Fabric.V3,
        chaincode_tls=chaincode_tls is not False,
        hosts=hosts,
    )


def _deployment(state: Path, sample: Path, ports: int) -> Deployment:
    opened = open_sample(sample, port_base=ports)
    return Deployment(sample=opened, layout=Layout(state.resolve()), report=_stopwatch())


def _parse_hosts(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    hosts = {name: host for name, _, host in pairs}
    if sorted(name for name, _, _ in pairs) != sorted(NAMES.values()) or not all(hosts.values()):
        raise NetworkError(f"--hosts {text} does not name one host for each of {', '.join(NAMES.values())}")
    return hosts


def _parse_utc(text: str) -> int:
    try:
        return parse_utc(text)
    except ValueError as error:
        raise NetworkError(f"{text!r} is no time in UTC such as 2026-06-01T00:15Z") from error


def _stopwatch() -> Report:
    started = time.monotonic()
    return lambda step: typer.echo(f"{time.monotonic() - started:6.1f} s  {step}", err=True)
