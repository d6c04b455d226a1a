"""Loading a dataset: the user's names in, standard names and types out, ids exact."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.checks.validation import validate_dataset
from recsys.datasets.columns.ids import IdType
from recsys.datasets.dataset import (
    ColumnsConfig,
    CsvConfig,
    DataConfig,
    Dataset,
    FeatureConfig,
    FeaturesConfig,
)
from recsys.datasets.loading import load_dataset
from recsys.errors import ConfigError, DataError
from recsys.schema import EVENT_TIME_TYPE

SHARED = Path(__file__).parents[3] / "shared" / "data"
LOG = {"user_id": [1, 2, 1], "item_id": ["a", "b", "b"]}
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def _write(folder: Path, **tables: dict[str, object]) -> DataConfig:
    """Write tables as Parquet and name them."""
    paths = {}
    for name, columns in tables.items():
        paths[name] = folder / f"{name}.parquet"
        pq.write_table(pa.table(columns), paths[name])
    return DataConfig(**paths)


def _refusal(
    data: DataConfig,
    columns: ColumnsConfig | None = None,
    features: FeaturesConfig | None = None,
) -> DataError:
    with pytest.raises(DataError) as caught:
        load_dataset(data, columns, features)
    assert "\n" not in str(caught.value)
    return caught.value


def _ids(dataset: Dataset) -> list[tuple[object, object]]:
    log = dataset.interactions
    return list(zip(log["user_id"].to_pylist(), log["item_id"].to_pylist(), strict=True))


@given(
    st.lists(st.tuples(keys, keys), min_size=1, max_size=10)
    | st.lists(st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 2), min_size=1, max_size=10)
)
def test_ids_come_out_of_parquet_and_csv_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[object, object]]
) -> None:
    """For every id column and both formats, ids equal those of the file in value and type."""
    folder = tmp_path_factory.mktemp("log")
    users, items = (list(column) for column in zip(*pairs, strict=True))
    pq.write_table(pa.table({"user_id": users, "item_id": items}), folder / "log.parquet")
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("user_id", "item_id"), *pairs])
    id_type: IdType = "int64" if isinstance(users[0], int) else "string"
    text = CsvConfig(user_id_type=id_type, item_id_type=id_type)

    assert _ids(load_dataset(DataConfig(interactions=folder / "log.parquet"))) == pairs
    assert _ids(load_dataset(DataConfig(interactions=folder / "log.csv", csv=text))) == pairs


def test_a_null_among_integer_ids_makes_no_float(tmp_path: Path) -> None:
    """Ids beyond 2^53 beside a null stay exact, from Parquet and from CSV."""
    data = _write(tmp_path, interactions={"user_id": [2**53 + 1, None], "item_id": [1, 2]})
    (tmp_path / "log.csv").write_text(f"user_id,item_id\n{2**53 + 1},1\n,2\n")
    text = CsvConfig(user_id_type="int64", item_id_type="int64")

    for config in (data, DataConfig(interactions=tmp_path / "log.csv", csv=text)):
        assert _ids(load_dataset(config)) == [(2**53 + 1, 1), (None, 2)]


@pytest.mark.parametrize(("user_type", "item_type"), [("string", "int64"), ("int64", "string")])
def test_csv_ids_of_users_and_items_have_their_own_types(
    tmp_path: Path, user_type: IdType, item_type: IdType
) -> None:
    """The type set for users holds in the log and the users table, that for items likewise."""
    for name in ("user_id,item_id", "user_id", "item_id"):
        (tmp_path / f"{name}.csv").write_text(f"{name}\n{'1,1' if ',' in name else '1'}\n")
    data = DataConfig(
        interactions=tmp_path / "user_id,item_id.csv",
        users=tmp_path / "user_id.csv",
        items=tmp_path / "item_id.csv",
        csv=CsvConfig(user_id_type=user_type, item_id_type=item_type),
    )

    dataset = load_dataset(data)

    types = [str(found) for found in dataset.interactions.schema.types]
    assert types == [user_type, item_type]


def test_columns_get_standard_names_and_types(tmp_path: Path) -> None:
    """Renamed, typed and in standard order; columns that no one asked for are left out."""
    data = _write(
        tmp_path,
        interactions={
            "when": [978300760],
            "what": pa.array([1], pa.int16()),
            "who": ["007"],
            "stars": [5],
            "kind": [2],
            "part": ["train"],
            "other": [1.5],
        },
    )
    columns = ColumnsConfig(
        user_id="who", item_id="what", event_time="when", weight="stars", event_type="kind",
        split="part", event_time_unit="s",
    )  # fmt: skip

    log = load_dataset(data, columns).interactions

    assert log.schema == pa.schema(
        {
            "user_id": pa.string(),
            "item_id": pa.int64(),
            "event_time": EVENT_TIME_TYPE,
            "weight": pa.float32(),
            "event_type": pa.string(),
            "split": pa.string(),
        }
    )
    assert log.to_pylist() == [
        {
            "user_id": "007",
            "item_id": 1,
            "event_time": datetime(2000, 12, 31, 22, 12, 40, tzinfo=UTC),
            "weight": 5.0,
            "event_type": "2",
            "split": "train",
        }
    ]


def test_users_and_items_bring_their_features_and_titles(tmp_path: Path) -> None:
    """Only declared features are read, each in the type of its kind, under its own name."""
    data = _write(
        tmp_path,
        interactions=LOG,
        users={"user_id": [1, 2], "age": [30, None], "secret": ["x", "y"]},
        items={"item_id": ["a", "b"], "title": ["A b", None], "vector": [[1.0], [2.0]]},
    )
    features = FeaturesConfig(
        users={"age": FeatureConfig(kind="numeric")},
        items={
            "words": FeatureConfig(kind="multi_hot", column="title", separator=" "),
            "vector": FeatureConfig(kind="dense"),
        },
    )

    dataset = load_dataset(data, features=features)

    assert dataset.users is not None
    assert dataset.items is not None
    assert dataset.users.to_pydict() == {"user_id": [1, 2], "age": [30.0, None]}
    assert dataset.items.to_pydict() == {
        "item_id": ["a", "b"],
        "words": [["A", "b"], None],
        "vector": [[1.0], [2.0]],
        "title": ["A b", None],
    }


def test_times_and_titles_need_not_exist_under_their_default_names(tmp_path: Path) -> None:
    """Without the default columns nothing is missing; a time column named on purpose must exist."""
    data = _write(tmp_path, interactions=LOG, items={"item_id": ["a", "b"]})

    dataset = load_dataset(data)

    assert dataset.users is None
    assert dataset.interactions.column_names == ["user_id", "item_id"]
    assert dataset.items is not None
    assert dataset.items.column_names == ["item_id"]
    refusal = _refusal(data, ColumnsConfig(event_time="at"))
    assert (refusal.file, refusal.column) == (str(data.interactions), "at")


def test_event_types_keep_their_rows_only(tmp_path: Path) -> None:
    """Rows of other types go, counted; types of which there is no row are refused."""
    data = _write(tmp_path, interactions={**LOG, "type": ["view", "buy", None]})

    kept = load_dataset(data, ColumnsConfig(event_type="type", event_types=("buy", "rent")))

    assert _ids(kept) == [(2, "b")]
    assert kept.num_left_out == {"other_event_type": 2}
    refusal = _refusal(data, ColumnsConfig(event_type="type", event_types=("rent",)))
    assert (refusal.column, refusal.got) == ("type", "none of them among 2 others in 3 rows")


def test_ids_of_different_types_do_not_match(tmp_path: Path) -> None:
    """1 and "1" are different ids: both types and both files are named."""
    data = _write(tmp_path, interactions={"user_id": [1], "item_id": [1]}, items={"item_id": ["1"]})

    refusal = _refusal(data)

    assert refusal.file == str(data.items)
    assert refusal.expected == f"int64 ids, as in {data.interactions}"
    assert refusal.got == "string"


@pytest.mark.parametrize(
    ("ids", "got"),
    [([1, None], "1 nulls in 2 rows"), ([1, 2, 1], "1 ids in several rows, the first in row 1")],
)
@pytest.mark.parametrize("side", ["users", "items"])
def test_user_and_item_tables_have_one_row_an_id(
    tmp_path: Path, side: str, ids: list[int | None], got: str
) -> None:
    """Null and repeated keys are refused with their number."""
    key = f"{side[:-1]}_id"
    data = _write(tmp_path, interactions={"user_id": [1], "item_id": [1]}, **{side: {key: ids}})

    refusal = _refusal(data)

    assert (refusal.column, refusal.got) == (key, got)


def test_a_wrong_feature_is_refused_in_the_users_words(tmp_path: Path) -> None:
    """The refusal names the file and the column that hold the feature."""
    data = _write(tmp_path, interactions=LOG, items={"item_id": ["a"], "cost": ["cheap"]})
    features = FeaturesConfig(items={"price": FeatureConfig(kind="numeric", column="cost")})

    refusal = _refusal(data, features=features)

    assert (refusal.file, refusal.column) == (str(data.items), "cost")
    assert refusal.got == "string"


def test_features_without_their_table_are_refused(tmp_path: Path) -> None:
    """A feature that could never be read is a fault of the config."""
    data = _write(tmp_path, interactions=LOG)
    features = FeaturesConfig(users={"age": FeatureConfig(kind="numeric")})

    with pytest.raises(ConfigError, match="expected the path data"):
        load_dataset(data, features=features)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("log", "items", "num_rows"),
    [
        ("gowalla/train.parquet", None, 810_128),
        ("ml-1m/interactions.parquet", "ml-1m/items.parquet", 1_000_209),
        (
            "sample/movietweetings_interactions.parquet",
            "sample/movietweetings_items.parquet",
            100_000,
        ),
    ],
)
def test_real_logs_are_read_exactly_and_accepted(
    log: str, items: str | None, num_rows: int
) -> None:
    """Ids of published data sets come out as they are in the files, and nothing is refused."""
    genres = FeaturesConfig(items={"genres": FeatureConfig(kind="multi_hot")})
    data = DataConfig(interactions=SHARED / log, items=SHARED / items if items else None)

    dataset = load_dataset(data, features=genres if items else None)

    raw = pq.read_table(SHARED / log)
    for key in ("user_id", "item_id"):
        assert dataset.interactions[key].equals(raw[key].cast(pa.int64()))
    report = validate_dataset(dataset, needs_time=items is not None)
    assert report.num_interactions == num_rows
    assert report.refusals == ()
