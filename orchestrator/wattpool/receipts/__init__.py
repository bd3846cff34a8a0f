"""Receipts: what a period did to one connection, provable to anyone without any server."""

from wattpool.receipts.check import Checked, ReceiptReason, ReceiptRefused, check
from wattpool.receipts.issue import NoReceipt, issue
from wattpool.receipts.roots import Roots

__all__ = ["Checked", "NoReceipt", "ReceiptReason", "ReceiptRefused", "Roots", "check", "issue"]
