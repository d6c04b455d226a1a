"""Scores as tables, and the checks before they go live.

Shapes: N transactions, M account-days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.arrays import Float64Array
from recsys.datasets.origin import reason_without_values
from recsys.errors import CheckError, PublishError
from recsys.files import write_new
from recsys.fraud.alerts.selection import Alerts
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.account_days import AccountDays
from recsys.fraud.scoring.scores import Scores
from recsys.schema import (
    ACCOUNT_ID,
    ACCOUNT_SCORE,
    ALERT,
    ANOMALY_SCORE,
    COLD,
    DAY,
    EVENT_TIME,
    RANK,
    REASONS,
    TRANSACTION_ID,
    account_scores_schema,
    transaction_scores_schema,
)

TRANSACTIONS_FILE = "transaction_scores.parquet"
ACCOUNTS_FILE = "account_scores.parquet"
QUARANTINE_FILE = "quarantine.parquet"

_LOG_10 = np.log(10)


def transaction_scores_table(table: pa.Table, scores: Scores, kinds: tuple[str, ...]) -> pa.Table:
    """Scores of transactions, in the order of time.

    Args:
        table: Transactions as they were scored.
        scores: Their scores.
        kinds: Names of the evidence.
    """
    schema = transaction_scores_schema(
        table.schema.field(TRANSACTION_ID).type, table.schema.field(ACCOUNT_ID).type, kinds
    )
    rows = table.select([TRANSACTION_ID, ACCOUNT_ID, EVENT_TIME])
    calibrated = scores.calibrated
    surprise_NJ = calibrated.surprise / _LOG_10
    columns = [*rows.columns, pa.array(calibrated.anomaly_score)]
    columns += [pa.array(surprise_N.astype(np.float32)) for surprise_N in surprise_NJ.T]
    return pa.table(columns, schema=schema)


def account_scores_table(
    days: AccountDays,
    p_values_M: Float64Array,
    alerts: Alerts,
    reasons: Mapping[int, str],
    state: ProfileState,
    *,
    earlier_alerts: Mapping[object, Sequence[date]],
    cold_transactions: int,
    bundle_id: str,
) -> pa.Table:
    """Scores of the accounts of one day, by rank.

    Args:
        days: The account-days, all of one day.
        p_values_M: Probability of so high a score under normal behaviour.
        alerts: Which are alerts, and their ranks.
        reasons: Reasons by the place of the account in the state; those without an alert may be
            missing.
        state: Has the ids of the accounts.
        earlier_alerts: Earlier days on which accounts were flagged, by account id.
        cold_transactions: Known transactions below which an account is cold.
        bundle_id: Fingerprint of the model.
    """
    ids = state.account_ids.lookup(days.account)
    table = pa.table(
        [
            ids,
            pa.array(days.day.astype(np.int32), pa.date32()),
            pa.array(1 - p_values_M),
            pa.array(alerts.rank.astype(np.int32)),
            pa.array(alerts.alert),
            pa.array([reasons.get(int(account), "") for account in days.account], pa.string()),
            pa.array(days.num_known < cold_transactions),
            pa.array(days.num_transactions.astype(np.int32)),
            pa.array(p_values_M),
            pa.array([bundle_id] * len(days), pa.string()),
            pa.array([len(earlier_alerts.get(one, ())) for one in ids.to_pylist()], pa.int32()),
        ],
        schema=account_scores_schema(ids.type),
    )
    return table.sort_by(RANK)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a new Parquet file with page checksums, readable by its owner alone.

    Raises:
        PublishError: The file exists or the disk refuses.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    try:
        write_new(path, memoryview(sink.getvalue()))
    except OSError as error:
        raise PublishError(
            f"{path}: cannot write: {error.strerror or error}; make room or name another folder"
        ) from error


def audit_scores(folder: Path, *, day: date, num_transactions: int) -> None:
    """Read both tables back and check their contract.

    Every transaction and every account that transacted appears exactly once; ranks start at 1
    without gaps, by falling score; scores are from 0 to 1; both tables have the same accounts.

    Raises:
        CheckError: There is no account; a day without alerts is none.
        PublishError: The first rule that is broken.
    """
    transactions = read_back(folder / TRANSACTIONS_FILE)
    accounts = read_back(folder / ACCOUNTS_FILE)
    require_rows(folder / ACCOUNTS_FILE, accounts)
    scores_M = np.asarray(accounts[ACCOUNT_SCORE])
    rules = {
        f"{num_transactions} transactions, each once": transactions.num_rows == num_transactions
        and pc.count_distinct(transactions[TRANSACTION_ID]).as_py() == num_transactions,
        f"events of {day} alone": _days(transactions) <= {day},
        f"accounts of {day} alone": set(pc.unique(accounts[DAY]).to_pylist()) <= {day},
        "every account once": pc.count_distinct(accounts[ACCOUNT_ID]).as_py() == accounts.num_rows,
        "the accounts of the transactions": set(pc.unique(transactions[ACCOUNT_ID]).to_pylist())
        == set(accounts[ACCOUNT_ID].to_pylist()),
        "ranks from 1 without a gap": accounts[RANK].to_pylist()
        == list(range(1, accounts.num_rows + 1)),
        "scores that fall with the rank": bool(np.all(np.diff(scores_M) <= 0)),
        "account scores from 0 to 1": _within_unit(scores_M),
        "anomaly scores from 0 to 1": _within_unit(np.asarray(transactions[ANOMALY_SCORE])),
        "a reason for every alert": pc.all(
            pc.or_(pc.invert(accounts[ALERT]), pc.not_equal(accounts[REASONS], "")), min_count=0
        ).as_py(),
        "a mark for cold accounts": accounts[COLD].null_count == 0,
    }
    for rule, holds in rules.items():
        if not holds:
            raise PublishError(f"{folder}: expected {rule}, got others; the outputs are not used")


def require_rows(path: Path, table: pa.Table) -> None:
    """Refuse an output with nothing in it, whatever was live before.

    Raises:
        CheckError: The table has no row.
    """
    if not table.num_rows:
        raise CheckError(
            rule="empty output", place=str(path), observed="no row", limit="a row or more",
            remedy="check the transactions of the day",
        )  # fmt: skip


def read_back(path: Path) -> pa.Table:
    """A table that was written by `write_table`, its checksums verified.

    Raises:
        PublishError: It is not as it was written.
    """
    try:
        return pq.ParquetFile(path, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException) as error:
        raise PublishError(
            f"{path}: expected the file as it was written, got {reason_without_values(error)}; "
            "run the job again"
        ) from error


def _days(transactions: pa.Table) -> set[date]:
    """Days in UTC of the first and the last event."""
    if not transactions.num_rows:
        return set()
    ends = pc.min_max(transactions[EVENT_TIME]).as_py()
    return {moment.astimezone(UTC).date() for moment in ends.values()}


def _within_unit(scores: Float64Array) -> bool:
    return bool(np.all((scores >= 0) & (scores <= 1)))
