"""The job that looks for drift: compare columns, publish a report, track it, print it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.table import Table

from pipelines.fraud.config import FraudJobConfig
from pipelines.jobs.console import Reporter, error_console, json_text
from pipelines.jobs.inputs import Inputs
from pipelines.jobs.job import last_whole_day, new_run_id
from pipelines.jobs.job_run import job_run
from pipelines.recommender.config import JobConfig
from recsys.config import config_to_dict
from recsys.drift.columns import Column
from recsys.drift.report import DriftReport, check_drift
from recsys.drift.windows import Windows
from recsys.errors import CheckError
from recsys.files import write_new
from recsys.publishing import publish
from recsys.tracking import start_run

FILE_NAME = "drift.json"
"""The file of a published run."""


@dataclass(frozen=True, kw_only=True)
class CheckedDrift:
    """How a check ended."""

    report: DriftReport
    """What was found."""
    file: Path
    """Where it was published."""
    status: dict[str, object]
    """What happened, for the status line."""


def check_drift_job(
    config: JobConfig | FraudJobConfig, as_of: date | None, reporter: Reporter
) -> CheckedDrift:
    """Compare the days up to one with the weeks before; publish and track the figures.

    Args:
        config: Settings of the recommender or the fraud scorer.
        as_of: The last day of the current window; yesterday by default.
        reporter: Prints progress.

    Raises:
        DataError: The tables are refused, or no event lies in one of the windows.
        ConfigError: A requested column does not exist.
    """
    day, root = as_of or last_whole_day(), config.output.directory / "drift"
    windows = Windows.of(config.drift, day)
    with job_run("check-drift", root, config.deadlines) as job:
        with job.stage("work"):
            report = check_drift(
                _columns(job.inputs, config, windows, reporter), config.drift, windows
            )
        text = json_text(report.to_dict(), indent=1) + "\n"

        def write(folder: Path) -> None:
            write_new(folder / FILE_NAME, text.encode())

        with job.stage("publish"):
            published = publish(root, day, write, run_id=new_run_id(), keep=config.output.keep)
    file = published.folder / FILE_NAME
    tracked = _track(config, report, file)
    _report(report, reporter)
    status = {
        "job": "check-drift",
        "outcome": "PUBLISHED",
        "live": published.is_current,
        "day": str(day),
        "verdict": report.verdict,
        "columns": {one.name: {"psi": one.psi, "verdict": one.verdict} for one in report.columns},
        "skipped": report.skipped,
        "file": str(file),
        "tracked": tracked,
        "inputs": job.inputs.found(),
    }
    return CheckedDrift(report=report, file=file, status=status)


def raise_if_drifting(checked: CheckedDrift) -> None:
    """End the job with an error if the settings ask for it; the report is published anyway.

    Raises:
        CheckError: The verdict is major, and `drift.fail_on` says so.
    """
    report = checked.report
    if report.config.fail_on == "major" and report.verdict == "major":
        worst = report.worst
        usual = max(worst.bound, worst.yardstick or 0.0, report.config.major)
        raise CheckError(
            rule="drift",
            place=str(checked.file),
            column=worst.name,
            observed=f"{worst.psi:.3f}",
            limit=f"a stability index of at most {usual:.3f}",
            remedy="look at the data of these days, and in the file at where most of it is; train "
            "anew if the change is real",
        )


def _columns(
    inputs: Inputs, config: JobConfig | FraudJobConfig, windows: Windows, reporter: Reporter
) -> Iterator[Column]:
    """The columns of the recommender or of the fraud scorer, by the kind of settings."""
    if isinstance(config, JobConfig):
        from pipelines.recommender.drift import recommender_columns

        return recommender_columns(inputs, config, windows, reporter)
    from pipelines.fraud.drift import fraud_columns

    return fraud_columns(inputs, config, windows, reporter)


def _track(config: JobConfig | FraudJobConfig, report: DriftReport, file: Path) -> str:
    """Send figures, verdict and report to the tracking server; returns where they are."""
    name = f"check-drift {report.windows.last_day}"
    with start_run(config.tracking, run_name=name) as run:
        run.log_params({"drift": config_to_dict(config.drift)})
        run.log_metrics(report.metrics())
        run.log_tags({"verdict": report.verdict, "day": str(report.windows.last_day)})
        run.log_artifact(file)
        return run.location


def _report(report: DriftReport, reporter: Reporter) -> None:
    """The columns as a table, the worst first."""
    if reporter.quiet:
        return
    windows = report.windows
    table = Table("column", "index", "chance", "weeks", "verdict", "most at", show_edge=False)
    table.columns[0].no_wrap = True
    for one in sorted(report.columns, key=lambda one: -one.psi):
        weeks = "-" if one.yardstick is None else f"{one.yardstick:.4f}"
        # A term is a value of the data, which is for the published file and not for a log.
        place = "a term" if one.kind in {"categorical", "frequency"} else one.shift.bin
        shift = f"{place}: {one.shift.reference_share:.1%} to {one.shift.current_share:.1%}"
        row = (one.name, f"{one.psi:.4f}", f"{one.bound:.4f}", weeks, one.verdict, shift)
        table.add_row(*row)
    error_console().print(table)
    reporter.say(
        f"drift: {report.verdict}, {windows.first_current} to {windows.last_day} beside "
        f"{windows.first_reference} to {windows.last_reference}"
    )
