"""Columns settled once: ids, text, times and features, exact or refused."""
