"""Drift: how far inputs, embeddings and scores of the last days differ from those before.

Arrays and tables go in; the caller chooses the columns.
"""
