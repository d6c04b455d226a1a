"""The report of a quarantine: who is refused, in which words, and what is written down."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.config import TransactionColumnsConfig, TransactionsDataConfig
from recsys.datasets.transactions.loading import TransactionLog
from recsys.datasets.transactions.quarantine import CheckedTransactions, quarantine
from recsys.datasets.transactions.quarantine_report import REASONS, QuarantineConfig
from recsys.errors import DataError
from recsys.schema import EVENT_TIME_TYPE

AS_OF = datetime(2024, 5, 31, tzinfo=UTC)
NOW = int(AS_OF.timestamp() * 1e6)
AGES = 3 * 10**17

Row = dict[str, object]
SCHEMA = pa.schema(
    {
        "transaction_id": pa.int64(),
        "account_id": pa.string(),
        "event_time": EVENT_TIME_TYPE,
        "amount": pa.float64(),
        "distance": pa.float32(),
    }
)
GOOD: Row = {
    "transaction_id": 1,
    "account_id": "a",
    "event_time": NOW,
    "amount": 5.0,
    "distance": 1.5,
}


def _log(rows: list[Row]) -> TransactionLog:
    return TransactionLog(
        table=pa.Table.from_pylist(rows, SCHEMA),
        data=TransactionsDataConfig(transactions=Path("log.csv")),
        columns=TransactionColumnsConfig(account_id="card", amount="value"),
        features={"distance": FeatureConfig(kind="numeric")},
    )


def _refusal(checked: CheckedTransactions) -> DataError:
    with pytest.raises(DataError) as caught:
        checked.report.raise_if_refused()
    assert "\n" not in str(caught.value)
    return caught.value


def _changed(**changes: object) -> Row:
    return {**GOOD, **changes}


@pytest.mark.parametrize(
    ("reason", "row", "column", "remedy"),
    [
        ("null_id", _changed(transaction_id=None), "transaction_id", "fill them in"),
        ("null_id", _changed(account_id=None), "card", "fill them in or remove the rows"),
        ("null_time", _changed(event_time=None), "event_time", "fill them in"),
        ("null_amount", _changed(amount=None), "value", "fill them in"),
        ("not_finite_amount", _changed(amount=float("nan")), "value", "correct the amounts"),
        ("absurd_amount", _changed(amount=1e10), "value", "raise [quarantine] max_abs_amount"),
        ("future_event", _changed(event_time=AGES), "event_time", "the date of the run"),
        ("absurd_time", _changed(event_time=-AGES), "event_time", "the unit of the times"),
        ("duplicate", GOOD, "transaction_id", "whether the export has rows twice"),
        (
            "conflicting_duplicate",
            _changed(amount=6.0),
            "transaction_id",
            "map a column that names each transaction once",
        ),
    ],
)
def test_too_many_rows_of_a_kind_are_refused(
    reason: str, row: Row, column: str, remedy: str
) -> None:
    """The largest reason is named with its count, the user's column, the limit and the cure."""
    log = [GOOD, row, row if reason != "conflicting_duplicate" else _changed(amount=7.0)]

    refusal = _refusal(quarantine(_log(log), as_of=AS_OF))

    assert (refusal.file, refusal.column) == ("log.csv", column)
    assert refusal.expected == "at most 5.00% of rows quarantined"
    assert refusal.got == f"66.67%: 2 of 3, most for {reason} (2)"
    assert remedy in refusal.remedy
    assert refusal.remedy.endswith("or raise [quarantine] max_quarantined_share")


def test_a_share_at_the_limit_is_accepted() -> None:
    """One row in two passes a limit of a half and breaks one just below."""
    log = _log([GOOD, GOOD])

    quarantine(log, limits=QuarantineConfig(max_quarantined_share=0.5)).report.raise_if_refused()
    refused = quarantine(log, limits=QuarantineConfig(max_quarantined_share=0.49))
    assert _refusal(refused).got == "50.00%: 1 of 2, most for duplicate (1)"


def test_an_empty_table_is_refused() -> None:
    """No row at all is a fault of the export."""
    refusal = _refusal(quarantine(_log([])))

    assert (refusal.got, refusal.remedy) == ("an empty table", "check the export that wrote it")


def test_a_table_without_usable_rows_is_refused_at_any_limit() -> None:
    """Even where every row may be quarantined, something has to be left."""
    limits = QuarantineConfig(max_quarantined_share=1)

    refusal = _refusal(quarantine(_log([_changed(amount=None)] * 2), limits=limits))

    assert refusal.column == "value"
    assert refusal.expected == "at least one usable transaction"
    assert refusal.got == "none: quarantined are 2 of 2, most for null_amount (2)"


def test_a_report_is_json() -> None:
    """Times are ISO 8601, refusals their messages, and each reason has its count."""
    report = quarantine(
        _log([GOOD, _changed(transaction_id=2, distance=float("nan")), GOOD])
    ).report

    values = json.loads(json.dumps(report.to_dict()))

    assert values["num_quarantined"] == dict.fromkeys(REASONS, 0) | {"duplicate": 1}
    assert values["first_event"] == "2024-05-31T00:00:00Z"
    assert values["num_not_finite"] == {"distance": 1}
    assert values["num_counterparties"] is None
    assert [message.split(":")[0] for message in values["refusals"]] == ["log.csv"]


def test_counterparties_are_counted_where_they_are_configured() -> None:
    """Distinct counterparties of usable rows; a null is none."""
    log = _log([_changed(transaction_id=n) for n in range(4)])
    table = log.table.append_column("counterparty_id", pa.array([7, 7, 8, None]))
    with_shops = replace(log, table=table)

    assert quarantine(with_shops).report.num_counterparties == 2
