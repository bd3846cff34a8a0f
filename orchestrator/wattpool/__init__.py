"""The orchestrator of a Wattpool community: ledgers, market cycle, simulation, verification, command line."""
