"""Rows with planted rules, for tests of the autoencoder."""

from __future__ import annotations

import numpy as np
import torch

from recsys.features.encoder import NUM_RESERVED, EncodedTable
from recsys.fraud.embedding.autoencoder import InputColumns

NUM_SHOPS, NUM_KINDS, NUM_HOURS, NUM_TOWNS = 20, 5, 5, 8
INPUTS = InputColumns(
    categorical={
        "shop": NUM_SHOPS + NUM_RESERVED,
        "kind": NUM_KINDS + NUM_RESERVED,
        "hour": NUM_HOURS + NUM_RESERVED,
        "town": NUM_TOWNS + NUM_RESERVED,
    },
    numeric=("amount",),
    targets=("shop", "kind", "hour", "amount"),
)
SHOP, KIND, HOUR, AMOUNT = range(4)


def planted(num_rows: int, seed: int) -> EncodedTable:
    """Each shop sells one kind, the hour sets the level of the amount; towns are noise."""
    rng = np.random.default_rng(seed)
    shop = rng.integers(0, NUM_SHOPS, num_rows)
    kind = shop % NUM_KINDS
    hour, town = (rng.integers(0, size, num_rows) for size in (NUM_HOURS, NUM_TOWNS))
    amount = hour - 2 + 0.1 * rng.normal(size=num_rows)
    return EncodedTable(
        categorical=torch.from_numpy(np.stack([shop, kind, hour, town], axis=1) + NUM_RESERVED),
        multi_hot=(),
        numeric=torch.from_numpy(np.stack([amount, 0 * amount], axis=1).astype(np.float32)),
        dense=(),
    )


def with_other_kind(rows: EncodedTable, places: np.ndarray, shift: int = 1) -> EncodedTable:
    """Some rows sell the next kind."""
    codes = rows.categorical.clone()
    codes[places, KIND] = NUM_RESERVED + (codes[places, KIND] - NUM_RESERVED + shift) % NUM_KINDS
    return EncodedTable(categorical=codes, multi_hot=(), numeric=rows.numeric, dense=())


def contaminated(num_rows: int, seed: int) -> tuple[EncodedTable, np.ndarray]:
    """Rows of which 3 % break the rule of their shop, each in one of the possible ways."""
    rows, is_fraud = planted(num_rows, seed), np.random.default_rng(seed).random(num_rows) < 0.03
    for shift, places in enumerate(np.array_split(is_fraud.nonzero()[0], NUM_KINDS - 1), start=1):
        rows = with_other_kind(rows, places, shift)
    return rows, is_fraud
