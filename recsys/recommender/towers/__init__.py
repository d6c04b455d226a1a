"""The query tower and the candidate tower."""
