"""Training the transaction autoencoder on rows that hold some frauds, without labels.

Shapes: N rows, B rows of a batch, C categorical columns, M numeric ones, T targets, V codes of a
column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recsys.arrays import Int64Array
from recsys.checkpoints import Carried, Checkpoints
from recsys.errors import DataError
from recsys.features.encoder import MISSING, UNSEEN, EncodedTable
from recsys.fraud.config import AutoencoderConfig
from recsys.fraud.embedding.autoencoder import (
    Autoencoder,
    FittedAutoencoder,
    InputColumns,
    Target,
    last_layer,
    numeric_loss,
)
from recsys.training import EpochResult, Epochs, TrainingConfig, fit

_MIN_BATCH_SIZE = 128
_MIN_BASELINE = 0.1  # or rare deviations of a nearly constant column would dominate
_SMOOTHING = 0.5  # pseudo-count of a term


def fit_autoencoder(
    encoded: EncodedTable,
    *,
    account_N: Int64Array,
    inputs: InputColumns,
    config: AutoencoderConfig,
    seed: int,
    on_epoch: Callable[[EpochResult], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[FittedAutoencoder, list[EpochResult]]:
    """Train an autoencoder.

    It learns from the cells that the encoder does not see. The loss of each is divided by a
    baseline, the loss of the best constant prediction for its column: a column of many terms has a
    cross-entropy of several nats, a numeric one a Huber loss below 1, and the former would dominate
    their plain sum. Rows of the highest loss in a batch are left out, and the weight of an account
    is limited, so that neither frauds nor one busy account become what is normal.

    Args:
        encoded: Training rows as the encoder gives them.
        account_N: Number of the account of each row, not negative. Shape (N,).
        inputs: What the columns of `encoded` are.
        config: What to train and how.
        seed: Seed of everything random; torch's own generator is left as it was.
        on_epoch: Called after each pass over the rows.
        checkpoints: Where training leaves checkpoints and goes on from them.

    Returns:
        The autoencoder, and the passes that were run.

    Raises:
        DataError: There is no row.
        TrainingError: A loss or a weight is not finite.
    """
    if not len(encoded):
        raise DataError(
            file="training rows",
            expected="at least one transaction to fit an autoencoder on",
            got="none",
            remedy="choose a training period that has transactions",
        )
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(encoded), generator=generator)[: config.max_rows]
    weight_N = account_weights(account_N, config.max_rows_per_account)[rows]
    table = encoded.take(rows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = Autoencoder(inputs, config)
    baseline_T = start_at_constants(module, table, weight_N, inputs.located())
    noise = Noise(inputs=inputs, config=config, generator=generator)
    with torch.random.fork_rng(devices=[]):  # a checkpoint restores torch's own generator
        results = _train(
            module,
            table,
            weight_N=weight_N,
            noise=noise,
            baseline_T=baseline_T,
            on_epoch=on_epoch,
            checkpoints=checkpoints,
        )
    return FittedAutoencoder(config=config, inputs=inputs, module=module), results


def account_weights(account_N: Int64Array, max_rows: float) -> Tensor:
    """Weights that limit an account's total to a multiple of the median account's rows.

    Args:
        account_N: Number of the account of each row. Shape (N,).
        max_rows: The multiple.

    Returns:
        Weight of each row, at most 1. Shape (N,), float32.
    """
    counts_A = np.bincount(account_N)
    limit = max_rows * np.median(counts_A[counts_A > 0])
    return torch.from_numpy(np.minimum(1, limit / counts_A[account_N]).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Noisy:
    """Rows as the encoder sees them while it trains."""

    table: EncodedTable
    """The rows, some cells of them altered."""
    altered: tuple[Tensor, ...]
    """For each target, the rows whose value is hidden from the encoder; only these are learned
    from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Noise:
    """What training does to rows before the encoder sees them."""

    inputs: InputColumns
    """What the columns are."""
    config: AutoencoderConfig
    """How often."""
    generator: torch.Generator
    """Draws which cells."""

    def __call__(self, clean: EncodedTable) -> Noisy:
        """Hide target cells, take others from another row, and make terms look unseen."""
        codes_BC, altered_BC = self._noisy_codes(clean.categorical)
        numeric_B2M, altered_BM = self._noisy_numbers(clean.numeric)
        return Noisy(
            table=EncodedTable(categorical=codes_BC, multi_hot=(), numeric=numeric_B2M, dense=()),
            altered=tuple(
                (altered_BC if target.num_codes else altered_BM)[:, target.number].nonzero()[:, 0]
                for target in self.inputs.located()
            ),
        )

    def _noisy_codes(self, codes_BC: Tensor) -> tuple[Tensor, Tensor]:
        hidden_BC, swapped_BC = self._draw(len(codes_BC), tuple(self.inputs.categorical))
        unseen_BC = self._uniform(codes_BC.shape) < self.config.unseen_rate
        noisy_BC = torch.where(swapped_BC, self._shuffled(codes_BC), codes_BC)
        noisy_BC.masked_fill_(unseen_BC, UNSEEN).masked_fill_(hidden_BC, MISSING)
        return noisy_BC, hidden_BC | swapped_BC | unseen_BC

    def _noisy_numbers(self, numeric_B2M: Tensor) -> tuple[Tensor, Tensor]:
        hidden_BM, swapped_BM = self._draw(len(numeric_B2M), self.inputs.numeric)
        both_B2M = torch.cat([swapped_BM, swapped_BM], dim=1)
        noisy_B2M = torch.where(both_B2M, self._shuffled(numeric_B2M), numeric_B2M)
        value_BM, null_BM = noisy_B2M.chunk(2, dim=1)
        value_BM.masked_fill_(hidden_BM, 0)
        null_BM.masked_fill_(hidden_BM, 1)
        return noisy_B2M, hidden_BM | swapped_BM

    def _draw(self, num_rows: int, columns: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """Which target cells to hide, and which others to swap. Shapes (B, columns)."""
        is_target = torch.tensor([name in self.inputs.targets for name in columns])
        uniform = self._uniform((num_rows, len(columns)))
        hidden = uniform < self.config.mask_rate
        changed = uniform < self.config.mask_rate + self.config.swap_rate
        return hidden & is_target, changed & ~hidden & is_target

    def _shuffled(self, cells: Tensor) -> Tensor:
        """The rows in another order."""
        return cells[torch.randperm(len(cells), generator=self.generator)]

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=self.generator)


def start_at_constants(
    module: Autoencoder, table: EncodedTable, weight_N: Tensor, targets: tuple[Target, ...]
) -> Tensor:
    """Set the heads to the best constant prediction of each target; the loss of that. Shape (T,).

    Args:
        module: A network at its start, whose heads are zero.
        table: Training rows.
        weight_N: Weight of each row. Shape (N,).
        targets: What the heads predict.

    Returns:
        Entropy of each categorical target, mean Huber loss about the median of each numeric one;
        at least a tenth.
    """
    baselines = []
    with torch.no_grad():
        for target, head in zip(targets, module.heads, strict=True):
            bias_V, loss_N = _best_constant(table, weight_N, target)
            last_layer(head).bias.copy_(bias_V)
            baselines.append((loss_N * weight_N).sum() / weight_N.sum())
    return torch.stack(baselines).clamp(min=_MIN_BASELINE)


def column_loss(prediction: Tensor, table: EncodedTable, target: Target) -> Tensor:
    """Loss of a head on each row: cross-entropy or Huber loss. Shape (B,)."""
    if target.num_codes:
        codes_B = table.categorical[:, target.number]
        return functional.cross_entropy(prediction, codes_B, reduction="none")
    return numeric_loss(prediction[:, 0], table, target)


def _best_constant(table: EncodedTable, weight_N: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Log shares of the codes of a column, or the median of its values; the loss of each row."""
    if target.num_codes:
        codes_N = table.categorical[:, target.number]
        counts_V = torch.bincount(codes_N, weight_N, minlength=target.num_codes) + _SMOOTHING
        log_share_V = (counts_V / counts_V.sum()).log()
        return log_share_V, -log_share_V[codes_N]
    value_N = table.numeric[:, target.number]
    null_N = table.numeric[:, table.numeric.shape[1] // 2 + target.number]
    median = value_N.masked_fill(null_N > 0, math.nan).nanmedian().nan_to_num()
    return median, numeric_loss(median.expand(len(table)), table, target)


def _train(
    module: Autoencoder,
    table: EncodedTable,
    *,
    weight_N: Tensor,
    noise: Noise,
    baseline_T: Tensor,
    on_epoch: Callable[[EpochResult], None] | None,
    checkpoints: Checkpoints | None,
) -> list[EpochResult]:
    config, targets, num_rows = noise.config, noise.inputs.located(), len(table)
    batch_size = min(config.batch_size, max(_MIN_BATCH_SIZE, num_rows // 40))
    num_batches = math.ceil(num_rows / batch_size)

    def draw(_epoch: int) -> Iterator[Tensor]:
        order_N = torch.randperm(num_rows, generator=noise.generator)
        yield from order_N.tensor_split(num_batches)

    def step(rows_B: Tensor) -> Tensor:
        clean, weight_B = table.take(rows_B), weight_N[rows_B]
        loss_B = reconstruction_loss(module, clean, noise(clean), targets, baseline_T)
        weight_B = trimmed(weight_B, loss_B.detach(), config.trim_share)
        return (loss_B * weight_B).sum() / weight_B.sum()

    return fit(
        module,
        epochs=Epochs(num_batches=num_batches, draw=draw, num_examples=len),
        step=step,
        optimizers=[torch.optim.Adam(module.parameters(), lr=config.learning_rate)],
        config=TrainingConfig(num_epochs=math.ceil(config.num_steps / num_batches)),
        on_epoch=on_epoch,
        checkpoints=checkpoints,
        carried=Carried(generators=(noise.generator,)),
    )


def reconstruction_loss(
    module: Autoencoder,
    clean: EncodedTable,
    noisy: Noisy,
    targets: tuple[Target, ...],
    baseline_T: Tensor,
) -> Tensor:
    """Loss of the altered cells of each row, in units of the baselines. Shape (B,)."""
    embedding_BD = module.embed(noisy.table)
    loss_B = embedding_BD.new_zeros(len(clean))
    heads = zip(module.heads, targets, noisy.altered, baseline_T, strict=True)
    for head, target, rows, baseline in heads:
        loss = column_loss(head(embedding_BD[rows]), clean.take(rows), target)
        loss_B = loss_B.index_add(0, rows, loss / baseline)
    return loss_B


def trimmed(weight_B: Tensor, loss_B: Tensor, share: float) -> Tensor:
    """Weights with 0 for a share of the rows, those of the highest loss. Shape (B,)."""
    highest = loss_B.topk(int(share * len(loss_B))).indices
    return weight_B.index_fill(0, highest, 0)
