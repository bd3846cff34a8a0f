"""A meter that signs what it measured and plays its part in the market."""
