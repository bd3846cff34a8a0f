"""Market maths: pure functions of integers, without ledger, clock or chance."""
