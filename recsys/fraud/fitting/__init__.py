"""Fitting the scorer: profiles of the past, weights of evidence, calibration."""
