"""The job that reports what a table of transactions holds and whether jobs would accept it."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.labels import labels_of
from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from recsys.datasets.transactions.quarantine import quarantine
from recsys.datasets.transactions.quarantine_report import QuarantineReport


def validate_transactions(
    config: FraudJobConfig, reporter: Reporter
) -> tuple[QuarantineReport, dict[str, object]]:
    """Report what the table holds; every reason to refuse it is one line.

    Returns:
        The report, of which the first refusal makes the command fail, and what the tables were
        read from, for the status line.
    """
    inputs = Inputs()
    log = inputs.transactions(config.data, config.columns, config.features)
    inputs.tell_passed_over(reporter)
    report = quarantine(log, as_of=datetime.now(UTC), limits=config.quarantine).report
    reporter.say(
        f"transactions: {report.num_rows:,} rows, {report.num_used:,} usable, "
        f"{report.num_accounts:,} accounts"
    )
    if report.num_counterparties is not None:
        reporter.say(f"counterparties: {report.num_counterparties:,}")
    if report.first_event is not None:
        reporter.say(f"time: {report.first_event:%Y-%m-%d} to {report.last_event:%Y-%m-%d}")
    for reason, count in report.num_quarantined.items():
        if count:
            reporter.say(f"set aside: {count:,} rows, {reason}")
    for column, count in report.nulls.items():
        if count:
            reporter.say(f"nulls: {count:,} in {column}")
    labels_of(inputs, config, log, reporter)
    for refusal in report.refusals[1:]:
        reporter.say(f"refused: {refusal}")
    return report, {"filtered": log.num_filtered, "inputs": inputs.found()}
