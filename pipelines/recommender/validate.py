"""The job that reports what the data holds and whether jobs would accept it."""

from __future__ import annotations

from datetime import UTC, date, datetime

from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from pipelines.recommender.config import JobConfig
from pipelines.recommender.data import newest_day_findings, tell_left_out
from recsys.datasets.checks.cleaning import clean_interactions
from recsys.datasets.checks.doubtful import doubts
from recsys.datasets.checks.validation import ValidationReport, validate_dataset


def validate_job(
    config: JobConfig, as_of: date | None, reporter: Reporter
) -> tuple[ValidationReport, dict[str, object]]:
    """Report what the tables hold; every reason to refuse them is one line.

    Returns:
        The report, of which the first refusal makes the command fail, and what the status line
        says beside it: rows that jobs would leave out, and what the tables were read from.
    """
    inputs = Inputs()
    dataset = inputs.dataset(config.data, config.columns, config.features)
    inputs.tell_passed_over(reporter)
    report = validate_dataset(
        dataset,
        as_of=datetime.now(UTC),  # as in jobs: a log may continue after the day of the run
        limits=config.validation,
        needs_time=config.split.needs_time,
    )
    for line in _lines(report):
        reporter.say(line)
    if as_of is not None and not report.refusals:
        for finding in newest_day_findings(config, dataset, as_of):
            if finding.error is not None:
                reporter.say(f"jobs with --as-of {as_of} would be held: {finding.error}")
    for refusal in report.refusals[1:]:
        reporter.say(f"refused: {refusal}")
    num_rows = dataset.interactions.num_rows + sum(dataset.num_left_out.values())
    num_left_out = dict(dataset.num_left_out)
    if not report.refusals:
        num_left_out |= clean_interactions(dataset, until=None, limits=config.validation)[1]
        tell_left_out(num_left_out, num_rows, reporter)
    warnings = list(doubts(dataset, num_repeated_rows=report.num_duplicate_rows))
    for warning in warnings:
        reporter.warn(warning)
    found = {
        "rows": num_rows, "left_out": num_left_out, "inputs": inputs.found(),
        "warnings": warnings,
    }  # fmt: skip
    return report, found


def _lines(report: ValidationReport) -> list[str]:
    """What was found, for people."""
    lines = [
        (
            f"interactions: {report.num_interactions:,} rows, {report.num_users:,} users, "
            f"{report.num_items:,} items"
        )
    ]
    if report.first_event is not None:
        lines.append(f"time: {report.first_event:%Y-%m-%d} to {report.last_event:%Y-%m-%d}")
    lines.append(
        f"duplicates: {report.num_duplicate_rows:,} rows, {report.num_duplicate_pairs:,} "
        "user-item pairs"
    )
    shares = {"users": report.unknown_user_share, "items": report.unknown_item_share}
    for table, share in shares.items():
        if share is not None:
            lines.append(
                f"{table}: {report.num_rows[table]:,} rows; {share:.2%} of the interactions are "
                f"with {table} that are not in the table"
            )
    for table, nulls in report.nulls.items():
        for column, count in nulls.items():
            if count:
                lines.append(f"nulls: {count:,} in {table}.{column}")
    for table, features in report.features.items():
        for name, found in features.items():
            size = "" if found.num_terms is None else f", {found.num_terms:,} terms"
            lines.append(f"feature {table}.{name}: {found.kind}{size}")
    return lines
