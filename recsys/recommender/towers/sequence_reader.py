"""Reading the latest items of a history in their order.

Shapes: B users, L places of the longest sequence, C items, D embedding width, P places in all.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.errors import DataError
from recsys.features.encoder import Ragged
from recsys.features.history import UserItemMatrix
from recsys.nn.attention import AttentionBlock
from recsys.recommender.config import SequenceConfig

_STEP = 8
"""Sequences are padded to a multiple of this, so that few sizes occur: the matrix library caches
something for each size."""
_CHUNK = 256
"""Users read at a time if only their last place is needed."""
_GAIN = 0.3
"""Initial size of a coordinate of an item vector, relative to 1 for a normalised one."""


class SequenceReader(nn.Module):
    """Maps histories to vectors of what comes next: the tower of SASRec, without its loss.

    Kang and McAuley 2018 (https://arxiv.org/abs/1808.09781). A sequence starts with a place that
    stands for everything earlier, so that a user without history has a vector too. Places are
    counted from the end: the latest item has the same place however long the history.

    Shape:
        - Input: lists of item numbers, latest last, and the candidate embeddings, (C, D)
        - Output: (B, D), or (P, D) for every place
    """

    def __init__(self, width: int, config: SequenceConfig, *, dropout: float) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(width) * width**-0.5)
        self.place = nn.Parameter(0.02 * torch.randn(config.max_items + 1, width))
        self.gain = nn.Parameter(torch.tensor(_GAIN * math.sqrt(width)))
        self.blocks = nn.ModuleList(
            AttentionBlock(width, num_heads=config.num_attention_heads, dropout=dropout)
            for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, histories: Ragged, item_CD: Tensor) -> Tensor:
        """What comes after each history. Shape (B, D)."""
        lengths_B = histories.offsets.diff()
        order_B = torch.argsort(lengths_B, stable=True)  # of one length, little is padded
        read = [
            self._after(*self._padded(histories.take(rows), item_CD))
            for rows in torch.split(order_B, _CHUNK)
        ]
        vectors_BD = torch.cat(read) if read else item_CD.new_zeros(0, item_CD.shape[1])
        return vectors_BD[torch.argsort(order_B)]

    def every_place(self, histories: Ragged, item_CD: Tensor) -> Tensor:
        """What comes before the first item of each history, after the first, and so on. (P, D)."""
        x_BLD, taken_BL = self._padded(histories, item_CD)
        for block in self.blocks:
            x_BLD = block(x_BLD, taken_BL)
        vectors_PD: Tensor = self.norm(x_BLD[taken_BL])
        return vectors_PD

    def _after(self, x_BLD: Tensor, taken_BL: Tensor) -> Tensor:
        final = cast("AttentionBlock", self.blocks[-1])
        for block in self.blocks[:-1]:
            x_BLD = block(x_BLD, taken_BL)
        vectors_BD: Tensor = self.norm(final.last(x_BLD, taken_BL))
        return vectors_BD

    def _padded(self, histories: Ragged, item_CD: Tensor) -> tuple[Tensor, Tensor]:
        """Sequences that end at one place, and which places are taken. (B, L, D) and (B, L)."""
        lengths_B = histories.offsets.diff()
        longest = int(lengths_B.max()) if len(lengths_B) else 0
        longest = min(-(-longest // _STEP) * _STEP, len(self.place) - 1)
        before_L = longest - torch.arange(longest + 1, device=lengths_B.device)  # items from here
        taken_BL = before_L <= lengths_B[:, None]
        opens_BL = before_L == lengths_B[:, None]
        codes_BL = torch.zeros_like(taken_BL, dtype=torch.int64)
        codes_BL[taken_BL & ~opens_BL] = histories.codes
        x_BLD = functional.embedding(codes_BL, item_CD) * self.gain
        x_BLD = torch.where(opens_BL[..., None], self.start, x_BLD)
        x_BLD = x_BLD + self.place[-(longest + 1) :]
        return self.dropout(x_BLD), taken_BL


def latest_items(histories: UserItemMatrix, max_items: int) -> Ragged:
    """The latest items of each row, latest last.

    Args:
        histories: Values are places in the history, ascending (`event_places`). Shape (B, C).
        max_items: Items of a row at most.

    Raises:
        DataError: Two items of a row have the same place, so that their order is unknown.
    """
    lengths_B = np.diff(histories.indptr)
    rows = np.repeat(np.arange(len(lengths_B)), lengths_B)
    order = np.lexsort((histories.data, rows))
    unplaced = np.diff(histories.data[order]) <= 0
    unplaced &= np.diff(rows) == 0
    if unplaced.any():
        raise DataError(
            file="histories",
            expected="a place of its own for each item of a user",
            got=f"{np.count_nonzero(unplaced)} items beside another one",
            remedy="make them with history_matrix(..., ordered=True)",
        )
    from_end = np.repeat(histories.indptr[1:], lengths_B) - np.arange(len(order))
    kept = order[from_end <= max_items]
    offsets = np.concatenate([[0], np.cumsum(np.minimum(lengths_B, max_items))])
    return Ragged(
        codes=torch.from_numpy(histories.indices[kept].astype(np.int64)),
        offsets=torch.from_numpy(offsets.astype(np.int64)),
    )
