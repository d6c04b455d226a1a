"""The job that writes the nearest other items of every item of the published model."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipelines.jobs.console import Reporter
from pipelines.jobs.job import logical_date, new_run_id
from pipelines.jobs.job_run import job_run
from pipelines.jobs.provenance import output_digest, settings_and_version
from pipelines.recommender.config import JobConfig
from pipelines.recommender.data import open_live_model
from recsys.publishing import publish
from recsys.recommender.lists.audit import audit_similar_items
from recsys.recommender.lists.list_files import ListsSummary, write_similar_items
from recsys.recommender.lists.recommend import similar_items
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
        reporter: Whom to tell.
        force: Whether to write again what the day's neighbours were made from.

    Returns:
        What happened, for the status line.
    """
    with job_run("similar-items", config.similar_items, config.deadlines, force=force) as job:
        with job.stage("load"):
            run, recommender = open_live_model(config)
        made_from = {"model": run.name, **settings_and_version(config)}
        job.skip_if_done(logical_date(as_of), made_from)
        with job.stage("work"):
            index = similarity_index(recommender, config.index, seed=config.training.seed)
        items = recommender.model.items
        summaries: list[ListsSummary] = []

        def write(folder: Path) -> None:
            lists = similar_items(index, item_ids=items, k=config.lists.k)
            summaries.append(write_similar_items(folder / FILE_NAME, lists, item_ids=items))

        with job.stage("publish"):
            published = publish(
                config.similar_items,
                logical_date(as_of),
                write,
                run_id=new_run_id(),
                audit=lambda folder: audit_similar_items(
                    folder / FILE_NAME, k=config.lists.k, summary=summaries[-1]
                ),
                made_from=made_from,
                keep=config.output.keep,
            )
    summary = summaries[-1]
    reporter.say(f"similar items: {summary.num_lists:,} items at {summary.lists_per_s:,.0f}/s")
    return {
        "job": "similar-items",
        "outcome": "PUBLISHED",
        "live": published.is_current,
        "file": str(published.folder / FILE_NAME),
        "digest": output_digest(published),
        "model": str(run),
        "items": summary.num_lists,
        "rows": summary.num_rows,
    }
