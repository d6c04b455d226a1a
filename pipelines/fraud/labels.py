"""Confirmed labels for the fraud jobs, where the config names a table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.artifacts import digest_table
from recsys.datasets.transactions.labels import load_labels

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.fraud.config import FraudJobConfig
    from pipelines.jobs.console import Reporter
    from recsys.datasets.transactions.loading import TransactionLog


def labels_of(config: FraudJobConfig, log: TransactionLog, reporter: Reporter) -> pa.Table | None:
    """Labels that the config names, of all times; None where it names none.

    Raises:
        DataError: The table cannot be read, or contradicts itself.
    """
    if config.data.labels is None:
        return None
    labels = load_labels(config.data, config.columns, log)
    reporter.say(
        f"labels: {labels.num_rows:,}, each counts from {config.labels.delay_days:g} days after "
        "its transaction on"
    )
    return labels


def label_digest(labels: pa.Table | None) -> dict[str, str]:
    """Digest of the labels, where there are any."""
    return {} if labels is None else {"labels": digest_table(labels)}
