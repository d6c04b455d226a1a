"""What the autoencoder expects of a column, given the other columns of a transaction.

Shapes: R transactions, V codes of a column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.features.encoder import MISSING, NUM_RESERVED, UNSEEN, EncodedTable, TableEncoder
from recsys.fraud.embedding.autoencoder import FittedAutoencoder, hide

NO_VALUE = "no value"
"""Text for a null."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpectedTerms:
    """The most likely term of a categorical column."""

    terms: tuple[str, ...]
    """One a transaction."""
    share: Float64Array
    """Its probability. Shape (R,)."""
    is_unseen: BoolArray
    """Whether training saw the actual term rarely or never. Shape (R,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Expectations:
    """What is expected of every target, each by its name."""

    terms: dict[str, ExpectedTerms]
    """Categorical columns."""
    numbers: dict[str, Float64Array]
    """Numeric columns, on the scale of the data. Shapes (R,)."""


def expectations(
    autoencoder: FittedAutoencoder, encoder: TableEncoder, rows: EncodedTable
) -> Expectations:
    """What each target is expected to be when only the other columns are seen.

    Args:
        autoencoder: The trained autoencoder.
        encoder: The encoder of its columns.
        rows: A few transactions.
    """
    terms: dict[str, ExpectedTerms] = {}
    numbers: dict[str, Float64Array] = {}
    module = autoencoder.module
    with torch.inference_mode():
        for target, head in zip(autoencoder.inputs.located(), module.heads, strict=True):
            prediction = head(module.embed(hide(rows, target)))
            if target.num_codes:
                codes_R = rows.categorical[:, target.number].numpy()
                column = [str(term) for term in encoder.categorical[target.name].terms.to_pylist()]
                terms[target.name] = _likeliest(prediction, codes_R, column)
            else:
                scaler = encoder.numeric[target.name]
                scaled_R = prediction[:, 0].numpy().astype(np.float64)
                numbers[target.name] = scaled_R * scaler.spread + scaler.median
    return Expectations(terms=terms, numbers=numbers)


def _likeliest(logits_RV: torch.Tensor, codes_R: Int64Array, column: list[str]) -> ExpectedTerms:
    share_RV = logits_RV.softmax(1)
    share_RV[:, UNSEEN] = 0  # the code of rare terms has no name
    share_R, code_R = share_RV.max(1)
    names = [
        NO_VALUE if code == MISSING else column[code - NUM_RESERVED] for code in code_R.tolist()
    ]
    return ExpectedTerms(
        terms=tuple(names),
        share=share_R.numpy().astype(np.float64),
        is_unseen=codes_R == UNSEEN,
    )
