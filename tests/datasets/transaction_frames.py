"""Synthetic transactions as frames, for tests that look into them."""

from __future__ import annotations

import pandas as pd

from recsys.datasets.synthetic.transactions import SyntheticTransactions


def frame(log: SyntheticTransactions) -> pd.DataFrame:
    """The transactions with their day from the start of 2024 and their hour."""
    rows = log.table.to_pandas()
    rows["day"] = (rows.event_time - pd.Timestamp("2024-01-01", tz="UTC")).dt.days
    rows["hour"] = rows.event_time.dt.hour
    return rows


def normal_purchases(rows: pd.DataFrame) -> pd.DataFrame:
    """The transactions that no plant added and that are no refund."""
    return rows[rows.transaction_id.str.startswith("t") & (rows.amount > 0)]
