"""The model and the state of accounts as bundles."""
