"""The training job: select, compare with baselines, fit, publish model and index, register."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow.compute as pc

from pipelines.jobs.console import Reporter
from pipelines.jobs.job import logical_date, new_run_id, peak_rss_mb
from pipelines.jobs.job_run import JobRun, job_run, raise_if_held
from pipelines.jobs.provenance import output_digest
from pipelines.recommender.config import JobConfig
from pipelines.recommender.data import load_checked
from pipelines.recommender.promotion import judge, load_champion, write_promotion
from pipelines.recommender.report_content import report_content
from pipelines.recommender.training_record import record_tables, record_training, table_digests
from recsys.artifacts import Bundle
from recsys.config import config_to_dict
from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import Split, split_interactions
from recsys.publishing import publish
from recsys.recommender.evaluation.comparison import verdict
from recsys.recommender.evaluation.holdout import MODEL
from recsys.recommender.fitting.experiment import Experiment, run_experiment
from recsys.recommender.fitting.train import TrainingCallbacks
from recsys.recommender.index import ItemIndex
from recsys.recommender.model_bundle import save_model
from recsys.recommender.report import write_report
from recsys.recommender.serving import build_index, load_recommender
from recsys.schema import ITEM_ID
from recsys.tracking import start_run


def train_recommender(
    config: JobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Train on all interactions and publish the model, with its quality known from a time split.

    Args:
        config: Settings.
        as_of: The day that the run stands for; today by default.
        reporter: Whom to tell.
        force: Whether to train again on what the day's model was made from.

    Returns:
        What happened, for the status line.
    """
    with job_run("train-recommender", config.models, config.deadlines, force=force) as job:
        return _train(config, as_of, reporter, job)


def _train(
    config: JobConfig, as_of: date | None, reporter: Reporter, job: JobRun
) -> dict[str, object]:
    with job.stage("load"):
        checked = load_checked(
            job.inputs, config, as_of, reporter, needs_time=config.split.needs_time
        )
        dataset = checked.dataset
        digests = table_digests(dataset)
    made_from = job.made_from(config)
    job.skip_if_done(logical_date(as_of), made_from)
    config = config.within(pc.count_distinct(dataset.interactions[ITEM_ID]).as_py())
    with job.stage("load"):
        split = split_interactions(dataset.interactions, config.split, seed=config.training.seed)
        champion = load_champion(config, dataset, split)
    checkpoints = job.checkpoints(made_from)
    with start_run(config.tracking, run_name=f"train {logical_date(as_of)}") as run:
        run.log_params({**config_to_dict(config), "tracking": {}})
        run.log_environment()
        record_tables(run, dataset, digests)
        callbacks = TrainingCallbacks(
            on_epoch=reporter.epoch,
            on_batch=reporter.batch,
            on_stage=reporter.say,
            checkpoints=checkpoints,
        )
        with job.stage("work"), reporter.training():
            experiment = run_experiment(
                dataset, split, config.recommender, config.evaluation,
                filter_seen=config.lists.filter_seen, had=checked.had,
                champion=champion.model, callbacks=callbacks,
            )  # fmt: skip
            judgement = judge(config, experiment, champion, (dataset, split), reporter)
        for line in _quality_lines(experiment, config.evaluation.k):
            reporter.say(line)

        def write(folder: Path) -> None:
            bundle = save_model(experiment.model, folder / "model", data_digests=digests)
            index = _build_index(experiment, bundle, config, reporter)
            index.save(folder / "index")
            _write_documents(folder, experiment, index)
            write_promotion(folder, experiment, judgement)
            _write_report(folder / "report", config, (dataset, split), experiment, index)

        with job.stage("publish"):
            published = publish(
                config.models,
                logical_date(as_of),
                write,
                run_id=new_run_id(),
                audit=_check_opens,
                hold=judgement.hold,
                made_from=made_from,
                keep=config.output.keep,
            )
        reporter.say(f"{'stored' if judgement.faults else 'published'} {published.folder}")
        run.log_tags({"promotion": judgement.hold(published.folder) or "promoted"})
        checkpoints.clear()
        record_training(run, config, experiment, published)
    if run.delivery.problem is not None:
        reporter.warn(run.delivery.problem)
    raise_if_held(judgement.faults, published, config.models.name)
    report = published.folder / "report" / "report.html"
    return {
        "job": "train-recommender",
        "outcome": "PUBLISHED",
        "live": published.is_current,
        "run": str(published.folder),
        "digest": output_digest(published),
        **checked.counts(),
        "report": str(report) if report.exists() else None,
        **run.delivery.status(),
        "peak_rss_mb": peak_rss_mb(),
        "verdict": summary_line(experiment, config.evaluation.k),
    }


def summary_line(experiment: Experiment, k: int) -> str:
    """Whether the model beats its baselines, in one line."""
    comparison = experiment.comparison
    if comparison is None:
        return "Neither a test nor a validation part: the quality of this model is not known."
    measures = (f"recall@{k}", f"ndcg@{k}")
    found = verdict(comparison.evaluations[MODEL], comparison.baselines, measures)
    if comparison.part == "validation":
        found += " Measured on the validation part, which flatters the model."
    return found


def _quality_lines(experiment: Experiment, k: int) -> list[str]:
    """The verdict, and the measures that it goes by."""
    found = experiment.comparison
    lines = [summary_line(experiment, k)]
    for name, evaluation in found.evaluations.items() if found is not None else ():
        recall, ndcg = evaluation.overall[f"recall@{k}"], evaluation.overall[f"ndcg@{k}"]
        lines.append(f"  {name + ':':<18} recall@{k} {recall:.4f}, ndcg@{k} {ndcg:.4f}")
    return lines


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


def _write_documents(folder: Path, experiment: Experiment, index: ItemIndex) -> None:
    metrics: dict[str, object] = {
        "selection": config_to_dict(experiment.selection),
        "durations_s": dict(experiment.durations_s),
        "peak_rss_mb": peak_rss_mb(),
        "index": index.report.to_dict(),
    }
    if experiment.comparison is not None:
        found = experiment.comparison
        metrics["part"] = found.part
        metrics["evaluations"] = {name: e.to_dict() for name, e in found.evaluations.items()}
        metrics["by_prefix"] = {str(w): e.to_dict()["overall"] for w, e in found.by_prefix.items()}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")


def _write_report(
    folder: Path,
    config: JobConfig,
    data: tuple[Dataset, Split],
    experiment: Experiment,
    index: ItemIndex,
) -> None:
    """The report, where there is a comparison to report."""
    if experiment.comparison is None:
        return
    content = report_content(
        config, *data, experiment, comparison=experiment.comparison, index=index
    )
    folder.mkdir(0o700)
    write_report(folder / "report.html", content)


def _check_opens(folder: Path) -> None:
    """Refuse to publish what readers could not open."""
    load_recommender(folder / "model", folder / "index")
