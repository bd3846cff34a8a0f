"""An independent check of a ledger: over its decoded blocks alone, without the code that wrote them."""

from wattpool.verify.report import ChannelReport, Report, Violation, ViolationKind
from wattpool.verify.verifier import verify

__all__ = ["ChannelReport", "Report", "Violation", "ViolationKind", "verify"]
