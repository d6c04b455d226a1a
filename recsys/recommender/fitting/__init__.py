"""Fitting the towers: batches, the objective, and the choice of settings."""
