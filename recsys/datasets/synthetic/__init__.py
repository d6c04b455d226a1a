"""Generated logs with a known truth."""
