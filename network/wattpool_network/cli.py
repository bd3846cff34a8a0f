"""The command line of a network: `up`, `down`, `status`, `logs`."""

import shlex
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from wattpool_network.community import community
from wattpool_network.errors import NetworkError
from wattpool_network.network import Network
from wattpool_network.topology import Consensus

BAD_INPUT_STATUS = 2
NOT_READY_STATUS = 1

Words = ParamSpec("Words")
State = Annotated[Path, typer.Option("--state", help="Directory of the network: keys, ledgers, logs.")]

app = typer.Typer(
    help="A Hyperledger Fabric network on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _one_sentence(command: Callable[Words, None]) -> Callable[Words, None]:
    """Let a command say in one sentence on stderr what is wrong, and end with status 2."""

    @wraps(command)
    def run(*words: Words.args, **options: Words.kwargs) -> None:
        try:
            command(*words, **options)
        except NetworkError as error:
            typer.echo(f"wattpool network: {error}", err=True)
            raise typer.Exit(BAD_INPUT_STATUS) from error

    return run


@app.command()
@_one_sentence
def up(
    state: State,
    chaincode: Annotated[str | None, typer.Option(help="Command of a chaincode process, to found the network.")] = None,
    orderers: Annotated[int, typer.Option(help="How many, spread over the organisations, to found it.", min=1)] = 3,
    consensus: Annotated[Consensus, typer.Option(help="How orderers agree, to found it.")] = Consensus.RAFT,
    ports: Annotated[int, typer.Option(help="The first of 300 ports, to found it.", min=1)] = 7000,
) -> None:
    """Found the network, or start again what does not run; ready when it returns."""
    if chaincode is None:
        network = Network.open(state)
    else:
        command = tuple(shlex.split(chaincode))
        topology = community(command=command, orderers=orderers, consensus=consensus, port_base=ports)
        network = Network(state, topology)
    started = time.monotonic()
    network.up(report=lambda step: typer.echo(f"{time.monotonic() - started:6.1f} s  {step}", err=True))
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
