"""Input of transactions: reading them, setting unusable rows aside, and late labels."""
