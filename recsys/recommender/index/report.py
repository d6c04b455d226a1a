"""What was measured of an index: recall and speed."""

from __future__ import annotations

from pydantic import JsonValue

from recsys.config import config_class, config_to_dict
from recsys.recommender.config import IndexKind


@config_class
class OperatingPoint:
    """One setting of a search and what it was measured to do."""

    list_length: int
    """How many items are asked for."""
    effort: int
    """`nprobe` of an IVF index, `efSearch` of an HNSW index, 0 for exact search."""
    recall: float
    """Share of the last ranks of the exact list that are found."""
    recall_low: float
    """The recall less two standard errors of its mean over the queries."""
    queries_per_s: float
    """Queries answered in a second, in one batch, with the threads of the run."""


@config_class
class IndexReport:
    """What was built, and what it was measured to do."""

    kind: IndexKind
    """The search that is used."""
    num_items: int
    """Size of the catalogue."""
    embedding_dim: int
    """Width of the model's vectors."""
    dim: int
    """Width of the indexed vectors."""
    unit_norm: bool
    """Whether all item vectors have unit length, so that inner products are cosines."""
    build_s: float
    """Seconds to train and fill the index."""
    size_bytes: int
    """Size of the index as saved."""
    recall_k: int
    """List length of the recall."""
    num_recall_queries: int
    """Queries that it was measured on."""
    recall: float
    """Recall at `recall_k` against exact search with the chosen effort."""
    chosen: tuple[OperatingPoint, ...]
    """The effort for each list length; longer lists are searched exactly. None for exact search."""
    operating_points: tuple[OperatingPoint, ...]
    """Everything that was measured, exact search included: the curve of recall against speed."""
    notes: tuple[str, ...]
    """What a reader should know, e.g. that the wanted index did not reach the recall."""

    def to_dict(self) -> dict[str, JsonValue]:
        """The report as JSON has it."""
        return config_to_dict(self)
