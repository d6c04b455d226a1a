"""Vectors in a faiss index. The only module of jobs that imports faiss.

Shapes: B queries, C items, D width, K list length.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import faiss as faiss_library
import numpy as np

from recsys.arrays import Float32Array, Int64Array
from recsys.errors import ArtifactError
from recsys.recommender.config import IndexConfig, IndexKind
from recsys.recommender.ranking.topk import Embeddings

faiss: Any = faiss_library  # its stubs lack most of what is used here

_TRAIN_VECTORS_PER_LIST = 64
"""Enough for k-means; the 256 of faiss cost up to four times as long."""
_EFFORTS = sorted({2**power for power in range(11)} | {3 * 2**power for power in range(10)})
"""1, 2, 3, 4, 6, 8, 12 ... 1024, 1536."""
_MIN_EF_SEARCH = 16
_TYPES: dict[IndexKind, type] = {
    "exact": faiss.IndexFlatIP,
    "ivf": faiss.IndexIVFFlat,
    "hnsw": faiss.IndexHNSWFlat,
}
_deserialization = threading.Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorStore:
    """Item vectors by number, with the lists or the graph of their index.

    Args:
        kind: How they are searched.
        faiss_index: The faiss index of that kind.
    """

    kind: IndexKind
    faiss_index: Any

    @classmethod
    def build(
        cls,
        kind: IndexKind,
        items_CD: Embeddings,
        *,
        config: IndexConfig,
        seed: int,
    ) -> VectorStore:
        """Train and fill an index. Shape of the vectors (C, D)."""
        num_items, dim = items_CD.shape
        metric = faiss.METRIC_INNER_PRODUCT
        if kind == "ivf":
            lists = config.num_lists_for(num_items)
            index = faiss.index_factory(dim, f"IVF{lists},Flat", metric)
            index.cp.seed = seed
            index.cp.min_points_per_centroid = 1
            index.cp.max_points_per_centroid = _TRAIN_VECTORS_PER_LIST
            index.train(items_CD)
        elif kind == "hnsw":
            index = faiss.IndexHNSWFlat(dim, config.hnsw_m, metric)
            index.hnsw.efConstruction = config.hnsw_ef_construction
        else:
            index = faiss.IndexFlatIP(dim)
        index.add(items_CD)
        return cls(kind=kind, faiss_index=index)

    def efforts(self, list_length: int) -> list[int]:
        """Efforts worth trying for a list length, ascending; none for exact search."""
        if self.kind == "ivf":
            # From a quarter of the lists on, exact search is about as fast.
            most = max(1, self.faiss_index.nlist // 4)
            return [effort for effort in _EFFORTS if effort <= most]
        if self.kind == "hnsw":
            return [effort for effort in _EFFORTS if effort >= max(list_length, _MIN_EF_SEARCH)]
        return []

    def search(
        self, queries_BD: Embeddings, k: int, *, effort: int
    ) -> tuple[Int64Array, Float32Array]:
        """Item numbers and scores of the k best items found, each of shape (B, k).

        The effort is one of `efforts(k)` or, for HNSW, of a longer list: a smaller one misses
        items.
        """
        parameters = None
        if self.kind == "ivf":
            parameters = faiss.SearchParametersIVF(nprobe=effort)
        elif self.kind == "hnsw":
            parameters = faiss.SearchParametersHNSW(efSearch=effort)
        scores_BK, items_BK = self.faiss_index.search(queries_BD, k, params=parameters)
        scores_BK[items_BK < 0] = -np.inf
        return items_BK, scores_BK

    @property
    def shape(self) -> tuple[int, int]:
        """Number of items and width of their vectors."""
        return self.faiss_index.ntotal, self.faiss_index.d

    @cached_property
    def vectors(self) -> Embeddings:
        """The vectors by item number; a view, or a copy of what IVF keeps list by list."""
        num_items, dim = self.shape
        if self.kind == "ivf":
            return cast("Embeddings", self.faiss_index.reconstruct_n(0, num_items))
        flat = self.faiss_index
        if self.kind == "hnsw":
            flat = faiss.downcast_index(flat.storage)
        memory = faiss.rev_swig_ptr(flat.get_xb(), num_items * dim)
        return cast("Embeddings", memory.reshape(num_items, dim))

    def to_bytes(self) -> memoryview:
        """The index in faiss's own format."""
        # Not faiss.write_index to a file: it can lose the error of a full disk.
        return memoryview(faiss.serialize_index(self.faiss_index))

    @classmethod
    def from_bytes(cls, kind: IndexKind, data: bytes) -> VectorStore:
        """An index from bytes that `to_bytes` gave and whose digest was checked.

        Raises:
            ArtifactError: The bytes are not an inner product index of that kind.
        """
        with _bounded_deserialization(len(data)):
            try:
                index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise ArtifactError(
                    f"item index: expected a faiss index, got: {reason}; build the index again"
                ) from None
        found = type(index), index.metric_type
        if found != (_TYPES[kind], faiss.METRIC_INNER_PRODUCT):
            raise ArtifactError(
                f"item index: expected {_TYPES[kind].__name__} of inner products,"
                f" got {found[0].__name__} of metric {found[1]}; build the index again"
            )
        return cls(kind=kind, faiss_index=index)

    @cached_property
    def size_bytes(self) -> int:
        """Length of `to_bytes`, computed without making them."""
        size = 0

        def count(data: bytes) -> int:
            nonlocal size
            size += len(data)
            return len(data)

        faiss.write_index(self.faiss_index, faiss.PyCallbackIOWriter(count))
        return size


@contextmanager
def _bounded_deserialization(num_bytes: int) -> Iterator[None]:
    """Let faiss allocate no vector, and run no loop, longer than the bytes it reads."""
    bound = num_bytes + 1024
    with _deserialization:  # the limits are global to the process
        bytes_before = faiss.get_deserialization_vector_byte_limit()
        loops_before = faiss.get_deserialization_loop_limit()
        faiss.set_deserialization_vector_byte_limit(bound)
        faiss.set_deserialization_loop_limit(bound)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(bytes_before)
            faiss.set_deserialization_loop_limit(loops_before)
