"""The smart-meter contract (paper A, Table I): what a meter is, and what its state means.

Two decisions where Table I cannot be run as printed:

- Lines 14-17 compare the household's power with its maximum power and would have a house at normal load always
  buy. The goal follows the sign of the power flow instead, as eq. (1) has it: export sells, import buys.
- Line 18 looks for tampering only after "below" and "above" have failed, so an alert could never be raised for a
  tampered meter at any other power. The alert is looked for first; power beyond the maximum is suspicious usage.
"""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from wattpool_chaincode import authentication, fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.connection import read_connection
from wattpool_chaincode.contract.device import Device, read_device
from wattpool_chaincode.contract.metering_point import read_metering_point
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.rules import read_rules
from wattpool_chaincode.contract.voiding import TAMPERED, void
from wattpool_chaincode.records import codec
from wattpool_chaincode.refusal import Refused

STATE = {"household_power_w": fields.COUNT, "power_flow_w": fields.INTEGER, "tamper": fields.FLAG}
MAX_STATES = 500


class Status(StrEnum):
    """What the contract tells the meter."""

    BUY = "Buy"
    SELL = "Sell"
    IDLE = "Idle"
    ALERT = "Possible invalid operation detected"


@dataclass(frozen=True, kw_only=True)
class SmartMeter:
    """Table I.

    Attributes:
        meter: `smartmeter.ID`.
        position: the feeder of its connection.
        household_power_w: `instance`, what the household consumes now.
        maximum_power_w: `maxpower.value`.
        power_flow_w: `currentpower`, at the connection: positive when it exports.
        public_key: the private key stays in the device.
        goal: what it was last told.
        tamper: its tamper contact is open, or was when it last said so; the device is void until it is reinstated.
        counter: of the last state taken in.
    """

    meter: str
    position: str
    household_power_w: int
    maximum_power_w: int
    power_flow_w: int
    public_key: str
    goal: str
    tamper: bool
    counter: int


def status(meter: SmartMeter) -> Status:
    """Return Buy, Sell, Idle or the alert (Table I, lines 13-23, as decided above)."""
    if meter.tamper or max(abs(meter.power_flow_w), meter.household_power_w) > meter.maximum_power_w:
        return Status.ALERT
    if meter.power_flow_w > 0:
        return Status.SELL
    if meter.power_flow_w < 0:
        return Status.BUY
    return Status.IDLE


def update_meters(context: Context, argument: dict[str, Any]) -> dict[str, list[list[int | str]]]:
    """Take in signed `state` payloads; a bad one is named in the result and never spoils the others.

    Returns:
        `statuses`: pairs of index and status; `refused`: pairs of index and reason.

    Raises:
        Refused: argument_malformed, not_founded.
    """
    (states,) = fields.read(argument, states=fields.Check(f"a list of up to {MAX_STATES}", _is_batch))
    community = read_rules(context).community
    statuses: list[list[int | str]] = []
    refused: list[list[int | str]] = []
    updated: dict[str, tuple[Device, SmartMeter]] = {}
    for index, state in enumerate(states):
        try:
            device, meter = _take_in(context, state, community, set(updated))
        except Refused as refusal:
            refused.append([index, refusal.reason.value])
        else:
            updated[meter.meter] = (device, meter)
            statuses.append([index, meter.goal])

    for device, meter in updated.values():
        context.put(_key(meter.meter), codec.encode(asdict(meter)))
        if meter.tamper and not device.void:
            void(context, device, {"counter": meter.counter, "reason": TAMPERED})
    return {"refused": refused, "statuses": statuses}


def meter(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return Table I of one meter.

    Raises:
        Refused: argument_malformed, device_unknown.
    """
    (identity,) = fields.read(argument, meter=fields.IDENTITY)
    return asdict(_read_meter(context, read_device(context, identity)))


def _is_batch(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_STATES


def _take_in(context: Context, state: object, community: str, seen: set[str]) -> tuple[Device, SmartMeter]:
    payload, signed = authentication.decode(state, kind="state", community=community, content=STATE)
    try:
        device = read_device(context, payload.signer)
    except Refused as refusal:
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, payload.signer) from refusal
    authentication.authenticate(signed, bytes.fromhex(device.public_key))
    before = _read_meter(context, device)
    if device.device in seen:
        raise Refused(PayloadRefusal.REPLAYED, "one state per meter and transaction")
    authentication.require_counter(payload.counter, before.counter)
    if device.retirement is not None:
        raise Refused(ContractRefusal.DEVICE_RETIRED, device.device)
    if device.void:
        raise Refused(ContractRefusal.DEVICE_VOID, device.device)
    after = replace(before, counter=payload.counter, **payload.content)
    return device, replace(after, goal=status(after).value)


def _read_meter(context: Context, device: Device) -> SmartMeter:
    stored = context.get(_key(device.device))
    if stored is not None:
        return SmartMeter(**codec.load(stored))
    point = read_metering_point(context, device.point)
    return SmartMeter(
        meter=device.device,
        position=read_connection(context, point.connection).feeder,
        household_power_w=0,
        maximum_power_w=device.maximum_power_w,
        power_flow_w=0,
        public_key=device.public_key,
        goal=Status.IDLE.value,
        tamper=False,
        counter=0,
    )


def _key(identity: str) -> str:
    return f"meter/{identity}"
