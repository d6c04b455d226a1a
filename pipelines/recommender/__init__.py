"""The jobs of the recommender: train, write lists, similar items, validate, and their settings."""
