"""HTTP/2 frames (RFC 9113) and gRPC's use of them, as far as a server of one method needs them."""

from enum import IntEnum
from struct import Struct

HEADER_BYTES = 9
_HEADER = Struct(">HBBBL")
_WORD = Struct(">L")
_SETTING = Struct(">HL")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# What both sides start from until SETTINGS say otherwise.
DEFAULT_FRAME_BYTES = 16384
DEFAULT_WINDOW_BYTES = 65535
MAX_WINDOW_BYTES = 2**31 - 1


class Kind(IntEnum):
    """Types of frames."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntEnum):
    """Flags; END_STREAM and ACK share a bit on frames of different types."""

    ACK = 0x1
    END_STREAM = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Setting(IntEnum):
    """Settings that matter here."""

    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5


class Code(IntEnum):
    """Why a stream or connection is closed."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Status(IntEnum):
    """gRPC status codes."""

    OK = 0
    FAILED_PRECONDITION = 9
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14


def pack(kind: Kind, flags: int, stream_id: int, payload: bytes | memoryview = b"") -> bytes:
    """Return one frame."""
    length = len(payload)
    return b"".join((_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id), payload))


def unpack_header(buffer: bytearray, position: int) -> tuple[int, int, int, int]:
    """Return payload length, type, flags and stream of the frame that starts at `position`."""
    high, low, kind, flags, stream_id = _HEADER.unpack_from(buffer, position)
    return high << 8 | low, kind, flags, stream_id & MAX_WINDOW_BYTES


def pack_word(value: int) -> bytes:
    """Return the 32 bits of a window increment or code."""
    return _WORD.pack(value)


def unpack_word(payload: bytes) -> int:
    """Return the 31 bits of a window increment."""
    return int(_WORD.unpack(payload)[0]) & MAX_WINDOW_BYTES


def pack_settings(settings: dict[Setting, int]) -> bytes:
    """Return the payload of a SETTINGS frame."""
    return b"".join(_SETTING.pack(name, value) for name, value in settings.items())


def unpack_settings(payload: bytes) -> list[tuple[int, int]]:
    """Return the settings in a frame's payload, in their order."""
    return list(_SETTING.iter_unpack(payload))


def pack_headers(*fields: tuple[bytes, bytes]) -> bytes:
    """Return a header block of short fields, without compression (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields)
