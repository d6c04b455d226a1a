"""A shop with a published model, made once for all tests that only read it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from shop import SMALL_MODEL, UNTRACKED, USER_FEATURES, shop_dataset, write_shop

from recsys.datasets.dataset import Dataset
from recsys.publishing import publish


@pytest.fixture(scope="session")
def stocked_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, a config and two published models: `older` and, from all of the log, `live`."""
    from pipelines.recommender.config import load_job_config
    from recsys.datasets.loading import load_dataset
    from recsys.recommender.fitting.select import default_selection
    from recsys.recommender.fitting.train import fit_recommender
    from recsys.recommender.model_bundle import save_model
    from recsys.recommender.serving import build_index

    folder = tmp_path_factory.mktemp("stocked")
    sections = SMALL_MODEL, USER_FEATURES, UNTRACKED
    config = load_job_config(write_shop(folder, shop_dataset("int64"), "parquet", *sections))
    dataset = load_dataset(config.data, config.columns, config.features)
    settings = config.recommender

    def write(run: Path, part: Dataset) -> None:
        model, _ = fit_recommender(part, settings, default_selection(settings))
        bundle = save_model(model, run / "model", data_digests={})
        index = build_index(model, config.index, model_fingerprint=bundle.fingerprint, seed=0)
        index.save(run / "index")

    for run_id, num_rows in {"older": 2000, "live": 2500}.items():
        part = replace(dataset, interactions=dataset.interactions[:num_rows])
        publish(config.models, date(2024, 3, 31), partial(write, part=part), run_id=run_id)
    return folder


@pytest.fixture
def shop_copy(stocked_shop: Path, tmp_path: Path) -> Path:
    """A stocked shop to break."""
    return shutil.copytree(stocked_shop, tmp_path / "shop")
