"""The tables and the live model of the recommender's jobs: loaded, checked, opened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from pipelines.jobs.job import end_of, require_live
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from pipelines.jobs.console import Reporter
    from pipelines.jobs.inputs import Inputs
    from pipelines.recommender.config import JobConfig
    from recsys.datasets.dataset import Dataset
    from recsys.datasets.input_checks import Finding
    from recsys.datasets.validation import ValidationReport
    from recsys.recommender.serving import Recommender


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedDataset:
    """Tables that may be used. `num_rows` is `num_used` and the sum of `num_left_out`."""

    dataset: Dataset
    """The tables, with the interactions that are used."""
    had: pa.Table
    """Every interaction up to the day, used or not: what users already have."""
    num_rows: int
    """Interactions of the file."""
    num_left_out: dict[str, int]
    """Interactions by the reason why they are not used."""
    findings: list[Finding]
    """What the gates found of the newest day; empty without `--as-of`."""

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
    """Read the tables, refuse them where they break a rule, and leave out what must not count.

    What is left out of what is learnt, such as events beyond the cap of a user, is still what the
    user has.

    Events that lie in the future now are faults. Events after the day of the run are none: a run
    for an earlier day reads a log that has gone on, and leaves them alone.

    Raises:
        DataError: The first refusal.
        GateError: The newest day is not like the days before it.
    """
    from recsys.datasets.cleaning import clean_interactions, rows_until
    from recsys.datasets.input_checks import raise_if_held
    from recsys.datasets.validation import validate_dataset

    dataset = inputs.dataset(config.data, config.columns, config.features)
    report = validate_dataset(
        dataset, as_of=datetime.now(UTC), limits=config.validation, needs_time=needs_time
    )
    report.raise_if_refused()
    until = None if as_of is None else end_of(as_of)
    had = dataset.interactions if until is None else rows_until(dataset.interactions, until)
    inputs.table("interactions", had)
    log, left_out = clean_interactions(dataset, until=until, limits=config.validation)
    findings = [] if as_of is None else newest_day_findings(config, dataset, as_of)
    raise_if_held(findings)
    reporter.say(
        f"data: {log.num_rows:,} interactions of {report.num_users:,} users with "
        f"{report.num_items:,} items"
    )
    _tell_side_tables(config, report, reporter)
    told = {reason: count for reason, count in left_out.items() if count}
    if told:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in told.items())
        reporter.say(f"  left out: {counts} of {report.num_interactions:,} rows")
    return CheckedDataset(
        dataset=replace(dataset, interactions=log),
        had=had,
        num_rows=report.num_interactions,
        num_left_out=left_out,
        findings=findings,
    )


def _tell_side_tables(config: JobConfig, report: ValidationReport, reporter: Reporter) -> None:
    """How many interactions the users and the items table know.

    Raises:
        GateError: A table knows none.
    """
    from pipelines.jobs.matches import tell_match
    from recsys.datasets.matching import Match

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


def newest_day_findings(config: JobConfig, dataset: Dataset, day: date) -> list[Finding]:
    """What the gates find of the day of a run, in interactions with times."""
    from recsys.datasets.cleaning import rows_until
    from recsys.datasets.input_checks import check_newest_day

    log = dataset.interactions
    if not config.gates.enabled or EVENT_TIME not in log.column_names:
        return []
    return check_newest_day(
        rows_until(log, end_of(day)),
        day,
        config.gates,
        terms=[USER_ID, ITEM_ID],
        origin=partial(dataset.origin, "interactions"),
    )


def open_live_model(inputs: Inputs, config: JobConfig) -> tuple[Path, Recommender]:
    """Folder of the published model that is live, and the model with its index.

    A process of its own opens the index first: whoever can write to the outputs has no way to end a
    job without a word.

    Raises:
        ArtifactError: There is none yet, or it is damaged.
    """
    from recsys.recommender.serving import load_recommender

    run = require_live(config.models, "a published model", by="train-recommender")
    inputs.run("model", run)
    return run, load_recommender(run / "model", run / "index", in_child=True)
