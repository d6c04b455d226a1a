"""The recommender in Python: frames in, frames out, built on the code of the jobs."""
