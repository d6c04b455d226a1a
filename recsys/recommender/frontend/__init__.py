"""The recommender in Python: frames in, frames out, over what the jobs use too."""
