"""Confirmed labels for the fraud jobs, where the config names a table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.fraud.config import FraudJobConfig
    from pipelines.jobs.console import Reporter
    from pipelines.jobs.inputs import Inputs
    from recsys.datasets.transactions.loading import TransactionLog


def labels_of(
    inputs: Inputs, config: FraudJobConfig, log: TransactionLog, reporter: Reporter
) -> pa.Table | None:
    """Labels that the config names, of all times; None where it names none.

    Raises:
        DataError: The table cannot be read, or contradicts itself.
    """
    if config.data.labels is None:
        return None
    labels = inputs.labels(config.data, config.columns, log)
    reporter.say(
        f"labels: {labels.num_rows:,}, each counts from {config.labels.delay_days:g} days after "
        "its transaction on"
    )
    return labels
