"""Loading transactions: the user's names in, standard names and types out, values exact."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.origin import Origin
from recsys.datasets.transactions.config import (
    TransactionColumnsConfig,
    TransactionsCsvConfig,
    TransactionsDataConfig,
)
from recsys.datasets.transactions.loading import amount_column, load_transactions
from recsys.errors import ConfigError, DataError
from recsys.schema import AMOUNT_TYPE, EVENT_TIME_TYPE

SHARED = Path(__file__).parents[4] / "shared" / "data"
NOON = datetime(2024, 5, 31, 12, tzinfo=UTC)
PLAIN: dict[str, list[object]] = {
    "transaction_id": [1],
    "account_id": ["a"],
    "event_time": [NOON],
    "amount": [9.5],
}


def _write(folder: Path, **changes: object) -> TransactionsDataConfig:
    """A faultless table of one row as Parquet, with some columns replaced."""
    path = folder / "log.parquet"
    pq.write_table(pa.table({**PLAIN, **changes}), path)
    return TransactionsDataConfig(transactions=path)


def _write_csv(folder: Path, text: str, **settings: object) -> TransactionsDataConfig:
    (folder / "log.csv").write_text(text)
    config = TransactionsCsvConfig(**settings)  # type: ignore[arg-type]
    return TransactionsDataConfig(transactions=folder / "log.csv", csv=config)


def _refusal(
    data: TransactionsDataConfig,
    columns: TransactionColumnsConfig | None = None,
    features: Mapping[str, FeatureConfig] | None = None,
) -> DataError:
    with pytest.raises(DataError) as caught:
        load_transactions(data, columns, features)
    assert "\n" not in str(caught.value)
    assert caught.value.file == str(data.transactions)
    return caught.value


def test_columns_get_standard_names_and_types(tmp_path: Path) -> None:
    """Renamed, typed and in standard order; labels and columns no one asked for are left out."""
    data = _write(
        tmp_path,
        number=pa.array([7], pa.int32()),
        card=pa.array(["c"], pa.large_string()),
        when=pa.array([1717156800], pa.int64()),
        value=pa.array([Decimal("12.30")], pa.decimal128(9, 2)),
        shop=pa.array([5], pa.uint16()),
        unit=pa.array(["EUR"]).dictionary_encode(),
        kind=["food"],
        age=pa.array([30], pa.int8()),
        is_fraud=[1],
    )
    columns = TransactionColumnsConfig(
        transaction_id="number", account_id="card", event_time="when", amount="value",
        counterparty_id="shop", currency="unit", event_time_unit="s",
    )  # fmt: skip
    features = {
        "category": FeatureConfig(kind="categorical", column="kind"),
        "age": FeatureConfig(kind="numeric"),
    }

    log = load_transactions(data, columns, features)

    assert log.table.schema == pa.schema(
        {
            "transaction_id": pa.int64(),
            "account_id": pa.string(),
            "event_time": EVENT_TIME_TYPE,
            "amount": AMOUNT_TYPE,
            "counterparty_id": pa.int64(),
            "currency": pa.string(),
            "category": pa.string(),
            "age": pa.float32(),
        }
    )
    assert log.table.to_pylist() == [
        {
            "transaction_id": 7,
            "account_id": "c",
            "event_time": NOON,
            "amount": 12.3,
            "counterparty_id": 5,
            "currency": "EUR",
            "category": "food",
            "age": 30.0,
        }
    ]


def test_columns_are_traced_to_the_users_names(tmp_path: Path) -> None:
    """A standard name leads to the mapped column, a feature to its own, the table to its file."""
    data = _write(tmp_path, card=["c"], kind=["food"])
    columns = TransactionColumnsConfig(account_id="card")
    features = {"category": FeatureConfig(kind="categorical", column="kind")}

    log = load_transactions(data, columns, features)

    file = str(data.transactions)
    names = ["", "account_id", "amount", "category"]
    assert [log.origin(name) for name in names] == [
        Origin(file=file),
        Origin(file=file, column="card", setting="[columns] account_id"),
        Origin(file=file, column="amount", setting="[columns] amount"),
        Origin(file=file, column="kind", setting="[features] category"),
    ]


def test_csv_ids_keep_their_leading_zeros(tmp_path: Path) -> None:
    """Text ids are strings to the letter, unless int64 is asked for, which refuses such text."""
    text = "transaction_id,account_id,event_time,amount,shop\n007,01,2024-05-31T12:00Z,1.10,00\n"
    columns = TransactionColumnsConfig(counterparty_id="shop")

    row = load_transactions(_write_csv(tmp_path, text), columns).table.to_pylist()[0]

    assert row == {
        "transaction_id": "007",
        "account_id": "01",
        "event_time": NOON,
        "amount": 1.1,
        "counterparty_id": "00",
    }
    for key, column in (("transaction_id", "transaction_id"), ("account_id", "account_id"),
                        ("counterparty_id", "shop")):  # fmt: skip
        refusal = _refusal(_write_csv(tmp_path, text, **{f"{key}_type": "int64"}), columns)
        assert refusal.column == column
        assert 'read the column as strings (type "string")' in refusal.remedy


amounts = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.none() | amounts, min_size=1, max_size=8))
def test_amounts_keep_all_their_digits(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None]
) -> None:
    """From Parquet and from CSV, amounts are the same float64 that went in."""
    folder = tmp_path_factory.mktemp("log")
    rows = len(values)
    table = {name: column * rows for name, column in PLAIN.items()} | {"amount": values}
    path = folder / "log.parquet"
    pq.write_table(pa.table(table, schema=pa.table(PLAIN).schema), path)
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(PLAIN)
        writer.writerows((1, "a", NOON.isoformat(), value) for value in values)

    for name in ("log.parquet", "log.csv"):
        log = load_transactions(TransactionsDataConfig(transactions=folder / name))
        assert log.table["amount"].to_pylist() == values


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=4))
def test_decimal_amounts_become_the_nearest_float(value: Decimal) -> None:
    """A decimal amount is the float that Python makes of it: 161206716.89 keeps its cents."""
    column = pa.chunked_array([pa.array([value, None], pa.decimal128(24, 4))])

    converted = amount_column(column, Origin(file="log.parquet", column="amount"))

    assert converted.to_pylist() == [float(value), None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([3], pa.int8()),
        pa.array([3], pa.uint64()),
        pa.array([3], pa.float32()),
        pa.array([3]).cast(pa.decimal256(40, 2)),
        pa.array([3]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_amounts_of_any_numeric_type_are_read(tmp_path: Path, column: pa.Array) -> None:
    """Integers, floats, decimals and encoded numbers all become float64."""
    table = load_transactions(_write(tmp_path, amount=column)).table

    assert table.schema.field("amount").type == AMOUNT_TYPE
    assert table["amount"].to_pylist() == [3.0]


@pytest.mark.parametrize(
    ("column", "value", "got", "remedy"),
    [
        ("amount", ["12 USD"], "string", "without currency signs"),
        ("amount", [True], "bool", "write the column as one of these"),
        ("transaction_id", [1.0], "double", "write them as int64 or string"),
        ("account_id", [None], "null", "fill it or name another column"),
        ("event_time", [datetime(2024, 5, 31)], "times without one", "event_time_zone"),  # noqa: DTZ001
        ("event_time", [1717156800], "int64, of up to 10 digits", "event_time_unit"),
        ("event_time", [1.5], "double", "set [columns] event_time_unit"),
    ],
)
def test_a_column_of_a_wrong_type_is_refused(
    tmp_path: Path, column: str, value: list[object], got: str, remedy: str
) -> None:
    """The refusal names the column, what it holds and what to do."""
    refusal = _refusal(_write(tmp_path, **{column: value}))

    assert (refusal.column, refusal.got) == (column, got)
    assert remedy in refusal.remedy


def test_csv_amounts_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    """A currency sign is not guessed away."""
    text = "transaction_id,account_id,event_time,amount\n1,a,2024-05-31T12:00Z,$5\n"

    refusal = _refusal(_write_csv(tmp_path, text))

    assert (refusal.column, refusal.got) == ("amount", "other text, the first in row 1")


def test_a_missing_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    """A column that is mapped and absent is named beside the one that may be meant."""
    data = _write(tmp_path, merchant_id=[4])

    refusal = _refusal(data, TransactionColumnsConfig(counterparty_id="merchant"))

    assert refusal.column == "merchant"
    assert "did you mean 'merchant_id'?" in refusal.remedy


def test_times_without_a_zone_are_read_in_the_zone_that_is_set(tmp_path: Path) -> None:
    """Local times become UTC by the rules of their zone."""
    data = _write(tmp_path, event_time=[datetime(2024, 5, 31, 14)])  # noqa: DTZ001

    log = load_transactions(data, TransactionColumnsConfig(event_time_zone="Europe/Paris"))

    assert log.table["event_time"].to_pylist() == [NOON]


def test_the_label_cannot_be_an_input(tmp_path: Path) -> None:
    """Neither a feature nor a standard column may be mapped to the column of the label."""
    data = _write(tmp_path, fraud=[1])
    leak = {"history": FeatureConfig(kind="numeric", column="fraud")}

    with pytest.raises(ConfigError, match=r"features\.history: expected any column but the label"):
        load_transactions(data, TransactionColumnsConfig(is_fraud="fraud"), leak)
    with pytest.raises(ConfigError, match=r"columns\.amount: expected any column but the label"):
        load_transactions(data, TransactionColumnsConfig(is_fraud="fraud", amount="fraud"))


def test_features_of_other_kinds_are_refused_before_reading(tmp_path: Path) -> None:
    """A feature that transactions cannot have is a fault of the config, whatever the file is."""
    data = TransactionsDataConfig(transactions=tmp_path / "absent.parquet")

    with pytest.raises(ConfigError, match="feature 'tags' to be categorical or numeric"):
        load_transactions(data, features={"tags": FeatureConfig(kind="multi_hot")})


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
def test_a_real_log_is_read_exactly() -> None:
    """Ids, amounts and times of a published log come out as they are in the file."""
    path = SHARED / "sample" / "sparkov_transactions.parquet"
    features = {
        "category": FeatureConfig(kind="categorical"),
        "city_pop": FeatureConfig(kind="numeric"),
    }

    log = load_transactions(
        TransactionsDataConfig(transactions=path),
        TransactionColumnsConfig(counterparty_id="merchant_id"),
        features,
    )

    raw = pq.read_table(path)
    assert log.table.num_rows == 51_748
    for name in ("transaction_id", "account_id", "event_time", "amount", "category"):
        assert log.table[name].to_pylist() == raw[name].to_pylist()
