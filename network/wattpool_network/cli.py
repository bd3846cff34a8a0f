"""The command line of a network, which `wattpool network` is."""

import shlex
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
import yaml

from wattpool_network import membership
from wattpool_network.backup import restore as restore_backup
from wattpool_network.backup import save as save_backup
from wattpool_network.community import WATTPOOL, community
from wattpool_network.compose import render as render_compose
from wattpool_network.errors import NetworkError
from wattpool_network.founding import Report
from wattpool_network.network import Network
from wattpool_network.renewal import renew_certificates
from wattpool_network.revocation import push_crl
from wattpool_network.snapshot import take as take_snapshot
from wattpool_network.topology import Consensus, Fabric
from wattpool_network.upgrade import upgrade as upgrade_chaincode

BAD_INPUT_STATUS = 2
NOT_READY_STATUS = 1

Words = ParamSpec("Words")
State = Annotated[Path, typer.Option("--state", help="Directory of the network: keys, ledgers, logs.")]
OrganisationName = Annotated[str, typer.Argument(help="An organisation, such as dso.")]

app = typer.Typer(
    help="A Hyperledger Fabric network on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


organisations = typer.Typer(help="Organisations that join or leave.", no_args_is_help=True)
certificates = typer.Typer(help="Certificates of nodes.", no_args_is_help=True)
revocations = typer.Typer(help="Lists of revoked certificates.", no_args_is_help=True)
app.add_typer(organisations, name="org")
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


@app.command()
@_one_sentence
def up(  # noqa: PLR0913, PLR0917 -- the options of one command
    state: State,
    chaincode: Annotated[str | None, typer.Option(help="Command of a chaincode process; default: Wattpool's.")] = None,
    orderers: Annotated[int | None, typer.Option(help="How many, spread over the organisations; default: 3.")] = None,
    consensus: Annotated[Consensus | None, typer.Option(help="How orderers agree; default: raft.")] = None,
    ports: Annotated[int | None, typer.Option(help="The first of 300 ports; default: 7000.")] = None,
    fabric: Annotated[Fabric | None, typer.Option(help="The oldest version of Fabric among nodes; default: 3.")] = None,
) -> None:
    """Found a network, or start what does not run of the one that is there; all is ready when it returns."""
    is_plain = all(option is None for option in (chaincode, orderers, consensus, ports, fabric))
    if is_plain and Network.is_in(state):
        network = Network.open(state)
    else:
        topology = community(
            command=WATTPOOL if chaincode is None else tuple(shlex.split(chaincode)),
            orderers=3 if orderers is None else orderers,
            consensus=consensus or Consensus.RAFT,
            port_base=7000 if ports is None else ports,
            fabric=fabric or Fabric.V3,
        )
        network = Network(state, topology)
    network.up(report=_stopwatch())
    typer.echo(f"ready: {network.layout.connection}")


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
    typer.echo(yaml.safe_dump(render_compose(network.topology, network.layout), sort_keys=False), nl=False)


@app.command()
@_one_sentence
def upgrade(
    state: State,
    chaincode: Annotated[str, typer.Argument(help="The chaincode, such as ledger.")],
    version: Annotated[str, typer.Option(help="The new version.")],
    command: Annotated[str | None, typer.Option(help="Command of its process; default: Wattpool's.")] = None,
) -> None:
    """Change a chaincode over to a new version, approved by all organisations, while the network goes on."""
    words = WATTPOOL if command is None else tuple(shlex.split(command))
    upgrade_chaincode(Network.open(state), chaincode, command=(*words, chaincode), version=version, report=_stopwatch())


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


def _stopwatch() -> Report:
    started = time.monotonic()
    return lambda step: typer.echo(f"{time.monotonic() - started:6.1f} s  {step}", err=True)
