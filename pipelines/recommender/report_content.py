"""What the report of a training run shows, gathered from what the run made."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from pipelines.jobs.job import peak_rss_mb
from pipelines.recommender.config import JobConfig
from pipelines.recommender.examples import active_users, latest_items, titles_of
from recsys.config import config_to_dict
from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import Split
from recsys.features.encoder import rows_of
from recsys.recommender.evaluation.holdout import MODEL, Comparison
from recsys.recommender.fitting.experiment import Experiment
from recsys.recommender.index import ItemIndex
from recsys.recommender.report import (
    DataFacts,
    ExampleItem,
    ExampleList,
    ItemMap,
    ReportContent,
    map_catalogue,
)
from recsys.recommender.serving import Recommender
from recsys.schema import EVENT_TIME, ITEM_ID, SOURCE, TITLE
from recsys.tracking import core_versions

_NUM_EXAMPLES = 4
_NUM_SHOWN = 8


def report_content(
    config: JobConfig,
    dataset: Dataset,
    split: Split,
    experiment: Experiment,
    *,
    comparison: Comparison,
    index: ItemIndex,
    note: str = "",
) -> ReportContent:
    """Everything that the report shows."""
    return ReportContent(
        name=config.tracking.registered_model,
        k=config.evaluation.k,
        part=comparison.part,
        note=note,
        num_new_items=comparison.num_new_items,
        model=comparison.evaluations[MODEL],
        baselines=comparison.baselines,
        epochs=experiment.epochs,
        prefixes={width: found.overall for width, found in comparison.by_prefix.items()},
        index=index.report,
        item_map=_item_map(dataset, experiment, config.training.seed),
        examples=_examples(
            dataset,
            Recommender(model=experiment.model, index=index),
            num_shown=min(config.lists.k, _NUM_SHOWN),
        ),
        data=_facts(dataset, split),
        selection=experiment.selection,
        settings=_settings(config),
        versions=core_versions(),
        durations_s=experiment.durations_s,
        peak_memory_mb=peak_rss_mb(),
    )


def _settings(config: JobConfig) -> dict[str, JsonValue]:
    """The settings but for where the run is tracked: an address may hold a password."""
    return {name: value for name, value in config_to_dict(config).items() if name != "tracking"}


def _facts(dataset: Dataset, split: Split) -> DataFacts:
    log = dataset.interactions
    times = pc.min_max(log[EVENT_TIME]).as_py() if EVENT_TIME in log.column_names else {}
    cuts = {"validation from": split.valid_from, "test from": split.test_from}
    parts = {"train": split.train, "validation": split.valid, "test": split.test}
    return DataFacts(
        source=dataset.data.interactions.name,
        num_interactions=log.num_rows,
        num_users=pc.count_distinct(log["user_id"]).as_py(),
        num_items=pc.count_distinct(log[ITEM_ID]).as_py(),
        first_event=times.get("min"),
        last_event=times.get("max"),
        cuts={name: cut for name, cut in cuts.items() if cut is not None},
        parts={name: part.num_rows for name, part in parts.items() if part is not None},
    )


def _item_map(dataset: Dataset, experiment: Experiment, seed: int) -> ItemMap:
    """The catalogue in two dimensions, coloured by its first feature that has terms."""
    model = experiment.model
    ids = model.items.terms
    features = dataset.features.items
    coloured = [name for name, one in features.items() if one.kind in ("categorical", "multi_hot")]
    terms = None
    if dataset.items is not None and coloured:
        terms = rows_of(dataset.items, ITEM_ID, ids)[coloured[0]]
    return map_catalogue(
        model.item_embeddings,
        np.bincount(model.histories.indices, minlength=len(ids)),
        titles=pa.array(titles_of(dataset, ids)),
        feature=coloured[0] if coloured else "",
        terms=terms,
        seed=seed,
    )


def _examples(dataset: Dataset, recommender: Recommender, *, num_shown: int) -> list[ExampleList]:
    """Lists of the published model for a few active users, as they will be written."""
    users = active_users(dataset.interactions, num_users=_NUM_EXAMPLES)
    examples = []
    for place in range(len(users)):
        user = users[place]
        lists = recommender.recommend_table(users.slice(place, 1), num_shown)
        if not lists.num_rows:
            continue
        history = latest_items(dataset.interactions, user, _NUM_SHOWN)
        examples.append(
            ExampleList(
                user=str(user.as_py()),
                source=lists[SOURCE][0].as_py(),
                history=_items(dataset, history),
                recommendations=_items(dataset, lists[ITEM_ID].combine_chunks()),
            )
        )
    return examples


def _items(dataset: Dataset, item_ids: pa.Array) -> tuple[ExampleItem, ...]:
    details = _details(dataset, item_ids)
    return tuple(
        ExampleItem(title=title, detail=detail)
        for title, detail in zip(titles_of(dataset, item_ids), details, strict=True)
    )


def _details(dataset: Dataset, item_ids: pa.Array) -> list[str]:
    """The terms of the first multi-hot or categorical feature, for people to read."""
    features = dataset.features.items
    described = [name for name, one in features.items() if one.kind in ("multi_hot", "categorical")]
    if dataset.items is None or not described or TITLE not in dataset.items.column_names:
        return [""] * len(item_ids)
    values = rows_of(dataset.items, ITEM_ID, item_ids)[described[0]].to_pylist()
    return [
        ", ".join(str(term) for term in value) if isinstance(value, list) else str(value or "")
        for value in values
    ]
