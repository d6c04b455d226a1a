"""Whether tables fit a published model: ids of its types, and the features that it reads."""

from __future__ import annotations

import pyarrow as pa

from recsys.datasets.dataset import ColumnsConfig, Dataset
from recsys.errors import DataError
from recsys.features.encoder import TableEncoder
from recsys.recommender.model import RecommenderModel
from recsys.schema import ITEM_ID, USER_ID

_REMEDY = "write it as it was then, or train again"


def check_tables(model: RecommenderModel, dataset: Dataset) -> None:
    """Refuse tables that a model cannot read.

    Raises:
        DataError: Ids of another type than at training time, or a feature of users that is missing
            or of another type or width.
    """
    file = dataset.origin("interactions").file
    check_id_types(model, dataset.interactions, file=file, columns=dataset.columns)
    if model.user_encoder is not None and dataset.users is not None:
        _check_user_features(model.user_encoder, dataset, dataset.users)


def check_id_types(
    model: RecommenderModel, table: pa.Table, *, file: str, columns: ColumnsConfig
) -> None:
    """Refuse ids of another type than the model's.

    Args:
        model: The published model.
        table: A table with `user_id`, `item_id` or both.
        file: Where it comes from.
        columns: The user's names of the columns.

    Raises:
        DataError: The types differ.
    """
    if not table.num_rows:  # a quiet day, whatever the types of its columns
        return
    known = {USER_ID: model.users.terms.type, ITEM_ID: model.items.terms.type}
    for name, expected in known.items():
        if name in table.column_names and table[name].type != expected:
            raise DataError(
                file=file,
                column=getattr(columns, name),
                expected=f"{expected} ids, as the published model was trained on",
                got=str(table[name].type),
                remedy=_REMEDY,
            )


def _check_user_features(encoder: TableEncoder, dataset: Dataset, users: pa.Table) -> None:
    for name, expected in encoder.column_types.items():
        present = name in users.column_names
        found = users.schema.field(name).type if present else None
        if found == expected:
            continue
        origin = dataset.origin("users", name)
        raise DataError(
            file=origin.file,
            column=origin.column,
            expected=f"{expected}, as the feature {name!r} that the published model was trained on",
            got=str(found) if present else "no such feature in [features.users]",
            remedy=_REMEDY,
        )
