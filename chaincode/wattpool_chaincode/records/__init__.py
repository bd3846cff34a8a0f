"""What is written down: units, market periods, canonical bytes, signed payloads, meter records, Merkle trees."""
