"""Features of the users and items that have interactions, and encoders fitted on these alone."""

from __future__ import annotations

import pyarrow as pa

from recsys.datasets.dataset import Dataset
from recsys.features.encoder import TableEncoder, rows_of
from recsys.features.vocabulary import Vocabulary
from recsys.schema import ITEM_ID, USER_ID


def known_rows(
    data: Dataset, table_name: str, ids: Vocabulary
) -> tuple[TableEncoder, pa.Table] | tuple[None, None]:
    """The rows of the users or items in the interactions, and an encoder fitted on them alone."""
    table = data.users if table_name == "users" else data.items
    features = data.features.users if table_name == "users" else data.features.items
    if table is None or not features:
        return None, None
    id_column = USER_ID if table_name == "users" else ITEM_ID
    rows = rows_of(table, id_column, ids.terms).select([id_column, *features])
    return TableEncoder.fit(rows, features), rows
