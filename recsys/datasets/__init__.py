"""Input tables: reading, validation, splits, generated data."""
