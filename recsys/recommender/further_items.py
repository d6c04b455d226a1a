"""Items of users from events that the model did not learn from, which lists leave out as well.

Shapes: U users, B users of a call, C items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from recsys.features.history import UserItemMatrix, rows_or_empty, user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.schema import USER_ID


@dataclass(frozen=True, kw_only=True, eq=False)
class FurtherItems:
    """Items of users that the histories of a model lack, such as those of events beyond a cap.

    It may also hold users whom the model does not know at all.
    """

    users: Vocabulary
    """The users who have any."""
    items: UserItemMatrix
    """What they have. Shape (U, C)."""

    @classmethod
    def beyond(
        cls, had: pa.Table, histories: UserItemMatrix, *, users: Vocabulary, items: Vocabulary
    ) -> FurtherItems | None:
        """Items in interactions that are not in the histories; None if there are none.

        Args:
            had: All interactions, learnt from or not.
            histories: Those learnt from. Shape (known users, C).
            users: The known users.
            items: The catalogue.
        """
        everyone = Vocabulary.fit(had[USER_ID])
        matrix = user_item_matrix(had, users=everyone, items=items)
        learnt = rows_or_empty(histories, users.numbers(everyone.terms))
        rows = np.repeat(np.arange(len(everyone)), np.diff(matrix.indptr))
        learnt_rows = np.repeat(np.arange(len(everyone)), np.diff(learnt.indptr))
        is_new = ~np.isin(
            rows * len(items) + matrix.indices, learnt_rows * len(items) + learnt.indices
        )
        if not is_new.any():
            return None
        owners, new_rows = np.unique(rows[is_new], return_inverse=True)
        found: UserItemMatrix = sparse.csr_array(
            (matrix.data[is_new], (new_rows, matrix.indices[is_new])),
            shape=(len(owners), len(items)),
        )
        return cls(users=Vocabulary(everyone.terms.take(pa.array(owners))), items=found)

    def rows(self, user_ids: pa.Array) -> UserItemMatrix:
        """Their items, empty rows for all others. Shape (B, C)."""
        return rows_or_empty(self.items, self.users.numbers(user_ids))
