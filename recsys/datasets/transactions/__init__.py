"""Transactions in: reading them, setting unusable rows aside, and the labels that come later."""
