"""Everything secret in a simulation comes from its seed, so that the same seed gives the same signatures.

Never for a real community: there a key is made in the device and never leaves it.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from wattpool_chaincode.ledger.chunks import SALT_BYTES
from wattpool_chaincode.records.signing import ORDER


@dataclass(frozen=True)
class Secrets:
    """Keys and salts of one simulated community, by name."""

    seed: int
    community: str

    def key(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Return the P-256 key of `name`."""
        # Two hashes side by side leave no measurable bias modulo the order of the curve (FIPS 186-5, A.2.1).
        digest = self._derive(f"key/{name}/0") + self._derive(f"key/{name}/1")
        return ec.derive_private_key(int.from_bytes(digest) % (ORDER - 1) + 1, ec.SECP256R1())

    def salt(self, name: str) -> bytes:
        return self._derive(f"salt/{name}")[:SALT_BYTES]

    def pseudonym(self, name: str) -> str:
        """Return the permanent pseudonym of a connection or metering point."""
        return self._derive(f"connection/{name}").hex()[:40]

    def _derive(self, label: str) -> bytes:
        return hmac.digest(f"{self.community}/{self.seed}".encode(), label.encode(), sha256)


def write_keys(secrets: Secrets, homes: Iterable[str], directory: Path) -> None:
    """Write the keys of owners, meters and organisations as PEM, so that commands can act for a simulated community."""
    names = [f"{kind}/{home}" for home in homes for kind in ("owner", "device")]
    for name in ("aggregator/seal", "dso/correction", *names):
        file = directory / f"{name}.pem"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(secrets.key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
