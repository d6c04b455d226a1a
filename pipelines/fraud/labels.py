"""Confirmed labels for the fraud jobs, where the config names a table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from pipelines.fraud.config import FraudJobConfig
    from pipelines.jobs.console import Reporter
    from pipelines.jobs.inputs import Inputs
    from recsys.datasets.transactions.loading import TransactionLog


def labels_of(
    inputs: Inputs,
    config: FraudJobConfig,
    log: TransactionLog,
    reporter: Reporter,
    *,
    at: datetime | None = None,
) -> pa.Table | None:
    """Labels that the config names; None where it names none.

    Where the table has frauds alone, all other transactions count as legitimate.

    Args:
        inputs: The door to the table.
        config: Settings.
        log: The transactions that the labels are for.
        reporter: Whom to tell.
        at: The moment of the run: labels with a time of their own count up to it. None for all.

    Raises:
        DataError: The table cannot be read, or contradicts itself.
        CheckError: It has rows, and none of them is about a transaction of the log.
    """
    if config.data.labels is None:
        return None
    from recsys.datasets.transactions.labels import with_others_legitimate

    labels = inputs.labels(config.data, config.columns, log, at=at)
    counts = count_labels(labels, log)
    if counts.num_transactions:  # an empty log is refused for what it is
        _tell(counts, config, reporter)
    return with_others_legitimate(labels, log) if counts.is_fraud_alone else labels


def labels_to_measure(
    inputs: Inputs, config: FraudJobConfig, log: TransactionLog, reporter: Reporter
) -> pa.Table:
    """Labels of a benchmark; where none says legitimate, all that is not fraud is.

    Raises:
        DataError: The table cannot be read, or contradicts itself.
    """
    from recsys.datasets.transactions.labels import with_others_legitimate

    labels = inputs.labels(config.data, config.columns, log)
    if not count_labels(labels, log).is_fraud_alone:
        return labels
    reporter.warn("labels: frauds alone; every other transaction counts as legitimate")
    return with_others_legitimate(labels, log)


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """What a table of labels holds."""

    num_rows: int
    """Transactions with an answer."""
    num_frauds: int
    """Those of them that are fraud."""
    num_found: int
    """Rows about a transaction of the log."""
    num_frauds_found: int
    """Those of them that are fraud."""
    num_transactions: int
    """Transactions of the log."""

    @property
    def is_fraud_alone(self) -> bool:
        """Whether no transaction is called legitimate."""
        return 0 < self.num_frauds == self.num_rows


def count_labels(labels: pa.Table, log: TransactionLog) -> LabelCounts:
    """Count labels, and how many are about transactions of the log."""
    import pyarrow.compute as pc

    from recsys.schema import IS_FRAUD, TRANSACTION_ID

    is_found = pc.is_in(labels[TRANSACTION_ID], log.table[TRANSACTION_ID].combine_chunks())

    def number(flags: pa.ChunkedArray) -> int:
        return int(pc.sum(flags).as_py() or 0)

    return LabelCounts(
        num_rows=labels.num_rows,
        num_frauds=number(labels[IS_FRAUD]),
        num_found=number(is_found),
        num_frauds_found=number(pc.and_(is_found, labels[IS_FRAUD])),
        num_transactions=log.table.num_rows,
    )


def _tell(counts: LabelCounts, config: FraudJobConfig, reporter: Reporter) -> None:
    """Say what labels there are and how many were found.

    Raises:
        CheckError: There are some, or many frauds among them, and none was found.
    """
    from pipelines.jobs.matches import tell_match
    from recsys.datasets.checks.matching import Match

    remedy = "or take the table out of [data] labels"
    place, of = str(config.data.labels), "about transactions of the log"
    every = Match(
        what="labels", place=place, of=of, num_rows=counts.num_rows, num_found=counts.num_found
    )
    frauds = Match(
        what="labels that say fraud", place=place, of=of,
        num_rows=counts.num_frauds, num_found=counts.num_frauds_found,
    )  # fmt: skip
    tell_match(every, reporter, remedy=remedy)
    if counts.num_frauds_found or counts.num_frauds >= config.labels.meta_model.min_frauds:
        tell_match(frauds, reporter, remedy=remedy)
    elif frauds.is_little:
        reporter.warn(str(frauds))
    if counts.is_fraud_alone:
        reporter.warn(
            "labels: frauds alone, none says legitimate; every other transaction counts as "
            "legitimate from the delay on"
        )
    reporter.say(
        f"labels: {counts.num_frauds_found:,} frauds and "
        f"{counts.num_found - counts.num_frauds_found:,} legitimate transactions among "
        f"{counts.num_transactions:,}; each counts from {config.labels.delay_days:g} days after "
        "its transaction on"
    )
