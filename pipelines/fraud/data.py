"""Input of the fraud jobs: transactions are read and checked, and unusable ones set aside."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.checks.input_checks import Finding, check_newest_day, raise_if_held
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.loading import TransactionLog
from recsys.datasets.transactions.quarantine import CheckedTransactions, quarantine
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID, CURRENCY, EVENT_TIME, EVENT_TIME_TYPE

if TYPE_CHECKING:
    from pipelines.fraud.config import FraudJobConfig
    from pipelines.jobs.console import Reporter
    from pipelines.jobs.inputs import Inputs


def load_checked_transactions(
    inputs: Inputs, config: FraudJobConfig, reporter: Reporter
) -> tuple[TransactionLog, CheckedTransactions]:
    """Read transactions, set the unusable ones aside, and report what was found.

    Events in the future are faults. Events after the day of the run are not: a run for an earlier
    day reads a log that goes on after it, and ignores them.

    Args:
        inputs: Reads the tables and remembers what was read.
        config: Settings.
        reporter: Prints progress.

    Raises:
        DataError: The table cannot be read, or too many rows are unusable.
    """
    log = inputs.transactions(config.data, config.columns, config.features)
    inputs.tell_passed_over(reporter)
    checked = quarantine(log, as_of=datetime.now(UTC), limits=config.quarantine)
    report = checked.report
    report.raise_if_refused()
    reporter.say(
        f"data: {report.num_used:,} transactions of {report.num_accounts:,} accounts, "
        f"{report.first_event:%Y-%m-%d} to {report.last_event:%Y-%m-%d}"
    )
    set_aside = {reason: count for reason, count in report.num_quarantined.items() if count}
    if set_aside:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in set_aside.items())
        reporter.warn(
            f"{sum(set_aside.values()):,} of {report.num_rows:,} rows set aside: {counts}"
        )
    return log, checked


def follow_from(
    inputs: Inputs, table: pa.Table, checked: CheckedTransactions, end: datetime
) -> None:
    """Note that a run follows from usable rows up to a moment, and from those set aside by then.

    Args:
        inputs: What the run reads.
        table: The usable rows before the moment.
        checked: All rows, those set aside among them.
        end: The moment.
    """
    aside = checked.quarantined
    moment = pa.scalar(end, EVENT_TIME_TYPE)
    is_later = pc.fill_null(pc.greater_equal(aside[EVENT_TIME], moment), False)
    inputs.table("transactions", table)
    inputs.table("quarantined", aside.filter(pc.invert(is_later)))


def check_inputs(
    config: FraudJobConfig, log: TransactionLog, table: pa.Table, as_of: date | None
) -> list[Finding]:
    """Compare the day of a run with the days before it, if the run has `--as-of`.

    Raises:
        CheckError: It differs from them by more than a limit.
    """
    if as_of is None or not config.input_checks.enabled:
        return []
    named = [COUNTERPARTY_ID, CURRENCY, *(n for n, f in config.features.items() if is_term(f))]
    findings = check_newest_day(
        table, as_of, config.input_checks,
        terms=[ACCOUNT_ID, *(name for name in named if name in table.column_names)],
        origin=log.origin,
        exported=log.table.filter(pc.is_valid(log.table[EVENT_TIME])),
    )  # fmt: skip
    raise_if_held(findings)
    return findings


def is_term(feature: FeatureConfig) -> bool:
    """Whether a feature has terms, of which there may be new ones."""
    return feature.kind == "categorical"
