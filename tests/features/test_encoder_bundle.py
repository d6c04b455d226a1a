"""Encoders in bundles: what is read encodes as what was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.artifacts import Bundle, write_bundle
from recsys.features.encoder import TableEncoder
from recsys.features.encoder_bundle import encoder_document, encoder_tables, read_encoder
from recsys.features.scaling import RobustScaler
from recsys.features.vocabulary import Vocabulary

TABLE = pa.table(
    {
        "z": pa.array([1.0, None, 3.0], pa.float32()),
        "a": pa.array([-1.0, 50.0, 3.0], pa.float32()),
        "w": pa.array([[1.0], None, [2.0]], pa.list_(pa.float32(), 1)),
        "b": pa.array([[1.0, 2.0], [0.0, 0.0], None], pa.list_(pa.float32(), 2)),
        "term": ["x", None, "new"],
        "number": [3, 4, None],
        "list": [["p", "q"], [], None],
    }
)
ENCODER = TableEncoder(
    categorical={"term": Vocabulary(pa.array(["y", "x"])), "number": Vocabulary(pa.array([4]))},
    multi_hot={"list": Vocabulary(pa.array(["q", "p"]))},
    numeric={
        "z": RobustScaler(median=0.1, spread=1 / 3),
        "a": RobustScaler(median=-7.0, spread=2.0),
    },
    dense={"w": 1, "b": 2},
)
NO_TERMS = Vocabulary(pa.array([], pa.string()))


def write(encoder: TableEncoder, folder: Path, **document: object) -> Bundle:
    """A bundle of an encoder alone."""
    whole = {**encoder_document(encoder), **document}
    parts = {key: value for key, value in whole.items() if value is not None}
    return write_bundle(
        folder,
        kind="encoder",
        tables=encoder_tables("rows", encoder),
        documents={"rows-encoder": parts},
    )


def test_an_encoder_survives_the_disk(tmp_path: Path) -> None:
    """Codes, scaled values and vectors are the same, in the same columns."""
    loaded = read_encoder(write(ENCODER, tmp_path / "b"), "rows")
    before, after = ENCODER.encode(TABLE), loaded.encode(TABLE)
    assert loaded.sizes == ENCODER.sizes
    assert torch.equal(before.categorical, after.categorical)
    assert torch.equal(before.numeric, after.numeric)
    for mine, yours in zip(before.multi_hot, after.multi_hot, strict=True):
        assert torch.equal(mine.codes, yours.codes)
        assert torch.equal(mine.offsets, yours.offsets)
    assert all(map(torch.equal, before.dense, after.dense))


@given(names=st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_columns_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    """Columns of any names come back in the order that the weights go by."""
    scaler = RobustScaler(median=0.0, spread=1.0)
    encoder = TableEncoder(
        categorical={},
        multi_hot={},
        numeric=dict.fromkeys(names, scaler),
        dense={
            f"{name}*": place + 1 for place, name in enumerate(names) if f"{name}*" not in names
        },
    )
    loaded = read_encoder(write(encoder, tmp_path_factory.mktemp("b") / "b"), "rows")
    assert list(loaded.numeric.items()) == list(encoder.numeric.items())
    assert list(loaded.dense.items()) == list(encoder.dense.items())


def test_a_column_without_terms_survives_the_disk(tmp_path: Path) -> None:
    """A vocabulary may be empty; its type is kept."""
    loaded = read_encoder(
        write(replace(ENCODER, categorical={"term": NO_TERMS}), tmp_path / "b"), "rows"
    )
    assert loaded.categorical["term"].terms.equals(NO_TERMS.terms)


def test_a_document_without_order_is_read_where_it_needs_none(tmp_path: Path) -> None:
    """One column of a kind has an order without being told; several are not guessed."""
    single = replace(ENCODER, numeric={"z": ENCODER.numeric["z"]}, dense={})
    loaded = read_encoder(write(single, tmp_path / "one", order=None), "rows")
    assert loaded.numeric == single.numeric
    with pytest.raises(KeyError, match="order"):
        read_encoder(write(ENCODER, tmp_path / "two", order=None), "rows")
