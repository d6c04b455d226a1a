"""Finds in the data which column amounts depend on, and which columns describe the account.

Shapes: N transactions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float32Array
from recsys.features.vocabulary import Vocabulary

PROFILE_SHARE = 0.99
"""A feature describes the account if at least this share of transactions has its account's most
frequent value."""

_MAX_CONTEXTS = 31
_MIN_EXPLAINED = 0.02  # share of the variance of log amounts


def best_context(table: pa.Table, names: Sequence[str], amounts_N: Float32Array) -> str:
    """The column that explains the largest share of the variance of log amounts.

    Args:
        table: Transactions.
        names: Categorical columns to choose from.
        amounts_N: Their log amounts.

    Returns:
        The column; empty when none explains a fiftieth.
    """
    explained = {name: _explained(table[name], amounts_N) for name in names}
    best = max(explained, key=lambda name: explained[name], default="")
    return best if best and explained[best] >= _MIN_EXPLAINED else ""


def context_terms(column: pa.ChunkedArray) -> Vocabulary:
    """The most frequent terms of a column, as many as a profile distinguishes."""
    counts = pc.value_counts(column.drop_null())
    order = pc.sort_indices(
        pa.table({"term": counts.field("values"), "count": counts.field("counts")}),
        sort_keys=[("count", "descending"), ("term", "ascending")],
    )
    return Vocabulary.fit(counts.field("values").take(order[:_MAX_CONTEXTS]))


def share_of_one_value(accounts: pa.ChunkedArray, column: pa.ChunkedArray) -> float:
    """Share of transactions that have the most frequent value of their account."""
    table = pa.table({"account": accounts, "value": column})
    counts = table.group_by(["account", "value"]).aggregate([([], "count_all")])
    most = counts.group_by("account").aggregate([("count_all", "max")])
    return float(pc.sum(most["count_all_max"]).as_py() or 0) / max(int(table.num_rows), 1)


def _explained(column: pa.ChunkedArray, amounts_N: Float32Array) -> float:
    """Share of variance between the terms that a profile would distinguish, adjusted for chance."""
    terms = context_terms(column)
    codes_N = terms.numbers(column) + 1
    num_codes, num_rows = len(terms) + 1, len(amounts_N)
    counts = np.bincount(codes_N, minlength=num_codes)
    sums = np.bincount(codes_N, amounts_N, minlength=num_codes)
    total = float(np.var(amounts_N.astype(np.float64))) * num_rows
    if total <= 0 or num_rows <= num_codes:
        return 0.0
    grand = float(amounts_N.mean(dtype=np.float64))
    between = float((counts * (sums / np.maximum(counts, 1) - grand) ** 2)[counts > 0].sum())
    return float(1 - (1 - between / total) * (num_rows - 1) / (num_rows - num_codes))
