"""Alerts of a day: their selection, the published tables, and the checks before they go live."""
