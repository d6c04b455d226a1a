"""Search of the item vectors of one model, measured against exact search when it is built.

Shapes: B queries, C items, D width of the model's vectors, P width of the indexed vectors, K list
length.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from recsys.arrays import BoolArray, Float32Array, Int64Array
from recsys.artifacts import Bundle, read_bundle, write_bundle
from recsys.config import config_to_dict, parse_config
from recsys.errors import ArtifactError, ConfigError
from recsys.recommender.config import IndexConfig
from recsys.recommender.index.calibration import calibrate
from recsys.recommender.index.child import check_in_child
from recsys.recommender.index.report import IndexReport
from recsys.recommender.index.store import VectorStore
from recsys.recommender.ranking.ranker import UserItems
from recsys.recommender.ranking.topk import Embeddings, masked_top_k, unit_vectors

BUNDLE_KIND = "item-index"
"""Kind of the bundle that an index is saved as."""

_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemIndex:
    """Searches the item vectors of one model.

    Examples:
        >>> vectors_CD = np.eye(3, dtype=np.float32)
        >>> index = ItemIndex.build(
        ...     vectors_CD,
        ...     config=IndexConfig(),
        ...     model_fingerprint="0" * 64,
        ...     sample_queries_BD=vectors_CD,
        ...     seed=0,
        ... )
        >>> items_BK, scores_BK = index.search(np.array([[1, 3, 2]], dtype=np.float32), 2)
        >>> items_BK.tolist(), scores_BK.tolist()
        ([[1, 2]], [[3.0, 2.0]])
    """

    report: IndexReport
    """What was built."""
    config: IndexConfig
    """What was asked for."""
    model_fingerprint: str
    """The model whose vectors these are."""
    store: VectorStore
    """The indexed vectors."""

    @classmethod
    def build(
        cls,
        item_embeddings_CD: Embeddings,
        *,
        config: IndexConfig,
        model_fingerprint: str,
        sample_queries_BD: Embeddings,
        seed: int,
    ) -> ItemIndex:
        """Index the item vectors and find the effort that reaches the wanted recall.

        HNSW built with several threads gives a different graph each time; IVF and exact are
        reproducible.

        Args:
            item_embeddings_CD: Item vectors, row by item number. Shape (C, D).
            config: What to build.
            model_fingerprint: Fingerprint of the model that made the vectors.
            sample_queries_BD: Queries like those to come; an approximate index needs some. Shape
                (B, D).
            seed: Draws the recall queries and the first centres of IVF.

        Raises:
            ArtifactError: No items, no sample queries for an approximate index, vectors that are
                not finite, or widths that do not fit.
            ConfigError: A prefix wider than the vectors, or more IVF lists than items.
        """
        _check_vectors(item_embeddings_CD, sample_queries_BD)
        embedding_dim = item_embeddings_CD.shape[1]
        dim, unit_norm = config.dim_for(embedding_dim), _has_unit_norm(item_embeddings_CD)
        items_CP = _project(item_embeddings_CD, dim, unit_norm=unit_norm)
        sample_BD = _sample(sample_queries_BD, config.num_recall_queries, seed)
        queries_BP = _project(sample_BD, dim, unit_norm=unit_norm)

        started = time.perf_counter()
        kind = config.kind_for(len(items_CP))
        store = VectorStore.build(kind, items_CP, config=config, seed=seed)
        build_s = time.perf_counter() - started
        calibration = calibrate(store, items_CP, queries_BP, config)
        chosen = calibration.chosen
        if not chosen:
            store = VectorStore.build("exact", items_CP, config=config, seed=seed)
        report = IndexReport(
            kind=store.kind,
            num_items=len(items_CP),
            embedding_dim=embedding_dim,
            dim=dim,
            unit_norm=unit_norm,
            build_s=build_s,
            size_bytes=store.size_bytes,
            recall_k=min(config.recall_k, len(items_CP)),
            num_recall_queries=len(queries_BP),
            recall=chosen[0].recall if chosen else 1.0,
            chosen=chosen,
            operating_points=calibration.points,
            notes=calibration.notes,
        )
        return cls(report=report, config=config, model_fingerprint=model_fingerprint, store=store)

    @property
    def list_lengths(self) -> tuple[int, ...]:
        """Ascending list lengths that were calibrated; longer lists are searched exactly."""
        return tuple(point.list_length for point in self.report.chosen)

    def search(self, queries_BD: Embeddings, k: int) -> tuple[Int64Array, Float32Array]:
        """The k best items of each query, as well as the recall of the report says.

        Args:
            queries_BD: Query vectors of the model's width or the index's. Shape (B, D) or (B, P).
            k: List length.

        Returns:
            Item numbers and scores, the best first, each of shape (B, k). A list in which fewer
            items were found ends with `NO_ITEM` and minus infinity.

        Raises:
            ArtifactError: The queries have another width.
        """
        for point in self.report.chosen:
            if k <= point.list_length:
                return self.store.search(self._project(queries_BD), k, effort=point.effort)
        return self.search_exact(queries_BD, k)

    def search_exact(
        self,
        queries_BD: Embeddings,
        k: int,
        *,
        excluded: UserItems | None = None,
        eligible: BoolArray | None = None,
    ) -> tuple[Int64Array, Float32Array]:
        """The k best allowed items of each query, without approximation: see `masked_top_k`."""
        queries_BP = self._project(queries_BD)
        return masked_top_k(queries_BP, self.vectors(), k, excluded=excluded, eligible=eligible)

    def projected(self, queries_BD: Embeddings) -> Embeddings:
        """Queries as they are searched with: their inner products with `vectors` are the scores."""
        return self._project(queries_BD)

    def vectors(self) -> Embeddings:
        """The indexed vectors, row by item number; not to be written to. Shape (C, P)."""
        return self.store.vectors

    def save(self, folder: Path) -> None:
        """Write the index as a bundle that names its model.

        Raises:
            ArtifactError: The folder exists, or the disk refuses.
        """
        write_bundle(
            folder,
            kind=BUNDLE_KIND,
            config=config_to_dict(self.config),
            documents={"report": self.report.to_dict()},
            blobs={"index": self.store.to_bytes()},
            parents={"model": self.model_fingerprint},
        )

    @classmethod
    def load(cls, folder: Path, *, model_fingerprint: str, in_child: bool = False) -> ItemIndex:
        """Read an index that was built from a given model.

        Args:
            folder: Where its bundle lies.
            model_fingerprint: Fingerprint of the model.
            in_child: Open it in a child process first, which takes a fraction of a second: for
                files that others may have written.

        Raises:
            ArtifactError: The bundle is missing, damaged or of another kind.
            FingerprintMismatchError: The index was built from another model.
        """
        parents = {"model": model_fingerprint}
        bundle = read_bundle(folder, kind=BUNDLE_KIND, expected_parents=parents)
        config, report = _settings(bundle)
        data = bundle.blob("index")
        if in_child:
            check_in_child(report.kind, data, num_items=report.num_items, dim=report.dim)
        store = VectorStore.from_bytes(report.kind, data)
        shape, expected = store.shape, (report.num_items, report.dim)
        if shape != expected:
            raise ArtifactError(
                f"{folder}: expected vectors of shape {expected}, got {shape}; build it again"
            )
        return cls(report=report, config=config, model_fingerprint=model_fingerprint, store=store)

    def _project(self, queries_BD: Embeddings) -> Embeddings:
        widths = self.report.embedding_dim, self.report.dim
        if queries_BD.ndim != 2 or queries_BD.shape[1] not in widths:
            raise ArtifactError(
                f"item index: expected queries of width {widths[0]}, got shape {queries_BD.shape};"
                " use the model that the index was built from"
            )
        return _project(queries_BD, widths[1], unit_norm=self.report.unit_norm)


def _project(vectors_BD: Embeddings, dim: int, *, unit_norm: bool) -> Embeddings:
    """The first `dim` dimensions, brought back to unit length where the whole vectors have it."""
    if dim == vectors_BD.shape[1]:
        return np.ascontiguousarray(vectors_BD, dtype=np.float32)
    cut_BP = vectors_BD[:, :dim].astype(np.float32)
    return unit_vectors(cut_BP) if unit_norm else cut_BP


def _settings(bundle: Bundle) -> tuple[IndexConfig, IndexReport]:
    try:
        document = cast("dict[str, object]", bundle.document("report"))
        config = parse_config(IndexConfig, bundle.config, source="config")
        return config, parse_config(IndexReport, document, source="report")
    except (ConfigError, ValueError, RecursionError) as error:  # or no JSON
        raise ArtifactError(f"{bundle.folder}: {error}; build the index again") from None


def _sample(queries_BD: Embeddings, num_queries: int, seed: int) -> Embeddings:
    if len(queries_BD) <= num_queries:
        return queries_BD
    rows = np.random.default_rng(seed).choice(len(queries_BD), num_queries, replace=False)
    return queries_BD[np.sort(rows)]


def _has_unit_norm(vectors_CD: Embeddings) -> bool:
    return bool(np.allclose(np.linalg.norm(vectors_CD, axis=1), 1, rtol=0, atol=_UNIT_TOLERANCE))


def _check_vectors(items_CD: Embeddings, queries_BD: Embeddings) -> None:
    if items_CD.ndim != 2 or 0 in items_CD.shape:
        raise ArtifactError(f"item index: expected item vectors, got shape {items_CD.shape}")
    if queries_BD.ndim != 2 or queries_BD.shape[1] != items_CD.shape[1]:
        raise ArtifactError(
            f"item index: expected sample queries of width {items_CD.shape[1]},"
            f" got shape {queries_BD.shape}"
        )
    for name, vectors in (("item vectors", items_CD), ("sample queries", queries_BD)):
        if not np.isfinite(vectors).all():
            raise ArtifactError(
                f"item index: expected finite {name}, got NaN or infinite values; train again"
            )
