"""The program that opens an index before a job does, in a process that may die: see `child.py`.

    python -I child_program.py NUM_BYTES CLASS NUM_ITEMS DIM [FOLDER ...]

The bytes come on the standard input; faiss and numpy may lie in the folders. Exit code 0: the index
is of that class and sound. 3: it is not, and the output says why. Nothing else of this project is
imported here, so that the program starts fast.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

SOUND, REFUSED = 0, 3
"""Exit codes; any other end is a crash."""

_SPARE_BYTES = 256 << 20
_MEMORY_FACTOR = 4
"""Memory for the bytes, the index made of them, and the checks."""
_BLOCK = 1 << 20
_MAX_REASON = 200
_NO_MAP = 0  # of items to lists


def main(arguments: list[str]) -> int:
    """Open the index of the standard input within limits, and check all that a search follows."""
    num_bytes, class_name, num_items, dim = (
        int(arguments[0]), arguments[1], int(arguments[2]), int(arguments[3])
    )  # fmt: skip
    sys.path.extend(arguments[4:])
    import faiss
    import numpy as np

    _set_limits(num_bytes)
    try:
        data = np.empty(num_bytes, dtype=np.uint8)
        source: Any = sys.stdin.buffer
        _require(source.readinto(data) == num_bytes, "fewer bytes than announced")
        faiss.set_deserialization_vector_byte_limit(num_bytes + 1024)
        faiss.set_deserialization_loop_limit(num_bytes + 1024)
        _check_index(faiss.deserialize_index(data), (class_name, num_items, dim))
    except Exception as error:  # noqa: BLE001  whatever it is, the index is not to be used
        reason = " ".join(str(error).split())[:_MAX_REASON]
        sys.stdout.write(reason or type(error).__name__)
        return REFUSED
    return SOUND


def seconds_for(num_bytes: int) -> int:
    """Seconds that opening so many bytes may take, even on a busy machine."""
    return 60 + num_bytes // 20_000_000


def _set_limits(num_bytes: int) -> None:
    """Bound memory by the size of the file; open no file, start no process, leave no core."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CPU: seconds_for(num_bytes),  # in case the parent is gone
        resource.RLIMIT_NOFILE: 0,  # an index may name a file that faiss would open
    }
    with suppress(OSError, ValueError):  # no such table: no Linux
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        used = pages * resource.getpagesize()
        limits[resource.RLIMIT_AS] = used + _MEMORY_FACTOR * num_bytes + _SPARE_BYTES
    for name, limit in limits.items():
        with suppress(OSError, ValueError):  # stricter already
            resource.setrlimit(name, (limit, limit))


def _check_index(index: Any, expected: tuple[str, int, int]) -> None:  # noqa: ANN401
    import faiss
    import numpy as np

    found = type(index).__name__, index.ntotal, index.d
    _require(found == expected, f"{found[0]} of shape {found[1:]}")
    _require(index.metric_type == faiss.METRIC_INNER_PRODUCT, f"metric {index.metric_type}")
    _require(index.is_trained, "an index that is not trained")
    if isinstance(index, faiss.IndexIVFFlat):
        _check_lists(index)
    elif isinstance(index, faiss.IndexHNSWFlat):
        _check_flat(faiss.downcast_index(index.storage), index.ntotal, index.d)
        _check_graph(index.hnsw, index.ntotal)
    else:
        _check_flat(index, index.ntotal, index.d)
    scores, items = index.search(np.ones((2, index.d), dtype=np.float32), min(10, index.ntotal))
    _require((items < index.ntotal).all() and not np.isnan(scores).any(), "a search that fails")


def _check_flat(index: Any, num_vectors: int, dim: int) -> None:  # noqa: ANN401
    import faiss

    _require(isinstance(index, faiss.IndexFlat), f"vectors in {type(index).__name__}")
    _require((index.ntotal, index.d) == (num_vectors, dim), f"{index.ntotal} vectors")
    _require(index.metric_type == faiss.METRIC_INNER_PRODUCT, "vectors of another metric")
    _require(index.codes.size() == 4 * num_vectors * dim, f"{index.codes.size()} bytes of vectors")
    _check_finite(faiss.rev_swig_ptr(index.get_xb(), num_vectors * dim))


def _check_lists(index: Any) -> None:  # noqa: ANN401
    """Centres, and lists that hold each item once."""
    import faiss
    import numpy as np

    _check_flat(faiss.downcast_index(index.quantizer), index.nlist, index.d)
    lists = faiss.downcast_InvertedLists(index.invlists)
    _require(isinstance(lists, faiss.ArrayInvertedLists), f"lists in {type(lists).__name__}")
    _require((lists.nlist, lists.code_size) == (index.nlist, 4 * index.d), "lists of another shape")
    _require(index.direct_map.type == _NO_MAP, "a map of items to lists")
    _require(not index.by_residual, "vectors that are differences")
    seen = np.zeros(index.ntotal, dtype=bool)
    sizes = [lists.list_size(number) for number in range(index.nlist)]
    _require(sum(sizes) == index.ntotal, f"lists of {sum(sizes)} items")
    for number, size in enumerate(sizes):
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
            _require(((ids >= 0) & (ids < index.ntotal)).all(), "an item that does not exist")
            seen[ids] = True
            codes = faiss.rev_swig_ptr(lists.get_codes(number), size * 4 * index.d)
            _check_finite(codes.view(np.float32))
    _require(seen.all(), "lists without some item")


def _check_graph(graph: Any, num_items: int) -> None:  # noqa: ANN401
    """Every place and every neighbour that a search may follow, level by level."""
    import faiss
    import numpy as np

    levels = faiss.vector_to_array(graph.levels)
    offsets = faiss.vector_to_array(graph.offsets).astype(np.int64)
    neighbours = faiss.vector_to_array(graph.neighbors)
    slots = faiss.vector_to_array(graph.cum_nneighbor_per_level).astype(np.int64)
    _require((len(levels), len(offsets)) == (num_items, num_items + 1), "a graph of another size")
    height = graph.max_level + 1
    _require(levels.min() >= 1 and levels.max() == height < len(slots), "levels out of range")
    _require(slots[0] == 0 and (np.diff(slots) >= 0).all(), "slots out of order")
    _require(offsets[0] == 0 and (np.diff(offsets) == slots[levels]).all(), "places out of order")
    _require(offsets[-1] == len(neighbours), "places beyond the graph")
    _require(((neighbours >= -1) & (neighbours < num_items)).all(), "neighbours out of range")
    _require(0 <= graph.entry_point < num_items, "an entry that does not exist")
    _require(levels[graph.entry_point] == height, "an entry of a lower level")
    for level in range(1, height):
        starts = offsets[:-1][levels > level] + slots[level]
        places = starts[:, None] + np.arange(slots[level + 1] - slots[level])
        found = neighbours[places]
        _require((levels[found[found >= 0]] > level).all(), "neighbours of a lower level")


def _check_finite(values: Any) -> None:  # noqa: ANN401
    import numpy as np

    for start in range(0, len(values), _BLOCK):
        _require(np.isfinite(values[start : start + _BLOCK]).all(), "vectors that are not finite")


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
