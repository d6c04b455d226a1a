"""A recommender on disk: published and opened as the jobs do it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow.compute as pc

from recsys.artifacts import digest_table
from recsys.datasets.dataset import Dataset
from recsys.publishing.saving import find_saved, publish_live
from recsys.recommender.model_bundle import save_model
from recsys.recommender.serving import Recommender, load_recommender
from recsys.schema import EVENT_TIME

_MODELS = "models"  # where jobs publish models, below output.directory
_NO_DAY = date(1970, 1, 1)


def save_published(served: Recommender, folder: Path, *, dataset: Dataset | None) -> Path:
    """Publish a model with its index, and make it live.

    Args:
        served: Model and index.
        folder: What jobs have as `output.directory`.
        dataset: What the model was fitted on, if it is at hand.

    Returns:
        The folder of the run.

    Raises:
        PublishError: The disk refuses.
        SkippedError: Another publisher is at work.
    """
    tables = {} if dataset is None else {
        "interactions": dataset.interactions, "users": dataset.users, "items": dataset.items
    }  # fmt: skip
    digests = {name: digest_table(one) for name, one in tables.items() if one is not None}

    def write(run: Path) -> None:
        bundle = save_model(served.model, run / "model", data_digests=digests)
        index = replace(served.index, model_fingerprint=bundle.fingerprint)
        index.save(run / "index")

    return publish_live(folder / _MODELS, _last_day(dataset), write)


def open_saved(folder: Path) -> Recommender:
    """Open what was saved or published.

    Args:
        folder: A published run, or a folder that jobs have as `output.directory`.

    Raises:
        ArtifactError: There is none, or it is damaged.
    """
    run = find_saved(folder, _MODELS)
    return load_recommender(run / "model", run / "index", in_child=True)


def _last_day(dataset: Dataset | None) -> date:
    """The day that a model stands for: that of its last event."""
    if dataset is None or EVENT_TIME not in dataset.interactions.column_names:
        return _NO_DAY
    last: date = pc.max(dataset.interactions[EVENT_TIME]).as_py().date()
    return last
