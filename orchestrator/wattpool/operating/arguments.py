"""What commands are given as text, read at the edge: whatever cannot be used is one sentence that names the option."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wattpool.bad_input import BadInput
from wattpool_chaincode.fields import Check
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_chaincode.records.period import Period, parse_utc
from wattpool_chaincode.records.units import UT_PER_TOKEN, WH_PER_KWH

Value = TypeVar("Value")
W_PER_KW = 1_000
# Keeps absurd digits away from int().
_MAX_DIGITS = 15
ORGANISATIONS = {"aggregator": AGGREGATOR, "dso": DSO, "members": MEMBERS}

Place = Annotated[
    str, typer.Argument(metavar="LEDGER", help="Directory of a ledger, or fabric:CONNECTION.yaml[,...][#COMMUNITY].")
]
By = Annotated[str, typer.Option(help="In whose name: aggregator, dso or members.")]
ByEach = Annotated[list[str], typer.Option("--by", help="In whose name; may be repeated. Each takes its own steps.")]
Key = Annotated[Path, typer.Option(help="File of the owner's private key, PEM.")]
Own = Annotated[
    str | None, typer.Option(help="Pseudonym of the connection point, or how it begins; default: the owner's only one.")
]
Connection = Annotated[str, typer.Option(help="Pseudonym of the connection point, or how it begins.")]
Start = Annotated[str, typer.Option(help="Start of the market period in UTC, such as 2017-05-05T19:00:00Z.")]
Reason = Annotated[str, typer.Option(help="Why, in up to 64 characters; it stands on the ledger.")]


def read_organisation(option: str, name: str) -> str:
    """Return the MSP id of an organisation.

    Raises:
        BadInput: if there is none of this name; likewise below for what a function's name says.
    """
    if name not in ORGANISATIONS:
        raise BadInput(option, None, f"{name!r}; {', '.join(ORGANISATIONS)} was expected")
    return ORGANISATIONS[name]


def read_key(option: str, file: Path) -> ec.EllipticCurvePrivateKey:
    """Return the private key in a PEM file without a password, on P-256."""
    try:
        key = load_pem_private_key(read_file(option, file), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(option, None, f"{file} is not a private key in PEM without a password") from error
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        raise BadInput(option, None, f"{file} is not a key on the curve P-256")
    return key


def read_file(option: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(option, None, f"{file} cannot be read: {error.strerror}") from error


def read_text(option: str, file: Path) -> str:
    try:
        return read_file(option, file).decode()
    except UnicodeDecodeError as error:
        raise BadInput(option, None, f"{file} is not text in UTF-8") from error


def is_number(text: str) -> bool:
    """Tell whether a text is a whole number that is not absurdly long."""
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def read_tokens(option: str, text: str) -> int:
    """Return tokens, such as 1.25, in micro-tokens."""
    return _read_decimal(option, text, UT_PER_TOKEN, 6, "tokens")


def read_kwh(option: str, text: str) -> int:
    """Return kilowatt-hours, such as 1.25, in watt-hours."""
    return _read_decimal(option, text, WH_PER_KWH, 3, "kWh")


def read_kw(option: str, text: str) -> int:
    """Return kilowatts, such as 1.25, in watts."""
    return _read_decimal(option, text, W_PER_KW, 3, "kW")


def read_time(option: str, text: str) -> int:
    """Return a time in UTC as seconds since 1970."""
    try:
        return parse_utc(text)
    except ValueError as error:
        raise BadInput(option, None, f"{text!r} is no time in UTC such as 2017-05-05T19:00:00Z") from error


def read_period(option: str, text: str, length_s: int) -> Period:
    """Return the market period that starts at a time in UTC."""
    start_utc = read_time(option, text)
    if start_utc % length_s:
        raise BadInput(option, None, f"{text} is not the start of a market period of {length_s} s")
    return Period(start_utc, length_s)


def require(option: str, value: Value, check: Check) -> Value:
    """Return a value that the rules' own check of the field accepts."""
    if not check.accepts(value):
        raise BadInput(option, None, f"{str(value)[:80]!r}; {check.expected} was expected")
    return value


def _read_decimal(option: str, text: str, unit: int, decimals: int, name: str) -> int:
    if re.fullmatch(rf"[0-9]{{1,9}}(\.[0-9]{{1,{decimals}}})?", text) is None:
        raise BadInput(option, None, f"{text!r}; {name} with up to {decimals} decimals, such as 1.25, were expected")
    return int(Decimal(text) * unit)
