"""Features: from table columns to numbers and tensors, fitted on training data only."""
