"""The encoder: training and scoring see the same numbers, and gaps have their reserved codes."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from recsys.datasets.dataset import FeatureConfig
from recsys.errors import DataError
from recsys.features.encoder import (
    MISSING,
    NUM_RESERVED,
    UNSEEN,
    EncodedTable,
    Ragged,
    TableEncoder,
    rows_of,
)

FEATURES = {
    "colour": FeatureConfig(kind="categorical", min_count=2),
    "year": FeatureConfig(kind="categorical"),
    "tags": FeatureConfig(kind="multi_hot"),
    "price": FeatureConfig(kind="numeric"),
    "size": FeatureConfig(kind="numeric"),
    "vector": FeatureConfig(kind="dense"),
}
TYPES = {
    "id": pa.int64(),
    "colour": pa.string(),
    "year": pa.int64(),
    "tags": pa.list_(pa.string()),
    "price": pa.float32(),
    "size": pa.float32(),
    "vector": pa.list_(pa.float32(), 3),
}
SMALL = st.floats(-8, 8, width=16)
ROWS = st.fixed_dictionaries(
    {
        "id": st.just(0),
        "colour": st.sampled_from([None, "red", "blue", "green"]),
        "year": st.sampled_from([None, 1999, 2000]),
        "tags": st.none() | st.lists(st.sampled_from([None, "new", "used", "rare"]), max_size=3),
        "price": st.none() | SMALL,
        "size": st.none() | SMALL,
        "vector": st.none() | st.lists(SMALL, min_size=3, max_size=3),
    }
)
TABLES = st.lists(ROWS, max_size=12)
NULL_ROW = dict.fromkeys(TYPES)


def table_of(rows: list[dict[str, object]]) -> pa.Table:
    """Rows as a table with the types of a loaded dataset, numbered in the column `id`."""
    numbered = [row | {"id": number} for number, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered, schema=pa.schema(list(TYPES.items())))


def tensors(table: EncodedTable) -> list[torch.Tensor]:
    """Everything in an encoded table."""
    lists = [part for ragged in table.multi_hot for part in (ragged.codes, ragged.offsets)]
    return [table.categorical, table.numeric, *lists, *table.dense]


def assert_equal(left: EncodedTable, right: EncodedTable) -> None:
    """The same in every bit."""
    for ours, theirs in zip(tensors(left), tensors(right), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@given(fitted=TABLES, scored=TABLES, draws=st.lists(st.integers(0, 99), max_size=8))
@example(fitted=[], scored=[], draws=[])
def test_encoding_some_rows_equals_some_rows_of_the_encoding(
    fitted: list[dict[str, object]], scored: list[dict[str, object]], draws: list[int]
) -> None:
    """A row's numbers do not depend on the rows beside it, so training and scoring agree."""
    encoder = TableEncoder.fit(table_of(fitted), FEATURES)
    table = table_of(scored)
    rows = np.array([draw % len(scored) for draw in draws if scored], dtype=np.int64)
    some_rows = encoder.encode(table.take(pa.array(rows)))
    assert_equal(some_rows, encoder.encode(table).take(torch.from_numpy(rows)))


@given(fitted=TABLES, scored=TABLES)
def test_codes_equal_a_dictionary(
    fitted: list[dict[str, object]], scored: list[dict[str, object]]
) -> None:
    """Null, unseen or rare, and known terms get 0, 1 and 2 on, in lists as in plain columns."""
    encoder = TableEncoder.fit(table_of(fitted), FEATURES)

    def code(name: str, value: object) -> int:
        seen = [row[name] for row in fitted]
        if name == "tags":
            seen = [tag for tags in seen for tag in tags or []]
        enough = FEATURES[name].min_count
        known = sorted({term for term in seen if term is not None and seen.count(term) >= enough})
        if value is None:
            return MISSING
        return known.index(value) + NUM_RESERVED if value in known else UNSEEN

    encoded = encoder.encode(table_of(scored))
    for place, row in enumerate(scored):
        expected = [code("colour", row["colour"]), code("year", row["year"])]
        assert encoded.categorical[place].tolist() == expected
        (tags,) = encoded.multi_hot
        low, high = tags.offsets[place : place + 2].tolist()
        assert tags.codes[low:high].tolist() == [code("tags", tag) for tag in row["tags"] or []]
    assert (encoded.categorical < torch.tensor(encoder.sizes.categorical)).all()
    assert (encoded.multi_hot[0].codes < encoder.sizes.multi_hot[0]).all()


@given(scored=TABLES)
def test_numeric_and_dense_gaps_are_zeros_with_a_flag(scored: list[dict[str, object]]) -> None:
    """A null number is 0 with flag 1, a null vector is zeros, all others are what they were."""
    encoder = TableEncoder.fit(table_of([]), FEATURES)  # scales are the identity then
    encoded = encoder.encode(table_of(scored))
    for place, row in enumerate(scored):
        numbers = [row["price"], row["size"]]
        assert encoded.numeric[place, :2].tolist() == [value or 0 for value in numbers]
        assert encoded.numeric[place, 2:].tolist() == [value is None for value in numbers]
        assert encoded.dense[0][place].tolist() == (row["vector"] or [0, 0, 0])


def test_a_table_of_nulls_can_be_fitted_and_encoded() -> None:
    """Nulls in every column and row are no error: all is missing, and sizes stay above 0."""
    table = table_of([NULL_ROW] * 3)
    encoder = TableEncoder.fit(table, FEATURES)
    encoded = encoder.encode(table)
    assert (encoded.categorical == MISSING).all()
    assert encoded.multi_hot[0].offsets.tolist() == [0, 0, 0, 0]
    assert encoded.numeric.tolist() == [[0, 0, 1, 1]] * 3
    assert not encoded.dense[0].any()
    assert encoder.sizes.categorical == (NUM_RESERVED, NUM_RESERVED)
    assert len(encoded) == 3


def test_columns_without_chunks_and_sliced_columns_are_encoded() -> None:
    """Tables as Arrow makes them: no chunk at all, several chunks, and slices with offsets."""
    rows = [
        {"id": 0, "colour": "red", "year": 1, "tags": ["a"], "price": 1.0, "size": None,
         "vector": [1.0, 2.0, 3.0]},
        NULL_ROW,
        {"id": 0, "colour": "red", "year": 2, "tags": [None, "b"], "price": 2.0, "size": 1.0,
         "vector": [4.0, 5.0, 6.0]},
    ]  # fmt: skip
    table = table_of(rows)
    encoder = TableEncoder.fit(table, FEATURES)
    whole = encoder.encode(table)
    pieces = pa.concat_tables([table[:1], table[1:], table[2:]])
    assert_equal(encoder.encode(pieces), whole.take(torch.tensor([0, 1, 2, 2])))
    none = pa.Table.from_batches([], schema=table.schema)
    assert_equal(encoder.encode(none), whole.take(torch.tensor([], dtype=torch.int64)))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("colour", pa.array([1])),
        ("year", pa.array(["1999"])),
        ("tags", pa.array([[1]])),
        ("tags", pa.array(["new"])),
        ("price", pa.array(["12"])),
        ("vector", pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))),
    ],
    ids=["integer colour", "text year", "integer tags", "text tags", "text price", "narrow vector"],
)
def test_a_column_of_another_type_is_refused_by_name(name: str, values: pa.Array) -> None:
    """Scoring a table whose column changed type or width names the column and both types."""
    table = table_of([NULL_ROW])
    encoder = TableEncoder.fit(table, FEATURES)
    changed = table.set_column(table.schema.get_field_index(name), name, values)
    with pytest.raises(DataError, match=f"column '{name}'") as caught:
        encoder.encode(changed)
    assert caught.value.got == str(values.type)


@given(
    lists=st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=8),
    data=st.data(),
)
def test_taking_lists_equals_taking_them_one_by_one(
    lists: list[list[int]], data: st.DataObject
) -> None:
    """Rows of a ragged tensor, in any order and number, are the lists that a loop would pick."""
    offsets = np.cumsum([0] + [len(codes) for codes in lists])
    ragged = Ragged(
        codes=torch.tensor(list(itertools.chain(*lists)), dtype=torch.int64),
        offsets=torch.from_numpy(offsets),
    )
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10))
    taken = ragged.take(torch.tensor(rows, dtype=torch.int64))
    bounds = taken.offsets.tolist()
    found = [taken.codes[low:high].tolist() for low, high in itertools.pairwise(bounds)]
    assert found == [lists[row] for row in rows]


def test_rows_follow_the_ids_that_are_asked_for() -> None:
    """Each id gets its row; ids that the table lacks, and null, get nulls in every column."""
    rows = [NULL_ROW | {"colour": "red"}, NULL_ROW | {"colour": "blue"}]
    found = rows_of(table_of(rows), "id", pa.array([1, 7, 0, None, 1]))
    assert found["id"].to_pylist() == [1, None, 0, None, 1]
    assert found["colour"].to_pylist() == ["blue", None, "red", None, "blue"]
    assert rows_of(table_of([]), "id", pa.array([1])).to_pylist() == [NULL_ROW]
