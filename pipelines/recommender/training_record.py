"""What a training run sends to the tracking server: tables, figures, report and model."""

from __future__ import annotations

import math

from pipelines.jobs.job import peak_rss_mb
from pipelines.jobs.provenance import publication_order
from pipelines.recommender.config import JobConfig
from recsys.artifacts import digest_table, read_bundle
from recsys.datasets.dataset import Dataset
from recsys.publishing import PublishedRun
from recsys.recommender.evaluation.holdout import MODEL
from recsys.recommender.fitting.experiment import Experiment
from recsys.recommender.index import BUNDLE_KIND as INDEX_KIND
from recsys.recommender.model_bundle import BUNDLE_KIND
from recsys.tracking import TrackedRun, served_recommender


def table_digests(dataset: Dataset) -> dict[str, str]:
    """Digest of each table that there is."""
    tables = {
        "interactions": dataset.interactions, "users": dataset.users, "items": dataset.items
    }  # fmt: skip
    return {name: digest_table(table) for name, table in tables.items() if table is not None}


def record_tables(run: TrackedRun, dataset: Dataset, digests: dict[str, str]) -> None:
    """Which tables were used, by the digest of their content."""
    for name, digest in digests.items():
        run.log_dataset(
            name,
            digest=digest,
            num_rows=getattr(dataset, name).num_rows,
            source=str(getattr(dataset.data, name)),
            context="training",
        )


def record_training(
    run: TrackedRun, config: JobConfig, experiment: Experiment, published: PublishedRun
) -> None:
    """Figures, report and model; the new version gets the alias if its run is the live one."""
    folder = published.folder
    for epoch in experiment.epochs:
        figures = {"loss": epoch.loss, "interactions_per_s": epoch.examples_per_s}
        if epoch.validation is not None:
            figures["validation_ndcg"] = epoch.validation
        run.log_metrics(figures, step=epoch.epoch)
    if experiment.comparison is not None:
        overall = experiment.comparison.evaluations[MODEL].overall
        run.log_metrics({name: value for name, value in overall.items() if math.isfinite(value)})
    run.log_metrics({f"{name}_s": value for name, value in experiment.durations_s.items()})
    run.log_metrics({"peak_rss_mb": peak_rss_mb()})
    for name in ("report", "metrics.json"):
        if (folder / name).exists():
            run.log_artifact(folder / name)
    model = experiment.model
    run.log_model(
        served_recommender(
            model=read_bundle(folder / "model", kind=BUNDLE_KIND),
            index=read_bundle(folder / "index", kind=INDEX_KIND),
            user_id_type=model.users.terms.type,
            item_id_type=model.items.terms.type,
            k=config.lists.k,
        ),
        promote=published.is_current,
        order=publication_order(published),
    )
