"""The transaction autoencoder: an embedding of a row, and how surprising each of its values is.

A masked denoising autoencoder (Vincent et al. 2008, ICML) of mixed columns. Target columns are
reconstructed; the others, what is constant within an account, are inputs alone. The surprise of a
value is its loss when the encoder does not see it: for a categorical column the term of the
pseudo-likelihood (Besag 1975), -log p(value | the other columns).

Shapes: N rows, B rows of a block or batch, C categorical columns, M numeric ones, T targets,
V codes of a column, H width of a hidden layer, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.arrays import Float32Array
from recsys.errors import ConfigError
from recsys.features.encoder import (
    MISSING,
    EncodedSizes,
    EncodedTable,
    TableEncoder,
)
from recsys.fraud.config import AutoencoderConfig
from recsys.fraud.embedding.code_surprise import code_surprise
from recsys.fraud.embedding.embedded_linear import EmbeddedLinear
from recsys.nn.embedding import FeatureEmbedding
from recsys.nn.mlp import MLP
from recsys.nn.threads import one_thread_an_operation

BLOCK_ROWS = 3360
"""Rows that are measured at once; a multiple of every number of threads up to 8. Otherwise the
parts of two threads would meet within a row, where vector and scalar code differ in the last
bit."""


@dataclass(frozen=True)
class Target:
    """A column to reconstruct."""

    name: str
    """Name of the column."""
    number: int
    """Its place among the columns of its kind."""
    num_codes: int
    """Number of codes, the reserved ones included; 0 for a numeric column."""


@dataclass(frozen=True, kw_only=True)
class InputColumns:
    """Columns of an encoded table by name and kind, and those among them to reconstruct."""

    categorical: Mapping[str, int]
    """Number of codes of each categorical column, reserved ones included, in the table's order."""
    numeric: tuple[str, ...]
    """Numeric columns in the table's order."""
    targets: tuple[str, ...]
    """Columns to reconstruct; all others are only read."""

    def __post_init__(self) -> None:
        """Refuse targets that are not columns.

        Raises:
            ConfigError: There is no target, one that is not a column, or the same one twice.
        """
        known = (*self.categorical, *self.numeric)
        wrong = [name for name in self.targets if name not in known]
        if wrong or not self.targets or len(set(self.targets)) < len(self.targets):
            raise ConfigError(
                f"autoencoder: expected different targets among {', '.join(known)}, "
                f"got {', '.join(wrong or self.targets) or 'none'}; name columns that are encoded"
            )

    @classmethod
    def of(cls, encoder: TableEncoder, targets: Sequence[str]) -> InputColumns:
        """The columns of an encoder.

        Raises:
            ConfigError: The encoder has columns that are neither categorical nor numeric, or the
                targets are not among its columns.
        """
        others = [*encoder.multi_hot, *encoder.dense]
        if others:
            raise ConfigError(
                f"autoencoder: expected categorical and numeric columns, got {', '.join(others)} "
                "of another kind; change the kind or remove the column"
            )
        sizes = dict(zip(encoder.categorical, encoder.sizes.categorical, strict=True))
        return cls(categorical=sizes, numeric=tuple(encoder.numeric), targets=tuple(targets))

    @property
    def sizes(self) -> EncodedSizes:
        """What a network must know of the encoder."""
        return EncodedSizes(
            categorical=tuple(self.categorical.values()),
            multi_hot=(),
            num_numeric=len(self.numeric),
            dense=(),
        )

    def located(self) -> tuple[Target, ...]:
        """Each target with its place in the table."""
        terms = list(self.categorical)
        return tuple(
            Target(name, terms.index(name), self.categorical[name])
            if name in self.categorical
            else Target(name, self.numeric.index(name), 0)
            for name in self.targets
        )


class Autoencoder(nn.Module):
    """Rows to embeddings, and embeddings to a prediction for each target.

    Embeddings have mean 0 and variance 1 over their dimensions (a layer norm without weights), so
    that all of them lie on one sphere and distances compare. Heads start at zero except for the
    bias of the last layer, which training sets to the best constant prediction.

    Shape:
        - Input: an `EncodedTable` of B rows
        - Output: (B, D), and for each target logits (B, V) or a predicted value (B, 1)

    Examples:
        >>> columns = InputColumns(categorical={"shop": 9}, numeric=("age",), targets=("shop",))
        >>> module = Autoencoder(columns, AutoencoderConfig())
        >>> rows = EncodedTable(
        ...     categorical=torch.tensor([[2], [8]]), multi_hot=(), numeric=torch.zeros(2, 2),
        ...     dense=(),
        ... )
        >>> embedding_BD, (shop_BV,) = module(rows)
        >>> embedding_BD.shape, shop_BV.shape
        (torch.Size([2, 16]), torch.Size([2, 9]))
    """

    def __init__(self, columns: InputColumns, config: AutoencoderConfig) -> None:
        super().__init__()
        self.features = FeatureEmbedding(columns.sizes)
        self.encoder = MLP(self.features.output_dim, config.hidden_dims, config.embedding_dim)
        # An MLP starts at zero, where a layer norm has no gradient.
        nn.init.xavier_uniform_(last_layer(self.encoder).weight)
        self.heads = nn.ModuleList(
            MLP(config.embedding_dim, config.hidden_dims, target.num_codes or 1)
            for target in columns.located()
        )

    def forward(self, table: EncodedTable) -> tuple[Tensor, list[Tensor]]:
        """Embeddings and predictions."""
        embedding_BD = self.embed(table)
        return embedding_BD, [head(embedding_BD) for head in self.heads]

    def embed(self, table: EncodedTable) -> Tensor:
        """Embeddings alone. Shape (B, D)."""
        return _normalised(self.encoder(self.features(table)))


def last_layer(mlp: nn.Module) -> nn.Linear:
    """The layer of an `MLP` that gives its output."""
    return cast("nn.Linear", cast("MLP", mlp).layers[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Embeddings and surprise of N rows."""

    embedding_ND: Float32Array  # noqa: N815 - the shape, as everywhere
    """Embedding of each row. Shape (N, D)."""
    surprise_NT: Float32Array  # noqa: N815
    """Loss of each target when it is hidden, not negative: nats of a categorical one, Huber loss
    of the scaled deviation of a numeric one, 0 where that is null. Shape (N, T)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedAutoencoder:
    """A trained autoencoder and what it has to know of its input."""

    config: AutoencoderConfig
    """How it was made."""
    inputs: InputColumns
    """What it reads, and what it reconstructs."""
    module: Autoencoder
    """The network, on the CPU."""

    @classmethod
    def restore(
        cls, config: AutoencoderConfig, inputs: InputColumns, state: Mapping[str, Tensor]
    ) -> FittedAutoencoder:
        """The autoencoder whose `state_dict` was stored; it measures exactly as that one did."""
        with torch.random.fork_rng(devices=[]):
            module = Autoencoder(inputs, config)
        module.load_state_dict(state)
        return cls(config=config, inputs=inputs, module=module.eval())

    @property
    def columns(self) -> tuple[str, ...]:
        """Targets in the order of the columns of `Measured.surprise_NT`."""
        return self.inputs.targets

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """Weights of the network by name."""
        return dict(self.module.state_dict())

    def measure(self, encoded: EncodedTable) -> Measured:
        """Embed rows and measure how surprising each of their values is.

        A term that training did not see counts as the least likely of all terms in its row. A row
        has the same result whatever rows it is measured with.

        Args:
            encoded: N rows as the encoder gives them.
        """
        num_rows = len(encoded)
        embedding_ND = torch.empty(num_rows, self.config.embedding_dim)
        surprise_NT = torch.empty(num_rows, len(self.columns))
        with torch.inference_mode():
            first = EmbeddedLinear.of(
                self.module.features, cast("nn.Linear", self.module.encoder.layers[0])
            )

        @torch.inference_mode()
        def measure_block(start: int) -> None:
            rows = slice(start, min(start + BLOCK_ROWS, num_rows))
            block = _padded(encoded, rows)
            used = slice(0, rows.stop - start)
            embedding_BD, *surprises = self._measured(first, block)
            embedding_ND[rows] = embedding_BD[used]
            torch.stack([surprise_B[used] for surprise_B in surprises], 1, out=surprise_NT[rows])

        with one_thread_an_operation() as num_threads, ThreadPoolExecutor(num_threads) as pool:
            list(pool.map(measure_block, range(0, num_rows, BLOCK_ROWS)))
        return Measured(embedding_ND=embedding_ND.numpy(), surprise_NT=surprise_NT.numpy())

    def _measured(self, first: EmbeddedLinear, block: EncodedTable) -> Iterator[Tensor]:
        """Embedding, then the surprise of each target in turn. Shapes (B, D), then (B,)."""
        yield self._embed(first(block))
        for target, head in zip(self.inputs.located(), self.module.heads, strict=True):
            embedding_BD = self._embed(first(hide(block, target)))
            *layers, last = cast("MLP", head).layers
            hidden_BH = _through(layers, embedding_BD)
            if target.num_codes:
                codes_B = block.categorical[:, target.number]
                yield code_surprise(hidden_BH, cast("nn.Linear", last), codes_B)
            else:
                yield numeric_loss(last(hidden_BH)[:, 0], block, target)

    def _embed(self, read_BH: Tensor) -> Tensor:
        """The embedding, from what the first layer gives. Shape (B, D)."""
        return _normalised(_through(list(self.module.encoder.layers)[1:], read_BH))


def hide(table: EncodedTable, target: Target) -> EncodedTable:
    """The same rows with one column missing."""
    categorical, numeric = table.categorical, table.numeric
    if target.num_codes:
        categorical = categorical.clone()
        categorical[:, target.number] = MISSING
    else:
        numeric = numeric.clone()
        numeric[:, target.number] = 0
        numeric[:, numeric.shape[1] // 2 + target.number] = 1
    return EncodedTable(categorical=categorical, multi_hot=(), numeric=numeric, dense=())


def numeric_loss(prediction_B: Tensor, table: EncodedTable, target: Target) -> Tensor:
    """Huber loss of the scaled values of a numeric column, 0 where they are null. Shape (B,)."""
    null_B = table.numeric[:, table.numeric.shape[1] // 2 + target.number]
    value_B = table.numeric[:, target.number]
    return functional.huber_loss(prediction_B, value_B, reduction="none") * (1 - null_B)


def _through(layers: Sequence[nn.Module], x_BD: Tensor) -> Tensor:
    """Output of layers without dropout."""
    for layer in layers:
        if not isinstance(layer, nn.Dropout):
            x_BD = layer(x_BD)
    return x_BD


def _normalised(x_BD: Tensor) -> Tensor:
    return functional.layer_norm(x_BD, x_BD.shape[1:])


def _padded(table: EncodedTable, rows: slice) -> EncodedTable:
    """Rows padded with zeros to a whole block."""
    missing = BLOCK_ROWS - (rows.stop - rows.start)
    return EncodedTable(
        categorical=functional.pad(table.categorical[rows], (0, 0, 0, missing)),
        multi_hot=(),
        numeric=functional.pad(table.numeric[rows], (0, 0, 0, missing)),
        dense=(),
    )
