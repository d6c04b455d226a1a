"""The scoring job: a list for every user, from the published model and today's interactions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa

from pipelines.config import JobConfig
from pipelines.console import Reporter
from pipelines.job import load_checked, logical_date, new_run_id, open_live_model
from recsys.datasets.dataset import Dataset
from recsys.datasets.rules import load_ids
from recsys.features.history import UserItemMatrix, history_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.publishing import publish
from recsys.recommender.audit import audit_recommendations
from recsys.recommender.compatibility import check_id_types, check_tables
from recsys.recommender.filters import Filters, eligible_items, user_item_pairs
from recsys.recommender.lists import ListsSummary, write_recommendations
from recsys.recommender.model import RecommenderModel
from recsys.schema import ITEM_ID, USER_ID

FILE_NAME = "recommendations.parquet"
"""The file of a published run."""


def write_recommendations_job(
    config: JobConfig, as_of: date | None, reporter: Reporter
) -> dict[str, object]:
    """Write a list for every user of the interactions and of the users table.

    Returns:
        What happened, for the status line.
    """
    run, recommender = open_live_model(config)
    model = recommender.model
    dataset = load_checked(config, as_of, reporter, needs_time=False)
    check_tables(model, dataset)
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

    published = publish(
        config.recommendations,
        logical_date(as_of),
        write,
        run_id=new_run_id(),
        audit=lambda folder: audit_recommendations(
            folder / FILE_NAME, k=config.lists.k, summary=summaries[-1]
        ),
        keep=config.output.keep,
    )
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
        "model": str(run),
        "users": summary.num_lists,
        "rows": summary.num_rows,
        "short_lists": summary.num_short_lists,
        "sources": summary.lists_by_source,
    }


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
