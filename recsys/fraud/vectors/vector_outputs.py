"""Account vectors as a table, and the checks before it goes live."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.errors import PublishError
from recsys.fraud.alerts.outputs import read_back, require_rows
from recsys.fraud.vectors.account_vectors import AccountVectors
from recsys.schema import (
    ACCOUNT_ID,
    LAST_DAY,
    NUM_TRANSACTIONS,
    VECTOR,
    account_vectors_schema,
)

VECTORS_FILE = "account_vectors.parquet"


def account_vectors_table(found: AccountVectors, *, bundle_id: str) -> pa.Table:
    """Vectors of accounts as they are published, in the order of the accounts.

    Args:
        found: The vectors.
        bundle_id: Fingerprint of the model.
    """
    num_accounts, width = found.vectors.shape
    ids = found.accounts.terms
    columns = [
        ids,
        pa.FixedSizeListArray.from_arrays(pa.array(found.vectors.reshape(-1)), width),
        pa.array(found.num_transactions.astype(np.int32)),
        pa.array(np.floor(found.last_day).astype(np.int32), pa.date32()),
        pa.array([bundle_id] * num_accounts, pa.string()),
    ]
    schema = account_vectors_schema(ids.type, width)
    arrays = [column.cast(field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def audit_vectors(folder: Path, *, day: date, num_accounts: int, num_transactions: int) -> None:
    """Read the table back and check its contract.

    Every account appears once, in ascending order; the numbers of transactions add up; no
    transaction is after the day; vectors are finite.

    Raises:
        CheckError: There is no account.
        PublishError: The first rule that is broken.
    """
    table = read_back(folder / VECTORS_FILE)
    require_rows(folder / VECTORS_FILE, table)
    ids = table[ACCOUNT_ID]
    vectors = table[VECTOR].combine_chunks()
    rules = {
        f"{num_accounts} accounts, each once": table.num_rows == num_accounts
        and pc.count_distinct(ids).as_py() == num_accounts,
        "accounts in ascending order": ids.combine_chunks().equals(
            pc.take(ids, pc.sort_indices(ids)).combine_chunks()
        ),
        f"{num_transactions} transactions": pc.sum(table[NUM_TRANSACTIONS]).as_py()
        == num_transactions,
        f"days up to {day}": pc.max(table[LAST_DAY]).as_py() <= day,
        "finite vectors": vectors.null_count == 0
        and bool(np.isfinite(np.asarray(vectors.flatten())).all()),
    }
    for rule, holds in rules.items():
        if not holds:
            raise PublishError(f"{folder}: expected {rule}, got others; the outputs are not used")
