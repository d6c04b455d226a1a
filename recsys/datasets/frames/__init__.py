"""Tables in memory: frames of pandas, polars and Arrow, and guesses about their columns."""
