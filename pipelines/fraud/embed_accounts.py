"""The job that writes a vector of every account, for models downstream."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.data import check_inputs, follow_from, load_checked_transactions
from pipelines.fraud.night_states import open_live
from pipelines.jobs.console import Reporter
from pipelines.jobs.job import last_whole_day, peak_rss_mb
from pipelines.jobs.job_run import JobRun, job_run
from recsys.datasets.transactions.days import day_number, end_of_day, rows_before
from recsys.datasets.transactions.loading import TransactionLog
from recsys.fraud.alerts.outputs import write_table
from recsys.fraud.vectors.account_vectors import account_vectors
from recsys.fraud.vectors.vector_outputs import VECTORS_FILE, account_vectors_table, audit_vectors
from recsys.schema import EVENT_TIME


def embed_accounts(
    config: FraudJobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Embed the accounts by their transactions up to the end of a day.

    Args:
        config: Settings.
        as_of: The last day that counts; yesterday by default.
        reporter: Prints progress.
        force: Whether to run even if the day's vectors were made from the same inputs.

    Returns:
        What happened, for the status line.
    """
    root = config.account_vectors
    with job_run("embed-accounts", root, config.deadlines, force=force) as job:
        return _embed(config, as_of, reporter, job)


def _embed(
    config: FraudJobConfig, as_of: date | None, reporter: Reporter, job: JobRun
) -> dict[str, object]:
    day = as_of or last_whole_day()
    with job.stage("load"):
        live = open_live(config)
        job.inputs.run("model", live.run)
        log, checked = load_checked_transactions(job.inputs, config, reporter)
        table = rows_before(checked.table, end_of_day(day))
        follow_from(job.inputs, table, checked, end_of_day(day))
        check_inputs(config, log, table, as_of)
        _require_transactions(log, table, day)
    provenance = job.provenance(config)
    job.skip_if_done(day, provenance)
    with job.stage("work"):
        found = account_vectors(live.model, table, at=day_number(day) + 1)
    num_accounts, width = found.vectors.shape
    written = account_vectors_table(found, bundle_id=live.fingerprint)
    published = job.publish(
        day,
        lambda folder: write_table(folder / VECTORS_FILE, written),
        provenance=provenance,
        keep=config.output.keep,
        audit=lambda folder, _: audit_vectors(
            folder, day=day, num_accounts=num_accounts, num_transactions=table.num_rows
        ),
    )
    reporter.say(f"account vectors: {num_accounts:,} accounts, {width} numbers each")
    report = checked.report
    return published.status(
        day=str(day),
        account_vectors=str(published.run.folder / VECTORS_FILE),
        model=str(live.run),
        accounts=num_accounts,
        width=width,
        rows=log.num_rows,
        filtered=log.num_filtered,
        used=table.num_rows,
        later=checked.table.num_rows - table.num_rows,
        quarantined={name: count for name, count in report.num_quarantined.items() if count},
        peak_rss_mb=peak_rss_mb(),
    )


def _require_transactions(log: TransactionLog, table: pa.Table, day: date) -> None:
    """Refuse a day before the first transaction.

    Raises:
        DataError: There is none up to the day.
    """
    if not table.num_rows:
        raise log.origin(EVENT_TIME).refusal(
            expected=f"transactions up to {day} (UTC)",
            got="none",
            remedy="run for a later day, or give a log that begins earlier",
        )
