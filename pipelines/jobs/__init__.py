"""What every job shares: runs, endings, progress, provenance, what is live."""
