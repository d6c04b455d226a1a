"""Top-k by one tie rule: exact, quick, and the protocol of rankers."""
