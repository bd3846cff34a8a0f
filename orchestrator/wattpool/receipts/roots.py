"""A community's published roots: its name, and the root certificates of its organisations."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509

from wattpool.bad_input import BadInput
from wattpool.receipts.evidence import Proven, prove
from wattpool_chaincode.records import codec


class PublishedRoots(Protocol):
    """What one has to trust, and to have got from somewhere else than a receipt; each ledger has its own."""

    @property
    def community(self) -> str:
        """The community's name."""

    def encode(self) -> bytes:
        """Return the canonical JSON that is published."""

    def prove(self, evidence: Mapping[str, Any]) -> Proven:
        """Check the signatures of evidence.

        Raises:
            ReceiptRefused: malformed, foreign_community, not_certified, wrongly_endorsed.
        """


@dataclass(frozen=True)
class Roots:
    """The published roots of an embedded ledger.

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

    def prove(self, evidence: Mapping[str, Any]) -> Proven:
        return prove(evidence, self.certificates)

    @classmethod
    def from_json(cls, value: Any) -> "Roots":
        """Read what stands in a published file.

        Raises:
            ValueError: if it is anything else, or a certificate in it cannot be read.
        """
        match value:
            case {"community": str(community), "organisations": dict(organisations)} if (
                len(value) == 2 and all(isinstance(pem, str) for pem in organisations.values())  # noqa: PLR2004
            ):
                roots = cls(community, organisations)
            case _:
                raise ValueError("not the published roots of a community: community, organisations")
        roots.certificates  # noqa: B018 -- reads them
        return roots


def read_roots(file: Path) -> PublishedRoots:
    """Read a published file.

    Raises:
        BadInput: if it cannot be read, or is anything else.
    """
    try:
        value = codec.decode(file.read_bytes().rstrip(b"\n"))
        if isinstance(value, dict) and "channel" in value:
            from wattpool.receipts.fabric import FabricRoots  # noqa: PLC0415 -- an extra

            return FabricRoots.from_json(value)
        return Roots.from_json(value)
    except OSError as error:
        raise BadInput(str(file), None, f"cannot be read: {error.strerror}") from error
    except ModuleNotFoundError as error:
        raise BadInput(str(file), None, f"of a Fabric network: needs the extra wattpool[fabric]: {error}") from error
    except ValueError as error:
        raise BadInput(str(file), None, str(error)) from error
