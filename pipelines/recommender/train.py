"""The training job: select, compare with baselines, fit, publish model and index, register."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial

import pyarrow.compute as pc

from pipelines.jobs.console import Reporter
from pipelines.jobs.job import logical_date, new_run_id, peak_rss_mb
from pipelines.jobs.job_run import JobRun, job_run, raise_if_held
from pipelines.jobs.provenance import output_digest
from pipelines.recommender.config import JobConfig
from pipelines.recommender.data import CheckedDataset, load_checked
from pipelines.recommender.model_files import Trained, check_opens, selection_before, write_files
from pipelines.recommender.promotion import Champion, decide_promotion, load_champion
from pipelines.recommender.training_record import record_tables, record_training, table_digests
from recsys.checkpoints import Checkpoints
from recsys.config import config_to_dict
from recsys.datasets.splits import Split, split_interactions
from recsys.publishing import PublishedRun, publish
from recsys.recommender.evaluation.comparison import verdict
from recsys.recommender.evaluation.holdout import MODEL
from recsys.recommender.fitting.experiment import Experiment, run_experiment
from recsys.recommender.fitting.train import TrainingCallbacks
from recsys.recommender.model import Selection
from recsys.schema import ITEM_ID
from recsys.tracking import start_run


def train_recommender(
    config: JobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Train on all interactions and publish the model; its quality is measured on a time split.

    Args:
        config: Settings.
        as_of: The day that the run stands for; today by default.
        reporter: Prints progress.
        force: Whether to run even if the day's model was made from the same inputs.

    Returns:
        What happened, for the status line.
    """
    with job_run("train-recommender", config.models, config.deadlines, force=force) as job:
        return _train(config, as_of, reporter, job)


def _train(
    config: JobConfig, as_of: date | None, reporter: Reporter, job: JobRun
) -> dict[str, object]:
    task = _load(config, as_of, reporter, job)
    config = task.config  # no list is longer than the catalogue
    checkpoints = job.checkpoints(task.provenance)
    with start_run(config.tracking, run_name=f"train {task.day}") as run:
        run.log_params({**config_to_dict(config), "tracking": {}})
        run.log_environment()
        record_tables(run, task.checked.dataset, task.digests)
        trained = _work(task, checkpoints)
        for line in _quality_lines(trained.experiment, config.evaluation.k):
            reporter.say(line)
        published = _publish(task, trained)
        decision = trained.decision
        reporter.say(f"{'stored' if decision.faults else 'published'} {published.folder}")
        run.log_tags(
            {
                "promotion": decision.hold(published.folder) or "promoted",
                "ranking": decision.ranking,
            }
        )
        checkpoints.clear()
        record_training(run, config, trained.experiment, published)
    if run.delivery.problem is not None:
        reporter.warn(run.delivery.problem)
    raise_if_held(decision.faults, published, config.models.name)
    return _status(task, trained, published, run.delivery.status())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task:
    """What a training starts from."""

    config: JobConfig
    day: date
    reporter: Reporter
    job: JobRun
    checked: CheckedDataset
    digests: dict[str, str]
    provenance: dict[str, str]
    split: Split
    champion: Champion
    selected_before: Selection | None


def _load(config: JobConfig, as_of: date | None, reporter: Reporter, job: JobRun) -> _Task:
    """Read and divide the tables, unless the day's model was made from them already."""
    day = logical_date(as_of)
    with job.stage("load"):
        checked = load_checked(
            job.inputs, config, as_of, reporter, needs_time=config.split.needs_time
        )
        dataset = checked.dataset
        digests = table_digests(dataset)
    provenance = job.provenance(config)
    job.skip_if_done(day, provenance)
    config = config.within(pc.count_distinct(dataset.interactions[ITEM_ID]).as_py())
    with job.stage("load"):
        split = split_interactions(dataset.interactions, config.split, seed=config.training.seed)
        champion = load_champion(config, dataset, split)
        before = selection_before(config.models, day)
    return _Task(
        config=config, day=day, reporter=reporter, job=job, checked=checked, digests=digests,
        provenance=provenance, split=split, champion=champion, selected_before=before,
    )  # fmt: skip


def _work(task: _Task, checkpoints: Checkpoints) -> Trained:
    """Select, compare and fit, and judge what came of it."""
    config, reporter, dataset = task.config, task.reporter, task.checked.dataset
    callbacks = TrainingCallbacks(
        on_epoch=reporter.epoch,
        on_batch=reporter.batch,
        on_stage=reporter.say,
        checkpoints=checkpoints,
    )
    with task.job.stage("work"), reporter.training():
        experiment = run_experiment(
            dataset, task.split, config.recommender, config.evaluation,
            filter_seen=config.lists.filter_seen, had=task.checked.had,
            champion=task.champion.model, previous=task.selected_before, callbacks=callbacks,
        )  # fmt: skip
        decision = decide_promotion(
            config, experiment, task.champion, (dataset, task.split), reporter
        )
    return Trained(
        dataset=dataset, split=task.split, digests=task.digests,
        decision=decision, selected_before=task.selected_before,
    )  # fmt: skip


def _publish(task: _Task, trained: Trained) -> PublishedRun:
    config = task.config
    with task.job.stage("publish"):
        return publish(
            config.models,
            task.day,
            partial(write_files, trained=trained, config=config, reporter=task.reporter),
            run_id=new_run_id(),
            audit=check_opens,
            hold=trained.decision.hold,
            provenance=task.provenance,
            note=trained.decision.note,
            keep=config.output.keep,
        )


def _status(
    task: _Task, trained: Trained, published: PublishedRun, delivery: Mapping[str, object]
) -> dict[str, object]:
    """What happened, for the status line."""
    report = published.folder / "report" / "report.html"
    return {
        "job": "train-recommender",
        "outcome": "PUBLISHED",
        "live": published.is_current,
        "run": str(published.folder),
        "digest": output_digest(published),
        **task.checked.counts(),
        "inputs": task.job.inputs.found(),
        "report": str(report) if report.exists() else None,
        **delivery,
        "peak_rss_mb": peak_rss_mb(),
        "ranking": trained.decision.ranking,
        "verdict": summary_line(trained.experiment, task.config.evaluation.k),
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
    """The verdict, and the measures behind it."""
    found = experiment.comparison
    lines = [summary_line(experiment, k)]
    for name, evaluation in found.evaluations.items() if found is not None else ():
        recall, ndcg = evaluation.overall[f"recall@{k}"], evaluation.overall[f"ndcg@{k}"]
        lines.append(f"  {name + ':':<18} recall@{k} {recall:.4f}, ndcg@{k} {ndcg:.4f}")
    return lines
