"""Tables in: reading, validation, splits, generated data."""
