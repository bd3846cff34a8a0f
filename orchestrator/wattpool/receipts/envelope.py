"""A receipt as a file: a line of magic, the SHA-256 of what follows, and canonical JSON, compressed (RFC 1950).

Compressed data has spare bits that no reader looks at; the hash sees to it that nothing can be changed unnoticed.
"""

import zlib
from hashlib import sha256
from typing import Any

from wattpool.receipts.reason import ReceiptReason, ReceiptRefused
from wattpool_chaincode.records import codec

MAGIC = b"wattpool receipt 1\n"
MAX_JSON_BYTES = 64_000
_BODY = len(MAGIC) + sha256().digest_size


def seal_up(receipt: dict[str, Any]) -> bytes:
    """Return the bytes of the file."""
    body = zlib.compress(codec.encode(receipt), level=9)
    return MAGIC + sha256(body).digest() + body


def unpack(data: bytes) -> Any:
    """Return the receipt in a file.

    Raises:
        ReceiptRefused: malformed.
    """
    if not data.startswith(MAGIC):
        raise ReceiptRefused(ReceiptReason.MALFORMED, f"it does not begin with {MAGIC.decode().strip()!r}")
    body = data[_BODY:]
    if sha256(body).digest() != data[len(MAGIC) : _BODY]:
        raise ReceiptRefused(ReceiptReason.MALFORMED, "it was changed or cut off")
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(body, MAX_JSON_BYTES)
        if not reader.eof or reader.unused_data:
            raise ReceiptRefused(ReceiptReason.MALFORMED, f"not one receipt of at most {MAX_JSON_BYTES} bytes")
        return codec.decode(text)
    except (zlib.error, codec.NotCanonical) as error:
        raise ReceiptRefused(ReceiptReason.MALFORMED, str(error)) from error
