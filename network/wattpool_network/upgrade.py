"""A new version of a chaincode, without a moment in which none answers.

The new processes start beside the old ones, all organisations approve, one commit for each channel changes over on all
peers, and then the old processes end. The commit may wait until the period before a named one is open: with a live
clock it then has most of a period's length to take effect in.

From which period new rules of the market count is not decided here but by the rules, which are versioned by period:
stages of two periods share blocks, so that one version of the chaincode serves both.
"""

import dataclasses
import math
from collections.abc import Iterable
from datetime import UTC, datetime

from wattpool_network import periods, readiness
from wattpool_network.errors import NetworkError
from wattpool_network.founding import Founding, Report
from wattpool_network.network import Network
from wattpool_network.topology import Channel, Plan, Topology

_POLL_S = 0.5


def upgrade(  # noqa: PLR0913 -- what a version is, and when it is to count
    network: Network,
    name: str,
    *,
    command: tuple[str, ...],
    version: str,
    period_start_utc: int | None = None,
    report: Report = lambda _: None,
) -> Network:
    """Change a chaincode over to `version`, served by `command`, and return the network as it is then.

    With a period all is prepared and approved now, and each community's channel changes over as soon as the period
    before is open, for which this waits; one that was cut off is completed by the same call, which waits on, or by one
    without a period, which changes over at once.

    Raises:
        NetworkError: if there is no such chaincode, it has this version already, another one is planned, a community
            has opened the period already, or the new processes do not start; then the old version goes on. Whatever
            else stands in the way, `up` completes what was begun.
    """
    _require_upgradable(network.topology, name, version, period_start_utc)
    channels = [_planned(channel, name, command=command, version=version) for channel in network.topology.channels]
    if period_start_utc is None:
        return _bring_about(network, [_changed_over(channel) for channel in channels], report)
    network = _bring_about(network, [_timed(network, channel, period_start_utc) for channel in channels], report)
    while waiting := [channel for channel in network.topology.channels if channel.plan is not None]:
        report(f"{' and '.join(channel.name for channel in waiting)}: waiting for the period before {_utc(waiting[0])}")
        due = _await_due(network, waiting)
        # In the meantime other operations may have changed the network.
        network = Network.open(network.layout.root)
        channels = [_changed_over(channel) if channel.name in due else channel for channel in network.topology.channels]
        network = _bring_about(network, channels, report)
        for channel in sorted(due):
            opened_utc = periods.last_opened(network, network.channel(channel).community)
            report(f"{channel} has {name} {version}; the last period open is {_format_utc(opened_utc)}")
    return network


def _bring_about(network: Network, channels: Iterable[Channel], report: Report) -> Network:
    wanted = network.with_topology(dataclasses.replace(network.topology, channels=tuple(channels)))
    commands = wanted.commands()
    founding = Founding(nodes=wanted.nodes, commands=commands, report=report)
    with network.locked():
        wanted.nodes.require_ports()
        founding.enrol()
        try:
            wanted.nodes.start(wanted.topology.chaincode_servers, commands.binaries)
        except NetworkError:
            network.nodes.stop_others()
            raise
        wanted.store()
        founding.run()
    return wanted


def _require_upgradable(topology: Topology, name: str, version: str, start_utc: int | None) -> None:
    known = {chaincode.name: chaincode.version for channel in topology.channels for chaincode in channel.chaincodes}
    if name not in known:
        raise NetworkError(f"there is no chaincode {name}, but {', '.join(known)}")
    plans = [channel.plan for channel in topology.channels if channel.plan is not None]
    for plan in plans:
        wanted = (name, version, plan.period_start_utc if start_utc is None else start_utc)
        if (plan.chaincode.name, plan.chaincode.version, plan.period_start_utc) != wanted:
            told = (
                f"{plan.chaincode.name} {plan.chaincode.version} is planned from {_format_utc(plan.period_start_utc)}"
            )
            raise NetworkError(f"{told}; complete that first")
    if known[name] == version and not plans:
        raise NetworkError(f"chaincode {name} has version {version} already")


def _planned(channel: Channel, name: str, *, command: tuple[str, ...], version: str) -> Channel:
    """Return a channel that is to change over, if it has an older version of the chaincode."""
    for present in channel.chaincodes:
        if present.name == name and present.version != version and channel.plan is None:
            new = dataclasses.replace(
                present,
                command=command,
                version=version,
                sequence=present.sequence + 1,
                generation=present.generation + 1,
            )
            return dataclasses.replace(channel, plan=Plan(chaincode=new))
    return channel


def _timed(network: Network, channel: Channel, start_utc: int) -> Channel:
    """Return a channel that is to change over for a period which its community is yet to open."""
    if channel.plan is None or channel.plan.period_s:
        return channel
    length_s = periods.length_s(network, channel.community)
    if start_utc % length_s:
        raise NetworkError(
            f"{_format_utc(start_utc)} is no start of a period of {length_s} s, as {channel.name} has them"
        )
    opened_utc = periods.last_opened(network, channel.community)
    if opened_utc is not None and opened_utc >= start_utc:
        raise NetworkError(f"{channel.name} has opened {_format_utc(opened_utc)} already; name a later period, or none")
    plan = dataclasses.replace(channel.plan, period_start_utc=start_utc, period_s=length_s)
    return dataclasses.replace(channel, plan=plan)


def _await_due(network: Network, waiting: list[Channel]) -> set[str]:
    """Return the channels whose community has opened the period before the planned one, once there are any."""
    due: set[str] = set()

    def is_any_due() -> bool:
        due.update(channel.name for channel in waiting if _is_due(network, channel))
        return bool(due)

    readiness.until(is_any_due, deadline_s=math.inf, poll_s=_POLL_S)
    return due


def _is_due(network: Network, channel: Channel) -> bool:
    opened_utc = periods.last_opened(network, channel.community)
    plan = channel.plan
    return plan is not None and opened_utc is not None and opened_utc >= plan.period_start_utc - plan.period_s


def _changed_over(channel: Channel) -> Channel:
    plan = channel.plan
    if plan is None:
        return channel
    chaincodes = tuple(plan.chaincode if one.name == plan.chaincode.name else one for one in channel.chaincodes)
    return dataclasses.replace(channel, chaincodes=chaincodes, plan=None)


def _format_utc(time_utc: int | None) -> str:
    return "none" if time_utc is None else datetime.fromtimestamp(time_utc, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _utc(channel: Channel) -> str:
    return _format_utc(None if channel.plan is None else channel.plan.period_start_utc)
