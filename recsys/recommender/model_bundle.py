"""A recommender model on disk: one bundle with weights, vocabularies, histories and settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pydantic import JsonValue
from scipy import sparse

from recsys.arrays import Float32Array
from recsys.artifacts import Bundle, read_bundle, write_bundle
from recsys.config import config_to_dict, parse_config
from recsys.datasets.origin import reason_of
from recsys.errors import ArtifactError, ConfigError
from recsys.features.encoder import TableEncoder
from recsys.features.encoder_bundle import (
    encoder_document,
    encoder_tables,
    read_encoder,
    vocabulary_of,
)
from recsys.features.history import UserItemMatrix
from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.further_items import FurtherItems
from recsys.recommender.model import RecommenderModel, Selection
from recsys.recommender.ranking.ranker import UserItems
from recsys.recommender.towers.two_tower import TwoTower

BUNDLE_KIND = "recommender-model"
"""Kind of the bundle that a model is saved as."""

_SIDES = ("users", "items")


def save_model(model: RecommenderModel, folder: Path, *, data_digests: Mapping[str, str]) -> Bundle:
    """Write a model as a bundle.

    Args:
        model: A fitted model.
        folder: A folder that does not exist yet.
        data_digests: Digest of each table that the model was fitted on.

    Raises:
        ArtifactError: The folder exists, or the disk refuses.
    """
    encoders = {"users": model.user_encoder, "items": model.item_encoder}
    tables = {
        "users": pa.table({"id": model.users.terms, "items": _lists(model)}),
        "items": pa.table({"id": model.items.terms}),
    }
    if model.user_table is not None:
        tables["user-features"] = model.user_table
    if model.neighbours is not None:
        tables["neighbours"] = _neighbour_lists(model.neighbours)
    if model.further is not None:
        further = model.further
        tables["further-items"] = pa.table({"id": further.users.terms, "items": _items(further)})
    documents: dict[str, JsonValue] = {"selection": config_to_dict(model.selection)}
    if model.learnt_until is not None:
        documents["data"] = {"last_event": model.learnt_until.isoformat()}
    for side, encoder in encoders.items():
        if encoder is not None:
            tables |= encoder_tables(side, encoder)
            documents[f"{side}-encoder"] = encoder_document(encoder)
    return write_bundle(
        folder,
        kind=BUNDLE_KIND,
        config=config_to_dict(model.config),
        tensors={
            "towers": {
                name: tensor.detach().numpy() for name, tensor in model.towers.state_dict().items()
            },
            "items": _item_arrays(model),
        },
        tables=tables,
        documents=documents,
        data_digests=data_digests,
    )


def load_model(folder: Path) -> tuple[RecommenderModel, Bundle]:
    """Read a model from its bundle; every file is checked before it is parsed.

    Raises:
        ArtifactError: The bundle is missing, damaged, or of another kind or format.
    """
    bundle = read_bundle(folder, kind=BUNDLE_KIND)
    try:
        return _read(bundle), bundle
    except (ConfigError, KeyError, TypeError, ValueError, RuntimeError) as error:
        got = reason_of(error)
        raise ArtifactError(
            f"{folder}: expected a model of this version, got {got}; train again"
        ) from error


def _read(bundle: Bundle) -> RecommenderModel:
    config = parse_config(TwoTowerConfig, bundle.config, source="config")
    selection = parse_config(
        Selection, cast("dict[str, object]", bundle.document("selection")), source="selection"
    )
    encoders = {side: _read_encoder(bundle, side) for side in _SIDES}
    users, items = bundle.table("users"), bundle.table("items")
    arrays = bundle.tensors("items")
    user_encoder, item_encoder = encoders["users"], encoders["items"]
    towers = TwoTower(
        num_users=users.num_rows,
        num_items=items.num_rows,
        user_sizes=user_encoder.sizes if user_encoder else None,
        item_sizes=item_encoder.sizes if item_encoder else None,
        config=config,
    )
    weights = bundle.tensors("towers")
    histories = _matrix(users["items"], items.num_rows, ordered=config.reads_order)
    towers.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return RecommenderModel(
        config=config,
        selection=selection,
        towers=towers.eval(),
        users=vocabulary_of(users),
        items=vocabulary_of(items),
        histories=histories,
        user_table=bundle.table("user-features") if user_encoder else None,
        user_encoder=user_encoder,
        item_encoder=item_encoder,
        item_embeddings=arrays["embeddings"],
        item_propagated=arrays.get("spread"),
        log_popularity=arrays["log_popularity"],
        popularity_scale=float(arrays["popularity_scale"][0]),
        repeats=_repeats(arrays, histories),
        neighbours=_neighbours(bundle, items.num_rows),
        further=_further(bundle, items.num_rows),
        learnt_until=_learnt_until(bundle),
    )


def _item_arrays(model: RecommenderModel) -> dict[str, npt.NDArray[np.generic]]:
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "embeddings": model.item_embeddings,
        "log_popularity": model.log_popularity,
        "popularity_scale": np.array([model.popularity_scale]),
    }
    if model.repeats is not None:
        arrays["repeats"] = model.repeats.data  # in the order of the entries of histories
    if model.item_propagated is not None:
        arrays["spread"] = model.item_propagated
    return arrays


def _read_encoder(bundle: Bundle, side: str) -> TableEncoder | None:
    if f"documents/{side}-encoder.json" not in bundle.manifest.files:
        return None
    return read_encoder(bundle, side)


def _items(further: FurtherItems) -> pa.Array:
    """The item numbers of each user."""
    matrix = further.items
    return pa.LargeListArray.from_arrays(
        pa.array(matrix.indptr.astype(np.int64)), pa.array(matrix.indices.astype(np.int32))
    )


def _further(bundle: Bundle, num_items: int) -> FurtherItems | None:
    if "tables/further-items.parquet" not in bundle.manifest.files:
        return None
    table = bundle.table("further-items")
    return FurtherItems(
        users=vocabulary_of(table), items=_matrix(table["items"], num_items, ordered=False)
    )


def _repeats(
    arrays: Mapping[str, Float32Array], histories: UserItemMatrix
) -> UserItemMatrix | None:
    if "repeats" not in arrays:
        return None
    matrix: UserItemMatrix = sparse.csr_array(
        (arrays["repeats"], histories.indices, histories.indptr), shape=histories.shape
    )
    return matrix


def _neighbour_lists(neighbours: UserItems) -> pa.Table:
    """For each item, the items that go with it and their cosines."""
    bounds = pa.array(neighbours.indptr.astype(np.int64))
    return pa.table(
        {
            "items": pa.LargeListArray.from_arrays(
                bounds, pa.array(neighbours.indices.astype(np.int32))
            ),
            "cosines": pa.LargeListArray.from_arrays(
                bounds, pa.array(neighbours.data.astype(np.float32))
            ),
        }
    )


def _neighbours(bundle: Bundle, num_items: int) -> UserItems | None:
    if "tables/neighbours.parquet" not in bundle.manifest.files:
        return None
    table = bundle.table("neighbours")
    matrix = _matrix(table["items"], num_items, ordered=False)
    cosines = pa.concat_arrays(table["cosines"].chunks)
    values = np.asarray(cosines.flatten(), dtype=np.float32)
    found: UserItems = sparse.csr_array((values, matrix.indices, matrix.indptr), matrix.shape)
    return found


def _learnt_until(bundle: Bundle) -> datetime | None:
    if "documents/data.json" not in bundle.manifest.files:
        return None
    stored = cast("dict[str, str]", bundle.document("data"))
    return datetime.fromisoformat(stored["last_event"])


def _lists(model: RecommenderModel) -> pa.Array:
    """The item numbers of each user; the earliest first if the model uses their order."""
    matrix = model.histories
    columns = matrix.indices.astype(np.int32)
    if model.config.reads_order:
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        columns = columns[np.lexsort((matrix.data, rows))]
    return pa.LargeListArray.from_arrays(
        pa.array(matrix.indptr.astype(np.int64)), pa.array(columns)
    )


def _matrix(lists: pa.ChunkedArray, num_items: int, *, ordered: bool) -> UserItemMatrix:
    array = pa.concat_arrays(lists.chunks)
    offsets = np.asarray(array.offsets, dtype=np.int64)
    columns = np.asarray(array.values, dtype=np.int64)[offsets[0] : offsets[-1]]
    values = np.ones(len(columns), dtype=np.float32)
    if ordered:
        starts = np.repeat(offsets[:-1] - offsets[0], np.diff(offsets))
        values = (np.arange(len(columns)) - starts + 1).astype(np.float32)
    matrix: UserItemMatrix = sparse.csr_array(
        (values, columns, offsets - offsets[0]), shape=(len(array), num_items)
    )
    matrix.sort_indices()
    return matrix
