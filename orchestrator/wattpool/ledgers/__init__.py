"""Ledgers: the port that the orchestrator sees, and what stands behind it."""
