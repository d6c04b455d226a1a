"""A vector of every account, for other models."""
