"""Waiting for what can be seen to be so: health endpoints, open ports, metrics of nodes."""

import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from wattpool_network.topology import LOOPBACK

POLL_S = 0.05
_PROBE_TIMEOUT_S = 2.0
_METRIC = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)


def until(is_so: Callable[[], bool], *, deadline_s: float, poll_s: float = POLL_S) -> bool:
    """Ask every `poll_s` whether something is so; tell whether it became so in time."""
    end = time.monotonic() + deadline_s
    while not is_so():
        if time.monotonic() >= end:
            return False
        time.sleep(poll_s)
    return True


def is_healthy(operations_port: int) -> bool:
    """Tell whether a node's health endpoint says that all its components are well (fabric-lib-go healthz)."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{operations_port}/healthz", timeout=_PROBE_TIMEOUT_S):
            return True
    except (urllib.error.URLError, OSError):
        return False


def is_listening(host: str, port: int) -> bool:
    """Tell whether something accepts connections there; a chaincode server has no health endpoint."""
    try:
        with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def is_free(host: str, port: int) -> bool:
    """Tell whether a node could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def metric(operations_port: int, name: str) -> dict[str, float]:
    """Return a metric of a node by channel, nothing if the node does not answer (docs/source/metrics_reference.md)."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{operations_port}/metrics", timeout=_PROBE_TIMEOUT_S) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return {}
    values = {}
    for found in _METRIC.finditer(text):
        if found["name"] == name:
            labels = dict(pair.split("=", 1) for pair in (found["labels"] or "").split(",") if pair)
            values[labels.get("channel", "").strip('"')] = float(found["value"])
    return values
