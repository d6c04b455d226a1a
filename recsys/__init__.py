"""Embeddings at work in scheduled batch jobs: a two-tower recommender."""

__version__ = "0.1.0"
