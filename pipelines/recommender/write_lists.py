"""The scoring job: a list for every user, from the published model and today's interactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa

from pipelines.jobs.console import Reporter
from pipelines.jobs.job import logical_date, new_run_id
from pipelines.jobs.job_run import JobRun, job_run, raise_if_held
from pipelines.jobs.provenance import file_digests, output_digest, settings_and_version
from pipelines.recommender.config import JobConfig
from pipelines.recommender.data import load_checked, open_live_model
from pipelines.recommender.training_record import table_digests
from recsys.datasets.dataset import Dataset
from recsys.datasets.rules import load_ids
from recsys.errors import GateError
from recsys.features.history import UserItemMatrix, history_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.publishing import live_run, publish, verify_run
from recsys.recommender.compatibility import check_id_types, check_tables
from recsys.recommender.lists.audit import audit_recommendations
from recsys.recommender.lists.filters import Filters, eligible_items, user_item_pairs
from recsys.recommender.lists.list_files import ListsSummary, write_recommendations
from recsys.recommender.lists.output_checks import check_lists
from recsys.recommender.model import RecommenderModel
from recsys.schema import ITEM_ID, USER_ID

FILE_NAME = "recommendations.parquet"
"""The file of a published run."""


def write_recommendations_job(
    config: JobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Write a list for every user of the interactions and of the users table.

    Args:
        config: Settings.
        as_of: The day that the run stands for; today by default.
        reporter: Whom to tell.
        force: Whether to write again what the day's lists were made from.

    Returns:
        What happened, for the status line.
    """
    with job_run(
        "write-recommendations", config.recommendations, config.deadlines, force=force
    ) as job:
        return _write_lists(config, as_of, reporter, job)


def _write_lists(
    config: JobConfig, as_of: date | None, reporter: Reporter, job: JobRun
) -> dict[str, object]:
    with job.stage("load"):
        run, recommender = open_live_model(config)
        model = recommender.model
        checked = load_checked(config, as_of, reporter, needs_time=False)
        dataset = checked.dataset
        check_tables(model, dataset)
    made_from = {
        "model": run.name,
        **table_digests(dataset),
        **file_digests(deny=config.lists.deny, eligible=config.lists.eligible),
        **settings_and_version(config),
    }
    job.skip_if_done(logical_date(as_of), made_from)
    users = all_users(dataset)
    histories = history_matrix(
        dataset.interactions, users=users, items=model.items, ordered=model.config.reads_order
    )
    filters = _filters(config, model, users, histories, reporter)
    summaries: list[ListsSummary] = []

    def write(folder: Path) -> None:
        lists = recommender.recommend(
            users.terms, k=config.lists.k, filters=filters, histories=histories,
            user_table=dataset.users,
        )  # fmt: skip
        summaries.append(
            write_recommendations(
                folder / FILE_NAME, lists, user_id_type=users.terms.type, item_ids=model.items
            )
        )

    faults: list[GateError] = []
    live, has_same_rules = live_lists(config, made_from)

    def hold(folder: Path) -> str:
        faults.extend(
            check_lists(folder / FILE_NAME, live, config.guards, same_rules=has_same_rules)
        )
        return str(faults[0]) if faults else ""

    with job.stage("publish"):
        published = publish(
            config.recommendations,
            logical_date(as_of),
            write,
            hold=hold,
            run_id=new_run_id(),
            audit=lambda folder: audit_recommendations(
                folder / FILE_NAME, k=config.lists.k, summary=summaries[-1]
            ),
            made_from=made_from,
            keep=config.output.keep,
        )
    raise_if_held(faults, published, config.recommendations.name)
    summary = summaries[-1]
    sources = ", ".join(f"{count:,} from {name}" for name, count in summary.lists_by_source.items())
    reporter.say(
        f"lists: {summary.num_lists:,} users ({sources}) at {summary.lists_per_s:,.0f} users/s"
    )
    if summary.num_short_lists:
        reporter.warn(
            f"{summary.num_short_lists:,} users have fewer than {config.lists.k} eligible items"
        )
    return {
        "job": "write-recommendations",
        "outcome": "PUBLISHED",
        "live": published.is_current,
        "file": str(published.folder / FILE_NAME),
        "digest": output_digest(published),
        "model": str(run),
        "users": summary.num_lists,
        "interactions": checked.counts(),
        "rows": summary.num_rows,
        "short_lists": summary.num_short_lists,
        "sources": summary.lists_by_source,
    }


def live_lists(config: JobConfig, made_from: Mapping[str, str]) -> tuple[Path | None, bool]:
    """The file of lists that is live, and whether it was made by the same settings and rules.

    Rules may name other items or pairs than in the night before: those change from day to day.

    Raises:
        PublishError: The live run is damaged.
    """
    live = live_run(config.recommendations)
    if live is None or not (live.folder / FILE_NAME).is_file():
        return None, False
    if config.guards.enabled:
        verify_run(live.folder)
    before = live.manifest.made_from
    same = before.get("settings") == made_from.get("settings") and all(
        (name in before) == (name in made_from) for name in ("deny", "eligible")
    )
    return live.folder / FILE_NAME, same


def all_users(dataset: Dataset) -> Vocabulary:
    """Everyone who did something or is in the users table, in ascending order."""
    chunks = list(dataset.interactions[USER_ID].chunks)
    if dataset.users is not None:
        chunks += dataset.users[USER_ID].chunks
    return Vocabulary.fit(pa.chunked_array(chunks, type=dataset.interactions[USER_ID].type))


def _filters(
    config: JobConfig,
    model: RecommenderModel,
    users: Vocabulary,
    histories: UserItemMatrix,
    reporter: Reporter,
) -> Filters:
    """What the config leaves out of lists; ids without effect are counted, not silent."""
    lists, columns, csv = config.lists, config.columns, config.data.csv
    items = model.items
    filters = Filters(num_items=len(items), seen=histories if lists.filter_seen else None)
    if lists.deny is not None:
        pairs = load_ids(lists.deny, (USER_ID, ITEM_ID), columns=columns, csv=csv)
        check_id_types(model, pairs, file=str(lists.deny), columns=columns)
        denied, match = user_item_pairs(pairs, users=users, items=items)
        filters = replace(filters, denied=denied)
        reporter.say(f"deny list: {match.num_used:,} of {match.num_rows:,} rows have an effect")
    if lists.eligible is not None:
        table = load_ids(lists.eligible, (ITEM_ID,), columns=columns, csv=csv)
        check_id_types(model, table, file=str(lists.eligible), columns=columns)
        eligible, match = eligible_items(table, items=items)
        filters = replace(filters, eligible=eligible)
        reporter.say(f"eligible items: {match.num_used:,} of {match.num_rows:,} are in the model")
    return filters
