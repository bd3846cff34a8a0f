"""Receipts: what a period did to one connection, provable to anyone without any server."""

from wattpool.receipts.check import Checked, ReceiptReason, ReceiptRefused, check
from wattpool.receipts.issue import NoReceipt, issue
from wattpool.receipts.roots import PublishedRoots, Roots, read_roots

__all__ = [
    "Checked",
    "NoReceipt",
    "PublishedRoots",
    "ReceiptReason",
    "ReceiptRefused",
    "Roots",
    "check",
    "issue",
    "read_roots",
]
