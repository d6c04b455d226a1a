"""Schemas of the tables that go out."""

from __future__ import annotations

import pyarrow as pa
import pytest

from recsys.schema import ID_TYPES, recommendations_schema


@pytest.mark.parametrize("user_id_type", ID_TYPES)
@pytest.mark.parametrize("item_id_type", ID_TYPES)
def test_recommendations_keep_the_types_of_the_ids(
    user_id_type: pa.DataType, item_id_type: pa.DataType
) -> None:
    """Ids go out with the types that they came in with, and nothing may be null."""
    schema = recommendations_schema(user_id_type, item_id_type)

    assert schema.names == ["user_id", "item_id", "rank", "score", "source"]
    assert schema.types == [user_id_type, item_id_type, pa.int32(), pa.float32(), pa.string()]
    assert not any(field.nullable for field in schema)
