"""What index to build and how good it has to be."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from recsys.config import config_class
from recsys.errors import ConfigError
from recsys.recommender.index.report import IndexKind


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
