"""Noise of the autoencoder's training: how often, where, and that it is told."""

from __future__ import annotations

import pytest
import torch
from planted_rows import AMOUNT, HOUR, INPUTS, KIND, SHOP, planted

from recsys.features.encoder import MISSING, UNSEEN, EncodedTable
from recsys.fraud.config import AutoencoderConfig
from recsys.fraud.embedding.autoencoder_training import Noise


@pytest.fixture(scope="module")
def noisy_rows() -> tuple[EncodedTable, EncodedTable, tuple[torch.Tensor, ...]]:
    """Rows, the same with noise, and where each target was altered."""
    noise = Noise(
        inputs=INPUTS, config=AutoencoderConfig(), generator=torch.Generator().manual_seed(0)
    )
    clean = planted(20_000, seed=7)
    noisy = noise(clean)
    return clean, noisy.table, noisy.altered


def test_noise_alters_targets_at_its_rates(
    noisy_rows: tuple[EncodedTable, EncodedTable, tuple[torch.Tensor, ...]],
) -> None:
    """Of target cells 30 % are hidden, 10 % come from other rows, and 5 % of the rest is unseen."""
    clean, noisy, altered = noisy_rows
    for column in (SHOP, KIND, HOUR):
        codes = noisy.categorical[:, column]
        assert float((codes == MISSING).float().mean()) == pytest.approx(0.3, abs=0.02)
        assert float((codes == UNSEEN).float().mean()) == pytest.approx(0.035, abs=0.01)
        assert len(altered[column]) / len(clean) == pytest.approx(0.43, abs=0.02)
    hidden = (noisy.numeric == torch.tensor([0.0, 1.0])).all(dim=1)
    assert float(hidden.float().mean()) == pytest.approx(0.3, abs=0.02)
    assert len(altered[AMOUNT]) / len(clean) == pytest.approx(0.4, abs=0.02)


def test_noise_swaps_values_of_the_same_column(
    noisy_rows: tuple[EncodedTable, EncodedTable, tuple[torch.Tensor, ...]],
) -> None:
    """A number that is neither the row's own nor hidden is one of another row."""
    clean, noisy, _ = noisy_rows
    shown = noisy.numeric[:, 1] == 0
    swapped = shown & (noisy.numeric[:, 0] != clean.numeric[:, 0])
    assert int(swapped.sum()) > 1000
    assert torch.isin(noisy.numeric[swapped, 0], clean.numeric[:, 0]).all()


def test_noise_tells_what_it_altered(
    noisy_rows: tuple[EncodedTable, EncodedTable, tuple[torch.Tensor, ...]],
) -> None:
    """Every target cell that differs is among the altered ones: nothing is learned in sight."""
    clean, noisy, altered = noisy_rows
    for column in (SHOP, KIND, HOUR):
        differs = noisy.categorical[:, column] != clean.categorical[:, column]
        assert torch.isin(differs.nonzero()[:, 0], altered[column]).all()
    differs = (noisy.numeric != clean.numeric).any(dim=1)
    assert torch.isin(differs.nonzero()[:, 0], altered[AMOUNT]).all()


def test_noise_leaves_the_profile_but_for_unseen_terms(
    noisy_rows: tuple[EncodedTable, EncodedTable, tuple[torch.Tensor, ...]],
) -> None:
    """What is constant within an account is neither hidden nor swapped."""
    clean, noisy, _ = noisy_rows
    town, before = noisy.categorical[:, 3], clean.categorical[:, 3]
    assert ((town == before) | (town == UNSEEN)).all()
    assert float((town == UNSEEN).float().mean()) == pytest.approx(0.05, abs=0.01)
