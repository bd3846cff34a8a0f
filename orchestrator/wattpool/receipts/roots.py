"""A community's published roots: its name, and the root certificates of its organisations."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509

from wattpool.bad_input import BadInput
from wattpool_chaincode.records import codec


@dataclass(frozen=True)
class Roots:
    """What one has to trust, and to have got from somewhere else than a receipt.

    Attributes:
        community: its name.
        organisations: root certificate (PEM) by MSP id.
    """

    community: str
    organisations: Mapping[str, str]

    @cached_property
    def certificates(self) -> dict[str, x509.Certificate]:
        return {msp_id: x509.load_pem_x509_certificate(pem.encode()) for msp_id, pem in self.organisations.items()}

    def encode(self) -> bytes:
        """Return the canonical JSON that is published."""
        return codec.encode({"community": self.community, "organisations": dict(self.organisations)})

    @classmethod
    def read(cls, file: Path) -> "Roots":
        """Read a published file.

        Raises:
            BadInput: if it cannot be read, or is anything else.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise BadInput(str(file), None, f"cannot be read: {error.strerror}") from error
        try:
            value = codec.decode(data.rstrip(b"\n"))
        except codec.NotCanonical as error:
            raise BadInput(str(file), None, str(error)) from error
        match value:
            case {"community": str(community), "organisations": dict(organisations)} if (
                len(value) == 2 and all(isinstance(pem, str) for pem in organisations.values())  # noqa: PLR2004
            ):
                roots = cls(community, organisations)
            case _:
                raise BadInput(str(file), None, "not the published roots of a community: community, organisations")
        try:
            roots.certificates  # noqa: B018 -- reads them
        except ValueError as error:
            raise BadInput(str(file), None, f"a root is no certificate: {error}") from error
        return roots
