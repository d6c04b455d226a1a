"""Embeddings at work in scheduled batch jobs: a two-tower recommender and a fraud scorer."""

__version__ = "0.1.0"
