"""Top-k by one tie rule: exact and fast search, and the protocol of rankers."""
