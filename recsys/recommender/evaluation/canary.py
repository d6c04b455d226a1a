"""A frozen sample of users on which every new model is measured.

If each model is a little worse than the last one, every one of them may pass. The canary does not
change: a model's quality on it is compared with that of all models since it was drawn.

Shapes: U users, C items of a model, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse
from torch import Tensor

from recsys.arrays import Float64Array
from recsys.datasets.dataset import Dataset
from recsys.errors import DataError
from recsys.features.history import UserItemMatrix, event_places
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.evaluation.metrics import hit_matrix, ndcg_at_k
from recsys.recommender.model import RecommenderModel
from recsys.recommender.ranking.by_source import exact_lists
from recsys.schema import ITEM_ID, USER_ID

HISTORY, RELEVANT = "history", "relevant"


@dataclass(frozen=True, kw_only=True, eq=False)
class Canary:
    """Histories, oldest first, and what came after them; without user ids."""

    table: pa.Table
    """Columns history and relevant, lists of item ids. U rows."""

    @classmethod
    def draw(cls, before: Dataset, test: pa.Table, *, num_users: int, seed: int) -> Canary:
        """Users with a history and later interactions, drawn at random."""
        known = Vocabulary.fit(before.interactions[USER_ID])
        tested = Vocabulary.fit(test[USER_ID])
        both = tested.terms.filter(pa.array(known.numbers(tested.terms) != UNKNOWN))
        rng = np.random.default_rng(seed)
        count = min(num_users, len(both))
        picked = Vocabulary(both.take(np.sort(rng.choice(len(both), count, replace=False))))
        return cls(
            table=pa.table(
                {
                    HISTORY: _lists(before.interactions, picked),
                    RELEVANT: _lists(test, picked),
                }
            )
        )

    @property
    def item_type(self) -> pa.DataType:
        """Type of the item ids."""
        return self.table[HISTORY].type.value_type

    def measure(self, model: RecommenderModel, *, k: int) -> Float64Array:
        """NDCG of each user's list, made from the history alone. Shape (U,).

        Raises:
            DataError: The ids are of another type than the model's.
        """
        if self.item_type != model.items.terms.type:
            raise DataError(
                file="canary",
                expected=f"item ids of type {model.items.terms.type}",
                got=str(self.item_type),
                remedy="keep the type of item_id, or draw new users",
            )
        histories = _matrix(self.table[HISTORY], model.items)
        relevant = _matrix(self.table[RELEVANT], model.items)
        ordered = histories if model.config.reads_order else _binary(histories)
        queries_UW = model.query_vectors(ordered, None, user_rows=_no_rows(model, len(self.table)))
        k = min(k, len(model.items))
        once = _binary(histories)
        once.data[:] = np.log1p(once.data)  # the canary does not know how often
        items_UK, _ = exact_lists(
            queries_UW,
            pa.array([model.known_source] * len(self.table)),
            k,
            vectors_CD=model.item_vectors(),
            popularity_C=model.popular_scores,
            excluded=histories if model.selection.filter_seen else None,
            own=model.own_terms(histories, once),
        )
        # Items that no longer exist count as relevant and are missed.
        asked_U = np.asarray(self.table[RELEVANT].combine_chunks().value_lengths()).astype(np.int64)
        return ndcg_at_k(hit_matrix(items_UK, relevant), asked_U, k=k)


def _no_rows(model: RecommenderModel, num_users: int) -> Tensor | None:
    """Rows of users without a vector of their own, for a model that has such vectors."""
    if not model.config.user_embedding:
        return None
    return torch.zeros(num_users, dtype=torch.int64)


def _lists(log: pa.Table, users: Vocabulary) -> pa.Array:
    """Items of each user in the order of time, each at its last place, as in histories. U lists."""
    numbers = users.numbers(log[USER_ID])
    rows = np.flatnonzero(numbers != UNKNOWN)
    mine = log.take(pa.array(rows))
    order = np.lexsort((event_places(mine), numbers[rows]))
    items = mine[ITEM_ID].combine_chunks().take(pa.array(order))
    owner = numbers[rows][order]
    pairs = items.dictionary_encode().indices.to_numpy().astype(np.int64)
    keys = owner * (pairs.max(initial=0) + 1) + pairs
    _, last = np.unique(keys[::-1], return_index=True)
    kept = np.sort(len(keys) - 1 - last)
    lengths = np.bincount(owner[kept], minlength=len(users))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), items.take(pa.array(kept)))


def _matrix(lists: pa.ChunkedArray, items: Vocabulary) -> UserItemMatrix:
    """Lists of ids as rows of a matrix, values their places from 1; unknown ids are left out."""
    array = lists.combine_chunks()
    lengths = np.asarray(array.value_lengths()).astype(np.int64)
    owner = np.repeat(np.arange(len(array)), lengths)
    numbers = items.numbers(array.flatten())
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.arange(len(numbers)) - starts + 1
    known = numbers != UNKNOWN
    matrix: UserItemMatrix = sparse.csr_array(
        (places[known].astype(np.float32), (owner[known], numbers[known])),
        shape=(len(array), len(items)),
    )
    matrix.sort_indices()
    return matrix


def _binary(matrix: UserItemMatrix) -> UserItemMatrix:
    copy: UserItemMatrix = matrix.copy()
    copy.data[:] = 1
    return copy
