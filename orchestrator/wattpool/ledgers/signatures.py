"""Signatures that need not be checked, since this very process made them.

At commit the three signatures of a transaction cost more than all the rest of it. In an embedded ledger the process
that commits has nearly always signed as well, and a check of its own signature over the same bytes tells it nothing.
Whatever differs by a byte, and whatever was signed elsewhere, is checked in full. Bitcoin Core does the same for what
it has checked before (src/script/sigcache.h); here each signature is checked once, so only those made are remembered.
"""

from collections import OrderedDict

from wattpool.ledgers.certificates import Identity
from wattpool_chaincode.records import signing

# Some five of the longest blocks, in about 5 MB.
MOST_REMEMBERED = 10_000


class OwnSignatures:
    """The latest signatures of this process, for any threads.

    Args:
        most: how many are remembered; the oldest are forgotten first.
    """

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._made: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()

    def sign(self, identity: Identity, message: bytes) -> bytes:
        """Sign as `Identity.sign` does, and remember it."""
        signature = identity.sign(message)
        # Each step is one of the interpreter's, so that threads forget one too many at worst.
        self._made[identity.public_key, message, signature] = None
        if len(self._made) > self._most:
            self._made.popitem(last=False)
        return signature

    def is_signed(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell what `wattpool_chaincode.records.signing.is_signed` tells."""
        made = (public_key, message, signature) in self._made
        return made or signing.is_signed(public_key, message, signature)
