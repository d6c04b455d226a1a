"""`python -m pipelines` is the command `recsys`."""

from pipelines.cli import run

run()
