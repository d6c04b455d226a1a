"""Scheduled jobs and the command line that starts them."""
