"""Data in for the fraud jobs: transactions read, checked, and the unusable ones set aside."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recsys.datasets.transactions.loading import TransactionLog, load_transactions
from recsys.datasets.transactions.quarantine import CheckedTransactions, quarantine

if TYPE_CHECKING:
    from pipelines.console import Reporter
    from pipelines.fraud_config import FraudJobConfig


def load_checked_transactions(
    config: FraudJobConfig, reporter: Reporter
) -> tuple[TransactionLog, CheckedTransactions]:
    """Read transactions, set the unusable ones aside, and tell what was found.

    Events that lie in the future now are faults. Events after the day of the run are none: a run
    for an earlier day reads a log that has gone on, and leaves them alone.

    Args:
        config: Settings.
        reporter: Whom to tell.

    Raises:
        DataError: The table cannot be read, or too many rows are unusable.
    """
    log = load_transactions(config.data, config.columns, config.features)
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


def num_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
