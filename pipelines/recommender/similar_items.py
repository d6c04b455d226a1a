"""The job that writes the nearest other items of every item of the published model."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipelines.jobs.console import Reporter
from pipelines.jobs.job import logical_date
from pipelines.jobs.job_run import JobRun, job_run
from pipelines.recommender.config import JobConfig
from pipelines.recommender.data import open_live_model
from recsys.recommender.lists.audit import audit_similar_items
from recsys.recommender.lists.list_files import ListsSummary, write_similar_items
from recsys.recommender.lists.output_checks import check_floor
from recsys.recommender.lists.recommend import similar_items
from recsys.recommender.ranking.ranker import list_length
from recsys.recommender.serving import similarity_index

FILE_NAME = "similar-items.parquet"
"""The file of a published run."""


def similar_items_job(
    config: JobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Write neighbours by cosine of the item embeddings.

    Args:
        config: Settings.
        as_of: The day that the run stands for; today by default.
        reporter: Prints progress.
        force: Whether to run even if the day's neighbours were made from the same inputs.

    Returns:
        What happened, for the status line.
    """
    with job_run("similar-items", config.similar_items, config.deadlines, force=force) as job:
        return _write_similar(config, logical_date(as_of), reporter, job)


def _write_similar(
    config: JobConfig, day: date, reporter: Reporter, job: JobRun
) -> dict[str, object]:
    with job.stage("load"):
        run, recommender = open_live_model(job.inputs, config)
        provenance = job.provenance(config)
    job.skip_if_done(day, provenance)
    items = recommender.model.items
    k = list_length(config.lists.k, len(items))
    with job.stage("work"):
        index = similarity_index(recommender, config.index, seed=config.training.seed)

    def write(folder: Path) -> ListsSummary:
        lists = similar_items(index, item_ids=items, k=k)
        return write_similar_items(folder / FILE_NAME, lists, item_ids=items)

    outcome = job.publish(
        day,
        write,
        provenance=provenance,
        keep=config.output.keep,
        find_faults=lambda folder, summary: check_floor(
            summary, folder / FILE_NAME, config.output_checks
        ),
        audit=lambda folder, summary: audit_similar_items(folder / FILE_NAME, k=k, summary=summary),
    )
    outcome.raise_if_held()
    summary = outcome.written
    reporter.say(f"similar items: {summary.num_lists:,} items at {summary.lists_per_s:,.0f}/s")
    return outcome.status(
        file=str(outcome.run.folder / FILE_NAME),
        model=str(run),
        items=summary.num_lists,
        rows=summary.num_rows,
    )
