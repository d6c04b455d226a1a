"""The jobs of the fraud scorer: train, score, embed, validate, and their settings."""
