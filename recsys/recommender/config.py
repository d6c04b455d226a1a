"""Settings of the recommender, in a module of their own: reading a config file loads no torch."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from recsys.config import config_class
from recsys.errors import ConfigError
from recsys.training import TrainingConfig

IndexKind = Literal["exact", "ivf", "hnsw"]
"""The searches there are."""


_MAX_OWN_VECTORS = 100_000
"""Users beyond which a vector for each of them takes more memory than the rest of training."""


@config_class
class SequenceConfig:
    """How a query tower reads the latest items in order."""

    max_items: int = Field(default=200, ge=1)
    """Latest items of a history that are read."""
    num_blocks: int = Field(default=1, ge=1)
    """Blocks of self-attention."""
    num_attention_heads: int = Field(default=2, ge=1)
    """Parts of a block that attend by themselves."""


@config_class
class TwoTowerConfig:
    """What is trained."""

    query: Literal["history", "sequence"] = "history"
    """How the query tower reads the history: `history` sums over its items, for what a user likes
    at any time; `sequence` is self-attention over the latest of them in order, for what comes
    next."""
    sequence: SequenceConfig = SequenceConfig()
    """How a sequence is read, where that is asked for."""

    embedding_dim: int = Field(default=256, ge=1)
    """Width of the shared space."""
    num_heads: int = Field(default=1, ge=1)
    """Equal parts of the vectors, each trained with a softmax of its own: an ensemble whose mean
    score is one inner product."""
    prefix_dims: tuple[int, ...] = ()
    """Widths at which the first dimensions alone are trained to work, too (Matryoshka); the first
    head works alone without being named here."""
    hidden_dims: tuple[int, ...] = (128,)
    """Widths of the hidden layers that features go through."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of hidden units left out while training."""
    user_embedding: bool | None = None
    """Whether each known user has a vector of their own, beside history and features; by default
    where there are at most 100,000 of them and the history is not read as a sequence."""
    history_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Share of a user's history that the query tower does not see while training. Chosen on
    validation data where it is not set."""
    newcomer_share: float = Field(default=0.2, ge=0, lt=1)
    """Share of users in training who are treated as newcomers: without a vector of their own and,
    where users have features, half of them also without history."""
    temperature: float | None = Field(default=None, ge=0.03)
    """What cosines are divided by in the loss; lower means harder negatives count more. Chosen on
    validation data where it is not set."""
    propagation: float | None = Field(default=None, ge=0, le=2)
    """Weight of propagation, which adds the vectors of an item's users to its own; 0 for none.
    Chosen on validation data where it is not set."""
    loss: Literal["auto", "softmax", "sampled_softmax"] = "auto"
    """Softmax over the whole catalogue or over a sample of it; auto decides by
    `exact_max_items`."""
    exact_max_items: int = Field(default=60_000, ge=1)
    """Largest catalogue for which auto takes the exact softmax."""
    num_uniform_negatives: int = Field(default=2048, ge=0)
    """Items drawn uniformly into each sample, beside the positives of the batch."""
    warm_start: bool = True
    """Whether item vectors start from a truncated SVD of the interactions."""

    def for_users(self, num_users: int) -> TwoTowerConfig:
        """The config with the settings that depend on the number of users."""
        if self.user_embedding is not None:
            return self
        wanted = num_users <= _MAX_OWN_VECTORS and not self.reads_order
        return replace(self, user_embedding=wanted)

    @property
    def reads_order(self) -> bool:
        """Whether the order of a history matters."""
        return self.query == "sequence"

    @property
    def given_propagation(self) -> float | None:
        """The weight of propagation, where it is not searched for."""
        return 0.0 if self.reads_order else self.propagation

    @property
    def given_history_dropout(self) -> float | None:
        """The share that is not seen, where it is not searched for."""
        return 0.0 if self.reads_order else self.history_dropout

    @property
    def leaves_open(self) -> bool:
        """Whether a setting is to be chosen on validation data."""
        return None in (self.temperature, self.given_propagation, self.given_history_dropout)

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.embedding_dim // self.num_heads

    @property
    def trained_widths(self) -> tuple[int, ...]:
        """Widths that work alone, ascending: prefixes, the first head, and the whole."""
        return tuple(sorted({*self.prefix_dims, self.head_dim, self.embedding_dim}))

    @model_validator(mode="after")
    def _sequence_fits(self) -> Self:
        if not self.reads_order:
            return self
        if self.propagation:
            raise ValueError(
                "expected no propagation beside query = 'sequence', "
                f"got {self.propagation:g}; leave propagation out, or set query = 'history'"
            )
        if self.embedding_dim % self.sequence.num_attention_heads:
            raise ValueError(
                "expected an embedding_dim that sequence.num_attention_heads divides, "
                f"got {self.embedding_dim} and {self.sequence.num_attention_heads}; set both"
            )
        return self

    @model_validator(mode="after")
    def _heads_are_equal(self) -> Self:
        if self.embedding_dim % self.num_heads:
            raise ValueError(
                "expected an embedding_dim that num_heads divides, "
                f"got {self.embedding_dim} and {self.num_heads}; set both"
            )
        return self

    @model_validator(mode="after")
    def _prefixes_ascend_below_the_width(self) -> Self:
        dims = (*self.prefix_dims, self.embedding_dim)
        if any(narrow >= wide for narrow, wide in itertools.pairwise(dims)) or dims[0] < 1:
            raise ValueError(
                "expected prefix_dims that ascend and stay below embedding_dim, "
                f"got {list(self.prefix_dims)} and {self.embedding_dim}; set both, or "
                "prefix_dims = []"
            )
        return self


@config_class
class RecommenderConfig:
    """What to train and how."""

    model: TwoTowerConfig = TwoTowerConfig()
    """The towers."""
    training: TrainingConfig = TrainingConfig()
    """The loop."""


@config_class
class EvaluationConfig:
    """What is measured on the test part."""

    k: int = Field(default=20, ge=1, le=2**31 - 1)
    """Length of the lists that are measured; in a config file, that of the written ones (`lists.k`)
    where it is not set. No list is longer than the catalogue."""
    segments: tuple[str, ...] = ()
    """Categorical features of users to report quality by, beside the length of their history."""


@config_class
class IndexConfig:
    """What index to build and how good it has to be."""

    kind: Literal["auto", "exact", "ivf", "hnsw"] = "auto"
    """`auto` is exact up to `exact_max_items` items and IVF beyond."""
    exact_max_items: int = Field(default=100_000, ge=0)
    """Largest catalogue that `auto` searches exactly."""
    prefix_dim: int | None = Field(default=None, gt=0)
    """Index only the first dimensions of vectors that were trained for it (Matryoshka). Vectors of
    unit length are brought back to it after the cut, and so are their queries."""
    recall_k: int = Field(default=20, gt=0)
    """List length at which the recall has to be reached."""
    min_recall: float = Field(default=0.95, gt=0, le=1)
    """Recall against exact search that an approximate index must reach; else exact search it is."""
    num_recall_queries: int = Field(default=1000, gt=0)
    """How many of the sample queries measure the recall."""
    hnsw_m: int = Field(default=32, ge=4, le=256)
    """Links of a vector in the HNSW graph."""
    hnsw_ef_construction: int = Field(default=200, ge=8)
    """Effort of linking a vector into the HNSW graph."""
    ivf_lists: int | None = Field(default=None, gt=0)
    """Lists of the IVF index; None for four times the square root of the catalogue size."""

    def kind_for(self, num_items: int) -> IndexKind:
        """The kind of index for a catalogue."""
        if self.kind != "auto":
            return self.kind
        return "exact" if num_items <= self.exact_max_items else "ivf"

    def dim_for(self, embedding_dim: int) -> int:
        """The width to index of vectors of a given width.

        Raises:
            ConfigError: The prefix is wider than the vectors.
        """
        if self.prefix_dim is not None and self.prefix_dim > embedding_dim:
            raise ConfigError(
                f"prefix_dim: expected at most the {embedding_dim} dimensions of the embeddings,"
                f" got {self.prefix_dim}"
            )
        return self.prefix_dim or embedding_dim

    def num_lists_for(self, num_items: int) -> int:
        """The number of IVF lists for a catalogue.

        Raises:
            ConfigError: More lists than items.
        """
        if self.ivf_lists is None:
            # Fewer than 39 vectors a list are too few for k-means, says faiss.
            return max(1, min(4 * math.isqrt(num_items), num_items // 39))
        if self.ivf_lists > num_items:
            raise ConfigError(
                f"ivf_lists: expected at most the {num_items} items, got {self.ivf_lists}"
            )
        return self.ivf_lists


def of_width(config: TwoTowerConfig, embedding_dim: int) -> TwoTowerConfig:
    """The config for narrower vectors, with one head where the width does not divide."""
    if embedding_dim == config.embedding_dim:
        return config
    return replace(
        config,
        embedding_dim=embedding_dim,
        num_heads=1 if embedding_dim % config.num_heads else config.num_heads,
        prefix_dims=tuple(width for width in config.prefix_dims if width < embedding_dim),
    )
