"""Drift: how far inputs, embeddings and scores of the last days lie from those before.

Arrays and tables go in; which columns there are is the matter of whoever asks.
"""
