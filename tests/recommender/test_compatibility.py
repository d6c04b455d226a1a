"""Tables that a published model can read, and those that it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from small_models import fitted

from recsys.datasets.dataset import Dataset
from recsys.errors import DataError
from recsys.recommender.compatibility import check_id_types, check_tables
from recsys.schema import ITEM_ID, USER_ID

Change = Callable[[pa.Table], pa.Table]


def with_column(name: str, column: pa.Array) -> Change:
    """The table with a column replaced."""
    return lambda table: table.set_column(table.column_names.index(name), name, column)


def test_tables_of_training_fit() -> None:
    """What a model was fitted on fits it, with fewer users, other rows and without users too."""
    everything = fitted("string")
    dataset = everything.dataset
    check_tables(everything.model, dataset)
    check_tables(everything.model, replace(dataset, users=dataset.users[:1]))
    check_tables(everything.model, replace(dataset, users=None))


def test_a_model_without_features_reads_none() -> None:
    """Features that came after training are not looked at."""
    check_tables(fitted("int64", features=False).model, fitted("int64").dataset)


WIDER = pa.FixedSizeListArray.from_arrays(np.zeros(400, np.float32), 5)


@pytest.mark.parametrize(
    ("column", "change", "got"),
    [
        ("age", lambda users: users.drop_columns("age"), "no such feature in [features.users]"),
        ("segment", with_column("segment", pa.array(range(80))), "int64"),
        ("hobbies", with_column("hobbies", pa.array([[1]] * 80)), "list<item: int64>"),
        ("taste", with_column("taste", WIDER), "fixed_size_list<item: float>[5]"),
        ("taste", with_column("taste", pa.array([1.0] * 80, pa.float32())), "float"),
    ],
)
def test_features_of_another_type_are_refused(column: str, change: Change, got: str) -> None:
    """A feature that is missing, of another kind, of other terms or of another width is named."""
    model, dataset = fitted("int64").model, fitted("int64").dataset
    changed: Dataset = replace(dataset, users=change(dataset.users))
    with pytest.raises(DataError) as refusal:
        check_tables(model, changed)
    assert refusal.value.column == column
    assert refusal.value.got == got


@pytest.mark.parametrize("name", [USER_ID, ITEM_ID])
def test_ids_of_another_type_are_refused(name: str) -> None:
    """Text ids never meet an int64 model, whichever table they are in."""
    model, dataset = fitted("int64").model, fitted("int64").dataset
    log = dataset.interactions
    text = log.set_column(log.column_names.index(name), name, pc.cast(log[name], pa.string()))
    with pytest.raises(DataError, match="int64 ids") as refusal:
        check_tables(model, replace(dataset, interactions=text))
    assert (refusal.value.column, refusal.value.got) == (name, "string")
    with pytest.raises(DataError, match=r"deny\.parquet"):
        check_id_types(model, text.select([name]), file="deny.parquet", columns=dataset.columns)
