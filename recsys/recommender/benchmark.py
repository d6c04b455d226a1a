"""The benchmark: fit on a train file, rank the whole catalogue, measure against a test file.

Convention of the published tables: recall@k is divided by the number of a user's test items,
NDCG@k by that of the ideal list cut at k; both are means over the users with test items.

Shapes: U users with test items, C items, K list length.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys.arrays import Int64Array
from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.errors import DataError
from recsys.features.history import rows_or_empty, user_item_matrix
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.config import RecommenderConfig
from recsys.recommender.evaluation import metrics
from recsys.recommender.fitting.select import select_settings
from recsys.recommender.fitting.train import TrainingCallbacks, fit_recommender
from recsys.recommender.index import IndexConfig
from recsys.recommender.lists.filters import Filters
from recsys.recommender.lists.list_files import ListsSummary, write_recommendations
from recsys.recommender.model import RecommenderModel, Selection
from recsys.recommender.serving import Recommender, build_index
from recsys.schema import EVENT_TIME, ITEM_ID, RANK, USER_ID
from recsys.training import EpochResult

_VALID_SHARE = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class BenchmarkFit:
    """A model fitted on a train file with settings that were selected within it."""

    model: RecommenderModel
    """Fitted on all of the train file."""
    selection: Selection
    """What was selected."""
    epochs: list[EpochResult]
    """The epochs of the selection."""
    select_s: float
    """Seconds of the selection."""
    refit_s: float
    """Seconds of the fit on the whole file."""


def fit_benchmark(
    train: Dataset,
    valid: pa.Table | None,
    config: RecommenderConfig,
    *,
    k: int,
    filter_seen: bool = True,
    callbacks: TrainingCallbacks = TrainingCallbacks(),  # noqa: B008  frozen
) -> BenchmarkFit:
    """Select settings on a part of the train file, then fit on all of it.

    Args:
        train: Tables of the train file.
        valid: The part of it to select on; where None, its last tenth, or a random tenth of each
            user's interactions if it has no times.
        config: What to train and how.
        k: List length that NDCG is selected at.
        filter_seen: Whether lists leave out what users had before.
        callbacks: Report progress.

    Raises:
        DataError: `valid` is not a part of the train file.
    """
    started = time.perf_counter()
    rest, valid = _without(train, valid) if valid is not None else _divided(train, config)
    callbacks.stage("choosing settings on the validation part")
    selection, _, epochs = select_settings(
        rest, valid, config, k=k, filter_seen=filter_seen, callbacks=callbacks
    )
    selected = time.perf_counter()
    callbacks.stage("fitting on the whole train file")
    budget_s = config.training.time_budget_s
    left_s = None if budget_s is None else max(budget_s - (selected - started), budget_s / 3)
    model, _ = fit_recommender(train, config, selection, budget_s=left_s, callbacks=callbacks)
    return BenchmarkFit(
        model=model,
        selection=selection,
        epochs=epochs,
        select_s=selected - started,
        refit_s=time.perf_counter() - selected,
    )


def rank_test_users(
    model: RecommenderModel,
    test: pa.Table,
    path: Path,
    *,
    k: int,
    index: IndexConfig,
    user_table: pa.Table | None,
    seed: int,
) -> ListsSummary:
    """Write the lists of all users with test items, under the filter that the model is for.

    Args:
        model: The fitted model.
        test: Test interactions.
        path: A new file.
        k: List length.
        index: How to search.
        user_table: Features of the users.
        seed: Seed of the index.
    """
    users = Vocabulary.fit(test[USER_ID])
    histories = rows_or_empty(model.histories, model.users.numbers(users.terms))
    built = build_index(model, index, model_fingerprint="0" * 64, seed=seed)
    lists = Recommender(model=model, index=built).recommend(
        users.terms,
        k=k,
        filters=Filters(
            num_items=len(model.items), seen=histories if model.selection.filter_seen else None
        ),
        histories=histories,
        user_table=user_table,
    )
    return write_recommendations(path, lists, user_id_type=users.terms.type, item_ids=model.items)


def measure_lists(
    recommendations: pa.Table, test: pa.Table, *, items: Vocabulary, k: int
) -> dict[str, float]:
    """Measures of lists as they were written.

    Args:
        recommendations: user_id, item_id, rank; lists of users without test items do not count.
        test: Test interactions; items that are not in the catalogue count among them.
        items: The catalogue of the model.
        k: List length.

    Returns:
        recall@k, ndcg@k, mrr@k, hit_rate@k, coverage@k.
    """
    users = Vocabulary.fit(test[USER_ID])
    tested = Vocabulary.fit(test[ITEM_ID])
    new = tested.terms.filter(pa.array(items.numbers(tested.terms) == UNKNOWN))
    catalogue = Vocabulary(pa.concat_arrays([items.terms, new]))
    relevant = user_item_matrix(test, users=users, items=catalogue)
    lists_UK = _list_matrix(recommendations, users, catalogue, k)
    hits_UK = metrics.hit_matrix(lists_UK, relevant)
    counts_U = metrics.relevant_counts(relevant)
    return {
        f"recall@{k}": float(metrics.recall_at_k(hits_UK, counts_U, k=k).mean()),
        f"ndcg@{k}": float(metrics.ndcg_at_k(hits_UK, counts_U, k=k).mean()),
        f"mrr@{k}": float(metrics.mrr_at_k(hits_UK, counts_U, k=k).mean()),
        f"hit_rate@{k}": float(metrics.hit_rate_at_k(hits_UK, counts_U, k=k).mean()),
        f"coverage@{k}": metrics.catalogue_coverage(lists_UK, num_items=len(items)),
    }


def _list_matrix(
    recommendations: pa.Table, users: Vocabulary, items: Vocabulary, k: int
) -> Int64Array:
    """Item numbers by user and rank, -1 where there are none. Shape (U, K)."""
    lists_UK = np.full((len(users), k), -1, dtype=np.int64)
    rows = users.numbers(recommendations[USER_ID])
    places = np.asarray(recommendations[RANK]) - 1
    counted = (rows != UNKNOWN) & (places < k)
    numbers = items.numbers(recommendations[ITEM_ID])
    lists_UK[rows[counted], places[counted]] = numbers[counted]
    return lists_UK


def _divided(train: Dataset, config: RecommenderConfig) -> tuple[Dataset, pa.Table]:
    timed = EVENT_TIME in train.interactions.column_names
    rule = SplitConfig(
        kind="global_time" if timed else "random", test_share=0, valid_share=_VALID_SHARE
    )
    split = split_interactions(train.interactions, rule, seed=config.training.seed)
    return replace(train, interactions=split.train), split.valid


def _without(train: Dataset, valid: pa.Table) -> tuple[Dataset, pa.Table]:
    """The train file without its validation part."""
    log = train.interactions
    users, items = Vocabulary.fit(log[USER_ID]), Vocabulary.fit(log[ITEM_ID])
    pairs, valid_pairs = _pairs(log, users, items), _pairs(valid, users, items)
    missing = ~np.isin(valid_pairs, pairs) | (valid_pairs < 0)
    if missing.any():
        raise DataError(
            file="validation file",
            expected="a part of the train file",
            got=f"{int(missing.sum()):,} of {valid.num_rows:,} user-item pairs that are not in it",
            remedy="add them to the train file: the final fit is on all of it",
        )
    rest = log.filter(pa.array(~np.isin(pairs, valid_pairs)))
    if not rest.num_rows:
        raise DataError(
            file="validation file",
            expected="interactions of the train file that are not in it",
            got="none",
            remedy="leave some to train on",
        )
    return replace(train, interactions=rest), valid


def _pairs(table: pa.Table, users: Vocabulary, items: Vocabulary) -> Int64Array:
    """One number a user-item pair; below 0 where one of them is not known."""
    user_numbers, item_numbers = users.numbers(table[USER_ID]), items.numbers(table[ITEM_ID])
    known = (user_numbers != UNKNOWN) & (item_numbers != UNKNOWN)
    keys: Int64Array = np.where(known, user_numbers * len(items) + item_numbers, UNKNOWN)
    return keys
