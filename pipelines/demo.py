"""`recsys demo`: every job on the sample data, and some of the lists and alerts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.demo import fraud_demo
from pipelines.jobs.console import Reporter
from pipelines.recommender.config import JobConfig
from pipelines.recommender.examples import example_lists
from pipelines.recommender.similar_items import similar_items_job
from pipelines.recommender.train import train_recommender
from pipelines.recommender.write_lists import write_recommendations_job
from recsys.datasets.loading import load_dataset

SAMPLE_CONFIG = Path(__file__).parent / "configs" / "movietweetings.toml"
"""The config of the sample data."""

_NUM_EXAMPLES = 3
_NUM_SHOWN = 5


def demo_job(config: JobConfig, fraud_config: FraudJobConfig, reporter: Reporter) -> None:
    """Train, write lists for every user and neighbours of every item, flag accounts; show some."""
    trained = train_recommender(config, None, reporter, force=True)
    written = write_recommendations_job(config, None, reporter, force=True)
    similar = similar_items_job(config, None, reporter, force=True)
    _show(config, Path(str(written["file"])), reporter)
    reporter.say("")
    fraud = fraud_demo(fraud_config, reporter)
    places: dict[str, object] = {
        "report": trained["report"],
        "recommendations": written["file"],
        "similar items": similar["file"],
        "tracked run": trained["tracked"],
        "alerts page": fraud.alerts_page,
        "account scores": fraud.account_scores,
    }
    reporter.say("")
    reporter.say(str(trained["verdict"]))
    for name, place in places.items():
        if not place:  # tracking is off
            continue
        reporter.say(f"{name + ':':<17}{_from_here(str(place))}")


def split_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings of `--set` for the recommender and for the fraud half, by their sections.

    One that both products have is for both; the recommender refuses what neither has.
    """
    fraud_sections = {field.name for field in dataclasses.fields(FraudJobConfig)}
    sections = {field.name for field in dataclasses.fields(JobConfig)}
    of = {override: override.partition("=")[0].partition(".")[0].strip() for override in overrides}
    theirs = [override for override in overrides if of[override] in fraud_sections]
    ours = [one for one in overrides if of[one] in sections or of[one] not in fraud_sections]
    return ours, theirs


def _from_here(place: str) -> str:
    """A path relative to the working directory if that is shorter."""
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else place


def _show(config: JobConfig, lists_file: Path, reporter: Reporter) -> None:
    """Print the lists of some users beside their latest items."""
    dataset = load_dataset(config.data, config.columns, config.features)
    lists: pa.Table = pq.read_table(lists_file)
    table = Table(title="Some of the lists")
    for heading in ("user", "did last", "recommended"):
        table.add_column(heading)
    for example in example_lists(dataset, lists, num_users=_NUM_EXAMPLES, num_items=_NUM_SHOWN):
        table.add_row(example.user, "\n".join(example.history), "\n".join(example.recommended))
    if not reporter.quiet:
        reporter.console.print(table)
