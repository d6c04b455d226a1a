"""The tables and the live model of the recommender's jobs: loaded, checked, opened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from pipelines.jobs.job import end_of, require_live
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from pipelines.jobs.console import Reporter
    from pipelines.jobs.inputs import Inputs
    from pipelines.recommender.config import JobConfig
    from recsys.datasets.checks.input_checks import Finding
    from recsys.datasets.checks.validation import ValidationReport
    from recsys.datasets.dataset import Dataset
    from recsys.recommender.serving import Recommender


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedDataset:
    """Tables that passed their checks. `num_rows` is `num_used` and the sum of `num_left_out`."""

    dataset: Dataset
    """The tables, with the interactions that are used."""
    had: pa.Table
    """Every interaction up to the day, used or not: what users already have."""
    num_rows: int
    """Interactions of the file."""
    num_left_out: dict[str, int]
    """Interactions by the reason why they are not used."""
    findings: list[Finding]
    """Findings of the input checks on the newest day; empty without `--as-of`."""

    def counts(self) -> dict[str, object]:
        """Counts for the status line."""
        used = self.dataset.interactions.num_rows
        return {"rows": self.num_rows, "used": used, "left_out": self.num_left_out}


def load_checked(
    inputs: Inputs,
    config: JobConfig,
    as_of: date | None,
    reporter: Reporter,
    *,
    needs_time: bool,
) -> CheckedDataset:
    """Read the tables, refuse them if they break a rule, and leave out unusable interactions.

    Interactions that are left out of training, such as events beyond the cap of a user, still count
    as items that the user has.

    Events in the future are faults. Events after the day of the run are not: a run for an earlier
    day reads a log that goes on after it, and ignores them.

    Raises:
        DataError: The first refusal.
        CheckError: The newest day differs from the days before it by more than a limit.
    """
    from recsys.datasets.checks.cleaning import clean_interactions, rows_until
    from recsys.datasets.checks.doubtful import doubts
    from recsys.datasets.checks.input_checks import raise_if_held
    from recsys.datasets.checks.validation import validate_dataset

    dataset = inputs.dataset(config.data, config.columns, config.features)
    inputs.tell_passed_over(reporter)
    report = validate_dataset(
        dataset, as_of=datetime.now(UTC), limits=config.validation, needs_time=needs_time
    )
    report.raise_if_refused()
    until = None if as_of is None else end_of(as_of)
    had = dataset.interactions if until is None else rows_until(dataset.interactions, until)
    inputs.table("interactions", had)
    log, left_out = clean_interactions(dataset, until=until, limits=config.validation)
    num_left_out = {**dataset.num_left_out, **left_out}
    num_rows = dataset.interactions.num_rows + sum(dataset.num_left_out.values())
    findings = [] if as_of is None else newest_day_findings(config, dataset, as_of)
    raise_if_held(findings)
    reporter.say(
        f"data: {log.num_rows:,} interactions of {report.num_users:,} users with "
        f"{report.num_items:,} items"
    )
    _tell_side_tables(config, report, reporter)
    tell_left_out(num_left_out, num_rows, reporter)
    for doubt in doubts(dataset, num_repeated_rows=report.num_duplicate_rows):
        reporter.warn(doubt)
    return CheckedDataset(
        dataset=replace(dataset, interactions=log),
        had=had,
        num_rows=num_rows,
        num_left_out=num_left_out,
        findings=findings,
    )


def _tell_side_tables(config: JobConfig, report: ValidationReport, reporter: Reporter) -> None:
    """How many interactions the users and the items table know.

    Raises:
        CheckError: A table knows none.
    """
    from pipelines.jobs.matches import tell_match
    from recsys.datasets.checks.matching import Match

    sides = {
        "users": (config.data.users, report.unknown_user_share),
        "items": (config.data.items, report.unknown_item_share),
    }
    for side, (place, unknown) in sides.items():
        if unknown is not None:
            match = Match(
                what="interactions", place=str(place), of=f"of {side} that the {side} table has",
                num_rows=report.num_interactions,
                num_found=round((1 - unknown) * report.num_interactions),
            )  # fmt: skip
            tell_match(match, reporter)


def tell_left_out(num_left_out: Mapping[str, int], num_rows: int, reporter: Reporter) -> None:
    """Say how many interactions are not used, by reason; warn of those with a time far off."""
    reported = {reason: count for reason, count in num_left_out.items() if count}
    if reported:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in reported.items())
        reporter.say(f"  left out: {counts} of {num_rows:,} rows")
    if reported.get("far_before"):
        reporter.warn(
            f"{reported['far_before']:,} interactions lie far before all others, as a missing time "
            "written as 1970 does; they are not used"
        )


def newest_day_findings(config: JobConfig, dataset: Dataset, day: date) -> list[Finding]:
    """Findings of the input checks on the day of a run, for interactions with times."""
    from recsys.datasets.checks.cleaning import rows_until
    from recsys.datasets.checks.input_checks import check_newest_day

    log = dataset.interactions
    if not config.input_checks.enabled or EVENT_TIME not in log.column_names:
        return []
    return check_newest_day(
        rows_until(log, end_of(day)),
        day,
        config.input_checks,
        terms=[USER_ID, ITEM_ID],
        origin=partial(dataset.origin, "interactions"),
    )


def open_live_model(inputs: Inputs, config: JobConfig) -> tuple[Path, Recommender]:
    """Folder of the published model that is live, and the model with its index.

    A child process opens the index first, so that a damaged or hostile index cannot crash the job
    without a message.

    Raises:
        ArtifactError: There is none yet, or it is damaged.
    """
    from recsys.recommender.serving import load_recommender

    run = require_live(config.models, "a published model", by="train-recommender")
    inputs.run("model", run)
    return run, load_recommender(run / "model", run / "index", in_child=True)
