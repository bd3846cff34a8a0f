"""Devices: the meters that sign, from installation and admission by DSO and aggregator to retirement.

The key pair is made in the device (mission row A3); what comes here is the public key, proven by the device's own
signature, the owner's signed mandate, and the opening record of the registers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from wattpool_chaincode import authentication, fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.connection import POWER
from wattpool_chaincode.contract.metering_point import Kind, read_metering_point
from wattpool_chaincode.contract.party import read_party
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.rules import read_rules, require
from wattpool_chaincode.contract.slot import Slot, add_slot, change_slot, slot_of
from wattpool_chaincode.organisations import AGGREGATOR, DSO, METERING_FACTS
from wattpool_chaincode.records import codec, ocmf
from wattpool_chaincode.records.ocmf import SignedRecord
from wattpool_chaincode.records.payload import signer_id
from wattpool_chaincode.refusal import Refused

INSTALL = {
    "public_key": fields.PUBLIC_KEY,
    "point": fields.IDENTITY,
    "serial": fields.NAME,
    "maximum_power_w": POWER,
}
MANDATE = {"device": fields.IDENTITY, "point": fields.IDENTITY}


@dataclass(frozen=True, kw_only=True)
class Retirement:
    """How a device ended: why, and what its registers held.

    Attributes:
        reason: the DSO's.
        number: of its closing record, or of its opening one if the DSO read it.
        record: hash of its closing record, None if the DSO read it.
        import_wh: in all.
        export_wh: in all.
    """

    reason: str
    number: int
    record: str | None
    import_wh: int
    export_wh: int


@dataclass(frozen=True, kw_only=True)
class Device:
    """A meter at a metering point.

    Attributes:
        device: its id.
        public_key: what it signs with.
        point: the metering point where it measures.
        party: who mandated it; its slot says whose account it trades for now.
        serial: of the MID meter.
        maximum_power_w: more than this is an invalid operation (Table I of paper A).
        opening: number, hash, import and export in Wh, and time of its first record.
        approvals: MSP ids that approved it, sorted.
        slot: its connection's number in the roster once it is admitted at a grid point, else None.
        void: it was tampered with, or contradicted itself; it may be reinstated.
        retirement: how it ended, None while it is in service.
    """

    device: str
    public_key: str
    point: str
    party: str
    serial: str
    maximum_power_w: int
    opening: tuple[int, str, int, int, int]
    approvals: tuple[str, ...]
    slot: int | None
    void: bool
    retirement: Retirement | None = None

    @property
    def is_admitted(self) -> bool:
        return self.approvals == (AGGREGATOR, DSO)

    def encode(self) -> bytes:
        return codec.encode(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> "Device":
        value = codec.load(data)
        retirement = value["retirement"]
        return cls(
            **{
                **value,
                "opening": tuple(value["opening"]),
                "approvals": tuple(value["approvals"]),
                "retirement": None if retirement is None else Retirement(**retirement),
            }
        )


def register_device(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Record an installed meter; it trades only once it is approved.

    Where another measures or measured, the mandate is of the party whose connection it is.

    Raises:
        Refused: argument_malformed, not_authorised, not_founded, a `PayloadRefusal`, point_unknown, party_unknown,
            mandate_for_another, record_for_another, exists_with_other_content.
    """
    install, mandate, opening = fields.read(
        argument, install=fields.SIGNED, mandate=fields.SIGNED, opening=fields.RECORD
    )
    require(context, AGGREGATOR)
    community = read_rules(context).community
    payload, signed = authentication.decode(install, kind="install", community=community, content=INSTALL)
    public_key = bytes.fromhex(payload.content["public_key"])
    if payload.signer != signer_id(public_key):
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, "the signer is not the id of the public key")
    authentication.authenticate(signed, public_key)
    point = read_metering_point(context, payload.content["point"])
    party = _mandated_party(context, mandate, community, {"device": payload.signer, "point": point.point})
    device = Device(
        device=payload.signer,
        party=party,
        opening=_opening(opening, public_key=public_key, community=community, serial=payload.content["serial"]),
        approvals=(),
        slot=None,
        void=False,
        **payload.content,
    )
    stored = context.get(_key(device.device))
    if stored is not None:
        known = Device.decode(stored)
        if replace(known, approvals=(), slot=None, void=False, retirement=None) != device:
            raise Refused(ContractRefusal.EXISTS_WITH_OTHER_CONTENT, device.device)
        return {"device": device.device}

    if point.kind is Kind.GRID:
        slot = slot_of(context, point.connection)
        if slot is not None and slot.party != party:
            raise Refused(ContractRefusal.MANDATE_FOR_ANOTHER, f"the connection is {slot.party}'s")

    write_device(context, device)
    context.set_policy(_key(device.device), METERING_FACTS)
    return {"device": device.device}


def approve_device(context: Context, argument: dict[str, Any]) -> dict[str, bool]:
    """Approve a meter for the submitter's organisation; DSO and aggregator together admit it.

    Admitted at a grid point, it gives its connection a slot, or takes the place of the one that is retired there; one
    meter measures what a connection exchanges. A meter at another point is admitted without: the market settles on
    what crosses the connection alone.

    Raises:
        Refused: argument_malformed, not_authorised, device_unknown, device_retired, device_void, connection_taken.
    """
    (identity,) = fields.read(argument, device=fields.IDENTITY)
    require(context, AGGREGATOR, DSO)
    device = read_device(context, identity)
    if device.retirement is not None:
        raise Refused(ContractRefusal.DEVICE_RETIRED, identity)
    if device.void:
        raise Refused(ContractRefusal.DEVICE_VOID, identity)
    approvals = tuple(sorted({*device.approvals, context.submitter.msp_id}))
    if approvals == device.approvals:
        return {"admitted": device.is_admitted}
    approved = replace(device, approvals=approvals)
    point = read_metering_point(context, device.point)
    if not approved.is_admitted or point.kind is not Kind.GRID:
        write_device(context, approved)
        return {"admitted": approved.is_admitted}
    before = slot_of(context, point.connection)
    if before is None:
        slot = add_slot(context, connection=point.connection, device=identity, party=device.party)
    else:
        slot = _exchanged(before, read_device(context, before.device), identity)
        change_slot(context, before, slot)
    write_device(context, replace(approved, slot=slot.slot))
    return {"admitted": True}


def read_device(context: Context, identity: str) -> Device:
    """Return a device.

    Raises:
        Refused: device_unknown.
    """
    return _decode(identity, context.get(_key(identity)))


def read_devices(context: Context, identities: Sequence[str]) -> list[Device]:
    """Return several devices.

    Raises:
        Refused: device_unknown.
    """
    return list(map(_decode, identities, context.get_many([_key(identity) for identity in identities])))


def write_device(context: Context, device: Device) -> None:
    context.put(_key(device.device), device.encode())


def read_own_record(text: str, *, public_key: bytes, community: str, serial: str) -> SignedRecord:
    """Read a record of the device that has `public_key` and `serial`, its opening or its closing one.

    Raises:
        Refused: malformed, foreign_community, wrongly_signed, record_for_another.
    """
    signed = read_record(text, community)
    record = signed.record
    if not signed.is_signed_by(public_key):
        raise Refused(PayloadRefusal.WRONGLY_SIGNED, "record")
    if (record.device, record.serial) != (signer_id(public_key), serial):
        raise Refused(ContractRefusal.RECORD_FOR_ANOTHER, f"device {record.device}, serial {record.serial}")
    return signed


def read_record(text: str, community: str) -> SignedRecord:
    """Read a record of this community's, whoever signed it.

    Raises:
        Refused: malformed, foreign_community.
    """
    try:
        signed = ocmf.read(text)
    except ocmf.MalformedRecord as error:
        raise Refused(PayloadRefusal.MALFORMED, f"record: {error}") from error
    if signed.record.community != community:
        raise Refused(PayloadRefusal.FOREIGN_COMMUNITY, f"record for {signed.record.community!r}")
    return signed


def _exchanged(before: Slot, old: Device, new: str) -> Slot:
    """Return a slot after the exchange of its device.

    Raises:
        Refused: connection_taken.
    """
    if old.retirement is None:
        raise Refused(ContractRefusal.CONNECTION_TAKEN, f"{before.connection} is measured by {old.device}")
    _, _, import_wh, export_wh, _ = old.opening
    return replace(
        before,
        device=new,
        installation=before.installation + 1,
        import_wh=before.import_wh + old.retirement.import_wh - import_wh,
        export_wh=before.export_wh + old.retirement.export_wh - export_wh,
    )


def _mandated_party(context: Context, mandate: object, community: str, expected: dict[str, str]) -> str:
    payload, signed = authentication.decode(mandate, kind="mandate", community=community, content=MANDATE)
    party = read_party(context, payload.signer)
    authentication.authenticate(signed, bytes.fromhex(party.public_key))
    if payload.content != expected:
        raise Refused(ContractRefusal.MANDATE_FOR_ANOTHER, "the owner's mandate names another device or metering point")
    return party.party


def _opening(text: str, *, public_key: bytes, community: str, serial: str) -> tuple[int, str, int, int, int]:
    signed = read_own_record(text, public_key=public_key, community=community, serial=serial)
    record = signed.record
    return (record.number, signed.hash, record.import_wh, record.export_wh, record.time_utc)


def _decode(identity: str, stored: bytes | None) -> Device:
    if stored is None:
        raise Refused(ContractRefusal.DEVICE_UNKNOWN, identity)
    return Device.decode(stored)


def _key(identity: str) -> str:
    return f"device/{identity}"
