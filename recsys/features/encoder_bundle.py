"""A fitted encoder in a bundle: its vocabularies as tables, everything else as a document.

tables/NAME-terms-N.parquet   terms of the N-th categorical or multi-hot column
documents/NAME-encoder.json   names of the columns by kind, scales, widths
"""

from __future__ import annotations

from typing import cast

import pyarrow as pa
from pydantic import JsonValue

from recsys.artifacts import Bundle
from recsys.features.encoder import TableEncoder
from recsys.features.scaling import RobustScaler
from recsys.features.vocabulary import Vocabulary


def encoder_document(encoder: TableEncoder) -> JsonValue:
    """Everything of an encoder but its vocabularies."""
    return {
        "categorical": list(encoder.categorical),
        "multi_hot": list(encoder.multi_hot),
        "numeric": {
            name: {"median": scaler.median, "spread": scaler.spread}
            for name, scaler in encoder.numeric.items()
        },
        "dense": dict(encoder.dense),
        # Weights depend on the order of the columns, and the keys of a JSON object have no order.
        "order": [*encoder.numeric, *encoder.dense],
    }


def encoder_tables(name: str, encoder: TableEncoder) -> dict[str, pa.Table]:
    """Vocabularies by the place of their column: names of columns are the user's."""
    terms = [*encoder.categorical.values(), *encoder.multi_hot.values()]
    return {
        f"{name}-terms-{place}": vocabulary_table(vocabulary)
        for place, vocabulary in enumerate(terms)
    }


def read_encoder(bundle: Bundle, name: str) -> TableEncoder:
    """The encoder whose document and tables were written under a name.

    Raises:
        ArtifactError: The bundle has no such encoder.
        KeyError: It was written by another version.
    """
    document = cast("dict[str, JsonValue]", bundle.document(f"{name}-encoder"))
    categorical = cast("list[str]", document["categorical"])
    multi_hot = cast("list[str]", document["multi_hot"])
    scalers = cast("dict[str, dict[str, float]]", _ordered(document, "numeric"))
    terms = {
        column: vocabulary_of(bundle.table(f"{name}-terms-{place}"))
        for place, column in enumerate([*categorical, *multi_hot])
    }
    return TableEncoder(
        categorical={column: terms[column] for column in categorical},
        multi_hot={column: terms[column] for column in multi_hot},
        numeric={column: RobustScaler(**values) for column, values in scalers.items()},
        dense=cast("dict[str, int]", _ordered(document, "dense")),
    )


def vocabulary_table(vocabulary: Vocabulary) -> pa.Table:
    """The terms in the order of their numbers, as the column `id`."""
    return pa.table({"id": vocabulary.terms})


def vocabulary_of(table: pa.Table) -> Vocabulary:
    """The vocabulary whose terms are the column `id` of a table."""
    terms = table["id"]
    chunks = terms.chunks or [pa.array([], type=terms.type)]  # no row may mean no chunk
    return Vocabulary(pa.concat_arrays(chunks))


def _ordered(document: dict[str, JsonValue], kind: str) -> dict[str, JsonValue]:
    """Columns of a kind in the order of the encoder.

    The first version wrote no order, which one column does not need.
    """
    columns = cast("dict[str, JsonValue]", document[kind])
    if len(columns) < 2:
        return columns
    order = cast("list[str]", document["order"])
    return {name: columns[name] for name in order if name in columns}
