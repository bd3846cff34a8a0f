"""Meter records in the Open Charge Metering Format (OCMF 1.4.1 of S.A.F.E. e.V.), which its official verifier checks.

A record is the text `OCMF|<payload JSON>|<signature JSON>`, signed over the exact bytes of the payload. Ours are
fiscal readings in one fixed profile: keys in one order, no spaces, whole watt-hours, times in UTC. `write` and `read`
speak that profile alone; `split` and `is_authentic` judge the signature of any published record.
"""

import json
import re
from base64 import b64decode
from binascii import unhexlify
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from wattpool_chaincode.records import signing
from wattpool_chaincode.records.payload import is_count
from wattpool_chaincode.records.period import format_utc

# Our longest record has under 1,600 characters; published ones of other makers carry tariff texts.
MAX_RECORD_CHARACTERS = 2_048
MAX_PUBLISHED_CHARACTERS = 65_536
NO_HASH = "0" * 64

_LAST_TIME_UTC = 253_402_300_799  # the end of the year 9999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURVES = {
    "ECDSA-secp192k1-SHA256": "secp192k1",
    "ECDSA-secp256k1-SHA256": "secp256k1",
    "ECDSA-secp192r1-SHA256": "secp192r1",
    "ECDSA-secp256r1-SHA256": "secp256r1",
    "ECDSA-secp384r1-SHA256": "secp384r1",
    # The format's text leaves the P out, published records write it.
    "ECDSA-brainpool256r1-SHA256": "brainpoolP256r1",
    "ECDSA-brainpoolP256r1-SHA256": "brainpoolP256r1",
    "ECDSA-brainpool384r1-SHA256": "brainpoolP384r1",
    "ECDSA-brainpoolP384r1-SHA256": "brainpoolP384r1",
}

_TEXT = r"[ !#-\[\]-{}~]{1,64}"
_COUNT = r"(?:0|[1-9][0-9]{0,15})"
_HASH = r"[0-9a-f]{64}"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2},000\+0000"
_ERROR_FLAGS = r"E?t?"
_STATUS = r"[GNTDRMXIOSEF]"
# The profile, field by field in its order: what `MeterRecord.payload` and `write` put there, and nothing else.
_FIELDS = (
    ("OCMF", r"OCMF\|"),
    ("FV", r'\{"FV":"1\.3"'),
    ("GI", rf',"GI":"Wattpool (?P<model>{_TEXT})"'),
    ("GS", rf',"GS":"(?P<device>{_TEXT})"'),
    ("GV", rf',"GV":"(?P<agent_version>{_TEXT})"'),
    ("PG", rf',"PG":"F(?P<number>{_COUNT})"'),
    ("MV", rf',"MV":"(?P<vendor>{_TEXT})"'),
    ("MM", rf',"MM":"(?P<meter_model>{_TEXT})"'),
    ("MS", rf',"MS":"(?P<serial>{_TEXT})"'),
    ("TM", rf',"RD":\[\{{"TM":"(?P<time>{_TIME}) (?P<time_status>[SIUR])"'),
    ("RV of 1.8.0", rf',"RV":(?P<import_wh>{_COUNT}),"RI":"1-0:1\.8\.0","RU":"Wh","RT":"AC"'),
    ("EF", rf',"EF":"(?P<error_flags>{_ERROR_FLAGS})"'),
    ("ST", rf',"ST":"(?P<status>{_STATUS})"\}}'),
    ("TM of 2.8.0", r',\{"TM":"(?P=time) (?P=time_status)"'),
    ("RV of 2.8.0", rf',"RV":(?P<export_wh>{_COUNT}),"RI":"1-0:2\.8\.0","RU":"Wh","RT":"AC"'),
    ("EF and ST of 2.8.0", r',"EF":"(?P=error_flags)","ST":"(?P=status)"\}\]'),
    ("ZC", rf',"ZC":"(?P<community>{_TEXT})"'),
    ("ZP", rf',"ZP":(?P<period_start_utc>{_COUNT})'),
    ("ZH", rf',"ZH":"(?P<previous_hash>{_HASH})"'),
    ("ZM", rf',"ZM":"(?P<leaves_root>{_HASH})"'),
    ("ZN", rf',"ZN":\[(?P<leaves>{_COUNT}),(?P<lost_edges>{_COUNT})\]'),
    ("ZB", rf',"ZB":\["(?P<boot_id>{_TEXT})",(?P<monotonic_ms>{_COUNT})\]'),
    ("ZT", r',"ZT":"OCMF-reading-v1"\}'),
    ("SA", r'\|\{"SA":"ECDSA-secp256r1-SHA256"'),
    ("SD", r',"SD":"(?P<signature>(?:[0-9A-F]{2}){8,72})"\}'),
)


class MalformedRecord(ValueError):
    """Text that is no OCMF record, or no value of one; the message names the field."""


class TimeStatus(StrEnum):
    """How far a record's time can be trusted (OCMF, field TM)."""

    SYNCHRONISED = "S"
    INFORMATIVE = "I"
    UNKNOWN = "U"
    RELATIVE = "R"


_RECORD = re.compile("".join(part for _, part in _FIELDS))
# What the values of a record must be: their names, the test, and what they are not if it fails.
_VALUES: tuple[tuple[tuple[str, ...], Callable[[Any], object], str], ...] = (
    (
        ("community", "device", "agent_version", "model", "vendor", "meter_model", "serial", "boot_id"),
        re.compile(_TEXT).fullmatch,
        '1 to 64 characters of printable ASCII without ", \\ and |',
    ),
    (
        ("number", "time_utc", "import_wh", "export_wh", "period_start_utc", "leaves", "lost_edges", "monotonic_ms"),
        is_count,
        "an integer from 0 to 2^53 - 1",
    ),
    (("previous_hash", "leaves_root"), re.compile(_HASH).fullmatch, "a SHA-256 in lower-case hex"),
    (("error_flags",), re.compile(_ERROR_FLAGS).fullmatch, "E, t, both or nothing"),
    (("status",), re.compile(_STATUS).fullmatch, "a status that OCMF knows"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRecord:
    r"""The registers of one metering point at the end of a market period, or at its opening.

    Text is printable ASCII of 1 to 64 characters, without `"`, `\` and `|`: it stands in the JSON as it is.

    Attributes:
        community: whose market it is for (ZC).
        device: id of the device that signs (GS).
        agent_version: version of the meter agent (GV).
        model: of the device, written after `Wattpool ` (GI).
        number: 1 for a device's first record, then one more each time (PG, `F<n>`).
        vendor: maker of the meter (MV).
        meter_model: its model (MM).
        serial: its serial number (MS).
        time_utc: when the registers were read, in seconds since 1970 (TM).
        time_status: how far that can be trusted.
        import_wh: the register of energy taken from the grid (OBIS 1-0:1.8.0).
        export_wh: the register of energy given to the grid (OBIS 1-0:2.8.0).
        error_flags: energy (E) and time (t) readings that must not be billed: `E`, `t`, `Et` or nothing (EF).
        status: state of the meter, `G` if it works (ST).
        period_start_utc: the market period that ends at `time_utc` (ZP).
        previous_hash: `SignedRecord.hash` of the record before, `NO_HASH` for the first (ZH).
        leaves_root: Merkle root of the period's pulses or second readings, in hex (ZM).
        leaves: how many there are (ZN).
        lost_edges: pulses that the counter reported as lost (ZN).
        boot_id: names the run of the device since its last start (ZB).
        monotonic_ms: time of that run, which no clock setting moves (ZB).

    Raises:
        MalformedRecord: if a value cannot stand in a record.
    """

    community: str
    device: str
    agent_version: str
    model: str
    number: int
    vendor: str
    meter_model: str
    serial: str
    time_utc: int
    time_status: TimeStatus
    import_wh: int
    export_wh: int
    error_flags: str = ""
    status: str = "G"
    period_start_utc: int
    previous_hash: str
    leaves_root: str
    leaves: int
    lost_edges: int
    boot_id: str
    monotonic_ms: int

    def __post_init__(self) -> None:
        for names, is_right, what in _VALUES:
            for name in names:
                if not is_right(getattr(self, name)):
                    raise MalformedRecord(f"{name} is not {what}")
        if self.number == 0:
            raise MalformedRecord("number is 0: the first record is number 1")
        if not self.period_start_utc < self.time_utc <= _LAST_TIME_UTC:
            raise MalformedRecord("time_utc is not after period_start_utc, or after the year 9999")

    def payload(self) -> bytes:
        """Return the bytes that are signed; `_FIELDS` reads them."""
        time = _format_time(self.time_utc)
        ending = f'"RU":"Wh","RT":"AC","EF":"{self.error_flags}","ST":"{self.status}"'
        return (
            f'{{"FV":"1.3","GI":"Wattpool {self.model}","GS":"{self.device}","GV":"{self.agent_version}"'
            f',"PG":"F{self.number}","MV":"{self.vendor}","MM":"{self.meter_model}","MS":"{self.serial}"'
            f',"RD":[{{"TM":"{time} {self.time_status}","RV":{self.import_wh},"RI":"1-0:1.8.0",{ending}}}'
            f',{{"TM":"{time} {self.time_status}","RV":{self.export_wh},"RI":"1-0:2.8.0",{ending}}}]'
            f',"ZC":"{self.community}","ZP":{self.period_start_utc},"ZH":"{self.previous_hash}"'
            f',"ZM":"{self.leaves_root}","ZN":[{self.leaves},{self.lost_edges}]'
            f',"ZB":["{self.boot_id}",{self.monotonic_ms}],"ZT":"OCMF-reading-v1"}}'
        ).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRecord:
    """A record as it was read: what it says, the bytes that are signed, and their signature (DER)."""

    record: MeterRecord
    payload: bytes
    signature: bytes

    @property
    def hash(self) -> str:
        """The SHA-256 of the payload in hex, which the next record names as `previous_hash`."""
        return sha256(self.payload).hexdigest()

    def is_signed_by(self, public_key: bytes) -> bool:
        """Tell whether the owner of `public_key` (compressed P-256 point) signed it, low-S."""
        return signing.is_signed(public_key, self.payload, self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """The parts of any OCMF record that its signature is about.

    Attributes:
        payload: the exact bytes that are signed; what they say is not looked at.
        curve: of the key, by OpenSSL's name.
        signature: as published: DER, or r and s side by side.
    """

    payload: bytes
    curve: str
    signature: bytes


def write(record: MeterRecord, key: ec.EllipticCurvePrivateKey) -> str:
    """Return the whole OCMF text of `record`, signed by `key` (P-256), low-S."""
    payload = record.payload()
    signature = signing.sign(key, payload).hex().upper()
    return f'OCMF|{payload.decode()}|{{"SA":"ECDSA-secp256r1-SHA256","SD":"{signature}"}}'


def read(text: str) -> SignedRecord:
    """Read what `write` wrote; the signature is not verified.

    Raises:
        MalformedRecord: if a single character is not as our profile has it.
    """
    if len(text) > MAX_RECORD_CHARACTERS:
        raise MalformedRecord(f"{len(text)} characters, at most {MAX_RECORD_CHARACTERS} are allowed")
    found = _RECORD.fullmatch(text)
    if found is None:
        raise MalformedRecord(f"not an OCMF record in our profile: {_first_wrong_field(text)}")
    field = found.groupdict()
    record = MeterRecord(
        community=field["community"],
        device=field["device"],
        agent_version=field["agent_version"],
        model=field["model"],
        number=int(field["number"]),
        vendor=field["vendor"],
        meter_model=field["meter_model"],
        serial=field["serial"],
        time_utc=_parse_time(field["time"]),
        time_status=TimeStatus(field["time_status"]),
        import_wh=int(field["import_wh"]),
        export_wh=int(field["export_wh"]),
        error_flags=field["error_flags"],
        status=field["status"],
        period_start_utc=int(field["period_start_utc"]),
        previous_hash=field["previous_hash"],
        leaves_root=field["leaves_root"],
        leaves=int(field["leaves"]),
        lost_edges=int(field["lost_edges"]),
        boot_id=field["boot_id"],
        monotonic_ms=int(field["monotonic_ms"]),
    )
    _, payload, _ = text.split("|")
    return SignedRecord(record=record, payload=payload.encode(), signature=bytes.fromhex(field["signature"]))


def split(text: str) -> Sections:
    """Take any OCMF record apart, whoever wrote it.

    Raises:
        MalformedRecord: naming what is wrong outside the payload.
    """
    if len(text) > MAX_PUBLISHED_CHARACTERS:
        raise MalformedRecord(f"{len(text)} characters, at most {MAX_PUBLISHED_CHARACTERS} are allowed")
    sections = text.split("|")
    if len(sections) != 3 or sections[0] != "OCMF":  # noqa: PLR2004 -- header, payload, signature
        raise MalformedRecord("not `OCMF|<payload>|<signature>`")
    try:
        payload = sections[1].encode()
        fields = json.loads(sections[2], object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise MalformedRecord(f"the payload is not UTF-8, or the signature section not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise MalformedRecord("the signature section is no JSON object")
    # What is absent has these values by the format's text.
    algorithm = fields.get("SA", "ECDSA-secp256r1-SHA256")
    encoding = fields.get("SE", "hex")
    kind = fields.get("SM", "application/x-der")
    data = fields.get("SD")
    if not isinstance(algorithm, str) or algorithm not in _CURVES:
        raise MalformedRecord(f"SA {algorithm!r} is none of {', '.join(_CURVES)}")
    if kind != "application/x-der":
        raise MalformedRecord(f"SM {kind!r} is not application/x-der")
    if encoding not in ("hex", "base64"):
        raise MalformedRecord(f"SE {encoding!r} is neither hex nor base64")
    if not isinstance(data, str):
        raise MalformedRecord("SD, the signature, is missing or no text")
    try:
        signature = unhexlify(data) if encoding == "hex" else b64decode(data, validate=True)
    except ValueError as error:
        raise MalformedRecord(f"SD is not {encoding}: {error}") from error
    return Sections(payload=payload, curve=_CURVES[algorithm], signature=signature)


def is_authentic(text: str, public_key_spki_der: bytes) -> bool:
    """Tell whether any OCMF record is as the owner of the public key signed it.

    High-S signatures are good: the format has no rule against them. A key on another curve than SA names never is.

    Raises:
        MalformedRecord: if `text` is no OCMF record.
        ValueError: if the key is no elliptic-curve key in DER (SPKI) on a curve that can be computed here.
    """
    sections = split(text)
    try:
        public_key = load_der_public_key(public_key_spki_der)
    except UnsupportedAlgorithm as error:
        raise ValueError(f"the public key cannot be used: {error}") from error
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise ValueError("the public key is on no elliptic curve")  # noqa: TRY004 -- a wrong key, not a wrong call
    if public_key.curve.name != sections.curve:
        return False
    try:
        signature = _der_signature(sections.signature, (public_key.curve.key_size + 7) // 8)
        public_key.verify(signature, sections.payload, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _der_signature(signature: bytes, coordinate_bytes: int) -> bytes:
    """Return the DER form; some makers publish r and s side by side against the format's text."""
    try:
        decode_dss_signature(signature)
    except ValueError:
        if len(signature) != 2 * coordinate_bytes:
            raise
        r, s = signature[:coordinate_bytes], signature[coordinate_bytes:]
        return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    return signature


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def _first_wrong_field(text: str) -> str:
    """Name the first field of the profile at which `text` departs from it."""
    pattern = ""
    for name, part in _FIELDS:
        pattern += part
        if re.match(pattern, text) is None:
            return f"{name} is missing, malformed or in another place"
    return "something follows the signature"


# All meters of a community write the same few times.
@lru_cache(maxsize=256)
def _format_time(time_utc: int) -> str:
    return format_utc(time_utc).replace("Z", ",000+0000")


@lru_cache(maxsize=256)
def _parse_time(text: str) -> int:
    try:
        time_utc = (datetime.strptime(text, "%Y-%m-%dT%H:%M:%S,000%z") - _EPOCH) // timedelta(seconds=1)
    except ValueError as error:
        raise MalformedRecord(f"TM {text} is no time: {error}") from error
    if time_utc < 0:
        raise MalformedRecord(f"TM {text} is before 1970")
    return time_utc
