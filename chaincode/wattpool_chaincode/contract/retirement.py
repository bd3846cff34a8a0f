"""Retirement: a device leaves its metering point, and the next one to be approved there takes its place.

What the old device measured in all is carried over by its closing record, or by the DSO's reading if it is dead: the
energy of the exchange is in the connection's totals once, whoever measures next. The new device's registers start
from its own opening record.
"""

from dataclasses import replace
from typing import Any

from wattpool_chaincode import fields
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.device import Device, Retirement, read_device, read_own_record, write_device
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.rules import read_rules, require
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.refusal import Refused

_READING = {"export_wh": fields.COUNT, "import_wh": fields.COUNT}
_CLOSING = fields.Check(
    "an OCMF record as text, or an object of import_wh and export_wh",
    lambda value: isinstance(value, str) or (isinstance(value, dict) and fields.mismatch(value, _READING) is None),
)


def retire_device(context: Context, argument: dict[str, Any]) -> dict[str, int]:
    """Take a device out of service for ever, void or not; only the DSO, whose grid it measured.

    `closing` is the last record that the device signed, or, if it cannot sign any more, what the DSO read off it.

    Returns:
        `import_wh` and `export_wh` at the end.

    Raises:
        Refused: argument_malformed, not_authorised, not_founded, device_unknown, a `PayloadRefusal` of the record
            (malformed, foreign_community, wrongly_signed), record_for_another, closing_behind,
            exists_with_other_content if it was retired otherwise.
    """
    identity, closing, reason = fields.read(argument, device=fields.IDENTITY, closing=_CLOSING, reason=fields.TEXT)
    require(context, DSO)
    community = read_rules(context).community
    device = read_device(context, identity)
    retirement = _retirement(device, closing, reason, community)
    number, _, import_wh, export_wh, _ = device.opening
    if retirement.import_wh < import_wh or retirement.export_wh < export_wh or retirement.number < number:
        raise Refused(ContractRefusal.CLOSING_BEHIND, "the device began with a later record, or with higher registers")
    if device.retirement is None:
        write_device(context, replace(device, retirement=retirement))
    elif device.retirement != retirement:
        raise Refused(ContractRefusal.EXISTS_WITH_OTHER_CONTENT, f"{identity} is retired with another reading")
    return {"export_wh": retirement.export_wh, "import_wh": retirement.import_wh}


def _retirement(device: Device, closing: str | dict[str, int], reason: str, community: str) -> Retirement:
    if isinstance(closing, dict):
        return Retirement(reason=reason, number=device.opening[0], record=None, **closing)
    public_key = bytes.fromhex(device.public_key)
    signed = read_own_record(closing, public_key=public_key, community=community, serial=device.serial)
    record = signed.record
    return Retirement(
        reason=reason,
        number=record.number,
        record=signed.hash,
        import_wh=record.import_wh,
        export_wh=record.export_wh,
    )
