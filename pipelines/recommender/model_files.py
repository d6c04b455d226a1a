"""The files of a published model: model, index, measures, report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.jobs.console import Reporter
from pipelines.jobs.job import peak_rss_mb
from pipelines.recommender.config import JobConfig
from pipelines.recommender.promotion import PromotionDecision, write_promotion
from pipelines.recommender.report_content import report_content
from recsys.artifacts import Bundle
from recsys.config import config_to_dict, parse_config
from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import Split
from recsys.errors import ConfigError, PublishError
from recsys.publishing import published_runs, verify_run
from recsys.recommender.fitting.experiment import Experiment
from recsys.recommender.index import ItemIndex
from recsys.recommender.model import Selection
from recsys.recommender.model_bundle import save_model
from recsys.recommender.report import write_report
from recsys.recommender.serving import build_index, load_recommender

METRICS_FILE = "metrics.json"
"""In a published run: what was chosen and measured."""
_SELECTED, _SELECTED_BEFORE = "selection", "selection_before"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """The result of a training."""

    dataset: Dataset
    """What it was fitted on."""
    split: Split
    """Its parts."""
    digests: Mapping[str, str]
    """Digest of each table."""
    decision: PromotionDecision
    """Whether the new model may become live, and what ranks in it."""
    selected_before: Selection | None
    """What was chosen the day before, which the choice of settings started from."""

    @property
    def experiment(self) -> Experiment:
        """The models and their measures."""
        return self.decision.experiment


def selection_before(root: Path, day: date) -> Selection | None:
    """The selection of the newest model up to a day, without models that were held.

    Where that is a model of the same day, it is what that one started from: a day that is run again
    gives the same model again.
    """
    runs = published_runs(root) if root.is_dir() else []
    earlier = [
        run for run in runs if not run.manifest.held and run.manifest.logical_date <= str(day)
    ]
    if not earlier:
        return None
    newest = earlier[-1]
    key = _SELECTED_BEFORE if newest.manifest.logical_date == str(day) else _SELECTED
    try:
        verify_run(newest.folder)
        reported = json.loads((newest.folder / METRICS_FILE).read_text(encoding="utf-8")).get(key)
        return None if reported is None else parse_config(Selection, reported, source=METRICS_FILE)
    except (PublishError, ConfigError, OSError, ValueError):
        return None  # an older version's, or damaged: settings are chosen as on the first day


def write_files(folder: Path, trained: Trained, config: JobConfig, reporter: Reporter) -> None:
    """Write all files of a run."""
    experiment = trained.experiment
    bundle = save_model(experiment.model, folder / "model", data_digests=trained.digests)
    index = _build_index(experiment, bundle, config, reporter)
    index.save(folder / "index")
    _write_documents(folder, trained, index)
    write_promotion(folder, trained.decision)
    _write_report(folder / "report", config, trained, index)


def check_opens(folder: Path) -> None:
    """Check that readers can open what is to be published."""
    load_recommender(folder / "model", folder / "index")


def _build_index(
    experiment: Experiment, bundle: Bundle, config: JobConfig, reporter: Reporter
) -> ItemIndex:
    index = build_index(
        experiment.model,
        config.index,
        model_fingerprint=bundle.fingerprint,
        seed=config.training.seed,
    )
    found = index.report
    reporter.say(
        f"index: {found.kind}, {found.num_items:,} items, recall@{found.recall_k} "
        f"{found.recall:.4f} against exact search, built in {found.build_s:.1f} s"
    )
    for note in found.notes:
        reporter.warn(note)
    return index


def _write_documents(folder: Path, trained: Trained, index: ItemIndex) -> None:
    experiment, before = trained.experiment, trained.selected_before
    metrics: dict[str, object] = {
        _SELECTED: config_to_dict(experiment.selection),
        _SELECTED_BEFORE: None if before is None else config_to_dict(before),
        "durations_s": dict(experiment.durations_s),
        "peak_rss_mb": peak_rss_mb(),
        "index": index.report.to_dict(),
    }
    if experiment.comparison is not None:
        found = experiment.comparison
        metrics["part"], metrics["ranking"] = found.part, trained.decision.ranking
        metrics["evaluations"] = {name: e.to_dict() for name, e in found.evaluations.items()}
        metrics["by_prefix"] = {str(w): e.to_dict()["overall"] for w, e in found.by_prefix.items()}
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=1), encoding="utf-8")


def _write_report(folder: Path, config: JobConfig, trained: Trained, index: ItemIndex) -> None:
    """The report, where there is a comparison to report."""
    experiment = trained.experiment
    if experiment.comparison is None:
        return
    content = report_content(
        config, trained.dataset, trained.split, experiment,
        comparison=experiment.comparison, index=index, note=trained.decision.note,
    )  # fmt: skip
    folder.mkdir(0o700)
    write_report(folder / "report.html", content)
