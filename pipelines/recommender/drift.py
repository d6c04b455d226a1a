"""What `recsys check-drift` compares of a recommender: events, features, embeddings, lists.

Shapes: N interactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from pipelines.recommender.config import JobConfig
from pipelines.recommender.data import load_checked
from pipelines.recommender.write_lists import FILE_NAME
from recsys.arrays import Int64Array
from recsys.datasets.columns.feature_columns import FeatureKind
from recsys.datasets.dataset import Dataset, FeatureConfig
from recsys.drift.columns import Column, Kind, number_terms
from recsys.drift.windows import Windows, sample_rows
from recsys.features.encoder import rows_of
from recsys.publishing import PublishedRun, current_run, live_run, published_runs
from recsys.recommender.compatibility import check_tables
from recsys.recommender.model import RecommenderModel
from recsys.recommender.model_bundle import load_model
from recsys.recommender.ranking.by_source import POPULARITY
from recsys.schema import EVENT_TIME, ITEM_ID, SCORE, SOURCE, USER_ID, WEIGHT
from recsys.time_units import US_PER_DAY, US_PER_HOUR

SAMPLE_ROWS = 50_000
"""Rows of either window that are embedded, and rows of lists that are read of a run."""

_MAX_RUNS = 4


def recommender_columns(
    inputs: Inputs, config: JobConfig, windows: Windows, reporter: Reporter
) -> Iterator[Column]:
    """All columns of a recommender, including those of the model and of lists if they exist.

    Raises:
        DataError: The tables are refused, or no event lies in one of the windows.
    """
    # Later events than the day are no fault: a check of an earlier day reads a log that went on.
    dataset = load_checked(inputs, config, None, reporter, needs_time=True).dataset
    times_N = np.asarray(dataset.interactions[EVENT_TIME].cast(pa.int64()), dtype=np.int64)
    blocks_N = windows.blocks(times_N // US_PER_DAY)
    windows.require_rows(blocks_N, dataset.origin("interactions", EVENT_TIME))
    is_used = pa.array(blocks_N >= 0)
    log, blocks_N = dataset.interactions.filter(is_used), blocks_N[blocks_N >= 0]
    users_N = number_terms(_flat(log[USER_ID]))
    for column in _event_columns(log, blocks_N):
        yield replace(column, groups_N=users_N)
    yield from _feature_columns(dataset, log, blocks_N, users_N)
    if live_run(config.models) is not None:
        model, _ = load_model(current_run(config.models) / "model")
        check_tables(model, dataset)
        yield from _model_columns(
            model, dataset, log, blocks_N, users_N=users_N, seed=config.training.seed
        )
    yield from _list_columns(config, windows)


def _event_columns(log: pa.Table, blocks_N: Int64Array) -> Iterator[Column]:
    times_N = np.asarray(log[EVENT_TIME].cast(pa.int64()), dtype=np.int64)
    hours_N = times_N % US_PER_DAY / US_PER_HOUR
    yield Column(name="hour_of_day", kind="numeric", values=hours_N, blocks_N=blocks_N)
    if WEIGHT in log.column_names:
        yield Column(name=WEIGHT, kind="numeric", values=_flat(log[WEIGHT]), blocks_N=blocks_N)
    items = _flat(log[ITEM_ID])
    yield Column(name="item", kind="categorical", values=items, blocks_N=blocks_N)
    yield Column(name="item_popularity", kind="frequency", values=items, blocks_N=blocks_N)


def _feature_columns(
    dataset: Dataset, log: pa.Table, blocks_N: Int64Array, users_N: Int64Array
) -> Iterator[Column]:
    """Features of the user and of the item of each event."""
    sides = {
        "user": (dataset.users, USER_ID, dataset.features.users),
        "item": (dataset.items, ITEM_ID, dataset.features.items),
    }
    for side, (table, id_column, features) in sides.items():
        if table is None:
            continue
        ids = _flat(log[id_column])
        for name, feature in features.items():
            rows = rows_of(table.select([id_column, name]), id_column, ids)
            yield _feature_column(f"{side}.{name}", feature, _flat(rows[name]), blocks_N, users_N)


def _feature_column(
    name: str, feature: FeatureConfig, values: pa.Array, blocks_N: Int64Array, users_N: Int64Array
) -> Column:
    """A feature as its kind asks for; each term of a list counts by itself."""
    rows_N, kind = np.arange(len(values)), feature.kind
    if kind == "multi_hot":
        rows_N = np.asarray(pc.list_parent_indices(values), dtype=np.int64)
        values = pc.list_flatten(values)
    elif kind == "dense":
        rows_N = np.flatnonzero(np.asarray(values.is_valid()))
        values = np.stack(values.drop_null().to_numpy(zero_copy_only=False))
    kinds: dict[FeatureKind, Kind] = {
        "multi_hot": "categorical", "categorical": "categorical", "numeric": "numeric",
        "dense": "embedding",
    }  # fmt: skip
    return Column(
        name=name,
        kind=kinds[kind],
        values=values,
        blocks_N=blocks_N[rows_N],
        groups_N=users_N[rows_N],
    )


def _model_columns(
    model: RecommenderModel,
    dataset: Dataset,
    log: pa.Table,
    blocks_N: Int64Array,
    *,
    users_N: Int64Array,
    seed: int,
) -> Iterator[Column]:
    """Whether the live model knows the users and items of events, and its embeddings of them."""
    known = {
        "known_users": model.users.numbers(log[USER_ID]) >= 0,
        "known_items": model.items.numbers(log[ITEM_ID]) >= 0,
    }
    # The model has seen all of the weeks before its training, so they are not comparable.
    whole_N = np.minimum(blocks_N, 1)
    for name, known_N in known.items():
        terms = pa.array(np.where(known_N, "known", "unknown"))
        yield Column(
            name=name, kind="categorical", values=terms, blocks_N=whole_N, groups_N=users_N
        )
    rows = sample_rows(blocks_N, limit=SAMPLE_ROWS, seed=seed)
    sample, blocks_N, users_N = log.take(pa.array(rows)), blocks_N[rows], users_N[rows]
    numbers_N = model.items.numbers(sample[ITEM_ID])
    is_known_N = numbers_N >= 0
    yield Column(
        name="embedding.items",
        kind="embedding",
        values=model.item_embeddings[numbers_N[is_known_N]],
        blocks_N=blocks_N[is_known_N],
        groups_N=users_N[is_known_N],
    )
    encoded = _flat(sample[USER_ID]).dictionary_encode()
    blocks = list(model.user_blocks(encoded.dictionary, user_table=dataset.users))
    vectors = np.concatenate([block.queries for block in blocks])
    # A vector made from popularity says nothing of its user.
    says_something = np.concatenate([np.asarray(block.sources) != POPULARITY for block in blocks])
    places_N = np.asarray(encoded.indices, dtype=np.int64)
    is_used_N = says_something[places_N]
    yield Column(
        name="embedding.users",
        kind="embedding",
        values=vectors[places_N[is_used_N]],
        blocks_N=blocks_N[is_used_N],
        groups_N=users_N[is_used_N],
    )


def _list_columns(config: JobConfig, windows: Windows) -> Iterator[Column]:
    """The last published lists beside those of earlier days; each run is a part by itself."""
    runs = _runs_of_days(config, windows)
    if len(runs) < 2:
        return
    tables = [_sampled_lists(run, config.training.seed) for run in runs]
    blocks_N = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    lists = pa.concat_tables(tables)
    yield Column(name="list.score", kind="numeric", values=_flat(lists[SCORE]), blocks_N=blocks_N)
    for name, column in {"list.item": ITEM_ID, "list.source": SOURCE}.items():
        terms = _flat(lists[column])
        yield Column(name=name, kind="categorical", values=terms, blocks_N=blocks_N)


def _runs_of_days(config: JobConfig, windows: Windows) -> list[PublishedRun]:
    """The newest run of each of the last days that have one, the latest day first."""
    found = {
        run.manifest.logical_date: run
        for run in published_runs(config.recommendations)
        if str(windows.first_reference) <= run.manifest.logical_date <= str(windows.last_day)
        and not run.manifest.held
    }
    return [found[day] for day in sorted(found, reverse=True)][: 1 + _MAX_RUNS]


def _sampled_lists(run: PublishedRun, seed: int) -> pa.Table:
    table = pq.read_table(run.folder / FILE_NAME, columns=[ITEM_ID, SCORE, SOURCE])
    blocks_N = np.zeros(table.num_rows, dtype=np.int64)
    return table.take(pa.array(sample_rows(blocks_N, limit=SAMPLE_ROWS, seed=seed)))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    flat = column.combine_chunks()
    return flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat
