"""The scoring job: a list for every user, from the published model and today's interactions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa

from pipelines.jobs.console import Reporter
from pipelines.jobs.job import held_since, logical_date
from pipelines.jobs.job_run import JobRun, job_run
from pipelines.recommender.config import JobConfig
from pipelines.recommender.data import CheckedDataset, load_checked, open_live_model
from pipelines.recommender.live_lists import LISTS_FILE, LiveLists, live_lists
from pipelines.recommender.rules import Rules, filters_of, load_rules
from recsys.datasets.dataset import Dataset
from recsys.errors import CheckError
from recsys.features.history import (
    UserItemMatrix,
    history_matrix,
    repeat_matrix,
    user_item_matrix,
)
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.compatibility import check_tables
from recsys.recommender.lists.audit import audit_recommendations
from recsys.recommender.lists.filters import Filters
from recsys.recommender.lists.list_files import ListsSummary, write_recommendations
from recsys.recommender.lists.output_checks import check_floor, check_lists
from recsys.recommender.ranking.ranker import list_length
from recsys.recommender.serving import Recommender
from recsys.schema import USER_ID

FILE_NAME = LISTS_FILE
"""The file of a published run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Request:
    """The users to write lists for, and everything that the lists are made from."""

    recommender: Recommender
    users: Vocabulary
    histories: UserItemMatrix
    repeats: UserItemMatrix | None
    filters: Filters
    user_table: pa.Table | None
    k: int
    """Length of the lists: as configured, or the whole catalogue if that is shorter."""


def write_recommendations_job(
    config: JobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Write a list for every user of the interactions and of the users table.

    Args:
        config: Settings.
        as_of: The day that the run stands for; today by default.
        reporter: Prints progress.
        force: Whether to run even if the day's lists were made from the same inputs.

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
    day = logical_date(as_of)
    with job.stage("load"):
        run, recommender = open_live_model(job.inputs, config)
        checked = load_checked(job.inputs, config, as_of, reporter, needs_time=False)
        check_tables(recommender.model, checked.dataset)
        rules = load_rules(job.inputs, config, recommender.model)
        provenance = job.provenance(config)
    job.skip_if_done(day, provenance)
    _warn_of_model(config, recommender, as_of, reporter)
    with job.stage("work"):
        request = _request(config, recommender, checked, rules, reporter)
        live = live_lists(config, provenance)
    outcome = job.publish(
        day,
        partial(_write, request),
        provenance=provenance,
        keep=config.output.keep,
        find_faults=partial(_faults, config, live),
        audit=lambda folder, summary: audit_recommendations(
            folder / FILE_NAME, k=request.k, summary=summary
        ),
    )
    outcome.raise_if_held()
    summary = outcome.written
    _report(summary, request.k, reporter)
    return outcome.status(
        file=str(outcome.run.folder / FILE_NAME),
        model=str(run),
        users=summary.num_lists,
        interactions=checked.counts(),
        rows=summary.num_rows,
        short_lists=summary.num_short_lists,
        empty_lists=summary.num_empty_lists,
        lists=summary.num_lists - summary.num_empty_lists,
        ranking=recommender.model.selection.ranking,
        held_model=held_since(config.models) or None,
        sources=summary.lists_by_source,
    )


def _request(
    config: JobConfig,
    recommender: Recommender,
    checked: CheckedDataset,
    rules: Rules,
    reporter: Reporter,
) -> _Request:
    """Vectors come from the interactions used; filters from all items that users had."""
    model, log = recommender.model, checked.dataset.interactions
    users = all_users(checked.dataset, checked.had)
    had = user_item_matrix(checked.had, users=users, items=model.items)
    repeats = None
    if model.selection.repeat_weight:
        half_life = model.selection.repeat_half_life_days
        repeats = repeat_matrix(log, users=users, items=model.items, half_life_days=half_life)
    return _Request(
        recommender=recommender,
        users=users,
        histories=history_matrix(
            log, users=users, items=model.items, ordered=model.config.reads_order
        ),
        repeats=repeats,
        filters=filters_of(
            config, rules, users=users, items=model.items, had=had, reporter=reporter
        ),
        user_table=checked.dataset.users,
        k=list_length(config.lists.k, len(model.items)),
    )


def _write(request: _Request, folder: Path) -> ListsSummary:
    lists = request.recommender.recommend(
        request.users.terms,
        k=request.k,
        filters=request.filters,
        histories=request.histories,
        repeats=request.repeats,
        user_table=request.user_table,
    )
    return write_recommendations(
        folder / FILE_NAME,
        lists,
        user_id_type=request.users.terms.type,
        item_ids=request.recommender.model.items,
    )


def _faults(
    config: JobConfig, live: LiveLists, folder: Path, summary: ListsSummary
) -> list[CheckError]:
    """Why the lists must not become live, if anything."""
    place = folder / FILE_NAME
    return [
        *check_floor(summary, place, config.output_checks),
        *check_lists(
            place,
            live.file,
            config.output_checks,
            same_rules=live.has_same_rules,
            retraining=live.retraining,
        ),
    ]


def _warn_of_model(
    config: JobConfig, recommender: Recommender, as_of: date | None, reporter: Reporter
) -> None:
    """Say where the model was made for another day or for other lists, or a newer one was held."""
    if reported := held_since(config.models):
        reporter.warn(f"models: {reported}")
    model = recommender.model
    until = None if model.learnt_until is None else model.learnt_until.date()
    if as_of is not None and until is not None and until > as_of:
        reporter.warn(
            f"the live model has learnt from events up to {until}, after the day of this run, "
            f"{as_of}: its lists know what was still to come"
        )
    wanted, chosen = config.lists.filter_seen, model.selection.filter_seen
    if wanted != chosen:
        reporter.warn(
            f"the live model was chosen for lists with filter_seen = {str(chosen).lower()}, "
            f"and lists.filter_seen is {str(wanted).lower()}; train again"
        )


def _report(summary: ListsSummary, k: int, reporter: Reporter) -> None:
    sources = ", ".join(f"{count:,} from {name}" for name, count in summary.lists_by_source.items())
    reporter.say(
        f"lists: {summary.num_lists:,} users ({sources}) at {summary.lists_per_s:,.0f} users/s"
    )
    if summary.num_short_lists:
        reporter.warn(
            f"{summary.num_short_lists:,} users have fewer than {k} eligible items, "
            f"{summary.num_empty_lists:,} of them none"
        )


def all_users(dataset: Dataset, had: pa.Table) -> Vocabulary:
    """All users with an interaction, used or not, or in the users table; ascending."""
    chunks = list(had[USER_ID].chunks)
    if dataset.users is not None:
        chunks += dataset.users[USER_ID].chunks
    return Vocabulary.fit(pa.chunked_array(chunks, type=had[USER_ID].type))
