"""Lists of different lengths in one array."""

from __future__ import annotations

import numpy as np
import torch

from recsys.features.encoder import Ragged
from recsys.features.history import UserItemMatrix


def ragged_rows(matrix: UserItemMatrix) -> Ragged:
    """The columns stored in each row of a matrix, as lists."""
    return Ragged(
        codes=torch.from_numpy(matrix.indices.astype(np.int64)),
        offsets=torch.from_numpy(matrix.indptr.astype(np.int64)),
    )
