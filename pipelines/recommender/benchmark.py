"""`recsys benchmark recommender`: the quality and cost of the defaults on files of one's own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.jobs.console import Reporter
from pipelines.jobs.job import peak_rss_mb
from pipelines.recommender.config import JobConfig
from recsys.config import config_to_dict
from recsys.datasets.checks.validation import validate_dataset
from recsys.datasets.dataset import Dataset
from recsys.datasets.loading import load_dataset
from recsys.errors import ConfigError
from recsys.recommender.benchmark import fit_benchmark, measure_lists, rank_test_users
from recsys.recommender.fitting.train import TrainingCallbacks
from recsys.recommender.ranking.ranker import list_length
from recsys.schema import ITEM_ID, USER_ID


def benchmark_recommender(
    config: JobConfig,
    *,
    test: Path,
    valid: Path | None,
    k: int,
    out: Path,
    reporter: Reporter,
) -> dict[str, object]:
    """Fit on the train file, rank the catalogue for the users of the test file, measure.

    Args:
        config: Settings; its interactions are the train file.
        test: Interactions to rank.
        valid: A part of the train file to select on.
        k: List length; lists are no longer than the catalogue.
        out: Folder for `recommendations.parquet` and `metrics.json`; it must not hold them yet.
        reporter: Prints progress.

    Returns:
        What `metrics.json` holds.
    """
    lists_file = out / "recommendations.parquet"
    if lists_file.exists():
        raise ConfigError(
            f"--out: expected a folder without {lists_file.name}, got {out}; choose another one"
        )
    train = _load(config, config.data.interactions)
    test_log = _load_like(config, test, train)
    valid_log = None if valid is None else _load_like(config, valid, train)
    k = list_length(k, pc.count_distinct(train.interactions[ITEM_ID]).as_py())
    filter_seen = config.lists.filter_seen
    callbacks = TrainingCallbacks(
        on_epoch=reporter.epoch, on_batch=reporter.batch, on_stage=reporter.say
    )
    with reporter.training():
        fitted = fit_benchmark(
            train, valid_log, config.recommender, k=k, filter_seen=filter_seen, callbacks=callbacks
        )
    out.mkdir(parents=True, exist_ok=True)
    summary = rank_test_users(
        fitted.model, test_log, lists_file, k=k, index=config.index,
        user_table=train.users, seed=config.training.seed,
    )  # fmt: skip
    quality = measure_lists(pq.read_table(lists_file), test_log, items=fitted.model.items, k=k)
    figures: dict[str, object] = {
        **quality,
        "fit_s": fitted.select_s + fitted.refit_s,
        "select_s": fitted.select_s,
        "refit_s": fitted.refit_s,
        "score_s": summary.duration_s,
        "users_per_s": summary.lists_per_s,
        "peak_rss_mb": peak_rss_mb(),
        "num_users": summary.num_lists,
        "selection": config_to_dict(fitted.selection),
        "config": config_to_dict(config.recommender),
    }
    (out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    reporter.say(", ".join(f"{name} {value:.4f}" for name, value in quality.items()))
    return figures


def _load(config: JobConfig, interactions: Path) -> Dataset:
    """The tables with another file of interactions, refused where they break a rule."""
    data = replace(config.data, interactions=interactions)
    dataset = load_dataset(data, config.columns, config.features)
    validate_dataset(dataset, limits=config.validation).raise_if_refused()
    return dataset


def _load_like(config: JobConfig, interactions: Path, train: Dataset) -> pa.Table:
    """Interactions whose ids are of the types of the train file."""
    dataset = _load(config, interactions)
    for name in (USER_ID, ITEM_ID):
        expected, got = train.interactions[name].type, dataset.interactions[name].type
        if got != expected:
            raise dataset.origin("interactions", name).refusal(
                expected=f"{expected} ids, as in {config.data.interactions}",
                got=str(got),
                remedy='1 and "1" do not match: write both files with the same type',
            )
    return dataset.interactions
